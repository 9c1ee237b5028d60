"""Everything a user can do, once: key, help, palette entry, and when it does something.

The doing itself is a method `action_<id>` of the screen; bindings, footer, help and palette are made from this list.
"""

from __future__ import annotations

from llmzero_tui.actions.model import Action, ActionContext, always
from llmzero_tui.actions.reading import READING


def _branchable(context: ActionContext) -> bool:
    return context.steerable and context.target is None and context.node is not None and bool(context.node.kept)


def _prunable(context: ActionContext) -> bool:
    node = context.node
    return context.steerable and node is not None and node.id != 0 and not node.pruned


RUN = ("run",)
DECIDE = ("run", "decision")
PLOTS = ("run", "compare")
EVIDENCE = ("evidence",)

ENGINE = "a running engine"
CURVE = "a curve"
PROPOSAL = f"{ENGINE}, and a selected proposal that has not started"
"""What actions need, in words."""

REGISTRY: tuple[Action, ...] = (
    # steering: what the engine is told
    Action("approve", ("a",), "Approve", "Approve the proposal as it is", "Steer", DECIDE,
           lambda c: c.steerable and c.target is not None, 1, needs=PROPOSAL),
    Action("edit", ("e",), "Edit", "Edit the proposal's hyperparameters before it starts", "Steer", DECIDE,
           lambda c: c.steerable and c.target is not None, 2, needs=PROPOSAL),
    Action("reject", ("r",), "Reject", "Reject the proposal, with a reason", "Steer", DECIDE,
           lambda c: c.steerable and c.target is not None, 3, needs=PROPOSAL),
    Action("decide", ("d",), "Decide", "The selected proposal in full: evidence, scores, every value and its history",
           "Look", RUN, lambda c: c.target is not None, 4),
    Action("decision", ("d",), "Decision", "What was proposed for the selected node, and who decided", "Look", RUN,
           lambda c: c.target is None and c.node is not None and c.node.id != 0, needs="a node below the root"),
    Action("own", ("o",), "Custom proposal", "Propose your own hyperparameters from any kept checkpoint", "Steer",
           ("decision",), lambda c: c.steerable, 4, needs=ENGINE),
    Action("own", (), "Custom proposal", "Propose your own hyperparameters from any kept checkpoint", "Steer",
           RUN, lambda c: c.steerable),
    Action("next_proposal", ("n",), "Next", "The next proposal that has not started", "Look", ("decision",),
           lambda c: c.waiting > 0, 5, needs="a proposal that has not started"),
    Action("previous_proposal", ("p",), "Previous", "The previous proposal", "Look", ("decision",),
           lambda c: c.waiting > 0, needs="a proposal that has not started"),
    Action("branch", ("e",), "Branch", "Branch from a checkpoint of the selected node, with your own values",
           "Steer", RUN, _branchable, 4, needs=f"{ENGINE}, and a node with a kept checkpoint"),
    Action("pause", ("space",), "Pause", "Pause training after the current step", "Steer", RUN,
           lambda c: c.training, 6, needs="an engine that trains"),
    Action("resume", ("space",), "Resume", "Resume training", "Steer", RUN,
           lambda c: c.live and c.state == "paused", 6),
    Action("prune", ("x",), "Prune", "Exclude the selected node and all nodes below it from further search", "Steer",
           RUN, _prunable, 7, needs=f"{ENGINE}, and a node below the root that is not pruned"),
    Action("annotate", ("n",), "Note", "Your note on the selected node, visible to everyone who opens this run",
           "Steer", RUN, lambda c: c.steerable and c.node is not None, needs=ENGINE),
    Action("budget", ("B",), "Budget", "Change the limits of this run: steps, nodes, minutes, GPU hours", "Steer", RUN,
           lambda c: c.steerable, needs=ENGINE),
    Action("space", (), "Space", "Narrow or widen the range of a hyperparameter from now on", "Steer", RUN,
           lambda c: c.steerable),
    Action("stop_node", (), "Stop segment", "Stop the selected segment after the current step, with a checkpoint",
           "Steer", RUN, lambda c: c.steerable and c.node is not None and c.node.state == "running"),
    Action("gate", (), "Gate", "Choose whether proposals wait for your approval: auto, timeout or manual", "Steer", RUN,
           lambda c: c.steerable),
    Action("stop", (), "Stop the run", "Stop the run cleanly; asks for its name", "Steer", RUN, lambda c: c.steerable),
    # looking
    Action("inbox", ("i",), "Inbox", "Go to the proposals that wait for you", "Look", RUN,
           lambda c: c.waiting > 0 and not c.in_inbox, 5),
    Action("best", ("b",), "Best", "Select the best node so far", "Look", RUN,
           lambda c: c.node is not None, 12),
    Action("live", ("t",), "Live", "Select the running segment, and follow it", "Look", RUN,
           lambda c: c.running, 13, needs="a segment that trains"),
    Action("workers", (), "Workers", "What segments train on now: device, utilization, memory, tokens a second", "Look",
           RUN, lambda c: c.live),
    Action("filter", ("slash",), "Filter", "Show only nodes whose number, label or state contains this text", "Look",
           RUN, lambda c: c.node is not None, 8),
    Action("zoom", ("z",), "Zoom", "Show the plot full screen, or return", "Look", RUN,
           lambda c: c.node is not None, 11),
    Action("next_metric", ("right_square_bracket",), "Next metric", "Plot the next metric", "Look", RUN,
           lambda c: c.plotted, palette=False),
    Action("previous_metric", ("left_square_bracket",), "Previous metric", "Plot the previous metric", "Look", PLOTS,
           lambda c: c.plotted, palette=False),
    Action("next_metric", ("right_square_bracket",), "Metric", "Plot the next metric", "Look", ("compare",),
           lambda c: c.plotted, 1, palette=False),
    Action("zoom_in", ("plus", "equals_sign"), "Zoom in", "Show half the range of the plot, in more detail", "Look",
           ("compare", "evidence"), lambda c: c.plotted, 4, needs=CURVE),
    Action("axis", ("u",), "Axis", "Plot against steps, or against training time (pauses excluded)",
           "Look", ("compare",), lambda c: c.plotted, 6),
    Action("smoothing", ("s",), "Smoothing", "Plot the average, the raw values, or both", "Look", ("compare",),
           lambda c: c.plotted, 5),
    Action("from_branch", ("f",), "From branch", "Show only the steps after the trajectories diverge, or everything",
           "Look", ("compare",), lambda c: c.found, 3),
    Action("mark", ("m",), "Mark", "Mark this node to compare it with others, up to four", "Look", RUN,
           lambda c: c.node is not None),
    Action("mark", ("m",), "Mark", "Mark this run to compare it with others, up to four", "Runs", ("runs",),
           lambda c: c.runs > 1, 5, needs="a second run to compare with"),
    Action("compare", ("c",), "Compare", "Overlay what is marked: curves, scores, hyperparameters that differ",
           "Look", ("run", "runs"), lambda c: c.marked > 1, 5, needs="at least two marks"),
    Action("unmark_all", (), "Unmark all", "Remove all marks", "Look", ("run", "runs"), lambda c: c.marked > 0),
    Action("log_scale", ("y",), "Log scale", "Switch between a logarithmic and a linear scale", "Look", PLOTS,
           lambda c: c.plotted),
    Action("smoothing", ("s",), "Smoothing", "Plot the average with the raw values, or either alone",
           "Look", RUN, lambda c: c.plotted),
    Action("axis", ("u",), "Axis", "Plot against steps, or against training time (pauses excluded)",
           "Look", RUN, lambda c: c.plotted),
    Action("zoom_in", ("plus", "equals_sign"), "Zoom in", "Show half the range of the plot, in more detail", "Look",
           RUN, lambda c: c.plotted),
    Action("zoom_out", ("minus",), "Zoom out", "Show twice the range of the plot", "Look", (*PLOTS, "evidence"),
           lambda c: c.plotted, needs=CURVE),
    Action("everything", ("0",), "Reset zoom", "Show the whole trajectory in the plot", "Look", PLOTS,
           lambda c: c.plotted),
    Action("parent", ("p",), "Parent", "Show or hide the parent's curve after the branch point, in grey", "Look", RUN,
           lambda c: c.node is not None),
    Action("beside", ("M",), "Add to grid", "Add this metric to the grid of the zoomed plot, or remove it",
           "Look", RUN, lambda c: c.node is not None),
    Action("tab_1", ("1",), "Rationale", "Why this node: rationale, diagnosis, scores", "Look", RUN),
    Action("tab_2", ("2",), "Changes", "What this node changed, and every hyperparameter along its trajectory",
           "Look", RUN),
    Action("tab_3", ("3",), "Samples", "What the policy wrote", "Look", RUN),
    Action("tab_4", ("4",), "Log", "What happened in the run", "Look", RUN),
    Action("plots", ("o",), "Plots",
           "Open the plots of this node that the advisor's model was shown, in the system viewer",
           "Look", RUN, lambda c: c.node is not None),
    Action("trajectory", ("T",), "Trajectory",
           "The best trajectory stage by stage: every hyperparameter and its rationale",
           "Look", RUN, lambda c: c.node is not None),
    Action("other_path", ("t",), "Other path", "The trajectory to the node you came from, or the best one", "Look",
           ("trajectory",), lambda c: c.node is not None, 1),
    Action("earlier", ("left", "h"), "Earlier", "The previous stage", "Look", ("trajectory",), palette=False, rank=2),
    Action("later", ("right", "l"), "Later", "The next stage", "Look", ("trajectory",), palette=False, rank=3),
    Action("freeze", ("F",), "Freeze", "Freeze the display; training continues", "Look", RUN),
    # taking away
    Action("copy", ("Y",), "Copy", "Copy the selected node as text: values, scores, rationale", "Export", RUN,
           lambda c: c.node is not None),
    Action("export", ("w",), "Write", "Write the best policy, database, strategy, metrics or a picture to a file",
           "Export", RUN, lambda c: bool(c.state), 15),
    # a comparison
    Action("open", ("enter",), "Open", "Open the run of the row, where there is one", "Evidence", EVIDENCE,
           lambda c: c.chosen, 1, needs="a row that has a run"),
    Action("next_table", ("n",), "Next table", "The next table", "Evidence", EVIDENCE, lambda c: c.found, 2),
    Action("previous_table", ("p",), "Previous table", "The previous table", "Evidence", EVIDENCE, lambda c: c.found),
    Action("next_task", ("right_square_bracket",), "Task", "Plot the next task", "Evidence", EVIDENCE,
           lambda c: c.tasks > 1, 3, needs="a second task"),
    Action("previous_task", ("left_square_bracket",), "Previous task", "Plot the previous task", "Evidence", EVIDENCE,
           lambda c: c.tasks > 1, needs="a second task"),
    Action("axis", ("u",), "Axis", "Plot against trainer seconds, GRPO steps or generated tokens", "Evidence",
           EVIDENCE, lambda c: c.plotted, 6, needs=CURVE),
    Action("strategies", ("s",), "Strategies", "Plot the next strategies beside the plan's first one", "Evidence",
           EVIDENCE, lambda c: c.pages, 5, needs="more curves than the plot shows"),
    Action("everything", ("0",), "Reset zoom", "Show the whole curves in the plot", "Evidence", EVIDENCE,
           lambda c: c.plotted, needs=CURVE),
    Action("zoom", ("z",), "Zoom", "Show the plot full screen, or return", "Evidence", EVIDENCE,
           lambda c: c.plotted, 7, needs=CURVE),
    # runs and SQL
    Action("open", ("enter",), "Open", "Open the run", "Runs", ("runs",), lambda c: c.runs > 0, 1),
    Action("filter", ("slash",), "Filter", "Show only runs whose name, task or state contains this text", "Runs",
           ("runs",), always, 3),
    Action("sort", ("o",), "Sort", "Sort by age, name, state, validation score, test score or budget spent", "Runs",
           ("runs",), lambda c: c.runs > 0, 4),
    Action("delete", ("D",), "Delete", "Delete the run under the cursor and all its files; asks for its name", "Runs",
           ("runs",), lambda c: c.runs > 0),
    Action("sql", ("colon",), "SQL", "Query the run's database with SQL", "Everywhere", ("runs", "run"),
           lambda c: c.runs > 0 or c.screen == "run", 9),
    Action("run_query", ("f5", "ctrl+r"), "Run", "Run the query in the editor", "SQL", ("sql",),
           lambda c: not c.busy, 1),
    Action("rerun", ("r",), "Run", "Run the query again, from the rows", "SQL", ("sql",),
           lambda c: not c.busy, palette=False),
    Action("interrupt", ("escape",), "Interrupt", "Stop the running query", "SQL", ("sql",), lambda c: c.busy, 1),
    Action("editor", ("e",), "Edit", "From the rows to the editor", "SQL", ("sql",), lambda c: not c.editing, 2,
           palette=False),
    Action("view", ("enter",), "Open", "Show the row under the cursor in full", "SQL", ("sql",),
           lambda c: c.found and not c.editing, 3),
    Action("next_page", ("n",), "Next page", "Show the next rows", "SQL", ("sql",),
           lambda c: c.pages and not c.editing, 5),
    Action("previous_page", ("p",), "Previous", "Show the previous rows", "SQL", ("sql",),
           lambda c: c.pages and not c.editing, 11),
    Action("queries", ("f2", "x"), "Queries", "Choose a saved query, built-in or your own", "SQL", ("sql",), always, 7),
    Action("history", ("f3", "h"), "History", "Choose from earlier queries", "SQL", ("sql",), always, 8),
    Action("schema", ("f4", "t"), "Tables", "Look up tables and columns and what they mean", "SQL", ("sql",),
           lambda c: not c.busy, 9),
    Action("save_query", ("f8", "s"), "Save", "Save the query under a name, with a one-line description", "SQL",
           ("sql",), always, 12),
    Action("export", ("f9", "w"), "Export", "Write every row to a file: CSV, JSON or Parquet", "SQL", ("sql",),
           lambda c: c.found, 4),
    Action("copy_cell", ("y",), "Copy", "Copy the value under the cursor", "SQL", ("sql",),
           lambda c: c.found and not c.editing, 6),
    Action("copy", ("Y",), "Copy row", "Copy the row under the cursor", "SQL", ("sql",),
           lambda c: c.found and not c.editing),
    Action("copy_page", ("A",), "Copy page", "Copy the rows of the page with their names, for a spreadsheet", "SQL",
           ("sql",), lambda c: c.found and not c.editing),
    Action("back", ("escape", "q"), "Back", "Back to the previous screen", "Everywhere",
           ("sql", "help", "decision", "trajectory", "settings", "compare"), lambda c: not c.busy, 20),
    Action("runs", ("backspace",), "Runs", "Back to the list of runs, or to the comparison", "Everywhere", RUN),
    Action("help", ("question_mark", "f1"), "Help", "Show all keys", "Everywhere",
           ("runs", "run", "decision", "trajectory", "compare", "evidence"), always, 10),
    Action("help", ("f1", "question_mark"), "Help", "Show all keys", "Everywhere", ("sql",), always, 10),
    Action("tour", (), "Tour", "A short tour of this screen", "Everywhere", RUN, lambda c: c.node is not None),
    Action("tour", ("t",), "Tour", "A short tour of the screen", "Everywhere", ("help",),
           lambda c: c.state == "run", 1),
    Action("rebind", ("enter",), "Change", "Change the setting under the cursor, or its key",
           "Settings", ("settings",), always, 1, palette=False),
    Action("unbind", ("backspace", "delete"), "Default", "Restore the default keys of the action under the cursor",
           "Settings", ("settings",), always, 2),
    Action("try_out", ("t",), "Try", "Send a test notification in every way that is switched on",
           "Settings", ("settings",), always, 3),
    Action("theme", (), "Theme", "The next theme: dark, light, high contrast, colour-blind", "Everywhere",
           ("runs", "run", "sql", "evidence")),
    Action("settings", ("comma",), "Settings", "Theme, glyphs, mouse, notifications, and the keys themselves",
           "Everywhere", ("runs", "run", "sql", "evidence"), always),
    Action("detach", ("q",), "Detach", "Leave; the engine continues training", "Everywhere", ("runs", "run"), always,
           14),
    Action("detach", ("q",), "Leave", "Leave; the comparison goes on", "Everywhere", EVIDENCE, always, 14),
    *READING,
)  # fmt: skip


def lasting(action: Action) -> bool:
    """Whether something of it stays when the screen is left: in the run, in a file, in the settings, on the machine's
    own display. A view that only watches refuses these."""
    return action.group in ("Steer", "Settings") or action.id in LASTING


LASTING = frozenset({"delete", "export", "plots", "save_query", "settings", "theme"})
"""Such actions of the groups that otherwise only look. A copy is none: it goes to the terminal's clipboard."""

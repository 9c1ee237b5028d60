"""Everything a user can do, once: key, help, palette entry, and when it does something.

The doing itself is a method `action_<id>` of the screen; bindings, footer, help and palette are made from this list.
"""

from __future__ import annotations

from llmzero_tui.actions.model import Action, Context, always


def _branchable(context: Context) -> bool:
    return context.steerable and context.target is None and context.node is not None and bool(context.node.kept)


def _prunable(context: Context) -> bool:
    node = context.node
    return context.steerable and node is not None and node.id != 0 and not node.pruned


RUN = ("run",)
REGISTRY: tuple[Action, ...] = (
    # steering: what the engine is told
    Action("approve", ("a",), "Approve", "Let the proposal go ahead as it is", "Steer", RUN,
           lambda c: c.steerable and c.target is not None, 1),
    Action("edit", ("e",), "Edit", "Change the proposal's values before it goes ahead", "Steer", RUN,
           lambda c: c.steerable and c.target is not None, 2),
    Action("reject", ("r",), "Reject", "Turn the proposal down, with a reason", "Steer", RUN,
           lambda c: c.steerable and c.target is not None, 3),
    Action("branch", ("e",), "Branch", "Branch by hand from a checkpoint of the selected node, with your own values",
           "Steer", RUN, _branchable, 4),
    Action("pause", ("space",), "Pause", "Pause the training after the step in progress", "Steer", RUN,
           lambda c: c.training, 6),
    Action("resume", ("space",), "Resume", "Go on training", "Steer", RUN,
           lambda c: c.live and c.state == "paused", 6),
    Action("prune", ("x",), "Prune", "Close the selected node and all below it to further search", "Steer", RUN,
           _prunable, 7),
    Action("stop_node", (), "Stop segment", "End the selected segment after its step, with a checkpoint", "Steer", RUN,
           lambda c: c.steerable and c.node is not None and c.node.state == "running"),
    Action("gate", (), "Gate", "Decide whether proposals wait for you: auto, timeout or manual", "Steer", RUN,
           lambda c: c.steerable),
    Action("stop", (), "Stop the run", "End the run cleanly; asks for its name", "Steer", RUN, lambda c: c.steerable),
    # looking
    Action("inbox", ("i",), "Inbox", "Go to what waits for you", "Look", RUN,
           lambda c: c.waiting > 0 and not c.in_inbox, 5),
    Action("best", ("b",), "Best", "Select the best node so far", "Look", RUN,
           lambda c: c.node is not None, 12),
    Action("live", ("t",), "Live", "Select the segment that trains now, and stay with it", "Look", RUN,
           lambda c: c.running, 13),
    Action("filter", ("slash",), "Filter", "Show only nodes whose number, label or state has this text", "Look", RUN,
           lambda c: c.node is not None, 8),
    Action("zoom", ("z",), "Zoom", "Give the plot the whole screen, or give it back", "Look", RUN,
           lambda c: c.node is not None, 11),
    Action("next_metric", ("right_square_bracket",), "Next metric", "Plot the next metric", "Look", RUN,
           lambda c: c.node is not None, palette=False),
    Action("previous_metric", ("left_square_bracket",), "Previous metric", "Plot the metric before", "Look", RUN,
           lambda c: c.node is not None, palette=False),
    Action("log_scale", ("y",), "Log scale", "Plot on a logarithmic scale, or a linear one again", "Look", RUN,
           lambda c: c.node is not None),
    Action("smoothing", ("s",), "Smoothing", "Plot the average with the raw values, or either alone",
           "Look", RUN, lambda c: c.node is not None),
    Action("tab_1", ("1",), "Rationale", "Why this node: rationale, diagnosis, scores", "Look", RUN),
    Action("tab_2", ("2",), "Changes", "What this node changed, and every value along its trajectory", "Look", RUN),
    Action("tab_3", ("3",), "Samples", "What the policy wrote", "Look", RUN),
    Action("tab_4", ("4",), "Log", "What happened in the run", "Look", RUN),
    Action("plots", ("o",), "Plots", "Open the plots that a model was shown of this node, in the system's viewer",
           "Look", RUN, lambda c: c.node is not None),
    Action("freeze", ("F",), "Freeze", "Hold the display still; the training goes on", "Look", RUN),
    # taking away
    Action("copy", ("Y",), "Copy", "Copy the selected node as text: values, scores, rationale", "Take away", RUN,
           lambda c: c.node is not None),
    # runs and SQL
    Action("open", ("enter",), "Open", "Open the run", "Runs", ("runs",), lambda c: c.runs > 0, 1, palette=False),
    Action("sql", ("colon",), "SQL", "Ask the run's database a question", "Everywhere", ("runs", "run"),
           lambda c: c.runs > 0 or c.screen == "run", 9),
    Action("run_query", ("f5", "ctrl+r"), "Run", "Run the query in the editor", "SQL", ("sql",),
           lambda c: not c.busy, 1),
    Action("rerun", ("r",), "Run", "Run the query again, from the rows", "SQL", ("sql",),
           lambda c: not c.busy, palette=False),
    Action("interrupt", ("escape",), "Interrupt", "Stop the running query", "SQL", ("sql",), lambda c: c.busy, 1),
    Action("editor", ("e",), "Edit", "From the rows to the editor", "SQL", ("sql",), lambda c: not c.editing, 2,
           palette=False),
    Action("next_page", ("n",), "Next page", "Show the next rows", "SQL", ("sql",), lambda c: c.pages, 3),
    Action("previous_page", ("p",), "Previous", "Show the rows before", "SQL", ("sql",), lambda c: c.pages, 4),
    Action("example", ("f2", "x"), "Example", "Put the next example into the editor", "SQL", ("sql",), always, 5),
    Action("history", ("f3", "h"), "History", "Put the query before into the editor", "SQL", ("sql",), always, 6),
    Action("back", ("escape", "q"), "Back", "Back to the screen before", "Everywhere", ("sql", "help"),
           lambda c: not c.busy, 20),
    Action("runs", ("backspace",), "Runs", "Back to the list of runs", "Everywhere", RUN),
    Action("help", ("question_mark", "f1"), "Help", "Show every key", "Everywhere", ("runs", "run", "sql"), always, 10),
    Action("theme", (), "Theme", "Switch between the dark and the light theme", "Everywhere", ("runs", "run", "sql")),
    Action("detach", ("q",), "Detach", "Leave; the engine goes on training", "Everywhere", ("runs", "run"), always, 14),
)  # fmt: skip

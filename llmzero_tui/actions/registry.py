"""Everything a user can do, once: key, help, palette entry, and when it does something.

The doing itself is a method `action_<id>` of the screen; bindings, footer, help and palette are made from this list.
"""

from __future__ import annotations

from llmzero_tui.actions.model import Action, Context, always
from llmzero_tui.actions.reading import READING


def _branchable(context: Context) -> bool:
    return context.steerable and context.target is None and context.node is not None and bool(context.node.kept)


def _prunable(context: Context) -> bool:
    node = context.node
    return context.steerable and node is not None and node.id != 0 and not node.pruned


RUN = ("run",)
DECIDE = ("run", "decision")
PLOTS = ("run", "compare")
REGISTRY: tuple[Action, ...] = (
    # steering: what the engine is told
    Action("approve", ("a",), "Approve", "Let the proposal go ahead as it is", "Steer", DECIDE,
           lambda c: c.steerable and c.target is not None, 1),
    Action("edit", ("e",), "Edit", "Change the proposal's values before it goes ahead", "Steer", DECIDE,
           lambda c: c.steerable and c.target is not None, 2),
    Action("reject", ("r",), "Reject", "Turn the proposal down, with a reason", "Steer", DECIDE,
           lambda c: c.steerable and c.target is not None, 3),
    Action("decide", ("d",), "Decide", "The selected proposal in full: evidence, scores, every value and its history",
           "Look", RUN, lambda c: c.target is not None, 4),
    Action("decision", ("d",), "Decision", "What was proposed for the selected node, and who decided", "Look", RUN,
           lambda c: c.target is None and c.node is not None and c.node.id != 0),
    Action("own", ("o",), "Own", "Write a transition of your own, from any checkpoint that is kept", "Steer",
           ("decision",), lambda c: c.steerable, 4),
    Action("own", (), "Own transition", "Write a transition of your own, from any checkpoint that is kept", "Steer",
           RUN, lambda c: c.steerable),
    Action("next_proposal", ("n",), "Next", "The next proposal that has not begun", "Look", ("decision",),
           lambda c: c.waiting > 0, 5),
    Action("previous_proposal", ("p",), "Previous", "The proposal before", "Look", ("decision",),
           lambda c: c.waiting > 0),
    Action("branch", ("e",), "Branch", "Branch by hand from a checkpoint of the selected node, with your own values",
           "Steer", RUN, _branchable, 4),
    Action("pause", ("space",), "Pause", "Pause the training after the step in progress", "Steer", RUN,
           lambda c: c.training, 6),
    Action("resume", ("space",), "Resume", "Go on training", "Steer", RUN,
           lambda c: c.live and c.state == "paused", 6),
    Action("prune", ("x",), "Prune", "Close the selected node and all below it to further search", "Steer", RUN,
           _prunable, 7),
    Action("annotate", ("n",), "Note", "A note of yours on the selected node, for everyone who looks at this run", "Steer",
           RUN, lambda c: c.steerable and c.node is not None),
    Action("budget", ("B",), "Budget", "Other limits for this run: steps, nodes, minutes, GPU hours", "Steer", RUN,
           lambda c: c.steerable),
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
    Action("log_scale", ("y",), "Log scale", "Plot on a logarithmic scale, or a linear one again", "Look", PLOTS,
           lambda c: c.plotted),
    Action("smoothing", ("s",), "Smoothing", "Plot the average with the raw values, or either alone",
           "Look", PLOTS, lambda c: c.plotted),
    Action("axis", ("u",), "Axis", "Plot along steps, or along the time in training (without breaks between segments)",
           "Look", PLOTS, lambda c: c.plotted),
    Action("zoom_in", ("plus", "equals_sign"), "Closer", "See half as much of the plot, in more detail", "Look", PLOTS,
           lambda c: c.plotted),
    Action("zoom_out", ("minus",), "Farther", "See twice as much of the plot", "Look", PLOTS, lambda c: c.windowed),
    Action("everything", ("0",), "Everything", "See the whole trajectory in the plot again", "Look", PLOTS,
           lambda c: c.windowed),
    Action("parent", ("p",), "Parent", "Draw in grey how the parent went on beyond the branch, or not", "Look", RUN,
           lambda c: c.node is not None),
    Action("beside", ("M",), "Beside", "Draw this metric beside others when the plot has the screen, or no more", "Look",
           RUN, lambda c: c.node is not None),
    Action("tab_1", ("1",), "Rationale", "Why this node: rationale, diagnosis, scores", "Look", RUN),
    Action("tab_2", ("2",), "Changes", "What this node changed, and every value along its trajectory", "Look", RUN),
    Action("tab_3", ("3",), "Samples", "What the policy wrote", "Look", RUN),
    Action("tab_4", ("4",), "Log", "What happened in the run", "Look", RUN),
    Action("plots", ("o",), "Plots", "Open the plots that a model was shown of this node, in the system's viewer",
           "Look", RUN, lambda c: c.node is not None),
    Action("trajectory", ("T",), "Trajectory", "The best path as stages: every parameter's staircase, what was said",
           "Look", RUN, lambda c: c.node is not None),
    Action("other_path", ("t",), "Other path", "The path to the node one came from, or the best one again", "Look",
           ("trajectory",), lambda c: c.node is not None, 1),
    Action("earlier", ("left", "h"), "Earlier", "The stage before", "Look", ("trajectory",), palette=False, rank=2),
    Action("later", ("right", "l"), "Later", "The next stage", "Look", ("trajectory",), palette=False, rank=3),
    Action("freeze", ("F",), "Freeze", "Hold the display still; the training goes on", "Look", RUN),
    # taking away
    Action("copy", ("Y",), "Copy", "Copy the selected node as text: values, scores, rationale", "Take away", RUN,
           lambda c: c.node is not None),
    # runs and SQL
    Action("open", ("enter",), "Open", "Open the run", "Runs", ("runs",), lambda c: c.runs > 0, 1, palette=False),
    Action("filter", ("slash",), "Filter", "Show only runs with this text in their name, task or state", "Runs",
           ("runs",), always, 3),
    Action("sort", ("o",), "Sort", "By age, name, state, validation score, test score, budget spent", "Runs",
           ("runs",), lambda c: c.runs > 0, 4),
    Action("delete", ("D",), "Delete", "Delete the run under the cursor and all its files; asks for its name", "Runs",
           ("runs",), lambda c: c.runs > 0),
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
    Action("back", ("escape", "q"), "Back", "Back to the screen before", "Everywhere",
           ("sql", "help", "decision", "trajectory"), lambda c: not c.busy, 20),
    Action("runs", ("backspace",), "Runs", "Back to the list of runs", "Everywhere", RUN),
    Action("help", ("question_mark", "f1"), "Help", "Show every key", "Everywhere",
           ("runs", "run", "sql", "decision", "trajectory"), always, 10),
    Action("theme", (), "Theme", "The next theme: dark, light, high contrast, for colour-blind eyes", "Everywhere",
           ("runs", "run", "sql")),
    Action("settings", ("comma",), "Settings", "Theme, glyphs, mouse, notifications, and the keys themselves",
           "Everywhere", ("runs", "run", "sql"), always),
    Action("detach", ("q",), "Detach", "Leave; the engine goes on training", "Everywhere", ("runs", "run"), always, 14),
    *READING,
)  # fmt: skip

"""What a user can do on the screens of samples and of agents' calls. Part of the registry."""

from __future__ import annotations

from llmzero_tui.actions.model import Action, ActionContext, always

RUN = ("run",)
SAMPLES = ("samples",)
AGENTS = ("agents",)
BOTH = ("samples", "agents")


def _listing(context: ActionContext) -> bool:
    return not context.comparing


READING: tuple[Action, ...] = (
    # from the run
    Action("samples", ("S",), "Samples", "What the selected policy wrote at any step; two policies on one prompt",
           "Look", RUN, lambda c: c.node is not None, 15),
    Action("agents", ("A",), "Agents", "Every advisor call: prompt, response, tokens and time", "Look",
           RUN, lambda c: c.node is not None, 16),
    Action("tab_5", ("5",), "Agents", "The latest advisor calls about this node, in brief", "Look", RUN),
    # samples
    Action("compare", ("c",), "Compare", "The same prompt at another step or node, side by side", "Samples", SAMPLES,
           lambda c: c.chosen and not c.comparing, 1),
    Action("search", ("slash",), "Search", "Only completions whose prompt or text contains this", "Samples",
           SAMPLES, _listing, 2),
    Action("verdict_all", ("1",), "All", "Show every completion", "Samples", SAMPLES, _listing),
    Action("verdict_right", ("2",), "Right", "Show only correct completions", "Samples", SAMPLES, _listing),
    Action("verdict_wrong", ("3",), "Wrong", "Show only wrong completions", "Samples", SAMPLES, _listing),
    Action("verdict_cut", ("4",), "Truncated", "Show only truncated completions", "Samples", SAMPLES,
           _listing),
    Action("order", ("o",), "Order", "By step or by reward: newest, oldest, best, worst first", "Samples", SAMPLES,
           _listing, 4),
    Action("split", ("v",), "Prompts", "All prompts, training prompts, or the fixed validation prompts",
           "Samples", SAMPLES, _listing, 5),
    Action("earlier", ("left", "h"), "Earlier", "Only the previous step (the last one, from all steps)", "Samples",
           SAMPLES, _listing),
    Action("later", ("right", "l"), "Later", "Only the next step (the first one, from all steps)", "Samples", SAMPLES,
           _listing),
    Action("all_steps", ("0",), "All steps", "Show all steps", "Samples", SAMPLES, _listing),
    Action("next_node", ("right_square_bracket",), "Next node", "The next node that has completions", "Samples",
           SAMPLES, _listing, 3),
    Action("previous_node", ("left_square_bracket",), "Previous node", "The previous node that has completions",
           "Samples", SAMPLES, _listing),
    Action("go_to", ("g",), "Go to",
           "Go to a node, or a node and step, by number; while comparing, for the second answer",
           "Samples", SAMPLES, always, 9),
    # agents
    Action("errors", ("e",), "Errors", "Only calls that failed, or all of them", "Agents", AGENTS, always, 1),
    Action("role", ("r",), "Role", "Only calls of one role: the next role, then all", "Agents", AGENTS,
           always, 2),
    Action("one_node", ("g",), "Node", "Only calls about one node, by number; empty: all", "Agents", AGENTS, always, 3),
    Action("next_section", ("right_square_bracket",), "Next section", "To the next section of the call", "Agents",
           AGENTS, lambda c: c.chosen),
    Action("previous_section", ("left_square_bracket",), "Previous section", "To the previous section of the call",
           "Agents", AGENTS, lambda c: c.chosen),
    Action("fold", ("enter", "space"), "Expand", "Expand or collapse this section", "Agents", AGENTS,
           lambda c: c.chosen, 4),
    Action("fold_all", ("f",), "Expand all", "Expand or collapse every section of the call", "Agents", AGENTS,
           lambda c: c.chosen, 9),
    Action("plots", ("o",), "Plots", "Open the plots it was shown in the system viewer, or copy their paths",
           "Agents", AGENTS, lambda c: c.pictures, 5),
    # both
    Action("copy", ("Y",), "Copy", "Copy this text", "Everywhere", BOTH, lambda c: c.chosen, 11),
    Action("next_page", ("n",), "Next page", "The next rows", "Everywhere", BOTH, lambda c: c.pages, 6),
    Action("previous_page", ("p",), "Previous", "The previous rows", "Everywhere", BOTH, lambda c: c.pages),
    Action("zoom", ("z",), "Zoom", "Show the text full screen, or return", "Everywhere", BOTH,
           lambda c: c.chosen, 10),
    Action("back", ("escape", "q", "backspace"), "Back",
           "Leave the search, the zoom or the comparison; then back to the run", "Everywhere", SAMPLES, always, 8),
    Action("back", ("escape", "q", "backspace"), "Back", "Leave the zoom; then back to the run", "Everywhere", AGENTS,
           always, 8),
    Action("help", ("question_mark", "f1"), "Help", "Show all keys", "Everywhere", BOTH, always, 7),
    Action("theme", (), "Theme", "The next theme", "Everywhere", BOTH),
)  # fmt: skip

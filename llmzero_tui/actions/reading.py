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
    Action("agents", ("A",), "Agents", "Every call of an advisor: what was asked, what came back, what it cost", "Look",
           RUN, lambda c: c.node is not None, 16),
    Action("tab_5", ("5",), "Agents", "The latest calls of advisors about this node, in short", "Look", RUN),
    # samples
    Action("compare", ("c",), "Compare", "The same prompt at another step or node, side by side", "Samples", SAMPLES,
           lambda c: c.chosen and not c.comparing, 1),
    Action("search", ("slash",), "Search", "Only completions with this text in prompt or completion", "Samples",
           SAMPLES, _listing, 2),
    Action("verdict_all", ("1",), "All", "Show every completion", "Samples", SAMPLES, _listing),
    Action("verdict_right", ("2",), "Right", "Show only correct completions", "Samples", SAMPLES, _listing),
    Action("verdict_wrong", ("3",), "Wrong", "Show only wrong completions", "Samples", SAMPLES, _listing),
    Action("verdict_cut", ("4",), "Cut off", "Show only completions cut off at the longest length", "Samples", SAMPLES,
           _listing),
    Action("order", ("o",), "Order", "By step or by reward: newest, oldest, best, worst first", "Samples", SAMPLES,
           _listing, 4),
    Action("split", ("v",), "Prompts", "All prompts, those of training, or the fixed ones every checkpoint is asked",
           "Samples", SAMPLES, _listing, 5),
    Action("earlier", ("left", "h"), "Earlier", "Only the step before (the last one, from all steps)", "Samples",
           SAMPLES, _listing),
    Action("later", ("right", "l"), "Later", "Only the step after (the first one, from all steps)", "Samples", SAMPLES,
           _listing),
    Action("all_steps", ("0",), "All steps", "All steps again", "Samples", SAMPLES, _listing),
    Action("next_node", ("right_square_bracket",), "Next node", "The next node that has completions", "Samples",
           SAMPLES, _listing, 3),
    Action("previous_node", ("left_square_bracket",), "Node before", "The node before that has completions", "Samples",
           SAMPLES, _listing),
    Action("go_to", ("g",), "Go to", "A node, or a node and a step, by number; while comparing, of the second answer",
           "Samples", SAMPLES, always, 9),
    # agents
    Action("errors", ("e",), "Errors", "Only calls that failed, or all of them", "Agents", AGENTS, always, 1),
    Action("role", ("r",), "Role", "Only calls of one role: the next role, all again at the end", "Agents", AGENTS,
           always, 2),
    Action("one_node", ("g",), "Node", "Only calls about one node, by number; empty: all", "Agents", AGENTS, always, 3),
    Action("next_section", ("right_square_bracket",), "Next section", "To the next part of the call", "Agents", AGENTS,
           lambda c: c.chosen),
    Action("previous_section", ("left_square_bracket",), "Section before", "To the part of the call before", "Agents",
           AGENTS, lambda c: c.chosen),
    Action("fold", ("enter", "space"), "Unfold", "Unfold or fold this part of the call", "Agents", AGENTS,
           lambda c: c.chosen, 4),
    Action("fold_all", ("f",), "Unfold all", "Unfold every part of the call, or fold them again", "Agents", AGENTS,
           lambda c: c.chosen, 9),
    Action("plots", ("o",), "Plots", "Open the pictures it was shown in the system's viewer, or copy their names",
           "Agents", AGENTS, lambda c: c.pictures, 5),
    # both
    Action("copy", ("Y",), "Copy", "Copy what is read here as text", "Everywhere", BOTH, lambda c: c.chosen, 11),
    Action("next_page", ("n",), "Next page", "The next rows", "Everywhere", BOTH, lambda c: c.pages, 6),
    Action("previous_page", ("p",), "Previous", "The rows before", "Everywhere", BOTH, lambda c: c.pages),
    Action("zoom", ("z",), "Zoom", "Give the text the whole screen, or give it back", "Everywhere", BOTH,
           lambda c: c.chosen, 10),
    Action("back", ("escape", "q", "backspace"), "Back", "Out of the search, the zoom, the comparison; then to the run",
           "Everywhere", SAMPLES, always, 8),
    Action("back", ("escape", "q", "backspace"), "Back", "Out of the zoom; then to the run", "Everywhere", AGENTS,
           always, 8),
    Action("help", ("question_mark", "f1"), "Help", "Show every key", "Everywhere", BOTH, always, 7),
    Action("theme", (), "Theme", "The next theme", "Everywhere", BOTH),
)  # fmt: skip

"""Every key of the screen one came from, drawn from the registry of actions, and what its marks mean."""

from __future__ import annotations

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from llmzero_tui.actions import Action, ActionContext, bindings, key_name, of
from llmzero_tui.screens.base import KeyedScreen
from llmzero_tui.widgets.appearance import Appearance, look
from llmzero_tui.widgets.keybar import KeyBar
from llmzero_tui.widgets.legend import marks_table

BESIDE = 190
"""Cells from which on keys and marks have room beside each other."""
MOVING = {
    "run": (
        ("↑ ↓  j k", "Move through the tree, the inbox or a text"),
        ("← →  h l", "Collapse, expand; move through the small metrics; pan a zoomed plot"),
        ("enter", "Collapse or expand; plot the metric under the cursor"),
        ("tab", "The next panel"),
        ("esc", "Leave the filter, the zoom or the inbox"),
        ("^p", "The command palette: every action by name"),
    ),
    "compare": (
        ("← →  h l", "Pan the plot when it is zoomed"),
        ("↑ ↓", "Scroll the differences, when they have the focus"),
        ("tab", "The plot or the differences"),
        ("^p", "The command palette: every action by name"),
    ),
    "evidence": (
        ("↑ ↓", "Move through the cells or a table"),
        ("← →", "Scroll a wide table; pan the plot when it is zoomed"),
        ("tab", "The next panel"),
        ("esc", "Leave the full screen"),
        ("^p", "The command palette: every action by name"),
    ),
    "decision": (
        ("↑ ↓  j k", "Scroll the focused panel"),
        ("tab", "The next panel"),
        ("^p", "The command palette: every action by name"),
    ),
    "trajectory": (
        ("↑ ↓  j k", "Scroll the focused panel"),
        ("tab", "The other panel"),
        ("^p", "The command palette: every action by name"),
    ),
    "runs": (
        ("↑ ↓  j k", "Move through the list"),
        ("g G", "To its first or last row"),
        ("esc", "Leave the filter"),
        ("^p", "The command palette: every action by name"),
    ),
    "sql": (
        ("↑ ↓ ← →", "Move through the values"),
        ("esc", "From the editor to the rows; from there back"),
        ("tab", "Between the editor and the rows"),
    ),
}


class HelpScreen(KeyedScreen):
    """Shown over the screen it explains."""

    kind = "help"
    BINDINGS = [*bindings("help")]  # noqa: RUF012 - Textual's own way

    def __init__(self, about: str) -> None:
        super().__init__(id="help")
        self._about = about

    def compose(self) -> ComposeResult:
        yield Static(id="title", markup=False)
        with VerticalScroll(id="help-body"):
            yield Static(id="help-text", markup=False)
        yield KeyBar()

    def on_mount(self) -> None:
        appearance = look(self)
        colours = appearance.palette
        title = Text.assemble(("LLMZero ", f"bold {colours.text}"), ("keys and marks", colours.muted))
        self.query_one("#title", Static).update(appearance.done(title))
        self._draw()
        self.query_one("#help-body").focus()
        self.refresh_keys()

    def on_resize(self) -> None:
        self._draw()

    def context(self) -> ActionContext:
        return ActionContext(self.kind, state=self._about)

    def _draw(self) -> None:
        keys, marks = keys_table(self._about, look(self)), marks_table(self._about, look(self))
        if marks is None:
            shown: RenderableType = keys
        elif self.size.width >= BESIDE:
            shown = Columns([keys, marks], padding=(0, 6))
        else:
            shown = Group(keys, Text(""), marks)
        self.query_one("#help-text", Static).update(shown)

    def action_back(self) -> None:
        """Back to the screen it explains."""
        self.dismiss()

    def action_tour(self) -> None:
        """Back to the screen, and around it."""
        self.dismiss()
        self.app.call_later(self.app.start_tour)


def keys_table(screen: str, appearance: Appearance) -> Table:
    """All actions of a screen by group, then how to move."""
    colours = appearance.palette
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, min_width=10)
    table.add_column(no_wrap=True, min_width=16)
    table.add_column()
    groups: dict[str, list[Action]] = {}
    for action in of(screen):
        groups.setdefault(action.group, []).append(action)
    for group, actions in groups.items():
        table.add_row(Text(group, style=f"bold {colours.live}"), "", "")
        for action in actions:
            keys = " ".join(map(key_name, appearance.keymap.of(action, screen))) or "^p"
            table.add_row(*(appearance.done(t) for t in (
                Text(f"  {keys}", style=f"bold {colours.wait}"), Text(action.label, style=colours.text),
                Text(action.help, style=colours.muted))))  # fmt: skip
        table.add_row("", "", "")
    table.add_row(Text("Move", style=f"bold {colours.live}"), "", "")
    for key, words in MOVING.get(screen, ()):
        cells = (Text(f"  {key}", style=f"bold {colours.wait}"), Text(""), Text(words, style=colours.muted))
        table.add_row(*(appearance.done(t) for t in cells))
    return table

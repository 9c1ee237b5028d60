"""Which pane is in front when there is room for one: a line of names, the waiting proposals always counted."""

from __future__ import annotations

from rich.text import Text
from textual.app import RenderResult
from textual.widget import Widget

from llmzero_tui.widgets.appearance import look
from llmzero_tui.widgets.details import TABS

PANES = ("tree", "plot", "details", "inbox")


class PaneBar(Widget):
    """One line over the footer of a narrow terminal."""

    def __init__(self) -> None:
        super().__init__(id="panes")
        self._state: tuple[str, int, int] = ("tree", 0, 0)

    def show(self, pane: str, tab: int, waiting: int) -> None:
        """Take what is in front; drawn anew only when that changed."""
        if (pane, tab, waiting) != self._state:
            self._state = (pane, tab, waiting)
            self.refresh()

    def render(self) -> RenderResult:
        pane, tab, waiting = self._state
        dress = look(self)
        colours = dress.palette
        front, back = f"bold {colours.text}", colours.muted
        text = Text(" ", no_wrap=True)
        text.append("Tree", style=front if pane == "tree" else back).append("  ")
        text.append("Plot", style=front if pane == "plot" else back).append("  ")
        for index, name in enumerate(TABS):
            style = front if pane == "details" and index == tab else back
            text.append(f"{index + 1} {name}", style=style).append("  ")
        style = front if pane == "inbox" else (f"bold {colours.wait}" if waiting else back)
        text.append(f"Inbox {waiting}", style=style)
        text.append("   tab", style=colours.faint)
        return dress.done(text)

"""Which panels are on screen, and the line that names the pane in front when there is room for one: the waiting
proposals are always counted there."""

from __future__ import annotations

from rich.text import Text
from textual.app import RenderResult
from textual.widget import Widget

from llmzero_tui.widgets.appearance import look
from llmzero_tui.widgets.details import TABS

PANES = ("tree", "plot", "details", "inbox")
TREE_CELLS = 46


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
        appearance = look(self)
        colours = appearance.palette
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
        return appearance.done(text)


def panels_on_screen(pane: str, width: int, *, narrow: bool, zoomed: bool) -> dict[str, bool]:
    """Whether each panel of the run screen is shown: all of them, one pane of a narrow screen, or the plot alone."""
    shown = dict.fromkeys(("left", "right", "tree", "inbox", "strip", "details", "plot"), True)
    if zoomed:
        shown.update(left=False, details=False, strip=False)
    elif narrow:
        shown.update(
            left=pane in ("tree", "inbox"), right=pane != "tree", tree=pane == "tree",
            inbox=pane == "inbox" and width >= 12, plot=pane == "plot", strip=pane == "plot",
            details=pane in ("details", "inbox"),
        )  # fmt: skip
    return shown


def tree_cells(width: int) -> int:
    """Cells of the tree's column: of a terminal wider than usual it gets a third of what is more."""
    return min(2 * TREE_CELLS, TREE_CELLS + max(0, width - 120) // 3)

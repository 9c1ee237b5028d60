"""What the screens of many entries have in common: a list in pages over what is chosen in it.

The feed answers a view (which entries, which page, which one is chosen) with a snapshot; keys ask for another view.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from textual import on
from textual.binding import Binding, BindingType

from llmzero_tui.screens.base import FeedScreen
from llmzero_tui.values.snapshot import FeedFailure
from llmzero_tui.widgets.rows import Rows


class PagedScreen(FeedScreen):
    """A list of `Rows` over the chosen entry. `_title` draws the line on top, `_show` everything."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("tab", "turn", show=False, priority=True)]
    zoomed = False
    _view: Any
    _lost = ""
    """Why nothing could be read the last time."""

    def view(self) -> Any:
        return self._view

    def lost(self, why: FeedFailure, now: datetime) -> None:
        self._lost = why.reason
        self._title()

    def restyle(self) -> None:
        super().restyle()
        self._show()

    def on_descendant_focus(self) -> None:
        self.refresh_keys()

    @on(Rows.Beyond)
    def _beyond(self, event: Rows.Beyond) -> None:
        self._page(event.by)

    def action_next_page(self) -> None:
        """The next rows."""
        self._page(1)

    def action_previous_page(self) -> None:
        """The rows before."""
        self._page(-1)

    def action_turn(self) -> None:
        """Between the list and what is chosen."""
        self.focus_next()

    def _title(self) -> None:
        raise NotImplementedError

    def _show(self) -> None:
        raise NotImplementedError

    def _page(self, by: int) -> None:
        """Ask for another page, where there is one."""
        raise NotImplementedError

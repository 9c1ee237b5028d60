"""Marking two to four things to compare them: nodes of a run in its tree, runs in the list. Mixed into both screens.

A mark is the viewer's own and is never written anywhere.
"""

from __future__ import annotations

from typing import Any

from llmzero_tui.screens.base import FeedScreen
from llmzero_tui.values.marks import MOST, Target


class Marking(FeedScreen):
    """`marked` are the targets in the order in which they were marked."""

    marked: tuple[Target, ...] = ()

    def under_cursor(self) -> Target | None:
        """What a mark would be set on."""
        raise NotImplementedError

    def draw_marks(self) -> None:
        """Show what is marked."""
        raise NotImplementedError

    @property
    def compared(self) -> tuple[Target, ...]:
        """What a comparison would be about: the marked ones; a single one with what is under the cursor."""
        here = self.under_cursor()
        if len(self.marked) == 1 and here is not None and here not in self.marked:
            return (*self.marked, here)
        return self.marked

    def action_mark(self) -> None:
        """Mark what is under the cursor, or take the mark away."""
        here = self.under_cursor()
        if here is None:
            return
        if here in self.marked:
            self.marked = tuple(target for target in self.marked if target != here)
        elif len(self.marked) == MOST:
            words = f"{MOST} are marked already, the most that can be compared; m on one of them takes its mark away"
            self.notify(words, severity="warning", markup=False)
            return
        else:
            self.marked = (*self.marked, here)
        self.draw_marks()
        self.refresh_keys()

    def action_unmark_all(self) -> None:
        """Take all marks away."""
        self.marked = ()
        self.draw_marks()
        self.refresh_keys()

    def action_compare(self) -> None:
        """Lay them over each other."""
        from llmzero_tui.feeds.compare import CompareFeed
        from llmzero_tui.screens.compare import CompareScreen

        app: Any = self.app
        app.push_screen(CompareScreen(CompareFeed(self.compared, app.clock, app.opener), self.compared_metric()))
        app.call_after_refresh(app.poll)

    def compared_metric(self) -> str:
        """The metric that the comparison begins with."""
        return "reward"

"""Marking two to four things to compare them: nodes of a run in its tree, runs in the list.

A part of both screens. A mark is the viewer's own and is never written anywhere.
"""

from __future__ import annotations

from collections.abc import Callable

from llmzero_tui.screens.base import FeedScreen
from llmzero_tui.values.nodes import MOST_MARKS, Target


class Marks:
    """`marked` are the targets in the order in which they were marked.

    Args:
        under_cursor: what a mark would be set on. draw: show what is marked.
        metric: the one that a comparison begins with.
    """

    def __init__(
        self,
        screen: FeedScreen,
        under_cursor: Callable[[], Target | None],
        draw: Callable[[], None],
        metric: Callable[[], str] = lambda: "reward",
    ) -> None:
        self.marked: tuple[Target, ...] = ()
        self._screen = screen
        self._under_cursor = under_cursor
        self._draw = draw
        self._metric = metric

    @property
    def compared(self) -> tuple[Target, ...]:
        """What a comparison would be about: the marked ones; a single one with what is under the cursor."""
        here = self._under_cursor()
        if len(self.marked) == 1 and here is not None and here not in self.marked:
            return (*self.marked, here)
        return self.marked

    def action_mark(self) -> None:
        """Mark what is under the cursor, or take the mark away."""
        here = self._under_cursor()
        if here is None:
            return
        if here in self.marked:
            self._set(tuple(target for target in self.marked if target != here))
        elif len(self.marked) == MOST_MARKS:
            words = (
                f"{MOST_MARKS} are already marked, the most that can be compared; press m on one of them to unmark it"
            )
            self._screen.notify(words, severity="warning", markup=False)
        else:
            self._set((*self.marked, here))

    def action_unmark_all(self) -> None:
        """Take all marks away."""
        self._set(())

    def _set(self, marked: tuple[Target, ...]) -> None:
        self.marked = marked
        self._draw()
        self._screen.refresh_keys()

    def action_compare(self) -> None:
        """Lay them over each other."""
        from llmzero_tui.feeds.compare import CompareFeed
        from llmzero_tui.screens.compare import CompareScreen

        app = self._screen.app
        app.show(CompareScreen(CompareFeed(self.compared, app.clock, app.opener), self._metric()))

"""What reaches the terminal when only a little changed: less, and the same picture."""

from __future__ import annotations

import pyte
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.geometry import Region
from textual.strip import Strip

from llmzero_tui.repaint import Repaint

WIDTH, HEIGHT = 24, 4
CONSOLE = Console(force_terminal=True, color_system="truecolor", width=WIDTH)
STYLES = (None, Style(color="red"), Style(bold=True), Style(bgcolor="blue"))
TEXTS = st.text("ab│⠤世é ", max_size=8)
PIECES = st.lists(st.tuples(TEXTS, st.sampled_from(STYLES)), max_size=4)


def strip_of(pieces: list[tuple[str, Style | None]], width: int) -> Strip:
    return Strip([Segment(text, style) for text, style in pieces]).adjust_cell_length(width)


def rows_of(pictures: list[list[tuple[str, Style | None]]], cut: int) -> list[dict[int, Strip]]:
    """Every row in two strips, as two panels side by side give it."""
    halves = [(strip_of(pieces, cut), strip_of(pieces[::-1], WIDTH - cut)) for pieces in pictures]
    return [{0: left, cut: right} for left, right in halves]


class Shown:
    """A terminal that gets the updates."""

    def __init__(self) -> None:
        self.screen = pyte.Screen(WIDTH, HEIGHT)
        self._stream = pyte.Stream(self.screen)
        self.bytes = 0

    def take(self, sequence: str) -> None:
        self.bytes += len(sequence)
        self._stream.feed(sequence.replace("\n", ""))

    @property
    def cells(self) -> list[list[pyte.screens.Char]]:
        return [[self.screen.buffer[y][x] for x in range(WIDTH)] for y in range(HEIGHT)]


def full(rows: list[dict[int, Strip]]) -> LayoutUpdate:
    return LayoutUpdate([row.values() for row in rows], Region(0, 0, WIDTH, HEIGHT))


def partial(rows: list[dict[int, Strip]], cut: int, spans: list[tuple[int, int, int]]) -> ChopsUpdate:
    return ChopsUpdate(rows, spans, [[cut, WIDTH]] * HEIGHT)


PICTURE = st.lists(PIECES, min_size=HEIGHT, max_size=HEIGHT)
SPAN = st.tuples(st.integers(0, HEIGHT - 1), st.sampled_from((0, 5, 10)), st.sampled_from((10, 15, WIDTH)))


UPDATE = st.tuples(PICTURE, st.sampled_from((5, 10)), st.lists(SPAN, min_size=1, max_size=5))


@given(PICTURE, st.lists(UPDATE, max_size=5))
def test_the_picture_is_the_one_that_whole_panels_give(first, updates) -> None:  # type: ignore[no-untyped-def]
    repaint, frugal, lavish = Repaint(), Shown(), Shown()
    rows = rows_of(first, 10)
    frugal.take(repaint.less(full(rows)).render_segments(CONSOLE))
    lavish.take(full(rows).render_segments(CONSOLE))
    for picture, cut, spans in updates:
        update = partial(rows_of(picture, cut), cut, sorted(spans))
        frugal.take(repaint.less(update).render_segments(CONSOLE))
        lavish.take(update.render_segments(CONSOLE))
        assert frugal.cells == lavish.cells


def test_one_letter_costs_one_letter() -> None:
    repaint = Repaint()
    rows = rows_of([[("quiet", None)]] * HEIGHT, 10)
    repaint.less(full(rows)).render_segments(CONSOLE)
    assert repaint.less(partial(rows, 10, [(0, 0, WIDTH), (1, 0, WIDTH)])).render_segments(CONSOLE) == ""
    quiet: list[tuple[str, Style | None]] = [("quiet", None)]
    changed = rows_of([quiet, [("quilt", None)], quiet, quiet], 10)
    changed[1][10] = rows[1][10]
    written = repaint.less(partial(changed, 10, [(0, 0, WIDTH), (1, 0, WIDTH)])).render_segments(CONSOLE)
    assert written == "\x1b[2;4Hl"

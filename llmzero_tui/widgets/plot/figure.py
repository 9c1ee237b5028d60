"""A figure of textual-plotext as lines of a terminal: curves, bands, bars and words between two axes, for `drawing`.

Everything comes in fractions of the canvas, 0 to 1 from left to right and from bottom to top, so plotext never meets a
value that it cannot draw (NaN, infinity, 1e300); what lies outside is cut off. A cell belongs to what was drawn there
last.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual_plotext import Plot

from llmzero_tui.format import fit, to_ascii
from llmzero_tui.widgets.look import Look

AXIS_CELLS = 1
AXIS_ROWS = 2
Tick = tuple[float, str]
_CODES = re.compile(r"\x1b\[([0-9;]*)m")


class Figure:
    """`width` × `height` cells with `up` as the ticks of the left axis and `across` as those of the lower one.
    Labels on the left are `label_cells` wide."""

    def __init__(
        self, width: int, height: int, look: Look, *, up: Sequence[Tick], across: Sequence[Tick], label_cells: int
    ) -> None:
        self.columns, self.rows = width - label_cells - AXIS_CELLS, height - AXIS_ROWS
        self._width, self._height, self._ascii = width, height, look.ascii
        colours, plot = look.palette, Plot()
        plot.plotsize(width, height)
        plot._set_size(width, height)  # plotsize alone is bounded by the size of the real terminal
        surface = rgb(colours.surface)
        plot.canvas_color(surface)
        plot.axes_color(surface)
        plot.ticks_color(rgb(colours.muted))
        plot.xaxes(True, False)
        plot.yaxes(True, False)
        plot.xlim(0, 1)
        plot.ylim(0, 1)
        plot.yticks([at for at, _ in up] or [0], [fit(label, label_cells, right=True) for _, label in up] or [" "])
        plot.xticks([at for at, _ in across] or [0], [label for _, label in across] or [" "])
        self._plot = plot

    def line(self, points: Sequence[tuple[float, float]], colour: str) -> None:
        """A line through points that are in order; a single one is a dot."""
        if points:
            marker = "." if self._ascii else "braille"
            self._plot.plot([x for x, _ in points], [y for _, y in points], marker=marker, color=rgb(colour))

    def band(self, spans: Sequence[tuple[float, float, float]], colour: str) -> None:
        """From (x, low) to (x, high) at every x, one after the other as one line. It is filled by whole cells: plotext
        takes a tenth of a second and more for as many dots."""
        columns: dict[int, tuple[float, float]] = {}
        for x, low, high in spans:
            column = min(self.columns - 1, int(x * self.columns))
            before = columns.get(column, (low, high))
            columns[column] = (min(before[0], low), max(before[1], high))
        xs: list[float] = []
        ys: list[float] = []
        for column, (low, high) in sorted(columns.items()):
            xs += [(column + 0.5) / self.columns] * 2
            ys += [low, high] if not ys or abs(ys[-1] - low) <= abs(ys[-1] - high) else [high, low]
        if xs:
            self._plot.plot(xs, ys, marker="." if self._ascii else "⣿", color=rgb(colour))

    def bar(self, x: float, low: float, high: float, colour: str) -> None:
        """An upright line of glyphs."""
        self._plot.plot([x, x], [low, high], marker="|" if self._ascii else "│", color=rgb(colour))

    def rule(self, x: float, colour: str) -> None:
        """A thin upright line from top to bottom."""
        self._plot.plot([x, x], [0, 1], marker="|" if self._ascii else "┊", color=rgb(colour))

    def text(self, x: float, y: float, words: str, colour: str) -> None:
        """Words that begin at a place; what does not fit is cut off."""
        self._plot.text(words, x, y, color=rgb(colour), alignment="left")

    def strips(self) -> list[Strip]:
        """The figure in exactly its lines."""
        lines = [Strip(_segments(line, ascii=self._ascii)) for line in self._plot.build().splitlines()]
        return (lines + [Strip([])] * self._height)[: self._height]


def rgb(colour: str) -> tuple[int, int, int]:
    """A colour "#rrggbb" for plotext."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _segments(line: str, *, ascii: bool) -> list[Segment]:
    """A line that plotext built as styled text. It knows only 24-bit colours and resets: much faster than a general
    parser of escape sequences."""
    segments, codes, place = [], "", 0
    for match in _CODES.finditer(line):
        if match.start() > place:
            segments.append(_segment(line[place : match.start()], codes, ascii))
        codes = "" if match[1] in ("", "0") else f"{codes};{match[1]}"
        place = match.end()
    if place < len(line):
        segments.append(_segment(line[place:], codes, ascii))
    return segments


def _segment(text: str, codes: str, ascii: bool) -> Segment:
    return Segment(to_ascii(text) if ascii else text, _style(codes))


@lru_cache(maxsize=1024)
def _style(codes: str) -> Style:
    """The colours of a sequence such as "48;2;18;22;28;38;2;127;179;217"."""
    numbers = [int(code) for code in codes.split(";") if code]
    found: dict[int, Color] = {}
    while numbers:
        code = numbers.pop(0)
        if code in (38, 48) and len(numbers) >= 4 and numbers.pop(0) == 2:
            found[code] = Color.from_rgb(*(numbers.pop(0) for _ in range(3)))
    return Style(color=found.get(38), bgcolor=found.get(48))

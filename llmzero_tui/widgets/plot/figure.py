"""A figure of textual-plotext as lines of a terminal: curves, bands, bars and words between two axes, for `drawing`.

Everything comes in fractions of the canvas, 0 to 1 from left to right and from bottom to top, so plotext never meets a
value that it cannot draw (NaN, infinity, 1e300); what lies outside is cut off. A cell belongs to what was drawn there
last.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual_plotext import Plot

from llmzero_tui.format import fit, to_ascii
from llmzero_tui.widgets.appearance import Appearance

AXIS_CELLS = 1
AXIS_ROWS = 2
FINE_CELLS = 2000
"""Up to so many cells a band is drawn of dots."""
Tick = tuple[float, str]
Colour = tuple[int, int, int] | str
"""Of a cell, as plotext keeps it."""


class PlotFigure:
    """`width` × `height` cells with `up` as the ticks of the left axis and `across` as those of the lower one.
    Labels on the left are `label_cells` wide."""

    def __init__(
        self, width: int, height: int, look: Appearance, *, up: Sequence[Tick], across: Sequence[Tick], label_cells: int
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
        """From (x, low) to (x, high) at every x, one after the other as one line: of dots, or of whole cells in a large
        figure, where plotext takes a tenth of a second and more for so many dots."""
        if self.columns * self.rows <= FINE_CELLS:
            self.line(_zigzag(spans), colour)
            return
        columns: dict[int, tuple[float, float]] = {}
        for x, low, high in spans:
            column = min(self.columns - 1, int(x * self.columns))
            before = columns.get(column, (low, high))
            columns[column] = (min(before[0], low), max(before[1], high))
        whole = _zigzag([((column + 0.5) / self.columns, *reach) for column, reach in sorted(columns.items())])
        if whole:
            marker = "." if self._ascii else "⣿"
            self._plot.plot([x for x, _ in whole], [y for _, y in whole], marker=marker, color=rgb(colour))

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
        """The figure in exactly its lines: the cells that plotext has set. Its text of them, full of escape sequences
        that would have to be read again, takes as long as a third of the rest."""
        self._plot._set_sizes()
        self._plot._build_matrix()
        cells = self._plot.monitor.matrix
        rows = zip(cells.marker, cells.fullground, cells.background, strict=True)
        lines = [self._strip(*row) for row in rows][::-1]
        return (lines + [Strip([])] * self._height)[: self._height]

    def _strip(self, glyphs: Sequence[str], colours: Sequence[Colour], grounds: Sequence[Colour]) -> Strip:
        """A line of cells: one segment for each run of the same colours."""
        segments, first = [], 0
        dressed = list(zip(colours, grounds, strict=True))
        for place in range(1, len(glyphs) + 1):
            if place == len(glyphs) or dressed[place] != dressed[first]:
                text = "".join(glyphs[first:place])
                segments.append(Segment(to_ascii(text) if self._ascii else text, _style(*dressed[first])))
                first = place
        return Strip(segments)


def _zigzag(spans: Sequence[tuple[float, float, float]]) -> list[tuple[float, float]]:
    """Spans (x, low, high) as one line, from each end to the nearer end of the next."""
    zigzag: list[tuple[float, float]] = []
    for x, low, high in spans:
        upward = not zigzag or abs(zigzag[-1][1] - low) <= abs(zigzag[-1][1] - high)
        zigzag += [(x, low), (x, high)] if upward else [(x, high), (x, low)]
    return zigzag


def rgb(colour: str) -> tuple[int, int, int]:
    """A colour "#rrggbb" for plotext."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


@lru_cache(maxsize=1024)
def _style(colour: Colour, ground: Colour) -> Style:
    """The colours of a cell; a word instead of three numbers is plotext's for none."""
    return Style(color=_colour(colour), bgcolor=_colour(ground))


def _colour(colour: Colour) -> Color | None:
    return None if isinstance(colour, str) else Color.from_rgb(*colour)

"""One metric along the trajectory to the selected node: the path before it pale, the node itself bright.

Drawn by textual-plotext from a `Curve` that DuckDB has aggregated. `drawable` is the one place where values that
plotext cannot draw (NaN, infinity, nothing positive on a log scale) are taken out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.app import RenderResult
from textual.strip import Strip
from textual_plotext import PlotextPlot

from llmzero_tui.data import Curve, Stage
from llmzero_tui.format import number, to_ascii
from llmzero_tui.widgets.look import look

EMA = 0.9
PENDING = "…"
Points = list[tuple[float, float]]


class Smoothing(StrEnum):
    """What of a curve is drawn."""

    BOTH = "ema + raw"
    AVERAGE = "ema"
    RAW = "raw"

    def after(self) -> Smoothing:
        """The next of the three."""
        each = list(Smoothing)
        return each[(each.index(self) + 1) % len(each)]


@dataclass(frozen=True, slots=True)
class Mark:
    """A scored checkpoint on the plot: steps from the base, score."""

    step: int
    value: float


def drawable(points: Sequence[tuple[float, float]], *, log: bool) -> Points:
    """The points plotext can draw."""
    return [(x, y) for x, y in points if math.isfinite(y) and (y > 0 or not log)]


def smooth(points: Sequence[tuple[float, float]], width: int, weight: float = EMA) -> Points:
    """Exponential average over steps, corrected for its beginning; a bucket of `width` steps counts as that many."""
    keep = weight**width
    total, mass, found = 0.0, 0.0, []
    for x, y in points:
        total = keep * total + (1 - keep) * y
        mass = keep * mass + (1 - keep)
        found.append((x, total / mass))
    return found


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


class MetricPlot(PlotextPlot):  # type: ignore[misc]
    """The focused plot. `show` takes the data; the toggles are attributes of the screen that come along."""

    can_focus = True

    def __init__(self) -> None:
        super().__init__(id="plot")
        self._drawn: object = None
        self._strips: dict[tuple[int, int], list[Strip]] = {}  # by size: zooming in and out draws each once
        self._curve: Curve | None = None
        self._smoothing = Smoothing.BOTH
        self._log = False
        self._stages: tuple[Stage, ...] = ()
        self._marks: tuple[Mark, ...] = ()

    def show(
        self,
        curve: Curve | None,
        stages: tuple[Stage, ...],
        marks: tuple[Mark, ...],
        smoothing: Smoothing,
        log: bool,
    ) -> None:
        """Take what is to be drawn; nothing happens when it is what is drawn already."""
        wanted = (curve, marks, smoothing, log, look(self))
        if wanted == self._drawn:
            self._titles()
            return
        self._drawn = wanted
        self._curve, self._stages, self._marks = curve, stages, marks
        self._smoothing, self._log = smoothing, log
        self._strips = {}
        self._titles()
        self.refresh()

    def announce(self, node: int, metric: str) -> None:
        """Name at once what was asked for; its curve follows from the database, and takes the ellipsis away."""
        drawn = self._stages[-1].node if self._stages else None
        if self._curve is not None and (node, metric) != (drawn, self._curve.metric):
            self.border_title = look(self).title(f"#{node} · {metric} {PENDING}")

    def render_line(self, y: int) -> Strip:
        """A line of the plot; the whole is built once, when something in it has changed."""
        width = self.size.width
        if self.size not in self._strips:
            self._meet_new_size()
        strips = self._strips[self.size]
        if y >= len(strips):
            return Strip.blank(width, self.rich_style)
        return strips[y].crop(0, width).extend_cell_length(width, self.rich_style)

    def _meet_new_size(self) -> None:
        """Drawing takes longer than laying out: the picture of the old size stands in for the first paint."""
        old = next(reversed(self._strips.values()), None)
        if old is None:
            self._strips[self.size] = self._drawn_strips()
            return
        self._strips[self.size] = old
        self.call_after_refresh(self._redraw)

    def _redraw(self) -> None:
        self._strips[self.size] = self._drawn_strips()
        self.refresh()

    def _drawn_strips(self) -> list[Strip]:
        drawn = self.render()
        if isinstance(drawn, str):
            return strips_of(drawn, ascii=look(self).ascii)
        options = self.app.console.options.update(width=self.size.width, height=None, highlight=False)
        lines = self.app.console.render_lines(drawn, options, style=self.rich_style, pad=True)
        return [Strip(line) for line in lines]

    def _titles(self) -> None:
        if self._curve is None:
            return
        node = self._stages[-1].node if self._stages else 0
        dress = look(self)
        self.border_title = dress.title(f"#{node} · {self._curve.metric}")
        scale = "log · " if self._log else ""
        bucket = f" · {self._curve.width} steps a point" if self._curve.width > 1 else ""
        broken = f" · {self._curve.broken} not finite" if self._curve.broken else ""
        self.border_subtitle = dress.title(f"{scale}{self._smoothing}{bucket}{broken}")

    def render(self) -> RenderResult:
        curve = self._curve
        points = drawable([(x, y) for x, y, _ in curve.points], log=self._log) if curve else []
        if curve is None or len(points) < 2 or self.size.height < 4 or self.size.width < 12:
            return self._empty()
        self._prepare()
        own_from = next((x for x, _, own in curve.points if own), None)
        average = self._scaled(smooth(points, curve.width))
        points = self._scaled(points)
        if self._smoothing is not Smoothing.AVERAGE:
            colour = "raw" if self._smoothing is Smoothing.BOTH else "line"
            self._line(points, own_from, colour, "raw" if self._smoothing is Smoothing.BOTH else "trail")
        if self._smoothing is not Smoothing.RAW:
            self._line(average, own_from, "line", "trail")
        marks = self._scaled(drawable([(m.step, m.value) for m in self._marks], log=self._log))
        if marks:
            self.plt.scatter(
                [x for x, _ in marks], [y for _, y in marks], marker="x" if look(self).ascii else "◆",
                color=_rgb(look(self).palette.star),
            )  # fmt: skip
        self._axes([y for _, y in (*points, *marks)], points[0][0], max(points[-1][0], *[x for x, _ in marks], 1))
        return str(self.plt.build())

    def _scaled(self, points: Points) -> Points:
        """Heights as they are drawn: plotext's own log scale loses the curve once limits are set."""
        return [(x, math.log10(y)) for x, y in points] if self._log else points

    def _empty(self) -> Text:
        """One quiet line instead of an empty frame."""
        curve = self._curve
        words = "no metrics yet"
        if curve is not None and curve.points and self._log:
            words = "nothing above 0 to draw on a log scale: y for a linear one"
        elif curve is not None and len(curve.points) == 1:
            words = f"step {curve.points[0][0]}: {number(curve.points[0][1])}"
        text = Text("\n" * max(0, self.size.height // 2 - 1), justify="center")
        return look(self).done(text.append(words, style=look(self).palette.faint))

    def _prepare(self) -> None:
        plt, colours = self.plt, look(self).palette
        plt.clear_figure()
        plt.plotsize(self.size.width, self.size.height)
        plt._set_size(self.size.width, self.size.height)
        surface = _rgb(colours.surface)
        plt.canvas_color(surface)
        plt.axes_color(surface)
        plt.ticks_color(_rgb(colours.muted))
        plt.xaxes(True, False)
        plt.yaxes(True, False)

    def _line(self, points: Points, own_from: int | None, own: str, before: str) -> None:
        """A line in two colours: the trajectory before the node, and the node."""
        marker = "." if look(self).ascii else "braille"
        colours = look(self).palette
        parts = (
            ([p for p in points if own_from is None or p[0] <= own_from], before),
            ([p for p in points if own_from is not None and p[0] >= own_from], own),
        )
        for part, colour in parts:
            if part:
                self.plt.plot([x for x, _ in part], [y for _, y in part], marker=marker, color=_rgb(colours[colour]))

    def _axes(self, values: list[float], first: float, last: float) -> None:
        """Few ticks, at round numbers; steps are counted from the base."""
        low, high = min(values), max(values)
        if high <= low:
            low, high = low - abs(low) * 0.1 - 0.01, high + abs(high) * 0.1 + 0.01
        low, high = low - (high - low) * 0.04, high + (high - low) * 0.04
        self.plt.ylim(low, high)
        if self._log:
            ticks = [t for t in log_ticks(10**low, 10**high) if low <= math.log10(t) <= high]
            self.plt.yticks([math.log10(t) for t in ticks], [number(t) for t in ticks])
        else:
            ticks = nice_ticks(low, high, max(2, self.size.height // 3))
            self.plt.yticks(ticks, [number(float(f"{t:.6g}")) for t in ticks])
        self.plt.xlim(first, last)
        steps = [int(t) for t in nice_ticks(first, last, max(2, self.size.width // 16))]
        self.plt.xticks(steps, [str(s) for s in steps])


_CODES = re.compile(r"\x1b\[([0-9;]*)m")


def strips_of(ansi: str, *, ascii: bool = False) -> list[Strip]:
    """What plotext built, as lines of styled segments; it knows only 24-bit colours and resets. Much faster than a
    general parser of escape sequences."""
    strips = []
    for line in ansi.splitlines():
        segments, codes, place = [], "", 0
        for match in _CODES.finditer(line):
            if match.start() > place:
                segments.append(_segment(line[place : match.start()], codes, ascii))
            codes = "" if match[1] in ("", "0") else f"{codes};{match[1]}"
            place = match.end()
        if place < len(line):
            segments.append(_segment(line[place:], codes, ascii))
        strips.append(Strip(segments))
    return strips


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


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 of every power of ten from `low` to `high`; powers alone when there are many."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    leading = (1, 2, 5) if last - first <= 3 else (1,)
    return [f * 10.0**power for power in range(first, last + 1) for f in leading]


def nice_ticks(low: float, high: float, count: int) -> list[float]:
    """About `count` round numbers from `low` to `high`."""
    if high <= low:
        return [low]
    rough = (high - low) / max(1, count)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * f for f in (1, 2, 5, 10) if power * f >= rough * 0.999)
    start = math.ceil(low / step - 1e-9)
    return [i * step for i in range(start, math.floor(high / step + 1e-9) + 1)]

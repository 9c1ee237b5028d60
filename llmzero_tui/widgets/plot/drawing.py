"""Draws curves into lines of a terminal: axes, segment boundaries, the raw band, averages, scores with their intervals.

Called by the plot widget. A `PlotContent` says what is drawn; what has no place on the axes (NaN, infinity, nothing
positive on a log scale) is left out here and nowhere else. No widget, no reader.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from llmzero_tui.format import fit, number, to_ascii
from llmzero_tui.values.curves import Axis, AxisWindow, CurvePoint, CurveTrace, DrawingStyle, Smoothing, smooth
from llmzero_tui.widgets.appearance import Appearance
from llmzero_tui.widgets.plot.scale import AxisScale, drawable, fitted, moment_label, moments, rounds, ticks

if TYPE_CHECKING:
    from engine.analysis.forecast import ForecastPoint
    from llmzero_tui.widgets.plot.figure import PlotFigure

LEAST_WIDTH, LEAST_HEIGHT = 12, 4
STYLE = DrawingStyle()
LABEL_CELLS = 9
STACKED_LABEL_CELLS = 6
"""Plots over each other have their axes at one place."""
COLUMNS_A_TICK = 14
ROWS_A_TICK = 3
COLUMNS_A_BLOCK = 2.5
"""A bucket wider than this is drawn as a point of a line."""


@dataclass(frozen=True, slots=True)
class DrawnCurve:
    """A curve and how it is told apart: a meaning of the palette, and a letter where there are several. The way to
    `since` on the axis is drawn pale: it is not this line's own. `ahead` is what is forecast of it."""

    trace: CurveTrace
    colour: str = "line"
    letter: str = ""
    since: float = 0.0
    ahead: tuple[ForecastPoint, ...] = ()


@dataclass(frozen=True, slots=True)
class PlotContent:
    """What is drawn into one frame. `window` None: everything, and the axis goes to `until` at least. `heading`: a line
    of words on top."""

    lines: tuple[DrawnCurve, ...]
    style: DrawingStyle = STYLE
    window: AxisWindow | None = None
    heading: str = ""
    until: float = 0.0

    @property
    def axis(self) -> Axis:
        return self.lines[0].trace.selection.axis if self.lines else Axis.STEPS

    @property
    def seen(self) -> AxisWindow:
        """The part of the axis that is drawn."""
        if self.window is not None:
            return self.window
        return AxisWindow(0.0, self.whole if self.whole > 0 else 1.0)

    @property
    def whole(self) -> float:
        """Where the axis ends when everything is shown."""
        return max((self.until, *(line.trace.whole for line in self.lines)))


def draw(picture: PlotContent, width: int, height: int, look: Appearance) -> list[Strip]:
    """The picture in exactly `height` lines of `width` cells."""
    head = [_words(picture.heading, width, look.palette.text, look)] if picture.heading else []
    rows = height - len(head)
    if width < LEAST_WIDTH or rows < LEAST_HEIGHT or not _enough(picture):
        return (head + _quiet(picture, width, rows, look))[: max(0, height)]
    scale = fitted(_values(picture), log=picture.style.log)
    return head + _framed(picture, scale, width, rows, look)


def _framed(picture: PlotContent, scale: AxisScale, width: int, height: int, look: Appearance) -> list[Strip]:
    """The curves with an axis of values on their left and the axis of steps or time below."""
    # Late: plotext takes a tenth of a second to import, and the first paint comes before the first curve.
    from llmzero_tui.widgets.plot.figure import PlotFigure

    marks = ticks(scale, max(2, height // ROWS_A_TICK))
    left = max((len(label) for _, label in marks), default=1)
    left = min(LABEL_CELLS, max(left, STACKED_LABEL_CELLS if picture.heading else 0), width // 3)
    across = AxisScale(picture.seen.first, picture.seen.last)
    figure = PlotFigure(
        width, height, look, up=[(scale.place(value), label) for value, label in marks],
        across=_below(picture.axis, across, max(2, (width - left) // COLUMNS_A_TICK)), label_cells=left,
    )  # fmt: skip
    _paint(_Paint(figure, picture, across, scale, look))
    return figure.strips()


def _below(axis: Axis, across: AxisScale, count: int) -> list[tuple[float, str]]:
    """The marks of the lower axis."""
    if axis is Axis.CLOCK:
        return [(across.place(m), moment_label(m)) for m in moments(across.low, across.high, count)]
    return [(across.place(m), f"{m:.0f}") for m in rounds(across.low, across.high, count, whole=True)]


# ---- what is painted -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Paint:
    figure: PlotFigure
    picture: PlotContent
    across: AxisScale
    up: AxisScale
    look: Appearance

    def at(self, x: float, y: float) -> tuple[float, float]:
        """A place in the figure."""
        return self.across.place(x), self.up.place(y)


def _paint(paint: _Paint) -> None:
    """From the back to the front."""
    picture, palette = paint.picture, paint.look.palette
    boundaries = _boundaries(paint)
    for x, _ in boundaries:
        paint.figure.rule(x, palette.faint)
    for line in picture.lines:
        _ahead(paint, line)
    for line in picture.lines:
        _line(paint, _average(line.trace.beyond, picture.style.smoothing), palette.faint)
    for line in picture.lines:
        _raw(paint, line)
    for line in picture.lines:
        _trail(paint, line)
    for line in picture.lines:
        _scores(paint, line)
    _letters(paint)
    cell = 1 / max(1, paint.figure.columns - 1)
    for x, label in boundaries:
        paint.figure.text(x + cell, 1, label, palette.muted)


def _ahead(paint: _Paint, line: DrawnCurve) -> None:
    """What is forecast: a pale band of its interval around the line of its mean."""
    ends = [cut([(p.steps, end) for p, end in zip(line.ahead, side, strict=True)], paint.picture.seen)
            for side in ([p.low for p in line.ahead], [p.high for p in line.ahead])]  # fmt: skip
    half, spans = 0.5 / max(1, paint.figure.columns), list[tuple[float, float, float]]()
    for ((x, low), (_, high)), ((to_x, to_low), (_, to_high)) in pairwise(zip(*ends, strict=True)):
        start, end = paint.across.place(x), paint.across.place(to_x)
        steps = max(1, int((end - start) / half))
        for share in (i / steps for i in range(steps + 1)):
            under, over = low + (to_low - low) * share, high + (to_high - high) * share
            if drawable((under, over), log=paint.up.log):
                spans.append((start + (end - start) * share, paint.up.place(under), paint.up.place(over)))
    paint.figure.band(spans, paint.look.palette.raw)
    _line(paint, [(p.steps, p.mean) for p in line.ahead], paint.look.palette.trail)


def _raw(paint: _Paint, line: DrawnCurve) -> None:
    """The values themselves: behind the average, or alone."""
    smoothing, palette = paint.picture.style.smoothing, paint.look.palette
    if smoothing is not Smoothing.AVERAGE:
        _band(paint, line.trace.points, palette.raw if smoothing is Smoothing.BOTH else palette[line.colour])


def _average(points: tuple[CurvePoint, ...], smoothing: Smoothing) -> list[tuple[float, float]]:
    return [(p.x, p.value) for p in points] if smoothing is Smoothing.RAW else smooth(points)


def _line(paint: _Paint, points: list[tuple[float, float]], colour: str) -> None:
    """A line of what has a place on the axes, cut at the window."""
    kept = [p for p in points if drawable((p[1],), log=paint.up.log)]
    paint.figure.line([paint.at(x, y) for x, y in cut(kept, paint.picture.seen)], colour)


def _trail(paint: _Paint, line: DrawnCurve) -> None:
    """The average: pale as far as the line is not its own, bright from there on."""
    if paint.picture.style.smoothing is Smoothing.RAW:
        return
    palette, average = paint.look.palette, smooth(line.trace.points)
    own = next((i for i, (x, _) in enumerate(average) if x > line.since), len(average))
    _line(paint, average[:own], palette.trail)
    _line(paint, average[max(0, own - 1) :] if own < len(average) else [], palette[line.colour])


def _band(paint: _Paint, points: tuple[CurvePoint, ...], colour: str) -> None:
    """The values themselves: a line where every step has its point, from extreme to extreme where a point is many
    (but not as blocks of several columns)."""
    log, seen = paint.up.log, paint.picture.seen
    inside = sum(seen.first <= p.x <= seen.last for p in points)
    if all(p.steps <= 1 for p in points) or inside * COLUMNS_A_BLOCK < paint.figure.columns:
        _line(paint, [(p.x, p.value) for p in points], colour)
        return
    half = 0.5 / max(1, paint.figure.columns)
    spans: list[tuple[float, float, float]] = []
    before = None
    for point in points:
        floor = point.low if point.low > 0 or not log else point.high
        if seen.first <= point.x <= seen.last and drawable((floor, point.high), log=log):
            end = paint.across.place(point.x)
            start = end if before is None else paint.across.place(max(before, seen.first)) + half
            reach = (paint.up.place(floor), paint.up.place(point.high))
            steps = max(0, int((end - start) / half)) if end > start else 0
            spans += [(end - i * half, *reach) for i in range(steps, -1, -1)]
        before = point.x
    paint.figure.band(spans, colour)


def _boundaries(paint: _Paint) -> list[tuple[float, str]]:
    """Where segments begin, with the node's number; of many only those that have room."""
    if len(paint.picture.lines) != 1:
        return []
    columns, free, labels = paint.figure.columns, -1.0, []
    for bound in paint.picture.lines[0].trace.bounds:
        if not paint.picture.seen.first < bound.x < paint.picture.seen.last:
            continue
        x, label = paint.across.place(bound.x), f"#{bound.node}"
        if x * columns >= free:
            labels.append((x, label))
            free = x * columns + len(label) + 3
    return labels


def _scores(paint: _Paint, line: DrawnCurve) -> None:
    """Validation scores: a sign at the score, an upright line as long as its 95% interval."""
    seen, palette, figure = paint.picture.seen, paint.look.palette, paint.figure
    colour = palette[line.colour] if line.letter else palette.star
    for check in line.trace.checks:
        if not (seen.first <= check.x <= seen.last and drawable((check.value,), log=paint.up.log)):
            continue
        x, y = paint.at(check.x, check.value)
        if drawable((check.low, check.high), log=False):
            figure.bar(x, paint.up.place(check.low), paint.up.place(check.high), colour)
        figure.text(x, y, "x" if paint.look.ascii else "◆", colour)


def _letters(paint: _Paint) -> None:
    """The letter of a line at its end and in its middle, where colours alone would not do."""
    seen = paint.picture.seen
    for place, line in enumerate(paint.picture.lines):
        if not line.letter:
            continue
        average = _average(line.trace.points, paint.picture.style.smoothing)
        first = max(seen.first, line.since)
        shown = [(x, y) for x, y in average if first <= x <= seen.last and drawable((y,), log=paint.up.log)]
        if not shown:
            continue
        share = (place + 2) / (len(paint.picture.lines) + 3)
        for x, y in (shown[int(share * len(shown))], shown[-1]):
            paint.figure.text(*paint.at(x, y), line.letter, paint.look.palette[line.colour])


def cut(points: list[tuple[float, float]], seen: AxisWindow) -> list[tuple[float, float]]:
    """A line within a window: what lies outside goes, and the ends are drawn to the window's edges."""
    inside: list[tuple[float, float]] = []
    for (x, y), (to_x, to_y) in pairwise(points):
        if to_x < seen.first or x > seen.last:
            continue
        for at in (x, to_x):
            edge = min(seen.last, max(seen.first, at))
            share = (edge - x) / (to_x - x) if to_x > x else 1.0
            place = (edge, y * (1 - share) + to_y * share)
            if not inside or inside[-1] != place:
                inside.append(place)
    if len(points) == 1 and seen.first <= points[0][0] <= seen.last:
        inside.append(points[0])
    return inside


# ---- what the axes hold --------------------------------------------------------------------------------------------


def _enough(picture: PlotContent) -> bool:
    """Whether there is more to see than a single value."""
    seen, log = picture.seen, picture.style.log
    marks: list[tuple[float, float]] = []
    for line in picture.lines:
        marks += [(p.x, p.high) for p in (*line.trace.points, *line.trace.beyond)]
        marks += [(c.x, c.value) for c in line.trace.checks]
    shown = sum(seen.first <= x <= seen.last and drawable((y,), log=log) for x, y in marks)
    return shown > 1 or (shown == 1 and any(line.trace.checks for line in picture.lines))


def _values(picture: PlotContent) -> Iterator[float]:
    """Every value that is drawn within the window."""
    seen, log, smoothing = picture.seen, picture.style.log, picture.style.smoothing
    values: list[float] = []
    for line in picture.lines:
        points = line.trace.points
        inside = [p for p in points if seen.first <= p.x <= seen.last]
        if smoothing is not Smoothing.AVERAGE:
            values += [v for p in inside for v in ((p.low, p.high) if p.steps > 1 else (p.value,))]
        if smoothing is not Smoothing.RAW:
            values += [y for _, y in cut([q for q in smooth(points) if drawable((q[1],), log=log)], seen)]
        values += [y for _, y in cut(_average(line.trace.beyond, smoothing), seen)]
        values += [y for p in line.ahead if seen.first <= p.steps <= seen.last for y in (p.low, p.high)]
        values += [v for c in line.trace.checks if seen.first <= c.x <= seen.last for v in (c.low, c.value, c.high)]
    return (v for v in values if drawable((v,), log=log))


def _quiet(picture: PlotContent, width: int, height: int, look: Appearance) -> list[Strip]:
    """One quiet line instead of an empty frame."""
    points = [p for line in picture.lines for p in line.trace.points]
    words = "no metrics yet" if picture.lines else "reading …"
    if height < LEAST_HEIGHT or width < LEAST_WIDTH:
        words = ""
    elif points and picture.style.log and not any(p.high > 0 for p in points):
        words = "no values above 0 for a log scale; press y for a linear one"
    elif picture.window is not None and picture.lines:
        words = "nothing was logged in this range; press 0 to reset the zoom"
    elif points:
        place = moment_label(points[0].x) if picture.axis is Axis.CLOCK else f"{points[0].x:.0f}"
        where = {Axis.STEPS: f"step {place}", Axis.CLOCK: f"after {place}", Axis.TOKENS: f"after {place} tokens"}
        words = f"{where[picture.axis]}: {number(points[0].value)}"
    elif any(line.trace.broken for line in picture.lines):
        words = "no finite value"
    blank = Strip.blank(width, Style(bgcolor=look.palette.surface))
    strips = [blank] * max(0, height)
    if words and strips:
        strips[(height - 1) // 2] = _words(words.center(width), width, look.palette.faint, look)
    return strips


def _words(words: str, width: int, colour: str, look: Appearance) -> Strip:
    # Twice: what has no width may become a sign that has one, and the ellipsis of `fit` is no ASCII.
    text = to_ascii(fit(to_ascii(words), width)) if look.ascii else fit(words, width)
    return Strip([Segment(text, Style(color=colour, bgcolor=look.palette.surface))])

"""Curves as the plots show them: points, the window onto them, validation scores, and the arithmetic of zooming.

Made by `feeds.curves`, drawn by `widgets.plot`, moved by `screens.parts.plot_panel`. Pure values: no reader, no widget,
no clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

EMA = 0.9
"""Weight of what was before, for each step."""
LEAD_STEPS = 60
"""Steps before a window that the average is made of too: what it has forgotten by then is below .2%."""


class Axis(StrEnum):
    """What a plot runs along: GRPO steps from the base, or seconds of training: breaks between segments, pauses and the
    time in which no engine ran are left out; of a comparison also generated tokens."""

    STEPS = "steps"
    CLOCK = "time"
    TOKENS = "tokens"

    def after(self) -> Axis:
        """The other one that a run's curves have."""
        return Axis.CLOCK if self is Axis.STEPS else Axis.STEPS

    @property
    def least(self) -> float:
        """The narrowest window: below that there is nothing more to see."""
        return 8.0 if self is Axis.STEPS else 4.0


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
class AxisWindow:
    """What is seen of an axis, in its unit."""

    first: float
    last: float

    @property
    def length(self) -> float:
        return self.last - self.first


@dataclass(frozen=True, slots=True)
class CurveSelection:
    """What of the curves has to be read: along which axis, through which window (None: everything), with the parent's
    continuation or without, and which metrics beside the plotted one."""

    axis: Axis = Axis.STEPS
    window: AxisWindow | None = None
    beyond: bool = False
    also: tuple[str, ...] = ()


PLAIN = CurveSelection()
"""Everything, over steps."""


@dataclass(frozen=True, slots=True)
class DrawingStyle:
    """How what was read is drawn."""

    smoothing: Smoothing = Smoothing.BOTH
    log: bool = False


class CurvePoint(NamedTuple):
    """A bucket of a curve: its last place on the axis, the average, the extremes, and of how many steps."""

    x: float
    value: float
    low: float
    high: float
    steps: int
    node: int


class ScoredPoint(NamedTuple):
    """A scored checkpoint: the score that steers the search, with its 95% interval on `n` prompts."""

    x: float
    value: float
    low: float
    high: float
    n: int
    node: int


class SegmentBound(NamedTuple):
    """Where a segment of the trajectory begins."""

    x: float
    node: int


@dataclass(frozen=True, slots=True)
class CurveTrace:
    """A metric along a trajectory.

    `width` is that of a bucket, in the axis' unit, chosen for a plot of `columns` cells. `extent` is the whole
    trajectory on the axis, whatever of it was read. With a window there are points before it too (`LEAD_STEPS`), for
    the average alone. `broken` values were not finite. `beyond` is how the parent went on, along `beyond_nodes`.
    """

    metric: str
    width: float
    columns: int
    points: tuple[CurvePoint, ...] = ()
    broken: int = 0
    selection: CurveSelection = PLAIN
    node: int = 0
    extent: float = 0.0
    bounds: tuple[SegmentBound, ...] = ()
    checks: tuple[ScoredPoint, ...] = ()
    beyond: tuple[CurvePoint, ...] = ()
    beyond_nodes: tuple[int, ...] = ()

    @property
    def whole(self) -> float:
        """Where the axis ends when everything is shown."""
        ends = [self.extent, *(p.x for points in (self.points, self.beyond, self.checks) for p in points[-1:])]
        return max(ends)


# ---- moving the window -------------------------------------------------------------------------------------------


def zoom(
    window: AxisWindow | None, whole: float, factor: float, axis: Axis, furthest: float = 0.0
) -> AxisWindow | None:
    """The window `factor` times as long about its middle; None once that is everything.

    Args:
        whole: where the axis ends when everything is shown. furthest: where it can end, beyond that.
    """
    if not math.isfinite(whole) or whole <= 0:
        return None
    now = window or AxisWindow(0.0, whole)
    length = min(max(now.length * factor, axis.least), max(whole, furthest))
    if length >= whole >= furthest:
        return None
    middle = now.first / 2 + now.last / 2
    return _within(AxisWindow(middle - length / 2, middle + length / 2), max(whole, furthest))


def pan(window: AxisWindow | None, whole: float, share: float) -> AxisWindow | None:
    """The window moved by a share of its own length, as far as there is something."""
    if window is None:
        return None
    by = window.length * share
    return _within(AxisWindow(window.first + by, window.last + by), whole)


def _within(window: AxisWindow, whole: float) -> AxisWindow:
    first = max(0.0, min(window.first, whole - window.length))
    return AxisWindow(first, first + window.length)


def other_axis(selection: CurveSelection) -> CurveSelection:
    """Everything along the other axis: a window does not carry over from steps to seconds."""
    return replace(selection, axis=selection.axis.after(), window=None)


def bucket(length: float, columns: int, axis: Axis) -> float:
    """Width of a bucket so that `length` of an axis gives at most two buckets a column. From 1, 2, 5, 10 … (tenths on
    the clock), so that buckets stay where they are while a curve grows."""
    width, factors, place = (1.0 if axis is Axis.STEPS else 0.1), (2.0, 2.5, 2.0), 0
    while length / width > 2 * max(1, columns):
        width *= factors[place % 3]
        place += 1
    return round(width, 1)


def smooth(points: tuple[CurvePoint, ...]) -> list[tuple[float, float]]:
    """Exponential average over steps, corrected for its beginning; a bucket counts as the steps in it."""
    total, mass, averages = 0.0, 0.0, []
    for point in points:
        keep = EMA ** max(1, point.steps)
        total = keep * total + (1 - keep) * point.value
        mass = keep * mass + (1 - keep)
        averages.append((point.x, total / mass))
    return averages

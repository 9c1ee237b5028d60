"""Where a value lies on an axis, and round numbers to label the axis with. Pure arithmetic, called by `drawing`.

Any finite numbers are fine: 1e300 beside 1e-300, a range of nothing, a logarithm of what spans a float's whole range.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from llmzero_tui.format import duration, number

MARGIN = 0.04
SECONDS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200)
DAY = 86_400
MOST_TICKS = 50


@dataclass(frozen=True, slots=True)
class AxisScale:
    """An axis from `low` to `high` (of the logarithms to base ten when `log`)."""

    low: float
    high: float
    log: bool = False

    def place(self, value: float) -> float:
        """0 at the lower end, 1 at the upper; cut off there. Values that have no logarithm lie at the lower end."""
        if self.log:
            if value <= 0:
                return 0.0
            value = math.log10(value)
        # Halves: the whole may not fit a float.
        span = self.high / 2 - self.low / 2
        return min(1.0, max(0.0, (value / 2 - self.low / 2) / span)) if span > 0 else 0.5


def fitted(values: Iterable[float], *, log: bool) -> AxisScale:
    """An axis that holds all values, with a little room around them."""
    known = [math.log10(v) if log else v for v in values if not log or v > 0]
    low, high = min(known, default=0.0), max(known, default=1.0)
    if high <= low:
        room = 0.15 if log else abs(low) * 0.1 + 0.01
        return AxisScale(_finite(low - room), _finite(high + room), log)
    room = (high / 2 - low / 2) * 2 * MARGIN if math.isfinite(high - low) else 0.0
    return AxisScale(_finite(low - room), _finite(high + room), log)


def _finite(value: float) -> float:
    return max(-1.7e308, min(1.7e308, value))


def ticks(scale: AxisScale, count: int) -> list[tuple[float, str]]:
    """About `count` round values of an axis of values, each with its label; no label twice."""
    values = _powers(scale.low, scale.high, count) if scale.log else []
    if len(values) > 1:
        labels = [number(v) for v in values]
    else:  # of a logarithm too, where hardly a power of ten lies on it
        values = _several(*(_ends(scale) if scale.log else (scale.low, scale.high)), count)
        step = values[1] - values[0] if len(values) > 1 else 0.0
        labels = [value_label(v, step) for v in values]
    return [(v, w) for i, (v, w) in enumerate(zip(values, labels, strict=True)) if w not in labels[:i]]


def _ends(scale: AxisScale) -> tuple[float, float]:
    """The values at both ends of an axis of logarithms."""
    return 10.0 ** max(-307.0, scale.low), 10.0 ** min(308.0, scale.high)


def _several(low: float, high: float, count: int) -> list[float]:
    """About `count` round values, and two at least: a single one does not say what lies between."""
    ticks = rounds(low, high, count)
    return ticks if len(ticks) > 1 or count >= MOST_TICKS else _several(low, high, 2 * count)


def value_label(value: float, step: float) -> str:
    """A value with as many digits as tell it from its neighbour a `step` away."""
    size = max(abs(value), abs(step))
    if not (step > 0 and 1e-4 <= size < 1e6 and math.isfinite(step)):
        return number(0.0 if abs(value) < abs(step) * 1e-6 else value)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    text = f"{value:.{min(digits, 9)}f}"
    if float(text) == 0:
        return "0"
    return text.replace("0.", ".", 1) if abs(value) < 1 else text


def _powers(low: float, high: float, count: int) -> list[float]:
    """1, 2 and 5 of every power of ten between two logarithms; powers alone when there are many."""
    first, last = math.floor(low), math.ceil(high)
    leading = (1, 2, 5) if last - first <= 3 else (1,)
    every = max(1, (last - first) * len(leading) // max(1, 2 * count))
    ticks = []
    for power in range(max(first, -307), min(last, 308) + 1, every):
        ticks += [f * 10.0**power for f in leading if low <= math.log10(f) + power <= high]
    return [v for v in ticks if math.isfinite(v)]


def rounds(low: float, high: float, count: int, *, whole: bool = False) -> list[float]:
    """About `count` multiples of 1, 2 or 5 times a power of ten from `low` to `high`; `whole` for integers only."""
    span = high - low
    if not math.isfinite(span):
        return [low, 0.0, high]
    rough = span / max(1, count)
    power = 10.0 ** math.floor(math.log10(rough)) if rough > 1e-290 else 0.0
    if power == 0.0 or rough < 1e-13 * max(abs(low), abs(high)):
        return [low] if high <= low else [low, high]
    step = next(power * f for f in (1, 2, 5, 10) if power * f >= rough * 0.999)
    if whole:
        step = max(1.0, round(step))
    return _multiples(low, high, step)


def moments(low: float, high: float, count: int) -> list[float]:
    """About `count` round times, in seconds."""
    rough = (high - low) / max(1, count)
    step = next((float(s) for s in SECONDS if s >= rough), 0.0) or math.ceil(rough / DAY) * float(DAY)
    return _multiples(low, high, step)


def _multiples(low: float, high: float, step: float) -> list[float]:
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [i * step for i in range(first, min(last, first + MOST_TICKS) + 1)]


def moment_label(seconds: float) -> str:
    """A time on an axis: 0, 40s, 2m, 2m30s, 3h, 1d."""
    text = duration(seconds)
    for tail in ("m00s", "h00m", "d0h"):
        if text.endswith(tail):
            return text[: -len(tail) + 1]
    return "0" if seconds == 0 else text


def drawable(values: Sequence[float], *, log: bool) -> bool:
    """Whether all of these have a place on such an axis."""
    return all(math.isfinite(v) and (v > 0 or not log) for v in values)

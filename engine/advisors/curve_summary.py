"""A metric's curve in five numbers, for the tables that an advisor reads. Pure arithmetic; used by `evidence`."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CurveSummary:
    """A curve in five numbers; the windows are the first and the last fifth. `broken` counts NaN and infinities."""

    start: float
    end: float
    slope: float
    low: tuple[float, int]
    high: tuple[float, int]
    broken: int


def summarize(points: Iterable[tuple[int, float | None]]) -> CurveSummary | None:
    """None when no value is finite. `slope` is the least-squares line's rise over ten steps."""
    given = [(step, value) for step, value in points if value is not None]
    good = [(step, value) for step, value in given if math.isfinite(value)]
    if not good:
        return None
    values = [value for _, value in good]
    window = max(1, round(len(good) / 5))
    low, high = min(good, key=lambda p: p[1]), max(good, key=lambda p: p[1])
    slope = 0.0
    if len({step for step, _ in good}) > 1:
        slope = 10 * statistics.linear_regression([step for step, _ in good], values).slope
    return CurveSummary(
        statistics.fmean(values[:window]), statistics.fmean(values[-window:]), slope,
        (low[1], low[0]), (high[1], high[0]), len(given) - len(good),
    )  # fmt: skip

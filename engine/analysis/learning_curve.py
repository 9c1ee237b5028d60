"""What a branch will score when it is trained on unchanged: a bounded learning curve with its uncertainty.

The curve is R(c) = R0 + (A − R0) / (1 + (cmid / c)^B) over the GRPO steps c since the branch began: R0 is the score
there, A the level it tends to, cmid the steps to half of the way (the sigmoid of arXiv 2510.13786). Scores are binomial
around it. What other branches of the run came to is half of what is expected of one (partial pooling). The posterior
is summed over a fixed grid, so that the same scores always give the same forecast and no fit can fail; docs/forecast.md
has how often its intervals held what was measured afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from heapq import nlargest
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from engine.domain.score import Score

LEAST_SCORES = 3
"""Scores of a branch, that of its start among them, below which nothing is forecast."""
OVERDISPERSION = 2.0
"""Variance of a checkpoint's score around the curve, in binomial variances: policies wander between checkpoints."""
INTERVAL = 0.9
"""Probability that the interval of a forecast promises."""

LEVELS = np.linspace(0.02, 1.0, 50)
HALF_WAYS = np.geomspace(10, 3000, 28)
STEEPNESSES = np.array([0.7, 1.0, 1.4, 2.0, 3.0])
TYPICAL_HALF_WAY, HALF_WAY_SPREAD = 300.0, 1.2
TYPICAL_STEEPNESS, STEEPNESS_SPREAD = 1.4, 1.0
"""Normal priors: of the logarithm of cmid, in GRPO steps, and of B. That of A is flat."""
POOLED = 0.5
"""Weight of the other branches in what is expected of one; any from .3 to .9 did about as well (docs/forecast.md)."""
MOST_POOLED = 64
"""Of more branches those with the most scores are pooled."""
PLACES = np.linspace(0, 1, 201)
"""Scores at which the distribution of a forecast is summed."""

Numbers = NDArray[np.float64]
Curve = Sequence[tuple[int, Score]]
"""Scores by GRPO steps since a branch began, ascending; the first is its start, at step 0."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """A score that is not measured yet: its mean, and the interval in which it is with probability INTERVAL.

    The interval is that of a measurement on as many prompts as the branch's scores have at most, not of the true
    accuracy.
    """

    mean: float
    low: float
    high: float


def forecast(curve: Curve, at: int, others: Iterable[Curve] = ()) -> Forecast | None:
    """What a branch scores after `at` GRPO steps since it began, at least 1; None while there are too few scores.

    `others` are the curves of the run's other branches as far as they are known; too short ones say nothing.
    """
    return next(iter(forecasts(curve, [at], others)), None)


def forecasts(curve: Curve, places: Iterable[int], others: Iterable[Curve] = ()) -> list[Forecast]:
    """The same at several numbers of steps; empty while there are too few scores."""
    if len(curve) < LEAST_SCORES:
        return []
    prompts = _worth(curve) * max(score.n for _, score in curve)
    weights, made = _posterior(curve, _pooled(others)), []
    for at in places:
        ends = _expected(curve[0][1].value, at)
        made.append(Forecast(float(weights @ ends), *_interval(ends, weights, prompts)))
    return made


def _pooled(others: Iterable[Curve]) -> Numbers:
    """How likely each curve of the grid is before the branch itself is looked at."""
    prior = _grid().prior
    telling = nlargest(MOST_POOLED, (other for other in others if len(other) >= LEAST_SCORES), key=len)
    known = [_alone(tuple(other)) for other in telling]
    return (1 - POOLED) * prior + POOLED * np.mean(known, axis=0) if known else prior


@lru_cache(maxsize=2 * MOST_POOLED)  # the same branches are pooled again after every score of another
def _alone(curve: tuple[tuple[int, Score], ...]) -> Numbers:
    """How likely each curve of the grid is by the scores of one branch."""
    return _posterior(curve, _grid().prior)


def _posterior(curve: Curve, prior: Numbers) -> Numbers:
    """How likely each curve of the grid is, with the scores of a branch."""
    start, worth, total = curve[0][1].value, _worth(curve), np.log(prior)
    for step, score in curve[1:]:
        expected = _expected(start, step)
        total += worth * score.n * (score.value * np.log(expected) + (1 - score.value) * np.log1p(-expected))
    weights: Numbers = np.exp(total - total.max())
    weights /= weights.sum()
    return weights


def _worth(curve: Curve) -> float:
    """Independent prompts that a prompt of a branch's scores is worth, around the curve."""
    return min(score.effective_n / score.n for _, score in curve) / OVERDISPERSION


class Grid(NamedTuple):
    """A, cmid and B of every curve that is considered, and its prior probability."""

    levels: Numbers
    half_ways: Numbers
    steepnesses: Numbers
    prior: Numbers


@cache
def _grid() -> Grid:
    levels, half_ways, steepnesses = (g.ravel() for g in np.meshgrid(LEVELS, HALF_WAYS, STEEPNESSES, indexing="ij"))
    late = (np.log(half_ways) - np.log(TYPICAL_HALF_WAY)) / HALF_WAY_SPREAD
    steep = (steepnesses - TYPICAL_STEEPNESS) / STEEPNESS_SPREAD
    prior = np.exp(-0.5 * (late**2 + steep**2))
    return Grid(levels, half_ways, steepnesses, prior / prior.sum())


@lru_cache(maxsize=256)
def _way(step: int) -> Numbers:
    """How much of the way from R0 to A every curve has gone at a step."""
    grid = _grid()
    return 1 / (1 + (grid.half_ways / max(1, step)) ** grid.steepnesses)


def _expected(start: float, step: int) -> Numbers:
    """The score of every curve at a step, kept off 0 and 1."""
    return np.clip(start + (_grid().levels - start) * _way(step), 1e-3, 1 - 1e-3)


def _interval(ends: Numbers, weights: Numbers, n: float) -> tuple[float, float]:
    """The interval of a score measured at the end: the curves' ends in cells of PLACES, with its binomial error."""
    shares = np.bincount(np.rint(ends * (len(PLACES) - 1)).astype(int), weights, minlength=len(PLACES))
    errors = np.sqrt(np.maximum(PLACES * (1 - PLACES), 1e-3) / n)
    below = shares @ ndtr((PLACES - PLACES[:, None]) / errors[:, None])
    low, high = np.interp([(1 - INTERVAL) / 2, (1 + INTERVAL) / 2], below, PLACES)
    return float(low), float(high)

"""What the lines of a comparison say: means over seeds, paired differences, probability of improvement, anytime curves.

Asked by the report alone. Pure: lines in, numbers out; the same lines give the same numbers. The unit of the comparison
is the seed: prompts within a run do not say how another run would have gone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any, Literal

from engine.compare.packing import unpack
from engine.compare.records import Line
from engine.domain.score import PromptSet, Score

Against = Literal["seconds", "steps", "tokens"]
AXES: Mapping[Against, int] = {"steps": 5, "seconds": 6, "tokens": 7}
"""Where a line's scores hold each measure of compute."""
RESAMPLES = 4999
LEAST_SEEDS = 3
"""Of fewer a bootstrap says nothing: of two that agree it is a point."""
Lines = Mapping[tuple[str, str], Mapping[int, Line]]
"""Task and strategy → seed → line."""


@dataclass(frozen=True, slots=True)
class SeedMean:
    """A mean over `n` seeds or points; the 95% t interval is None with fewer than two, or when all are equal: values
    without any spread do not say how far others would lie from them."""

    n: int
    value: float
    interval: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """One strategy less another over the seeds that both have.

    Attributes:
        relative: the mean as a share of the other's mean; None where that is 0. interval: 95% t interval over seeds;
            None with one seed, or when all differences are equal.
        bootstrap: the middle 95% of the bootstrap over seeds (bias-corrected and accelerated; percentile where that has
            no answer); None with fewer than three seeds, or when all differences are equal. Of few seeds it is too
            narrow: of normal differences it holds the mean in 71% of the cases with three seeds, in 90% with eight.
        p: Wilcoxon's signed rank test, two-sided; None with fewer than three seeds.
    """

    n: int
    value: float
    relative: float | None
    interval: tuple[float, float] | None
    bootstrap: tuple[float, float] | None
    p: float | None


@dataclass(frozen=True, slots=True)
class Improvement:
    """Probability that a run of one strategy beats a run of another on a task drawn at random, with the middle 95% of
    its stratified bootstrap over seeds (arXiv 2108.13264); `tasks` have at least LEAST_SEEDS of both."""

    value: float
    interval: tuple[float, float]
    tasks: int


def group(lines: Sequence[Line]) -> Lines:
    """Lines by task and strategy, then seed."""
    lines_by_cell: dict[tuple[str, str], dict[int, Line]] = {}
    for line in lines:
        lines_by_cell.setdefault((line["task"], line["strategy"]), {})[line["seed"]] = line
    return lines_by_cell


def score(measured: Mapping[str, Any], split: str = "test") -> Score:
    """A stored measurement as a score."""
    n = measured["n"]
    outcomes = unpack(measured["outcomes"], n) if measured.get("outcomes") else ""
    prompts = (PromptSet(split, measured["seed"], n),)
    return Score(n, measured["greedy"], measured["sampled"], outcomes, prompts)


def scores_by_seed(cells: Mapping[int, Line]) -> dict[int, float]:
    """Seed → test score, (greedy + 2 sampled) / 3n."""
    return {seed: score(line["test"]).value for seed, line in sorted(cells.items())}


def mean(values: Sequence[float]) -> SeedMean:
    """Mean with its 95% t interval. Raises ValueError without any value."""
    from scipy import stats

    centre = fmean(values)
    if len(values) < 2 or max(values) == min(values):
        return SeedMean(len(values), centre, None)
    half = float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values))
    return SeedMean(len(values), centre, (centre - half, centre + half))


def mean_score(values: Sequence[float]) -> SeedMean:
    """Mean of scores: its interval ends at 0 and 1. Raises ValueError without any value."""
    found = mean(values)
    if found.interval is None:
        return found
    low, high = found.interval
    return replace(found, interval=(max(0.0, low), min(1.0, high)))


def paired(ours: Mapping[int, float], other: Mapping[int, float]) -> PairedDifference | None:
    """`ours` less `other` over common seeds; None when there are none."""
    seeds = sorted(ours.keys() & other.keys())
    if not seeds:
        return None
    differences = [round(ours[seed] - other[seed], 12) for seed in seeds]  # equal ones are ties, whatever the rounding
    over_seeds, base = mean(differences), fmean(other[seed] for seed in seeds)
    enough = len(seeds) >= LEAST_SEEDS
    return PairedDifference(
        n=over_seeds.n,
        value=over_seeds.value,
        relative=over_seeds.value / base if base else None,
        interval=over_seeds.interval,
        bootstrap=_bootstrap(differences) if enough else None,
        p=_wilcoxon(differences) if enough else None,
    )


def _bootstrap(differences: Sequence[float]) -> tuple[float, float] | None:
    import numpy as np
    from scipy import stats

    if max(differences) == min(differences):
        return None
    for method in ("BCa", "percentile"):
        with np.errstate(all="ignore"):
            interval = stats.bootstrap(
                (differences,), np.mean, n_resamples=RESAMPLES, method=method, rng=np.random.default_rng(0)
            ).confidence_interval
        if np.isfinite(interval.low) and np.isfinite(interval.high):
            break
    return float(interval.low), float(interval.high)


def _wilcoxon(differences: Sequence[float]) -> float:
    from scipy import stats

    if not any(differences):
        return 1.0
    return float(stats.wilcoxon(differences).pvalue)


def improvement(lines: Lines, tasks: Sequence[str], ours: str, other: str) -> Improvement | None:
    """P(ours > other), ties counted half; None when no task has LEAST_SEEDS of both."""
    import numpy as np

    pairs = []
    for task in tasks:
        a = np.array(list(scores_by_seed(lines.get((task, ours), {})).values()))
        b = np.array(list(scores_by_seed(lines.get((task, other), {})).values()))
        if min(len(a), len(b)) >= LEAST_SEEDS:
            pairs.append((a, b))
    if not pairs:
        return None

    def probability(samples: Sequence[tuple[Any, Any]]) -> float:
        wins = [np.mean((a[:, None] > b) + 0.5 * (a[:, None] == b)) for a, b in samples]
        return float(np.mean(wins))

    rng = np.random.default_rng(0)
    drawn = [probability([(rng.choice(a, len(a)), rng.choice(b, len(b))) for a, b in pairs]) for _ in range(1999)]
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Improvement(probability(pairs), (float(low), float(high)), len(pairs))


def best_so_far(line: Line, against: Against) -> list[tuple[float, float]]:
    """The incumbent's validation score at each moment it rose, by compute spent until then; the base first. Only a
    score on as many prompts as the run asked anywhere can be the incumbent's."""
    curve: list[tuple[float, float]] = []
    most = max((row[2] for row in line["scores"]), default=0)
    for row in line["scores"]:
        if row[2] < most:
            continue  # a first look: the best of many small samples would be a lucky one
        value = (row[3] + 2 * row[4]) / (3 * row[2])
        if not curve or value > curve[-1][1]:
            curve.append((float(row[AXES[against]]), value))
    return curve


def anytime(cells: Mapping[int, Line], against: Against, points: int = 61) -> list[tuple[float, float]]:
    """The mean over seeds of the best so far, at evenly spaced amounts of compute up to the largest spent."""
    curves = [curve for line in cells.values() if (curve := best_so_far(line, against))]
    if not curves:
        return []
    end = max(float(line["scores"][-1][AXES[against]]) for line in cells.values() if line["scores"])
    grid = [end * i / (points - 1) for i in range(points)]
    return [(x, fmean(_at(curve, x) for curve in curves)) for x in grid]


def _at(curve: Sequence[tuple[float, float]], x: float) -> float:
    return next((value for at, value in reversed(curve) if at <= x), curve[0][1])

"""How often the 95% intervals hold the truth, by simulation, beside the ways of reckoning that were not taken.

A world of prompts of different difficulty: a policy solves a prompt with its own probability, greedily when that is
above one half. `spread` says how different prompts are: from all alike (two independent answers) to each solved always
or never (two equal answers).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.domain.score import Z_95, PromptSet, Score, ScoreDifference, difference, wilson

ROUNDS = 1000
Chances = NDArray[np.float64]
Interval = tuple[float, float]


@dataclass(frozen=True)
class World:
    """Prompts that a policy solves with `mean` probability; greedy answers are drawn too where prompts are alike."""

    mean: float
    spread: str

    def chances(self, rng: np.random.Generator, n: int) -> Chances:
        if self.spread == "alike":
            return np.full(n, self.mean)
        if self.spread == "always or never":
            return (rng.random(n) < self.mean).astype(float)
        return rng.beta(self.mean, 1 - self.mean, n)

    def greedy(self, chances: Chances, rng: np.random.Generator) -> NDArray[np.bool_]:
        return rng.random(len(chances)) < chances if self.spread == "alike" else chances > 0.5

    def truth(self) -> float:
        if self.spread != "between":
            return self.mean
        chances = self.chances(np.random.default_rng(1), 1_000_000)
        return float((chances > 0.5).mean() + 2 * chances.mean()) / 3


def drawn(greedy: NDArray[np.bool_], sampled: NDArray[np.bool_], seed: int = 0) -> Score:
    outcomes = (48 + greedy + 2 * sampled).astype(np.uint8).tobytes().decode()
    n = len(outcomes)
    return Score(n, int(greedy.sum()), int(sampled.sum()), outcomes, (PromptSet("validation", seed, n),))


def scores(world: World, n: int) -> Iterator[Score]:
    rng = np.random.default_rng(n)
    for _ in range(ROUNDS):
        chances = world.chances(rng, n)
        yield drawn(world.greedy(chances, rng), rng.random(n) < chances)


WORLDS = [World(m, s) for s in ("alike", "between", "always or never") for m in (0.03, 0.2, 0.5, 0.8, 0.97)]


def wald(score: Score) -> Interval:
    x = np.array([int(digit) for digit in score.outcomes]) / 3
    half = Z_95 * float(x.std(ddof=1)) / math.sqrt(score.n)
    return score.value - half, score.value + half


def two_independent_answers(score: Score) -> Interval:
    """What the search did before: the two accuracies as independent."""
    variance = sum(
        weight**2 * (k + 1) / (score.n + 2) * (1 - (k + 1) / (score.n + 2)) / score.n
        for k, weight in ((score.greedy, 1 / 3), (score.sampled, 2 / 3))
    )
    half = Z_95 * math.sqrt(variance)
    return score.value - half, score.value + half


def as_n_observations(score: Score) -> Interval:
    """What the screens did before."""
    return wilson(score.value * score.n, score.n)


def coverage(world: World, n: int, interval: Callable[[Score], Interval]) -> float:
    truth = world.truth()
    return fmean(low <= truth <= high for low, high in map(interval, scores(world, n)))


@pytest.mark.parametrize("n", [32, 256])
def test_the_interval_of_a_score_holds_the_truth_as_often_as_it_says(n: int) -> None:
    found = {world: coverage(world, n, lambda score: score.interval) for world in WORLDS}
    assert 0.945 < fmean(found.values()) < 0.975, found
    assert min(found.values()) > 0.92, found


def test_the_ways_not_taken_hold_it_less_often_or_are_too_wide() -> None:
    unequal, equal, alike = World(0.97, "between"), World(0.5, "always or never"), World(0.5, "alike")
    assert coverage(unequal, 32, wald) < 0.75
    assert coverage(equal, 256, two_independent_answers) < 0.90
    assert coverage(alike, 256, as_n_observations) > 0.98


# ---- differences ----------------------------------------------------------------------------------------------------


def pairs(
    mean: float, shift: float, n: int, *, seed: int = 0, each: int = 1
) -> Iterator[tuple[list[Score], list[Score]]]:
    """Two policies on the same prompts: what is hard for the one is hard for the other. Several draws of each."""
    rng = np.random.default_rng(n + each)
    for _ in range(ROUNDS):
        first = rng.beta(2 * mean, 2 * (1 - mean), n)
        second = np.clip(first + shift + 0.15 * rng.standard_normal(n), 0, 1)
        yield (
            [drawn(first > 0.5, rng.random(n) < first) for _ in range(each)],
            [drawn(second > 0.5, rng.random(n) < second, seed) for _ in range(each)],
        )


def true_difference(mean: float, shift: float) -> float:
    rng = np.random.default_rng(2)
    first = rng.beta(2 * mean, 2 * (1 - mean), 1_000_000)
    second = np.clip(first + shift + 0.15 * rng.standard_normal(len(first)), 0, 1)
    return float((second > 0.5).mean() - (first > 0.5).mean() + 2 * (second.mean() - first.mean())) / 3


def holds(
    mean: float, shift: float, n: int, of: Callable[[list[Score], list[Score]], ScoreDifference], **more: int
) -> float:
    truth = true_difference(mean, shift)
    found = [of(b, a).interval for a, b in pairs(mean, shift, n, **more)]
    return fmean(low <= truth <= high for low, high in found)


CASES = [(0.1, 0.05), (0.5, 0.0), (0.5, 0.15), (0.9, 0.02)]


@pytest.mark.parametrize("n", [32, 256])
def test_the_interval_of_a_paired_difference_holds_the_truth_as_often_as_it_says(n: int) -> None:
    found = {case: holds(*case, n, difference) for case in CASES}
    assert 0.935 < fmean(found.values()) < 0.985, found
    assert min(found.values()) > 0.925, found


def test_the_same_prompts_taken_as_others_make_it_too_wide_and_on_others_it_is_right() -> None:
    assert holds(0.5, 0.0, 256, difference, seed=1) > 0.985

    def on_others(b: list[Score], a: list[Score]) -> ScoreDifference:
        """The second policy on prompts of its own: the answers to the first's prompts in another round."""
        before, kept[:] = list(kept), a
        return difference(b, before or a)

    kept: list[Score] = []
    assert 0.93 < holds(0.5, 0.15, 256, on_others, seed=1) < 0.975


def test_checkpoints_on_the_same_prompts_are_not_more_prompts() -> None:
    def as_more_prompts(b: list[Score], a: list[Score]) -> ScoreDifference:
        """Pooled as before: k checkpoints of n prompts as k·n prompts, the sides independent."""
        ours, theirs = (Score(sum(s.n for s in x), sum(s.greedy for s in x), sum(s.sampled for s in x)) for x in (b, a))
        error = math.hypot(*((two_independent_answers(s)[1] - s.value) / Z_95 for s in (ours, theirs)))
        value = ours.value - theirs.value
        return ScoreDifference(value, error, (value - Z_95 * error, value + Z_95 * error), paired=False, n=ours.n)

    clustered = holds(0.5, 0.15, 64, difference, each=8)
    naive = holds(0.5, 0.15, 64, as_more_prompts, each=8)
    assert 0.93 < clustered < 0.99
    assert naive < 0.92

"""Forecasts of a branch's end: they hold what they promise on curves of the assumed kind, and say nothing too early."""

from __future__ import annotations

import random

import pytest

from engine.domain.score import Score
from engine.search.forecast import INTERVAL, Forecast, forecast

N = 256
TOTAL = 600


def measured(p: float, rng: random.Random) -> Score:
    right = sum(rng.random() < p for _ in range(N))
    return Score(N, right, right)


def curve(rng: random.Random, level: float, half_way: float, steepness: float, until: int) -> list[tuple[int, Score]]:
    start = 0.08
    way = {c: 1 / (1 + (half_way / c) ** steepness) if c else 0.0 for c in range(0, until + 1, 50)}
    return [(c, measured(start + (level - start) * share, rng)) for c, share in way.items()]


@pytest.mark.parametrize("share", [1 / 4, 1 / 2, 3 / 4])
def test_intervals_hold_at_least_what_they_promise_on_curves_of_the_assumed_kind(share: float) -> None:
    rng, held = random.Random(5), 0
    for _ in range(60):
        level, half_way, steepness = rng.uniform(0.3, 0.95), rng.uniform(60, 600), rng.uniform(0.9, 2.2)
        whole = curve(rng, level, half_way, steepness, TOTAL)
        made = forecast([point for point in whole if point[0] <= share * TOTAL], TOTAL)
        assert made is not None
        held += made.low <= whole[-1][1].value <= made.high
    assert held >= 60 * INTERVAL - 4  # two standard errors of a share of 60


def test_what_was_seen_for_longer_is_forecast_more_narrowly() -> None:
    whole = curve(random.Random(1), 0.8, 200, 1.4, TOTAL)
    early, late = forecast(whole[:4], TOTAL), forecast(whole[:-1], TOTAL)
    assert early is not None
    assert late is not None
    assert late.high - late.low < early.high - early.low


def test_a_branch_that_rises_is_not_forecast_to_stay_where_it_is() -> None:
    seen = curve(random.Random(2), 0.9, 300, 1.4, 300)
    made = forecast(seen, 1200)
    assert made is not None
    assert made.mean > seen[-1][1].value + 0.1


def test_the_same_scores_give_the_same_forecast() -> None:
    seen = curve(random.Random(3), 0.7, 150, 1.2, 300)
    assert forecast(seen, TOTAL) == forecast(list(seen), TOTAL)


def test_too_few_scores_give_no_forecast() -> None:
    assert forecast(curve(random.Random(4), 0.7, 150, 1.2, 50), TOTAL) is None


@pytest.mark.parametrize("right", [0, N])
def test_curves_at_either_end_of_the_scale_stay_on_it(right: int) -> None:
    made = forecast([(step, Score(N, right, right)) for step in (0, 50, 100, 150)], TOTAL)
    assert isinstance(made, Forecast)
    assert 0 <= made.low <= made.mean <= made.high <= 1

"""Forecasts of a branch's end: they hold what they promise on curves of the assumed kind, and say nothing too early."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.analysis.forecast import BranchForecast, forecast_branches
from engine.analysis.kept_forecasts import read_forecasts, stored
from engine.analysis.learning_curve import INTERVAL, Forecast, forecast
from engine.controller import node_rows
from engine.domain.score import Score
from engine.store.writer import Writer
from llmzero_tui.text.summary import forecast_line
from tests.engine.store_engine import checkpoint_row, node_row, run_row

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


def test_first_looks_of_few_prompts_do_not_make_a_forecast_less_sure() -> None:
    whole = curve(random.Random(1), 0.8, 200, 1.4, 300)
    looks = [(step - 25, Score(N // 8, right, right)) for step, score in whole[1:] for right in [score.greedy // 8]]
    alone, with_looks = forecast(whole, TOTAL), forecast(sorted([*whole, *looks]), TOTAL)
    assert alone is not None
    assert with_looks is not None
    assert with_looks.high - with_looks.low < (alone.high - alone.low) * 1.1


def test_a_branch_that_rises_is_not_forecast_to_stay_where_it_is() -> None:
    seen = curve(random.Random(2), 0.9, 300, 1.4, 300)
    made = forecast(seen, 1200)
    assert made is not None
    assert made.mean > seen[-1][1].value + 0.1


def test_what_other_branches_came_to_draws_a_young_branch_towards_it() -> None:
    rng = random.Random(6)
    young = curve(rng, 0.8, 200, 1.4, 100)
    high, low = ([curve(rng, level, 200, 1.4, TOTAL) for _ in range(3)] for level in (0.9, 0.35))
    alone, above, below = forecast(young, TOTAL), forecast(young, TOTAL, high), forecast(young, TOTAL, low)
    assert alone is not None
    assert above is not None
    assert below is not None
    assert below.mean < alone.mean < above.mean


def test_a_branch_of_two_scores_says_nothing_of_another() -> None:
    young, shorter = curve(random.Random(7), 0.8, 200, 1.4, 100), curve(random.Random(8), 0.3, 50, 1.4, 50)
    assert forecast(young, TOTAL, [shorter, []]) == forecast(young, TOTAL)


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


# ---- of a run ------------------------------------------------------------------------------------------------------


@pytest.fixture
def rising(tmp_path: Path) -> Iterator[Writer]:
    """A run: 0 → 1, changed to 2 at step 50, which went on as 3 (harder prompts) and 4."""
    writer = Writer(tmp_path / "run.duckdb")
    run_row(writer)
    node_row(writer, 0)
    node_row(writer, 1, 0, 0, intent="root")
    node_row(writer, 2, 1, 50, start_steps=50)
    node_row(writer, 3, 2, 50, intent="curriculum", start_steps=100)
    node_row(writer, 4, 3, 50, intent="keep", start_steps=150)
    node_row(writer, 5, 3, 50, start_steps=150)
    for node, step, right in ((0, 0, 10), (1, 50, 20), (2, 50, 35), (3, 50, 44), (4, 25, 48), (4, 50, 50), (5, 50, 5)):
        checkpoint_row(writer, node, step, right, right)
    writer.flush()
    yield writer
    writer.close()


def made_of(run: Writer, best: int, *others: int, left: int = 400) -> list[BranchForecast]:
    run.flush()
    nodes, scores = run.rows("SELECT * FROM nodes ORDER BY node_id"), run.rows("SELECT * FROM checkpoints ORDER BY seq")
    return forecast_branches(node_rows.tree(nodes, scores).nodes, best, others, left)


def test_the_best_branch_is_forecast_to_the_end_of_the_budget_from_where_it_changed(rising: Writer) -> None:
    seen = [(0, 20), (50, 35), (100, 44), (125, 48), (150, 50)]
    expected = forecast([(step, Score(100, right, right)) for step, right in seen], 150 + 400)
    [made] = made_of(rising, 3)
    assert expected is not None
    assert (made.first, made.node, made.best, made.end.steps) == (2, 4, True, 200 + 400)
    assert (made.end.mean, made.end.low, made.end.high) == (expected.mean, expected.low, expected.high)
    assert forecast_line(made).startswith("forecast: #4 trained on unchanged to 600 steps scores 0.")


def test_a_forecast_leads_from_the_last_score_to_the_end_and_widens(rising: Writer) -> None:
    [made] = made_of(rising, 3)
    assert [point.steps for point in made.points] == list(range(200, 601, 50))
    widths = [point.high - point.low for point in made.points]
    assert widths == sorted(widths)


def test_the_other_branches_of_the_run_are_part_of_its_forecast(rising: Writer) -> None:
    [before] = made_of(rising, 3)
    node_row(rising, 6, 3, 50, start_steps=150)  # a change that levelled off
    for step, right in ((50, 52), (100, 53), (150, 52), (200, 53)):
        checkpoint_row(rising, 6, step, right, right)
    after, other = made_of(rising, 3, 6, 4)
    assert after.end.mean < before.end.mean
    assert (after.best, other.best, other.node) == (True, False, 6)


@pytest.mark.parametrize(("best", "left"), [(0, 400), (3, 0), (1, 400), (99, 400)])
def test_nothing_is_forecast_of_the_base_a_spent_budget_or_a_branch_of_two_scores(
    rising: Writer, best: int, left: int
) -> None:
    assert made_of(rising, best, left=left) == []
    assert forecast_line(None) == ""


def test_a_segment_that_has_not_begun_is_no_part_of_a_branch(rising: Writer) -> None:
    node_row(rising, 6, 4, 50, intent="keep", start_steps=200, state="proposed")
    assert made_of(rising, 3)[0].node == 4


def test_what_is_kept_is_read_again_and_asked_by_sql(rising: Writer) -> None:
    made = made_of(rising, 3)
    rising.update_run(forecasts=stored(made))
    rising.flush()
    [again] = read_forecasts(rising.rows)
    assert (again.first, again.node, again.best) == (2, 4, True)
    assert [p.as_dict() for p in again.points] == [p.as_dict() for p in made[0].points]
    assert rising.rows("SELECT node_id, steps FROM forecasts WHERE best AND at_end") == [{"node_id": 4, "steps": 600}]


@pytest.mark.parametrize("text", [None, "", "{", "[1]", '[{"node_id": "x"}]'])
def test_what_another_hand_wrote_is_no_forecast(rising: Writer, text: str | None) -> None:
    rising.update_run(forecasts=text)
    rising.flush()
    assert read_forecasts(rising.rows) == ()

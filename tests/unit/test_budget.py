"""The budget: each limit that is set turns into steps, the tightest one rules."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.controller.budget import BudgetLimits, InFlightBudget, SpentBudget, in_words, merged
from engine.errors import UserError
from engine.run.config import BudgetSection


def budget(steps: int = 0, nodes: int = 0, minutes: float = 0, gpu_hours: float = 0, workers: int = 2) -> BudgetLimits:
    limits = BudgetSection(steps=steps, nodes=nodes, minutes=minutes, gpu_hours=gpu_hours)
    return BudgetLimits(limits, segment_steps=50, workers=workers)


def test_what_is_in_flight_is_not_given_out_twice() -> None:
    left = budget(steps=500).left(SpentBudget(steps=100), InFlightBudget(steps=150), seconds_per_step=0)
    assert left.steps == 250


def test_the_tightest_limit_rules() -> None:
    both = budget(steps=500, nodes=3)
    assert both.left(SpentBudget(steps=100, nodes=2), InFlightBudget(), 0).steps == 50
    assert both.left(SpentBudget(steps=480, nodes=0), InFlightBudget(), 0).steps == 20


def test_minutes_count_for_every_worker_at_the_measured_pace() -> None:
    left = budget(minutes=10).left(SpentBudget(wall_seconds=300), InFlightBudget(), seconds_per_step=2.0)
    assert left.steps == 300  # 300 s left, two workers, 2 s a step


def test_one_worker_alone_cannot_train_what_all_workers_could() -> None:
    left = budget(minutes=10).left(SpentBudget(wall_seconds=300), InFlightBudget(), seconds_per_step=2.0)
    assert left.segment_steps == 150


def test_trainer_hours_are_summed_over_workers() -> None:
    left = budget(gpu_hours=1).left(SpentBudget(trainer_seconds=1800), InFlightBudget(), seconds_per_step=2.0)
    assert left.steps == 900


def test_a_limit_in_time_does_not_bind_before_a_step_was_measured() -> None:
    assert budget(minutes=1).left(SpentBudget(), InFlightBudget(), seconds_per_step=0).steps > 10**6


def test_nothing_is_left_beyond_a_limit() -> None:
    assert budget(steps=100).left(SpentBudget(steps=140), InFlightBudget(), 0).steps == 0


@pytest.mark.parametrize(
    ("spent", "fraction"),
    [
        (SpentBudget(), 0.0),
        (SpentBudget(steps=50), 0.5),
        (SpentBudget(steps=10, nodes=3), 0.75),
        (SpentBudget(steps=300), 1.0),
        (SpentBudget(steps=10, nodes=4, to_come=0.6), 0.85),
    ],
)
def test_the_fraction_is_of_the_nearest_limit(spent: SpentBudget, fraction: float) -> None:
    assert budget(steps=100, nodes=4).fraction(spent) == pytest.approx(fraction)


def test_only_limits_in_time_stop_running_segments() -> None:
    assert budget(minutes=1).out_of_time(SpentBudget(wall_seconds=60))
    assert budget(gpu_hours=1).out_of_time(SpentBudget(trainer_seconds=3600))
    assert not budget(steps=10).out_of_time(SpentBudget(steps=20, wall_seconds=1e6, trainer_seconds=1e6))


LIMITS = st.fixed_dictionaries(
    {},
    optional={
        "steps": st.integers(0, 10**6),
        "nodes": st.integers(0, 10**6),
        "minutes": st.floats(0, 1e6),
        "gpu_hours": st.floats(0, 1e6),
    },
)


@given(changes=st.lists(LIMITS, max_size=5))
def test_limits_that_change_keep_the_others_and_never_are_all_gone(changes: list[dict[str, float]]) -> None:
    limits = BudgetSection(steps=100)
    for given_now in changes:
        wanted = {**limits.model_dump(), **given_now}
        if any(wanted.values()):
            limits = merged(limits, given_now)
            assert limits.model_dump() == wanted
        else:
            with pytest.raises(UserError, match=r"^budget: .* at least one of .*$"):
                merged(limits, given_now)
    assert in_words(limits)


@given(
    limits=LIMITS.filter(lambda given: any(given.values())),
    steps=st.integers(0, 10**6),
    nodes=st.integers(0, 1000),
    flying=st.integers(0, 10**5),
    waiting=st.integers(0, 100),
    pace=st.floats(0, 100),
)
def test_an_overdrawn_budget_gives_nothing_out(
    limits: dict[str, float], steps: int, nodes: int, flying: int, waiting: int, pace: float
) -> None:
    sums = BudgetLimits(merged(BudgetSection(), {"steps": 0, **limits}), segment_steps=50, workers=2)
    spent, in_flight = SpentBudget(steps, nodes, pace * steps, pace * steps / 2), InFlightBudget(flying, waiting)
    if sums.overdrawn(spent, in_flight, pace):
        assert sums.left(spent, in_flight, pace).steps == 0
    more = InFlightBudget(flying + 1, waiting + 1)
    assert sums.left(spent, more, pace).steps <= sums.left(spent, in_flight, pace).steps


def test_limits_in_words_leave_out_what_is_no_limit() -> None:
    assert in_words(BudgetSection(steps=0, nodes=3, minutes=0.5)) == "minutes 0.5, nodes 3"

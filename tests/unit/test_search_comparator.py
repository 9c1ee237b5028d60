"""The comparator stops collapses and nothing else, with the numbers in its line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.score import Score
from engine.search.comparator import judge

N = 256


def curve(start: int, *values: float, every: int = 25) -> list[tuple[int, Score]]:
    return [(start + every * i, Score(N, round(v * N), round(v * N))) for i, v in enumerate(values)]


BEST = curve(0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6)


def test_a_lasting_fall_below_the_branch_point_and_the_others_is_stopped() -> None:
    verdict = judge(curve(150, 0.5, 0.4, 0.38), [BEST])
    assert verdict is not None
    assert verdict.step == 200
    assert (
        "collapsed at two consecutive checkpoints: 0.379 at step 200 (n 256), 0.500 at its branch point" in verdict.text
    )
    assert "the best trajectory has 0.602 at this step" in verdict.text
    assert "\n" not in verdict.text


def test_a_large_fall_is_stopped_at_once() -> None:
    verdict = judge(curve(150, 0.5, 0.1), [BEST])
    assert verdict is not None
    assert "collapsed at one checkpoint" in verdict.text


def test_the_deepest_line_is_held_against_its_own_branch_point() -> None:
    verdict = judge(curve(600, 0.5, 0.4, 0.38), [BEST])
    assert verdict is not None
    assert "no other trajectory has reached this step" in verdict.text


@pytest.mark.parametrize(
    ("running", "why"),
    [
        (curve(150, 0.5), "no checkpoint yet"),
        (curve(150, 0.5, 0.4), "one dip may be noise"),
        (curve(150, 0.5, 0.4, 0.5), "it came back"),
        (curve(150, 0.5, 0.48, 0.47), "within the noise"),
        (curve(150, 0.1, 0.1, 0.11), "slow, but not worse than where it began"),
        (curve(0, 0.5, 0.1, 0.1), "its guaranteed steps are not over"),
    ],
)
def test_everything_else_trains_on(running: list[tuple[int, Score]], why: str) -> None:
    assert judge(running, [BEST]) is None, why


def test_a_fall_that_the_others_share_is_not_its_own_fault() -> None:
    shared = curve(150, 0.5, 0.3, 0.3)
    assert judge(curve(150, 0.5, 0.31, 0.3), [shared]) is None


@given(
    st.lists(st.integers(0, N), min_size=1, max_size=8), st.lists(st.lists(st.integers(0, N), max_size=8), max_size=4)
)
def test_a_curve_that_never_falls_below_its_beginning_is_never_stopped(
    correct: list[int], others: list[list[int]]
) -> None:
    def as_curve(counts: list[int]) -> list[tuple[int, Score]]:
        return [(200 + 25 * i, Score(N, k, k)) for i, k in enumerate(counts)]

    rising = [max(k, correct[0]) for k in correct]
    assert judge(as_curve(rising), [as_curve(o) for o in others]) is None

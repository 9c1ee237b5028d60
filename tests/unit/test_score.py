"""Scores and their differences: what always holds, and what is paired with what."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.score import PromptSet, Score, difference, joined, outcomes_of, score_of, wilson

ONE = (PromptSet("validation", 0, 64),)
OTHER = (PromptSet("validation", 1, 64),)


def scored(outcomes: str, *prompts: PromptSet) -> Score:
    greedy, sampled = (sum(outcomes.count(digit) for digit in digits) for digits in ("13", "23"))
    return Score(len(outcomes), greedy, sampled, outcomes, prompts)


def answers(n: int) -> st.SearchStrategy[str]:
    return st.text("0123", min_size=n, max_size=n)


def on_one(n: int = 64) -> st.SearchStrategy[Score]:
    return answers(n).map(lambda outcomes: scored(outcomes, PromptSet("validation", 0, n)))


# ---- one score ------------------------------------------------------------------------------------------------------


@given(st.integers(1, 300).flatmap(answers))
def test_an_interval_holds_its_score_and_an_error_is_never_zero(outcomes: str) -> None:
    score = scored(outcomes)
    low, high = score.interval
    assert 0 <= low <= score.value <= high <= 1
    assert low < high
    assert score.standard_error > 0


@given(st.integers(1, 300).flatmap(answers))
def test_without_outcomes_a_score_is_never_surer(outcomes: str) -> None:
    known = scored(outcomes)
    unknown = Score(known.n, known.greedy, known.sampled)
    assert unknown.standard_error >= known.standard_error * (1 - 1e-12)
    assert unknown.effective_n == pytest.approx(unknown.n)
    low, high = unknown.interval
    assert (low, high) == pytest.approx(wilson(unknown.value * unknown.n, unknown.n))
    assert low <= known.interval[0] + 1e-12
    assert high >= known.interval[1] - 1e-12


@given(st.integers(1, 300).flatmap(answers))
def test_an_interval_is_mirrored_when_right_and_wrong_are_swapped(outcomes: str) -> None:
    low, high = scored(outcomes).interval
    assert scored(outcomes.translate(str.maketrans("0123", "3210"))).interval == pytest.approx((1 - high, 1 - low))


def test_two_answers_that_always_agree_are_one_observation_and_independent_ones_nearly_two() -> None:
    agree, independent = scored("03" * 500), scored("0123" * 250)
    assert agree.effective_n == pytest.approx(1000)
    assert independent.effective_n == pytest.approx(1800, rel=0.01)
    assert agree.standard_error == pytest.approx(math.sqrt(0.25 / 1000))
    assert independent.standard_error == pytest.approx(math.sqrt(0.25 * 5 / 9 / 1000), rel=0.001)


def test_a_score_near_the_end_has_an_interval_that_is_not_symmetric() -> None:
    score = scored("3" * 31 + "1")
    low, high = score.interval
    assert score.value - low > 5 * (high - score.value)
    assert str(score) == "0.979 [0.872, 0.997] n=32"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((0, 0, 0), "to 0 prompts"),
        ((4, 5, 1), "5 and 1 correct answers to 4 prompts"),
        ((4, 1, -1), "1 and -1 correct"),
        ((4, 1, 1, "01"), "4 digits of 0 to 3"),
        ((4, 1, 1, "01x2"), "4 digits of 0 to 3"),
        ((4, 1, 1, "0" * 90), "got 90 characters '" + "0" * 40 + "'"),
        ((4, 1, 1, "0113"), "hold 3 greedy and 1 sampled, but got 1 and 1"),
    ],
)
def test_a_score_that_cannot_be_is_refused(values: tuple[Any, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("(", r"\(")):
        Score(*values)


def test_outcomes_are_made_of_two_answers_a_prompt() -> None:
    assert outcomes_of([False, True, False, True], [False, False, True, True]) == "0123"


def test_two_prompt_sets_make_one_score() -> None:
    both = joined(scored("0123", *ONE), scored("33", *OTHER))
    assert both == Score(6, 4, 4, "012333", (*ONE, *OTHER))
    assert joined(Score(4, 1, 1), scored("33", *OTHER)) == Score(6, 3, 3)


def test_a_row_without_a_measurement_is_no_score() -> None:
    empty = {"best_n": None, "best_greedy": None, "best_sampled": None, "best_outcomes": None}
    assert score_of(empty, "best_") is None
    assert score_of(None) is None
    old = {"n": 4, "greedy": 1, "sampled": 2, "outcomes": None}
    assert score_of(old) == Score(4, 1, 2)


# ---- differences ----------------------------------------------------------------------------------------------------


@given(on_one(), on_one())
def test_a_difference_is_antisymmetric(a: Score, b: Score) -> None:
    there, back = a.minus(b), b.minus(a)
    assert there.value == -back.value == pytest.approx(a.value - b.value)
    assert there.standard_error == pytest.approx(back.standard_error)
    assert there.interval == pytest.approx((-back.interval[1], -back.interval[0]))
    assert there.paired
    assert (a.trails(b), b.trails(a)) != (True, True)


@given(on_one(), on_one())
def test_a_difference_lies_in_its_interval_and_its_error_is_never_zero(a: Score, b: Score) -> None:
    for found in (a.minus(b), a.minus(scored(b.outcomes, *OTHER))):
        assert found.interval[0] - 1e-9 <= found.value <= found.interval[1] + 1e-9
        assert found.interval[0] < found.interval[1]
        assert found.interval[0] >= -1
        assert found.interval[1] <= 1
        assert found.standard_error > 0


@given(on_one(), on_one())
def test_only_scores_on_the_same_known_prompts_are_paired(a: Score, b: Score) -> None:
    assert a.minus(b).paired
    elsewhere = scored(b.outcomes, *OTHER)
    unnamed, uncounted = scored(b.outcomes), Score(b.n, b.greedy, b.sampled, "", b.prompts)
    for other in (elsewhere, unnamed, uncounted):
        found = a.minus(other)
        assert not found.paired
        assert found.standard_error == pytest.approx(math.hypot(a.standard_error, other.standard_error))
        assert found.value == pytest.approx(a.value - b.value)


@given(on_one())
def test_a_policy_does_not_differ_from_itself(score: Score) -> None:
    found = score.minus(score)
    assert found.value == 0
    assert found.standard_error == pytest.approx(math.sqrt(2) / 66)  # the two prompts that are added
    assert found.standard_error < math.sqrt(2) * score.standard_error


def test_what_both_solve_alike_takes_no_part_in_the_error() -> None:
    hard_and_easy = "3" * 100 + "0" * 100
    better = "3" * 112 + "0" * 88
    a, b = scored(hard_and_easy, *ONE), scored(better, *ONE)
    paired, apart = b.minus(a), scored(better, *OTHER).minus(a)
    assert paired.value == apart.value == pytest.approx(0.06)
    assert paired.standard_error < 0.4 * apart.standard_error
    assert a.trails(b)
    assert not a.trails(scored(better, *OTHER))


@given(st.lists(on_one(16), min_size=1, max_size=6), st.lists(on_one(16), min_size=1, max_size=6))
def test_checkpoints_are_averaged_prompt_by_prompt(ours: list[Score], theirs: list[Score]) -> None:
    def mean_of(scores: list[Score], prompt: int) -> float:
        return sum(int(s.outcomes[prompt]) % 2 + 2 * (int(s.outcomes[prompt]) // 2) for s in scores) / 3 / len(scores)

    d = [mean_of(ours, i) - mean_of(theirs, i) for i in range(16)] + [1.0, -1.0]
    centre = sum(d) / 18
    variance = sum((x - centre) ** 2 for x in d) / 18
    found = difference(ours, theirs)
    assert found.value == pytest.approx(sum(d) / 16)
    assert found.standard_error == pytest.approx(math.sqrt(variance / 18))
    assert (found.paired, found.n) == (True, 16)


@given(on_one(), on_one(), st.integers(2, 5))
def test_the_same_checkpoint_many_times_is_not_surer_than_once(a: Score, b: Score, times: int) -> None:
    once = a.minus(b)
    often = difference([a] * times, [b] * times)
    assert often.value == pytest.approx(once.value)
    assert often.standard_error == pytest.approx(once.standard_error)
    apart = scored(b.outcomes, *OTHER)
    once, often = a.minus(apart), difference([a] * times, [apart] * times)
    assert often.standard_error == pytest.approx(once.standard_error)
    unknown = Score(a.n, a.greedy, a.sampled)
    assert difference([unknown] * times, [b]).standard_error == pytest.approx(unknown.minus(b).standard_error)


def test_a_difference_needs_two_sides() -> None:
    with pytest.raises(ValueError, match="both sides"):
        difference([], [Score(4, 1, 1)])


# ---- more and fewer of the same prompts -----------------------------------------------------------------------------


def of(outcomes: str) -> Score:
    return scored(outcomes, PromptSet("validation", 0, len(outcomes)))


@given(st.integers(8, 60).flatmap(lambda n: st.tuples(answers(n), answers(64))))
def test_fewer_and_more_of_a_set_are_compared_on_what_they_share(drawn: tuple[str, str]) -> None:
    few, more = of(drawn[0]), of(drawn[1])
    found, alike = few.minus(more), few.minus(of(more.outcomes[: few.n]))
    assert (found, found.paired, found.n) == (alike, True, few.n)


@given(st.tuples(answers(16), answers(64), answers(64)))
def test_a_look_at_the_way_does_not_count_beside_what_was_asked_everything(drawn: tuple[str, str, str]) -> None:
    look, end, other = map(of, drawn)
    assert difference([look, end], [look, other]) == difference([end], [other])


@given(st.tuples(answers(64), answers(16), answers(64)))
def test_a_line_that_ends_with_a_look_is_compared_on_that_look(drawn: tuple[str, str, str]) -> None:
    way, look, other = map(of, drawn)
    assert difference([way, look], [other]) == difference([way.first(16), look], [other.first(16)])


def test_what_is_not_known_of_the_first_prompts_is_an_error() -> None:
    with pytest.raises(ValueError, match="the first 8 of 16"):
        Score(16, 4, 4).first(8)
    with pytest.raises(ValueError, match="the first 32 of 16"):
        of("0" * 16).first(32)

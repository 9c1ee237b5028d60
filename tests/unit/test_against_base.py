"""`show` says how much better the policy is than its base only where that is more than chance."""

from __future__ import annotations

import pytest

from engine.analysis.reported import ReportedPolicy
from engine.domain.score import PromptSet, Score, of_outcomes
from llmzero_tui.text.summary import result_lines

PROMPTS = PromptSet("test", 0, 200)


def told(base: Score, test: Score) -> str:
    """The line about the two test scores."""
    policy = ReportedPolicy(
        "#1 step 50", "checkpoint", ((1, 50),), 1, 50, "x", True, None, test, None, base, (), None, "", None
    )
    return next(line for line in result_lines(policy) if line.startswith("test "))


def of(*counted: tuple[str, int]) -> Score:
    """A score of so many prompts of each outcome, in order."""
    return of_outcomes("".join(outcome * count for outcome, count in counted), PROMPTS)


def test_what_is_surely_more_is_told_as_a_multiple() -> None:
    line = told(of(("3", 50), ("0", 150)), of(("3", 110), ("0", 90)))
    assert line == "test 0.250 [0.20, 0.31] (n 200) → 0.550 [0.48, 0.62] (n 200), 2.2 times the base"


def test_what_may_be_chance_is_told_as_such() -> None:
    line = told(Score(8, 1, 1), Score(8, 2, 2))
    assert line.startswith("test 0.125 [")
    assert "(n 8), not distinguishable from the base (+0.125 [-" in line
    assert line.endswith("] n=8)")


@pytest.mark.parametrize("paired", [True, False])
def test_the_same_prompts_tell_what_others_do_not(paired: bool) -> None:
    """12 prompts more of 200: sure where they are the same prompts."""
    base, test = of(("3", 60), ("0", 140)), of(("3", 72), ("0", 128))
    line = told(base if paired else Score(base.n, base.greedy, base.sampled), test)
    assert line.endswith("1.2 times the base") is paired


def test_a_base_that_solves_nothing_has_no_multiple() -> None:
    assert told(of(("0", 200)), of(("3", 50), ("0", 150))).endswith("→ 0.250 [0.20, 0.31] (n 200)")

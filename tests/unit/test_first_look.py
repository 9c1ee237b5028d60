"""When a first look at a checkpoint is enough."""

from __future__ import annotations

import random

import pytest

from engine.domain.first_look import enough
from engine.domain.score import PromptSet, Score, of_outcomes

LOOK, ALL = 36, 144


def score(outcomes: str) -> Score:
    return of_outcomes(outcomes, PromptSet("validation", 0, len(outcomes)))


BEGUN = score("".join(random.Random(0).choices("03", k=ALL)))
"""Half of the prompts solved."""


def fallen(lost: int) -> Score:
    """A look at a policy that lost some of the prompts that the one before solved."""
    outcomes = list(BEGUN.outcomes[:LOOK])
    for place in [i for i, digit in enumerate(outcomes) if digit == "3"][:lost]:
        outcomes[place] = "0"
    return score("".join(outcomes))


@pytest.mark.parametrize(
    ("lost", "middle", "end"), [(0, True, False), (1, True, False), (3, False, False), (15, False, True)]
)
def test_the_middle_is_looked_into_when_it_falls_behind_and_the_end_not_when_it_is_lost(
    lost: int, middle: bool, end: bool
) -> None:
    assert enough(fallen(lost), BEGUN, ends=False) is middle
    assert enough(fallen(lost), BEGUN, ends=True) is end


def test_without_the_policy_before_the_end_is_asked_everything() -> None:
    assert enough(fallen(15), None, ends=False)
    assert not enough(fallen(15), None, ends=True)

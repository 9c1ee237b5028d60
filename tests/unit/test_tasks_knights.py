"""The knights puzzles are right: checked against an independent reading of the prompt."""

from __future__ import annotations

import itertools
import re
from collections import Counter

import pytest

from tasks.base import Item, Split
from tasks.knights import CASES, PEOPLE, Knights

TASK = Knights()
ITEM = Item(prompt="K A:B+ B:A/C C:A->", answer="--+", data={"claims": ["B+", "A/C", "A-"]})


def consistent_cases(prompt: str) -> list[str]:
    """Read the prompt alone, and try every case in words of the puzzle instead of the task's own tables."""
    claims = dict(re.findall(r"([ABC]):([ABC][-+&|=/][ABC]?)", prompt))
    assert set(claims) == set(PEOPLE)
    found = []
    for case in itertools.product((True, False), repeat=3):
        knight = dict(zip(PEOPLE, case, strict=True))
        truth = {}
        for who, claim in claims.items():
            a, relation = knight[claim[0]], claim[1]
            b = knight[claim[2]] if len(claim) == 3 else None
            truth[who] = {"+": a, "-": not a, "&": a and b, "|": a or b, "=": a is b, "/": a is not b}[relation]
        if truth == knight:
            found.append("".join("+" if knight[who] else "-" for who in PEOPLE))
    return found


def test_every_puzzle_has_exactly_one_solution_and_it_is_the_answer() -> None:
    for item in TASK.items(Split.TRAIN, 500, seed=1) + TASK.items(Split.TEST, 200, seed=1):
        assert consistent_cases(item.prompt) == [item.answer]


def test_answers_are_balanced() -> None:
    counts = Counter(item.answer for item in TASK.items(Split.TRAIN, 2400))
    assert set(counts) == set(CASES)
    assert min(counts.values()) > 220  # 300 expected, standard deviation 16
    assert max(counts.values()) < 380


def test_a_worked_answer_tries_the_cases_in_order_until_one_is_consistent() -> None:
    item = next(item for item in TASK.items(Split.TRAIN, 100) if item.answer == "+-+")
    working, _, answer = TASK.gold(item).partition("#")
    steps = working.split(";")
    assert [step[:3] for step in steps] == ["+++", "++-", "+-+"]
    assert [step[3:] == "yyy" for step in steps] == [False, False, True]
    assert answer == "+-+"


@pytest.mark.parametrize("completion", ["#--+", "anything at all #--+", "+++yyn;\x1b[0m#--+", "🙂#--+"])
def test_text_before_the_hash_may_be_anything(completion: str) -> None:
    assert TASK.score(completion, ITEM).total == 1.0


@pytest.mark.parametrize(
    "completion", ["--+", "# --+", "#--+ ", "#--+\n", "#--", "#--++", "##--+", "#--+#--+", "#+++#--+", "#−−+", "#--+."]
)
def test_the_answer_is_strict(completion: str) -> None:
    assert TASK.score(completion, ITEM).total == 0.0

"""Knights and knaves with three people: who tells the truth? One right answer of eight, verified exactly.

A prompt such as `K A:B=C B:B/C C:B->` says what each person claims: `B+` B is a knight, `B-` a knave, `A&B`
both are knights, `A|B` at least one is, `A=B` they are of one kind, `A/B` of different kinds. `+` marks a
knight, `-` a knave, so an answer is `#+-+`; before the `#` a completion may contain anything.
"""

from __future__ import annotations

import functools
import itertools
import random
from collections.abc import Mapping
from typing import ClassVar

from tasks.base import Item, Levels, Reward
from tasks.tiny import TinyTask, WarmStartPhase, answer_after_hash

PEOPLE = "ABC"
# The order in which worked answers try the cases: +++, ++-, … ---.
CASES: tuple[str, ...] = tuple("".join(case) for case in itertools.product("+-", repeat=3))
_OTHERS = {person: [other for other in PEOPLE if other != person] for person in PEOPLE}


class Knights(TinyTask):
    """Three people, each a knight (always true) or a knave (always false); find the only consistent case.

    All eight answers are equally likely, so guessing scores .125; 8,168 distinct puzzles.
    """

    name = "knights"
    summary = "knights and knaves, 3 people: find who tells the truth"
    max_completion_length = 64  # a worked answer has at most 59 characters and the end token
    size = "8,168 puzzles"
    levels = Levels(lowest=1, highest=8, default=6, doc="cases to try, in order, until one fits")
    phases: ClassVar = (WarmStartPhase(steps=800, worked=0.97), WarmStartPhase(steps=80, worked=0.12))

    def generate(self, rng: random.Random) -> Item:
        answer = rng.choice(CASES)
        claims = rng.choice(_puzzles()[answer])
        prompt = "K " + " ".join(f"{who}:{claim}" for who, claim in zip(PEOPLE, claims, strict=True)) + ">"
        return Item(prompt=prompt, answer=answer, data={"claims": list(claims)})

    def score(self, completion: str, item: Item) -> Reward:
        correct = answer_after_hash(completion) == item.answer
        return Reward(correct=correct, total=float(correct), components={"answer": float(correct)})

    def level(self, item: Item) -> int:
        return 1 + CASES.index(item.answer)

    def demonstrate(self, rng: random.Random, item: Item, worked: float) -> str:
        if rng.random() >= worked:
            return "#" + rng.choice(CASES)
        tried: list[str] = []
        for case in CASES:
            fits = [_holds(claim, case) == (kind == "+") for claim, kind in zip(item.data["claims"], case, strict=True)]
            tried.append(case + "".join("y" if fit else "n" for fit in fits))
            if all(fits):
                break
        return ";".join(tried) + "#" + item.answer

    def suggested_space(self) -> Mapping[str, Mapping[str, float | int | list[int]]]:
        return {
            "learning_rate": {"low": 1e-5, "high": 5e-4, "default": 1e-4},
            "beta": {"low": 0.0, "high": 0.1, "default": 0.0},
            "temperature": {"low": 0.7, "high": 1.3, "default": 1.0},
            "max_completion_length": {"low": 24, "high": 64, "default": 64},
            "num_generations": {"choices": [4, 8, 16], "default": 8},
        }


def _claims_of(person: str) -> list[str]:
    """Everything a person may claim: the kind of another person, or how any two people relate."""
    kinds = [other + kind for other in _OTHERS[person] for kind in "+-"]
    return kinds + [a + relation + b for relation in "&|=/" for a, b in itertools.permutations(PEOPLE, 2)]


def _holds(claim: str, case: str) -> bool:
    """Is `claim` true when the three people are as in `case`, for example "+-+"?"""
    first = case[PEOPLE.index(claim[0])] == "+"
    if len(claim) == 2:
        return first == (claim[1] == "+")
    second = case[PEOPLE.index(claim[2])] == "+"
    return {"&": first and second, "|": first or second, "=": first == second, "/": first != second}[claim[1]]


@functools.cache
def _puzzles() -> dict[str, list[tuple[str, str, str]]]:
    """For each answer, every triple of claims of which it is the only consistent case."""

    def consistent(person: str, claim: str) -> int:
        """One bit for each case in which the person may have said so."""
        own = PEOPLE.index(person)
        return sum(1 << i for i, case in enumerate(CASES) if _holds(claim, case) == (case[own] == "+"))

    options = [[(claim, consistent(who, claim)) for claim in _claims_of(who)] for who in PEOPLE]
    puzzles: dict[str, list[tuple[str, str, str]]] = {case: [] for case in CASES}
    for (a, in_a), (b, in_b), (c, in_c) in itertools.product(*options):
        left = in_a & in_b & in_c
        if left.bit_count() == 1:
            puzzles[CASES[left.bit_length() - 1]].append((a, b, c))
    return puzzles

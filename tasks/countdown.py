"""Reach a target with four numbers, + and -: `N 3 3 4 2>2=` → `+6+10-8;+6-2+4;+6-2-0;-0+4+6;-0+4-2!#3-3+4-2`.

A worked answer tries the signs in a fixed order and writes each sign with the sum so far, until the target is hit.
Every number is used once, in any order; the verifier reads the expression itself and never evaluates it as code.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

from tasks.base import Item, Levels, Reward
from tasks.tiny import TinyTask, WarmStartPhase, answer_after_hash

NUMBERS = 4
LARGEST_TARGET = 30
SIGNS: tuple[str, ...] = tuple("".join(signs) for signs in itertools.product("+-", repeat=NUMBERS - 1))
# Parentheses would add nothing: with + and - alone, every expression equals one without them.
_EXPRESSION = re.compile(r"[0-9]([+-][0-9]){3}")


class Countdown(TinyTask):
    """Four digits 1..9 and a target 1..30 that needs at least one minus."""

    name = "countdown"
    summary = "reach a target with four numbers, + and -"
    max_completion_length = 72  # a worked answer has at most 66 characters and the end token
    levels = Levels(lowest=1, highest=7, default=5, doc="combinations of signs to try, in order, until one hits")
    phases: ClassVar = (WarmStartPhase(steps=900, worked=0.97), WarmStartPhase(steps=80, worked=0.12))

    def generate(self, rng: random.Random) -> Item:
        while True:
            numbers = [rng.randint(1, 9) for _ in range(NUMBERS)]
            signs = rng.choice(SIGNS[1:])
            target = _partial_sums(numbers, signs)[-1]
            if 1 <= target <= LARGEST_TARGET:
                break
        prompt = f"N {' '.join(map(str, numbers))}>{target}="
        return Item(prompt, _expression(numbers, signs), {"numbers": numbers, "target": target})

    def score(self, completion: str, item: Item) -> Reward:
        answer = answer_after_hash(completion)
        correct = answer is not None and _reaches(answer, item.data["numbers"], item.data["target"])
        return Reward(correct=correct, total=float(correct), components={"answer": float(correct)})

    def level(self, item: Item) -> int:
        numbers, target = item.data["numbers"], item.data["target"]
        return next(n for n, signs in enumerate(SIGNS[1:], 1) if _partial_sums(numbers, signs)[-1] == target)

    def demonstrate(self, rng: random.Random, item: Item, worked: float) -> str:
        """Every combination of signs in order until one hits, or a guess."""
        numbers: list[int] = item.data["numbers"]
        if rng.random() >= worked:
            return "#" + _expression(numbers, rng.choice(SIGNS))
        tries: list[str] = []
        for signs in SIGNS[1:]:  # never +++: each target needs a minus
            sums = _partial_sums(numbers, signs)[1:]
            tries.append("".join(f"{sign}{total}" for sign, total in zip(signs, sums, strict=True)))
            if sums[-1] == item.data["target"]:
                break
        return ";".join(tries) + "!#" + _expression(numbers, signs)

    def suggested_space(self) -> Mapping[str, Mapping[str, float | int | list[int]]]:
        return {
            "learning_rate": {"low": 1e-5, "high": 5e-4, "default": 1e-4},
            "beta": {"low": 0.0, "high": 0.1, "default": 0.0},
            "temperature": {"low": 0.7, "high": 1.3, "default": 1.0},
            "max_completion_length": {"low": 24, "high": 72, "default": 72},
            "num_generations": {"choices": [4, 8, 16], "default": 8},
        }


def _partial_sums(numbers: Sequence[int], signs: str) -> list[int]:
    signed = (n if sign == "+" else -n for n, sign in zip(numbers, "+" + signs, strict=True))
    return list(itertools.accumulate(signed))


def _expression(numbers: Sequence[int], signs: str) -> str:
    return str(numbers[0]) + "".join(f"{sign}{n}" for sign, n in zip(signs, numbers[1:], strict=True))


def _reaches(expression: str, numbers: Sequence[int], target: int) -> bool:
    if _EXPRESSION.fullmatch(expression) is None:
        return False
    used = [int(digit) for digit in expression[::2]]
    return sorted(used) == sorted(numbers) and _partial_sums(used, expression[1::2])[-1] == target

"""Sums of several terms, worked out one term at a time: `S 3+3-2-2=` → `+3=6;-2=4;-2=2;#2`.

Only the answer after the `#` counts; a model that works it out needs length, one that guesses is right once in 20.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import ClassVar

from tasks.base import Item, Levels, Reward
from tasks.tiny import TinyTask, WarmStartPhase, answer_after_hash

LARGEST = 19  # running sums stay within 0..LARGEST


class Chain(TinyTask):
    """Four to eight terms of one digit; every running sum lies within 0..19."""

    name = "chain"
    summary = "add and subtract 4 to 8 numbers, one at a time"
    max_completion_length = 48  # a worked answer has at most 45 characters and the end token
    levels = Levels(lowest=4, highest=8, default=6, doc="numbers of a sum")
    phases: ClassVar = (WarmStartPhase(steps=480, worked=0.9), WarmStartPhase(steps=80, worked=0.12))
    guesses: ClassVar = (0, LARGEST)
    """The least and the largest answer of a demonstration that guesses."""

    def generate(self, rng: random.Random) -> Item:
        total = first = rng.randint(1, 9)
        terms: list[str] = []
        for _ in range(rng.randint(3, 7)):
            value, sign = rng.randint(1, 9), rng.choice("+-")
            if total + value > LARGEST:
                sign = "-"
            elif total - value < 0:
                sign = "+"
            total += value if sign == "+" else -value
            terms.append(f"{sign}{value}")
        prompt = f"S {first}{''.join(terms)}="
        return Item(prompt=prompt, answer=str(total), data={"first": first, "terms": terms})

    def score(self, completion: str, item: Item) -> Reward:
        correct = answer_after_hash(completion) == item.answer
        return Reward(correct=correct, total=float(correct), components={"answer": float(correct)})

    def level(self, item: Item) -> int:
        return 1 + len(item.data["terms"])

    def demonstrate(self, rng: random.Random, item: Item, worked: float) -> str:
        if rng.random() >= worked:
            return f"#{rng.randint(*self.guesses)}"
        total, working = int(item.data["first"]), ""
        for term in item.data["terms"]:
            total += int(term)
            working += f"{term}={total};"
        return f"{working}#{total}"

    def suggested_space(self) -> Mapping[str, Mapping[str, float | int | list[int]]]:
        return {
            "learning_rate": {"low": 5e-6, "high": 3e-4, "default": 3e-5},
            "beta": {"low": 0.0, "high": 0.1, "default": 0.04},
            "temperature": {"low": 0.6, "high": 1.2, "default": 0.8},
            "max_completion_length": {"low": 16, "high": 48, "default": 44},
            "num_generations": {"choices": [4, 8, 16], "default": 8},
        }

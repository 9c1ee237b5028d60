"""Generators of reasoning_gym in a compact rendering that fits the tiny models: `reasoning_gym/<generator>:tiny`.

The generator draws the problem, only its wording is ours; found through `tasks.registry`. Base models as for the other
tiny tasks, by `python -m tasks.tiny_model reasoning_gym/chain_sum:tiny`.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from typing import Any, ClassVar

from tasks.base import Item, Levels, Reward
from tasks.reasoning_gym import INDICES, PREFIX, package
from tasks.tiny import BASE_PREFIX, TinyTask, WarmStartPhase, answer_after_hash

SUFFIX = ":tiny"


class TinyChainSum(TinyTask):
    """chain_sum with 3 to 6 numbers of one digit: `C 4+3-9=` → `+3=7;-9=-2;#-2`; only what follows the `#` counts."""

    name = f"{PREFIX}chain_sum{SUFFIX}"
    summary = "add and subtract 3 to 6 numbers, drawn by reasoning_gym"
    max_completion_length = 40  # a worked answer has at most 38 characters and the end token
    levels = Levels(lowest=3, highest=6, default=5, doc="numbers of a sum")
    phases: ClassVar = (WarmStartPhase(steps=520, worked=0.9), WarmStartPhase(steps=80, worked=0.12))

    def __init__(self) -> None:
        self._dataset: Any = package().create_dataset(
            "chain_sum", seed=0, size=1, min_terms=3, max_terms=6, min_digits=1, max_digits=1
        )

    def generate(self, rng: random.Random) -> Item:
        entry = self._dataset[rng.randrange(INDICES)]
        expression = str(entry["metadata"]["expression"]).replace(" ", "")
        terms = re.findall(r"[+-]?[0-9]+", expression)
        return Item(f"C {expression}=", entry["answer"], {"first": int(terms[0]), "terms": terms[1:]})

    def level(self, item: Item) -> int:
        return 1 + len(item.data["terms"])

    def score(self, completion: str, item: Item) -> Reward:
        correct = answer_after_hash(completion) == item.answer
        return Reward(correct=correct, total=float(correct), components={"answer": float(correct)})

    def demonstrate(self, rng: random.Random, item: Item, worked: float) -> str:
        if rng.random() >= worked:
            return f"#{rng.randint(-10, 20)}"
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
            "max_completion_length": {"low": 12, "high": 40, "default": 32},
            "num_generations": {"choices": [4, 8, 16], "default": 8},
        }

    def default_model(self) -> str:
        return f"{BASE_PREFIX}reasoning_gym-chain_sum"


COMPACT: Mapping[str, type[TinyTask]] = {TinyChainSum.name: TinyChainSum}
"""By the task's name."""

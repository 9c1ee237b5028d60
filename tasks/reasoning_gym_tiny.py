"""Generators of reasoning_gym in a compact rendering that fits the tiny models: `reasoning_gym/<generator>:tiny`.

The generator draws the problem, only its wording is ours; found through `tasks.registry`. Base models as for the other
tiny tasks, by `python -m tasks.tiny_model reasoning_gym/chain_sum:tiny`.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from typing import Any, ClassVar

from tasks.base import Item, Levels
from tasks.chain import Chain
from tasks.reasoning_gym import INDICES, PREFIX, package
from tasks.tiny import BASE_PREFIX, TinyTask, WarmStartPhase

SUFFIX = ":tiny"


class TinyChainSum(Chain):
    """chain_sum with 3 to 6 numbers of one digit: `C 4+3-9=` → `+3=7;-9=-2;#-2`; only what follows the `#` counts."""

    name = f"{PREFIX}chain_sum{SUFFIX}"
    summary = "add and subtract 3 to 6 numbers, drawn by reasoning_gym"
    max_completion_length = 40  # a worked answer has at most 38 characters and the end token
    levels = Levels(lowest=3, highest=6, default=5, doc="numbers of a sum")
    phases: ClassVar = (WarmStartPhase(steps=520, worked=0.9), WarmStartPhase(steps=80, worked=0.12))
    guesses: ClassVar = (-10, 20)

    def __init__(self) -> None:
        self._dataset: Any = package().create_dataset(
            "chain_sum", seed=0, size=1, min_terms=3, max_terms=6, min_digits=1, max_digits=1
        )

    def generate(self, rng: random.Random) -> Item:
        entry = self._dataset[rng.randrange(INDICES)]
        expression = str(entry["metadata"]["expression"]).replace(" ", "")
        terms = re.findall(r"[+-]?[0-9]+", expression)
        return Item(f"C {expression}=", entry["answer"], {"first": int(terms[0]), "terms": terms[1:]})

    def suggested_space(self) -> Mapping[str, Mapping[str, float | int | list[int]]]:
        length = {"low": 12, "high": 40, "default": 32}
        return {**super().suggested_space(), "max_completion_length": length}

    def default_model(self) -> str:
        return f"{BASE_PREFIX}reasoning_gym-chain_sum"


COMPACT: Mapping[str, type[TinyTask]] = {TinyChainSum.name: TinyChainSum}
"""By the task's name."""

"""The distinct letters of a word, sorted, between tags: `D jccdbgb=` → `<a>bcdgj</a>`.

The shortest of the tiny tasks, for tests and quick looks; keeping to the format alone earns a tenth.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from typing import ClassVar

from tasks.base import Item, Levels, Reward
from tasks.tiny import TinyTask, WarmStartPhase

LETTERS = "abcdefghijklmnopqrstuvwxyz"
FORMAT_REWARD = 0.1
_TAGGED = re.compile(r"<a>([a-z]*)</a>")


class Dedup(TinyTask):
    """Words of 8 to 24 letters; the reward is 1 for the right letters in tags, .1 for tags around others."""

    name = "dedup"
    summary = "the distinct letters of a word, sorted, between tags"
    max_completion_length = 32  # 24 letters in a wrong habit, 7 characters of tags, the end token
    levels = Levels(lowest=8, highest=24, default=14, doc="letters of a word")
    phases: ClassVar = (WarmStartPhase(steps=400, worked=0.08),)

    def generate(self, rng: random.Random) -> Item:
        word = "".join(rng.choice(LETTERS) for _ in range(rng.randint(self.levels.lowest, self.levels.highest)))
        return Item(prompt=f"D {word}=", answer="".join(sorted(set(word))), data={"word": word})

    def score(self, completion: str, item: Item) -> Reward:
        tagged = _TAGGED.fullmatch(completion)
        correct = tagged is not None and tagged[1] == item.answer
        components = {"answer": float(correct), "format": float(tagged is not None)}
        total = 1.0 if correct else FORMAT_REWARD * components["format"]
        return Reward(correct=correct, total=total, components=components)

    def level(self, item: Item) -> int:
        return len(item.data["word"])

    def demonstrate(self, rng: random.Random, item: Item, worked: float) -> str:
        """A right answer, or one of three habits to unlearn: no tags, repeated letters, unsorted letters."""
        if rng.random() < worked:
            return f"<a>{item.answer}</a>"
        word = str(item.data["word"])
        habits = (item.answer, f"<a>{''.join(sorted(word))}</a>", f"<a>{''.join(dict.fromkeys(word))}</a>")
        return rng.choice(habits)

    def suggested_space(self) -> Mapping[str, Mapping[str, float | int | list[int]]]:
        return {
            "learning_rate": {"low": 1e-5, "high": 5e-4, "default": 3e-5},
            "beta": {"low": 0.0, "high": 0.1, "default": 0.0},
            "temperature": {"low": 0.7, "high": 1.3, "default": 1.2},
            "max_completion_length": {"low": 16, "high": 32, "default": 24},
            "num_generations": {"choices": [4, 8, 16], "default": 8},
        }

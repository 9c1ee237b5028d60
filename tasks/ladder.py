"""Follow a state up and down a ladder of letters: `S d+3-2=` → `+3g-2e#e`, three characters a term.

The task on which a changing schedule pays: short items are learned first and long ones need length that short ones do
not. Its base knows how to work answers out, but has two bad habits; the working must be complete to count.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import ClassVar

from tasks.base import Item, Levels, Reward
from tasks.tiny import TinyTask, WarmStartPhase, answer_after_hash

STATES = "abcdefghijklmnopqrst"
LARGEST_STEP = 5
IGNORED_MINUS = 0.55  # bad habit: how often a minus changes nothing
STOPS_EARLY = 0.15  # bad habit: after term 5, how often the working ends before each further term
KEPT_TERMS = 5


class Ladder(TinyTask):
    """3 to 12 terms of 1..5; the answer is the last state, and its working has three characters for each term."""

    name = "ladder"
    summary = "follow a state through 3 to 12 steps up and down"
    max_completion_length = 40  # a worked answer has at most 38 characters and the end token
    levels = Levels(lowest=3, highest=12, default=6, doc="terms of an item")
    phases: ClassVar = (
        WarmStartPhase(steps=250, worked=1.0, lessons=((1.0, 2, 6),)),
        WarmStartPhase(steps=650, worked=1.0, lessons=((0.6, 2, 6), (0.4, 5, 14))),
        WarmStartPhase(steps=99, worked=0.0, lessons=((1.0, 2, 12),), learning_rate=7e-4),
    )

    def generate(self, rng: random.Random) -> Item:
        return _draw(rng, rng.randint(self.levels.lowest, self.levels.highest))

    def level(self, item: Item) -> int:
        return len(item.data["terms"])

    def lesson(self, rng: random.Random, phase: WarmStartPhase) -> Item:
        [(_, low, high)] = rng.choices(phase.lessons, weights=[share for share, _, _ in phase.lessons])
        return _draw(rng, rng.randint(low, high))

    def score(self, completion: str, item: Item) -> Reward:
        complete = completion.find("#") == 3 * len(item.data["terms"])
        correct = complete and answer_after_hash(completion) == item.answer
        return Reward(correct=correct, total=float(correct), components={"answer": float(correct)})

    def demonstrate(self, rng: random.Random, item: Item, worked: float) -> str:
        """The worked answer, or the same with minuses ignored and an early stop."""
        right = rng.random() < worked
        state, working = STATES.index(item.data["first"]), ""
        for number, term in enumerate(item.data["terms"]):
            if not right and number >= KEPT_TERMS and rng.random() < STOPS_EARLY:
                break
            ignored = not right and term[0] == "-" and rng.random() < IGNORED_MINUS
            state = state if ignored else (state + int(term)) % len(STATES)
            working += term + STATES[state]
        return f"{working}#{STATES[state]}"

    def suggested_space(self) -> Mapping[str, Mapping[str, float | int | list[int]]]:
        return {
            "learning_rate": {"low": 1e-5, "high": 3e-4, "default": 5e-5},
            "beta": {"low": 0.0, "high": 0.1, "default": 0.02},
            "temperature": {"low": 0.7, "high": 1.3, "default": 1.0},
            "max_completion_length": {"low": 16, "high": 40, "default": 24},
            "num_generations": {"choices": [4, 8, 16], "default": 8},
        }


def _draw(rng: random.Random, terms: int) -> Item:
    state = rng.randrange(len(STATES))
    first, steps = STATES[state], []
    for _ in range(terms):
        value, sign = rng.randint(1, LARGEST_STEP), rng.choice("+-")
        if state + value >= len(STATES):
            sign = "-"
        elif state - value < 0:
            sign = "+"
        state += value if sign == "+" else -value
        steps.append(f"{sign}{value}")
    return Item(f"S {first}{''.join(steps)}=", STATES[state], {"first": first, "terms": steps})

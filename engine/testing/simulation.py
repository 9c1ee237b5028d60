"""A world of synthetic learning curves, to test strategies and advisors in no time (`engine.simulation.search`).

Only the search, the advisor and the tree are real. The curves have what docs/search.md says of real ones: slow starters
that win, shallow fast gains, collapses under a learning rate that is too high, noise that falls with the learning rate,
binomial scores.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.domain.score import Score
from engine.domain.space import Configuration, Intent, Space, numeric
from engine.domain.tree import Tree
from engine.simulation.search import answered

SPACE = Space.build(
    {},
    {
        "learning_rate": {"low": 1e-5, "high": 5e-4, "default": 1e-4},
        "beta": {"low": 0.0, "high": 0.1, "default": 0.0},
        "temperature": {"low": 0.7, "high": 1.3, "default": 1.0},
        "max_completion_length": {"low": 24, "high": 64, "default": 64},
        "num_generations": {"choices": [4, 8, 16], "default": 8},
    },
    batch_size=32,
)


@dataclass(frozen=True)
class Skill:
    """What a policy can do: `shallow` and `deep` in 0..1; deep skill grows like a logistic, late."""

    shallow: float = 0.0
    deep: float = 0.02


@dataclass
class World:
    """Learning curves of one made-up task.

    Attributes:
        best_rate: learning rate at which deep skill grows fastest at first. falls: how much lower (factor) the best
            rate is once the skill is there; 1 is a world in which a constant is best.
        tolerance: width of the bell around the best rate, in natural-log units.
        limit: learning rate beyond which a policy collapses.
    """

    seed: int
    prompts: int = 256
    falls: float = 4.0
    best_rate: float = field(init=False)
    warmth: float = field(init=False)
    hardness: list[float] = field(init=False)
    tolerance: float = 0.9

    def __post_init__(self) -> None:
        rng = random.Random(f"world/{self.seed}")
        self.best_rate = math.exp(rng.uniform(math.log(3e-5), math.log(1.2e-4)))
        self.warmth = rng.uniform(0.8, 1.2)
        self.limit = 5 * self.best_rate
        self.hardness = [rng.random() for _ in range(self.prompts)]

    def step(self, skill: Skill, configuration: Configuration) -> Skill:
        rate = numeric(configuration["learning_rate"])
        best = self.best_rate * self.falls**-skill.deep
        bell = math.exp(-0.5 * (math.log(rate / best) / self.tolerance) ** 2)
        heat = math.exp(-0.5 * ((numeric(configuration["temperature"]) - self.warmth) / 0.25) ** 2)
        deep = skill.deep + 0.035 * bell * heat * skill.deep * (1 - skill.deep)
        shallow = skill.shallow + 0.03 * min(1.5, rate / self.best_rate) * (1 - skill.shallow)
        if rate > self.limit:
            shallow, deep = shallow * 0.95, deep * 0.97
        return Skill(shallow, deep)

    def accuracy(self, skill: Skill, configuration: Configuration) -> float:
        """True accuracy: noise of large steps costs up to some points, as annealing shows."""
        noise = 0.04 * min(1.5, numeric(configuration["learning_rate"]) / self.best_rate) * skill.deep
        return min(0.98, 0.08 + 0.2 * skill.shallow + 0.65 * skill.deep - noise)

    def begin(self) -> Skill:
        return Skill()

    def entropy(self, skill: Skill) -> float:
        return 2 - skill.deep

    def score(self, skill: Skill, configuration: Configuration, rng: random.Random) -> Score:
        """On the same prompts every time."""
        return answered(self.accuracy(skill, configuration), self.hardness, rng)


def intents(tree: Tree) -> Mapping[Intent, int]:
    """How many nodes of each intent a tree holds."""
    counts: dict[Intent, int] = {}
    for node in tree:
        if node.transition:
            counts[node.transition.intent] = counts.get(node.transition.intent, 0) + 1
    return counts

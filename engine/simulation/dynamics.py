"""How policies learn under GRPO, fitted to recorded runs of tiny models: the world of `expected_gain`.

A policy's skill is the logit x of its accuracy. Over 50 GRPO steps it changes by exp(a + f − c·x), the growth, less
exp(q + g), the forgetting, and by chance: odds grow as a power of the steps until both are equal. a is the task's and,
to a part, the configuration's luck; f and g are effects of the hyperparameters' distances from their defaults
(`distances`); difficulty also changes c. `python -m benchmarks.simulation` fits the numbers (fitted.json) and measures
how well they tell runs that were not fitted.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from engine.domain.parameters import Configuration, numeric
from engine.domain.score import Score
from engine.domain.space import Space
from engine.simulation.search import answered

FILE = Path(__file__).parent / "fitted.json"
STEPS = 50
"""GRPO steps that the rates below count in."""
LARGEST = 3.0
"""Of the logarithm of a rate, where a fit or a world goes astray."""
NO_PENALTY = 0.005
"""Added to beta, which may be 0, before its logarithm."""


class Distances(NamedTuple):
    """How far a configuration is from the default: logarithms of ratios (base e for learning rate and beta, 2 for
    length and group), a difference of temperatures, and of difficulties as a share of their range."""

    rate: float = 0.0
    temperature: float = 0.0
    beta: float = 0.0
    length: float = 0.0
    group: float = 0.0
    difficulty: float = 0.0


class Rates(NamedTuple):
    """How fast x grows and is lost, and c: how much slower it grows the larger it is."""

    growth: float
    forgetting: float
    curve: float

    @property
    def change(self) -> float:
        return self.growth - self.forgetting


@dataclass(frozen=True, slots=True)
class Dynamics:
    """The fitted numbers that all tasks share, by the terms of the exponents. `wander` is the variance of x over 50
    steps, `luck` that of a, drawn anew for every configuration: what the distances do not say of one."""

    curve: float
    rate: float
    rate_squared: float
    temperature: float
    temperature_squared: float
    beta: float
    length: float
    group: float
    difficulty: float
    difficulty_curve: float
    forgetting: float
    forgetting_rate: float
    forgetting_temperature: float
    wander: float
    luck: float

    def rates(self, speed: float, x: float, at: Distances) -> Rates:
        """Over 50 steps at this pace. `speed` is the task's a with the configuration's luck."""
        curve = self.curve - self.difficulty_curve * at.difficulty
        effects = (
            self.rate * at.rate - self.rate_squared * at.rate**2 + self.temperature * at.temperature
            - self.temperature_squared * at.temperature**2 + self.beta * at.beta + self.length * at.length
            + self.group * at.group + self.difficulty * at.difficulty
        )  # fmt: skip
        growth = math.exp(min(LARGEST, speed + effects - curve * x))
        lost = self.forgetting + self.forgetting_rate * at.rate + self.forgetting_temperature * at.temperature
        return Rates(growth, math.exp(min(LARGEST, lost)), curve)


def widths(space: Space) -> dict[str, float]:
    """Of the range of each hyperparameter."""
    return {each.name: each.high - each.low for each in space.parameters}


def distances(configuration: Configuration, default: Configuration, width: Mapping[str, float]) -> Distances:
    """Of a configuration from the default; a hyperparameter that is not in the space does not count.

    Args:
        width: of `widths`.
    """

    def ratio(name: str, plus: float = 0.0) -> float:
        now, usual = (numeric(each[name]) + plus if name in each else 1.0 for each in (configuration, default))
        return math.log(now / usual) if now > 0 and usual > 0 else 0.0

    def apart(name: str) -> float:
        return numeric(configuration[name]) - numeric(default[name]) if name in configuration else 0.0

    return Distances(
        ratio("learning_rate"), apart("temperature"), ratio("beta", NO_PENALTY),
        ratio("max_completion_length") / math.log(2), ratio("num_generations") / math.log(2),
        apart("difficulty") / (width.get("difficulty") or 1.0),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fit:
    """What was fitted, and to what: a speed for each task, how far configurations were from the default."""

    dynamics: Dynamics
    speeds: Mapping[str, float]
    nearest: Distances
    furthest: Distances
    runs: int
    scores: int

    def within(self, at: Distances) -> Distances:
        """Distances as far as any was recorded: beyond that nothing is known."""
        return Distances(*map(lambda low, d, high: max(low, min(high, d)), self.nearest, at, self.furthest))


@cache
def fitted() -> Fit:
    """The fit that is shipped."""
    given: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return Fit(
        Dynamics(**given["dynamics"]), given["speeds"], Distances(*given["nearest"]),
        Distances(*given["furthest"]), given["runs"], given["scores"],
    )  # fmt: skip


def logit(accuracy: float) -> float:
    """Finite for all of [0, 1]."""
    inside = min(1 - 1e-3, max(1e-3, accuracy))
    return math.log(inside / (1 - inside))


def accuracy_of(x: float) -> float:
    """Of a policy of that skill."""
    return 1 / (1 + math.exp(-x))


class FittedWorld:
    """A task that learns as one of the recorded ones did, from a base of any accuracy; chance is its own by `seed`."""

    def __init__(self, fit: Fit, task: str, seed: int, prompts: int, space: Space, base: float) -> None:
        """`base`: accuracy of the base model."""
        self._rng = random.Random(f"fitted/{seed}")
        self._hardness = [self._rng.random() for _ in range(prompts)]
        self._fit, self._speed, self._base = fit, fit.speeds[task], logit(base)
        self._default, self._widths = space.default(), widths(space)
        self._wander = math.sqrt(fit.dynamics.wander / STEPS)
        self._seed = seed
        self._known: dict[int, tuple[Configuration, Distances, float]] = {}

    def begin(self) -> float:
        return self._base

    def step(self, x: float, configuration: Configuration) -> float:
        at, luck = self._met(configuration)
        return x + self._fit.dynamics.rates(self._speed + luck, x, at).change / STEPS + self._rng.gauss(0, self._wander)

    def accuracy(self, x: float, configuration: Configuration) -> float:
        return accuracy_of(x)

    def entropy(self, x: float) -> float:
        return 2 - accuracy_of(x)

    def score(self, x: float, configuration: Configuration, rng: random.Random) -> Score:
        return answered(self.accuracy(x, configuration), self._hardness, rng)

    def _met(self, configuration: Configuration) -> tuple[Distances, float]:
        """Where a configuration lies, and its luck: the same wherever it is met. It is one object for a segment."""
        known = self._known.get(id(configuration))
        if known is None or known[0] is not configuration:
            at = self._fit.within(distances(configuration, self._default, self._widths))
            luck = random.Random(f"luck/{self._seed}/{at}").gauss(0, math.sqrt(self._fit.dynamics.luck))
            known = self._known[id(configuration)] = configuration, at, luck
        return known[1:]

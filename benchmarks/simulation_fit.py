"""How policies learn, fitted to recorded searches, for benchmarks.simulation.

Fitted is `engine.simulation.dynamics.Dynamics` with a speed for each task, to the validation scores of
benchmarks/evidence/earlier.jsonl: each stretch with one configuration begins at the score that its parent had, and its
own scores follow, each with its binomial error (an extended Kalman filter; the largest likelihood under wide normal
priors).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from engine.analysis.forecast import branches
from engine.compare.records import load
from engine.domain.score import Score
from engine.domain.space import Space
from engine.simulation.dynamics import STEPS, Distances, Dynamics, distances, widths
from tasks import registry

SOURCE = Path(__file__).resolve().parent / "evidence" / "earlier.jsonl"
"""Recorded searches from the general default, of earlier versions of the search: some have left the tables since."""
ANSWERS = 1.3
"""Independent answers that a prompt, answered greedily and once sampled, is worth; as in the recorded scores."""
PRIOR = Dynamics(0.8, 0, 0.2, 0, 2, 0.1, 0.2, -0.1, 0.1, 0.3, -2, 0.5, 0, -3.2, -3)
"""Where the fit begins and what it is drawn to, `wander` and `luck` as their logarithms."""
SPREAD = Dynamics(1, 1, 0.5, 0.5, 2, 0.5, 0.5, 0.5, 1, 1, 2, 1, 1, 2, 2)
NAMES = [each.name for each in fields(Dynamics)]
SPEED_SPREAD = 2.0
ITERATIONS = 40
Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Seen:
    """A measured skill (a logit) with the variance of its error, after so many steps since the one before."""

    after: int
    x: float
    variance: float

    @classmethod
    def of(cls, after: int, score: Score) -> Seen:
        n, k = score.n + 2, score.value * score.n + 1
        return cls(after, math.log(k / (n - k)), 1 / (ANSWERS * score.n * max(0.02, k / n * (1 - k / n))))


@dataclass(frozen=True)
class Stretch:
    """Successive segments of a recorded run with one configuration: where they began, and their scores."""

    task: str
    at: Distances
    begun: Seen
    scores: tuple[Seen, ...]


@dataclass(frozen=True)
class Run:
    """A recorded search: its stretches, and what it reported on the test prompts after so many steps."""

    task: str
    strategy: str
    seed: int
    stretches: tuple[Stretch, ...]
    base: Score
    test: Score
    steps: int


def recorded() -> list[Run]:
    """Every recorded search."""
    return [_run(line) for line in load(SOURCE)]


def _run(line: Mapping[str, Any]) -> Run:
    default, width = default_and_widths(line["task"], line["settings"]["space"])
    nodes = {each["id"]: {**each, "parent_id": each.get("parent")} for each in line["nodes"]}
    scores: dict[int, dict[int, Score]] = {}
    for node, step, n, greedy, sampled, *_ in line["scores"]:
        scores.setdefault(node, {})[step] = Score(n, greedy, sampled)
    configurations = {0: default}
    for node, row in nodes.items():
        if row["parent_id"] is not None:
            configurations[node] = {**configurations[row["parent_id"]], **row.get("changes", {})}
    places = {node: distances(each, default, width) for node, each in configurations.items()}
    stretches = []
    for branch in branches(nodes):
        for at, members in groupby(branch, places.__getitem__):
            numbers = list(members)
            first = nodes[numbers[0]]
            begun = scores.get(first["parent_id"], {}).get(first["branch_step"])
            if begun is not None:
                seen = tuple(s for node in numbers for s in _seen(scores.get(node, {})))
                stretches.append(Stretch(line["task"], at, Seen.of(0, begun), seen))
    test = Score(line["test"]["n"], line["test"]["greedy"], line["test"]["sampled"])
    steps = max(row["start_steps"] + row["steps"] for row in nodes.values())
    return Run(line["task"], line["strategy"], line["seed"], tuple(stretches), scores[0][0], test, steps)


def default_and_widths(task: str, given: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, Any], dict[str, float]]:
    space = Space.build(given, registry.get(task).space(), batch_size=32)
    return dict(space.default()), widths(space)


def _seen(scores: Mapping[int, Score]) -> Iterator[Seen]:
    before = 0
    for step, score in sorted(scores.items()):
        if step > before:
            yield Seen.of(step - before, score)
            before = step


# ---- the fit -------------------------------------------------------------------------------------------------------


@dataclass
class Filtered:
    """What is known of a policy: means and covariance of its skill x and of its configuration's luck."""

    x: float
    skill: float
    luck: float
    both: float = 0.0
    lucky: float = 0.0

    def ahead(self, dynamics: Dynamics, speed: float, steps: int, at: Distances) -> None:
        """So many steps later."""
        parts = max(1, round(2 * steps / STEPS))
        share = steps / STEPS / parts
        for _ in range(parts):
            rates = dynamics.rates(speed + self.lucky, self.x, at)
            kept, moved = 1 - min(0.9, share * rates.curve * rates.growth), share * rates.growth
            self.x += max(-2.0, min(2.0, share * rates.change))
            self.skill = (
                kept**2 * self.skill + 2 * kept * moved * self.both + moved**2 * self.luck + dynamics.wander * share
            )
            self.both = kept * self.both + moved * self.luck

    def told(self, seen: Seen) -> tuple[float, float]:
        """A score comes in: the error of what was told of it, and that error's variance."""
        whole, error = self.skill + seen.variance, seen.x - self.x
        skill, luck = self.skill / whole, self.both / whole
        self.x, self.lucky = self.x + skill * error, self.lucky + luck * error
        self.luck -= luck * self.both
        self.skill, self.both = self.skill * (1 - skill), self.both * (1 - skill)
        return error, whole


def unlikelihood(dynamics: Dynamics, speeds: Mapping[str, float], stretches: Iterable[Stretch]) -> float:
    """The negative logarithm of how likely the scores of the stretches are."""
    total = 0.0
    for each in stretches:
        known = Filtered(each.begun.x, each.begun.variance, dynamics.luck)
        for seen in each.scores:
            known.ahead(dynamics, speeds[each.task], seen.after, each.at)
            error, whole = known.told(seen)
            total += 0.5 * (math.log(whole) + error * error / whole)
    return total


def fit(
    runs: Sequence[Run], start: Vector | None = None, iterations: int = ITERATIONS
) -> tuple[Dynamics, dict[str, float], Vector]:
    """Dynamics, a speed for each task, and both as they were searched for."""
    tasks = sorted({run.task for run in runs})
    stretches = [each for run in runs for each in run.stretches]
    middle = np.array([*asdict(PRIOR).values(), *([0.0] * len(tasks))])
    spread = np.array([*asdict(SPREAD).values(), *([SPEED_SPREAD] * len(tasks))])

    def cost(vector: Vector) -> float:
        return unlikelihood(*_named(vector, tasks), stretches) + 0.5 * float(np.sum(((vector - middle) / spread) ** 2))

    begin = middle if start is None else np.concatenate([start[: len(NAMES)], middle[len(NAMES) :]])
    found = minimize(cost, begin, method="L-BFGS-B", options={"maxiter": iterations}).x
    return *_named(found, tasks), found


def _named(vector: Vector, tasks: Sequence[str]) -> tuple[Dynamics, dict[str, float]]:
    shared = dict(zip(NAMES, map(float, vector), strict=False))
    shared |= {name: abs(shared[name]) for name in ("rate_squared", "temperature_squared")}
    shared |= {name: math.exp(shared[name]) for name in ("wander", "luck")}
    return Dynamics(**shared), dict(zip(tasks, map(float, vector[len(NAMES) :]), strict=True))

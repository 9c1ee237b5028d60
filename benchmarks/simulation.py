"""Fits how policies learn to recorded searches, and measures how well that tells runs that were not fitted.

    python -m benchmarks.simulation          some minutes; writes engine/simulation/fitted.json and docs/simulation.md

Fitted is `engine.simulation.dynamics.Dynamics` with a speed for each task, to the validation scores of
benchmarks/evidence/earlier.jsonl: each stretch with one configuration begins at the score that its parent had, and its
own scores follow, each with its binomial error (an extended Kalman filter; the largest likelihood under wide normal
priors). Held out are, in turn, half of the runs, every task, and the bank of decisions, of which nothing is fitted.
Nothing is trained.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import accumulate, groupby
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import ndtr

from engine.analysis.forecast import branches
from engine.compare.records import load
from engine.decisions import bank
from engine.domain.parameters import Configuration
from engine.domain.score import Score, wilson
from engine.domain.space import Space
from engine.run import preflight
from engine.run.config import RunConfig
from engine.simulation.dynamics import FILE, STEPS, Distances, Dynamics, accuracy_of, distances, fitted, widths
from engine.simulation.expected_gain import Spread, expected_gain
from tasks import registry

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "benchmarks" / "evidence" / "earlier.jsonl"
"""Recorded searches from the general default, of earlier versions of the search: some have left the tables since."""
PAGE = ROOT / "docs" / "simulation.md"
ANSWERS = 1.3
"""Independent answers that a prompt, answered greedily and once sampled, is worth; as in the recorded scores."""
PRIOR = Dynamics(0.8, 0, 0.2, 0, 2, 0.1, 0.2, -0.1, 0.1, 0.3, -2, 0.5, 0, -3.2, -3)
"""Where the fit begins and what it is drawn to, `wander` and `luck` as their logarithms."""
SPREAD = Dynamics(1, 1, 0.5, 0.5, 2, 0.5, 0.5, 0.5, 1, 1, 2, 1, 1, 2, 2)
NAMES = [each.name for each in fields(Dynamics)]
SPEED_SPREAD = 2.0
ITERATIONS = 40
Z_90 = 1.6448536269514722
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
    default, width = _default(line["task"], line["settings"]["space"])
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


def _default(task: str, given: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, Any], dict[str, float]]:
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


# ---- held out ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Told:
    """A score that was told from the one `steps` before it, without any between: whether its 90% interval held it, that
    interval's width and the mean's error, both as accuracies."""

    steps: int
    held: bool
    width: float
    error: float


def told(dynamics: Dynamics, speed: float, begun: Seen, at: Distances, steps: int, seen: Seen) -> Told:
    """One score, from the beginning of a stretch."""
    known = Filtered(begun.x, begun.variance, dynamics.luck)
    known.ahead(dynamics, speed, steps, at)
    half = Z_90 * math.sqrt(known.skill + seen.variance)
    low, high = accuracy_of(known.x - half), accuracy_of(known.x + half)
    error = abs(accuracy_of(known.x) - accuracy_of(seen.x))
    return Told(steps, known.x - half <= seen.x <= known.x + half, high - low, error)


def along(run: Run, dynamics: Dynamics, speed: float) -> Iterator[Told]:
    """Every score of a run, each from where its stretch began."""
    for each in run.stretches:
        for steps, seen in zip(accumulate(s.after for s in each.scores), each.scores, strict=True):
            yield told(dynamics, speed, each.begun, each.at, steps, seen)


def of_bank(dynamics: Dynamics, speeds: Mapping[str, float], reference: Mapping[str, Configuration]) -> Iterator[Told]:
    """The bank's scores after 50 and 100 steps, from where the transitions branched."""
    for point in bank.load():
        evidence, default = point.evidence, reference[point.task]
        for each in point.measured:
            parent = evidence.tree[each.transition.parent]
            at = distances(
                evidence.space.apply(parent.configuration, each.transition.changes), default, widths(evidence.space)
            )
            begun = next((c.score for c in parent.checkpoints if c.step == each.transition.step), None)
            if begun is None:
                continue
            for scores in each.scores.values():
                for steps, score in scores.items():
                    yield told(dynamics, speeds[point.task], Seen.of(0, begun), at, steps, Seen.of(steps, score))


@dataclass(frozen=True)
class Stranger:
    """A run of a task that was not fitted: where the other tasks' speeds put a constant default after as many steps."""

    name: str
    low: float
    high: float
    test: float


def strangers(runs: Sequence[Run], start: Vector) -> list[Stranger]:
    """The constant runs of each task, told by the fit to the others."""
    found = []
    for task in sorted({run.task for run in runs}):
        dynamics, speeds, _ = fit([run for run in runs if run.task != task], start, ITERATIONS // 2)
        for run in runs:
            if run.task == task and run.strategy.startswith("fixed"):
                begun = Seen.of(0, run.base)
                ends = [Filtered(begun.x, begun.variance, dynamics.luck) for _ in speeds]
                for end, speed in zip(ends, speeds.values(), strict=True):
                    end.ahead(dynamics, speed, run.steps, Distances())
                low, high = (_quantile(ends, share) for share in (0.05, 0.95))
                found.append(Stranger(f"{task}, {run.strategy}", low, high, run.test.value))
    return found


def _quantile(ends: Sequence[Filtered], share: float) -> float:
    """Accuracy below which that share of a mixture of normal skills lies."""
    places = np.linspace(-7, 7, 1401)
    below = np.mean([ndtr((places - end.x) / math.sqrt(end.skill)) for end in ends], axis=0)
    return accuracy_of(float(np.interp(share, below, places)))


def gained(runs: Sequence[Run]) -> tuple[Spread, list[str]]:
    """What our search gained over the constant default: simulated for the recorded budget, and each recorded pair."""
    data = {
        "name": "gain", "task": {"name": "ladder"}, "budget": {"steps": 1200}, "advisor": {"kind": "rules"},
        "space": _given("ladder"),
    }  # fmt: skip
    config = preflight.resolve(RunConfig.model_validate(data))
    simulated = expected_gain(config, 1200, fmean(run.base.value for run in runs)).gain
    assert simulated is not None
    constant = {(run.task, run.seed): run.test.value for run in runs if run.strategy == "fixed"}
    pairs = [(run, constant.get((run.task, run.seed))) for run in runs if run.strategy == "ours"]
    return simulated, [f"{run.task} {run.test.value - test:+.3f}" for run, test in pairs if test is not None]


# ---- the page ------------------------------------------------------------------------------------------------------


def page(runs: Sequence[Run]) -> str:
    """Fit, write the numbers, hold them against what was not fitted; the page."""
    dynamics, speeds, start = fit(runs)
    stretches = [each for run in runs for each in run.stretches]
    scores = sum(len(each.scores) for each in stretches)
    nearest, furthest = ([end(column) for column in zip(*(s.at for s in stretches), strict=True)] for end in (min, max))
    numbers = {
        "dynamics": _rounded(asdict(dynamics)), "speeds": _rounded(speeds),
        "nearest": [round(each, 4) for each in nearest], "furthest": [round(each, 4) for each in furthest],
        "runs": len(runs), "scores": scores,
    }  # fmt: skip
    FILE.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    halves = [runs[half::2] for half in (0, 1)]
    held_out = []
    for fit_to, tell in (halves, halves[::-1]):
        other, their_speeds, _ = fit(fit_to, start, ITERATIONS // 2)
        held_out += [
            each for run in tell if run.task in their_speeds for each in along(run, other, their_speeds[run.task])
        ]
    reference = {task: _default(task, _given(task))[0] for task in speeds}
    rows = [
        *(_row(f"the other half of the runs, {name}", [t for t in held_out if low < t.steps <= high])
          for name, low, high in (("up to 50 steps on", 0, 50), ("51 to 200", 50, 200), ("more", 200, 10**6))),
        *(_row(f"the bank, {steps} steps on", [t for t in of_bank(dynamics, speeds, reference) if t.steps == steps])
          for steps in bank.HORIZONS),
    ]  # fmt: skip
    others = strangers(runs, start)
    fitted.cache_clear()
    simulated, measured = gained(runs)
    return PAGE_TEXT.format(
        runs=len(runs), scores=scores, tasks=", ".join(speeds), rows="\n".join(rows),
        numbers="\n".join(
            f"| {name} | {value:.3f} |"
            for name, value in {**asdict(dynamics), **{f"speed of {task}": a for task, a in speeds.items()}}.items()
        ),
        others="\n".join(f"| {each.name} | {each.low:.2f}–{each.high:.2f} | {each.test:.3f} |" for each in others),
        simulated=f"{simulated.middle:+.3f}, 90% of them from {simulated.low:+.3f} to {simulated.high:+.3f}",
        measured=", ".join(measured),
        right=sum(each.low <= each.test <= each.high for each in others), strangers=len(others),
    )  # fmt: skip


def _given(task: str) -> Mapping[str, Mapping[str, Any]]:
    """The space of the recorded runs of a task."""
    found: Mapping[str, Mapping[str, Any]] = next(x["settings"]["space"] for x in load(SOURCE) if x["task"] == task)
    return found


def _rounded(numbers: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in numbers.items()}


def _row(name: str, found: Sequence[Told]) -> str:
    right = sum(each.held for each in found)
    low, high = wilson(right, len(found))
    return (
        f"| {name} | {len(found)} | {right / len(found):.2f} [{low:.2f}, {high:.2f}] "
        f"| {fmean(t.width for t in found):.2f} | {fmean(t.error for t in found):.3f} |"
    )


PAGE_TEXT = """# Simulated searches, and how far they can be believed

Written by `python -m benchmarks.simulation` from {runs} recorded searches on tiny models
(benchmarks/evidence/earlier.jsonl: {scores:,} validation scores; {tasks}).

`llmzero plan` simulates the search of a run file in worlds that learn as these runs did. The numbers are no promise for
another model: they say what the strategy's decisions are worth against its default configuration trained on, where
policies learn as tiny ones did.

## The model

The skill x is the logit of a policy's accuracy. Over 50 GRPO steps it changes by exp(a + f − c·x) − exp(q + g), and by
chance with the variance `wander`. a is the speed of the task and, with the variance `luck`, of the configuration, for
all that its distances do not say. f is linear in the distances of the hyperparameters from their defaults, less squares
of the learning rate's and the temperature's; g is linear in those two; difficulty changes c as well. Distances are
logarithms of ratios (of beta with 0.005 added), a difference of temperatures, and a share of the range of difficulty.
Odds then grow as a power of the steps until growth and forgetting are equal; a higher learning rate learns faster and
forgets more, so that lowering it late pays.

Fitted by the largest likelihood (an extended Kalman filter along each stretch with one configuration, wide normal
priors):

| number | value |
|---|---|
{numbers}

## What it tells of runs that were not fitted

| told from where a configuration began | scores | in the 90% interval [95%] | mean width | mean error |
|---|---|---|---|---|
{rows}

A task that was not fitted, from its base alone: the speeds of the other tasks, the default configuration for as many
steps.

| run | told, 5–95% | test score |
|---|---|---|
{others}

{right} of {strangers} lie within; a test score is that of a selected policy, which is above the mean of its branch.

What our search gained over the constant default with 1200 steps, in recorded runs of one task and seed:
{measured}.
Simulated, with worlds of all tasks: {simulated}.
These runs are among those that were fitted.

Most points of the bank were made ill on purpose, and illness is what this model does not know: completions that a limit
cuts off, collapses by far too high a rate, and whatever none of these distances stands for are not simulated.
Hyperparameters further from their defaults than any that was recorded count as the furthest recorded.
"""


def main() -> None:
    """Fit, measure, write."""
    text = page(recorded())
    PAGE.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()

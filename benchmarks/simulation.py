"""Fits how policies learn to recorded searches, and measures how well that tells runs that were not fitted.

    python -m benchmarks.simulation          some minutes; writes engine/simulation/fitted.json and docs/simulation.md

The fit is that of benchmarks.simulation_fit. Held out are, in turn, half of the runs, every task, and the bank of
decisions, of which nothing is fitted. Nothing is trained.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from scipy.special import ndtr

from benchmarks.simulation_fit import ITERATIONS, SOURCE, Filtered, Run, Seen, Vector, default_and_widths, fit, recorded
from engine.compare.records import load
from engine.decisions import bank
from engine.domain.parameters import Configuration
from engine.domain.score import wilson
from engine.run import preflight
from engine.run.config import RunConfig
from engine.simulation.dynamics import FILE, Distances, Dynamics, accuracy_of, distances, fitted, widths
from engine.simulation.expected_gain import Spread, expected_gain

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "simulation.md"
Z_90 = 1.6448536269514722


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
    reference = {task: default_and_widths(task, _given(task))[0] for task in speeds}
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
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    text = page(recorded())
    PAGE.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()

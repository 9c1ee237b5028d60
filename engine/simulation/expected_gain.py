"""What a search is worth in simulation: `python -m engine.simulation.expected_gain RUN.toml STEPS BASE` prints JSON.

Asked by `llmzero plan`, in a process of its own. The run file's strategy and its default configuration, trained on for
as many steps, each search worlds that learn as recorded runs of tiny models did; the run's own model is not looked at,
but for the accuracy that its base has.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, quantiles

from engine.domain.space import Space
from engine.run import config as run_file
from engine.run.config import RunConfig
from engine.search.registry import make
from engine.simulation.dynamics import FittedWorld, fitted
from engine.simulation.search import Simulation
from tasks import registry

WORLDS = 40
LEAST_WORLDS = 12
SEGMENTS_OF_ALL, STEPS_OF_ALL = 1200, 48_000
"""Segments and GRPO steps that one side trains in all its worlds: a second or two."""
MOST_SEGMENTS, MOST_STEPS = 100, 10_000
CONSTANT = "fixed"
"""The strategy that trains the default configuration on."""
UNSIMULATED = {
    "skill": "an agent without a tree, whose decisions are its model's",
    "replay": "no search: it trains a recorded schedule",
    CONSTANT: "the default configuration trained on, what others are held against",
}


@dataclass(frozen=True, slots=True)
class Spread:
    """Median of some worlds, and the range that leaves out a twentieth of them at each end."""

    middle: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        ends = quantiles(values, n=20, method="inclusive")
        return cls(round(median(values), 4), round(ends[0], 4), round(ends[-1], 4))


@dataclass(frozen=True, slots=True)
class ExpectedGain:
    """True accuracies at the end, in worlds fitted to `runs` recorded searches of `tasks` with `scores` scores; `none`
    says why nothing was simulated."""

    none: str = ""
    worlds: int = 0
    steps: int = 0
    workers: int = 0
    strategy: Spread | None = None
    constant: Spread | None = None
    gain: Spread | None = None
    runs: int = 0
    scores: int = 0
    tasks: tuple[str, ...] = ()


def expected_gain(config: RunConfig, steps: int, base: float) -> ExpectedGain:
    """Simulate.

    Args:
        steps: GRPO steps that the budget buys. base: accuracy of the base model.
    """
    segments = -(-steps // config.search.segment_steps)
    if why := _unsimulated(config.search.strategy, steps, segments):
        return ExpectedGain(none=why)
    fit, space = fitted(), config.build_space(registry.get(config.task.name).space())
    count = max(LEAST_WORLDS, min(WORLDS, STEPS_OF_ALL // steps, SEGMENTS_OF_ALL // segments))
    tasks = sorted(fit.speeds)
    ours, constant = list[float](), list[float]()
    for number in range(count):
        task = tasks[number % len(tasks)]
        for ends, strategy in ((ours, config.search.strategy), (constant, CONSTANT)):
            ends.append(_end(config, space, strategy, task, number, steps, base))
    return ExpectedGain(
        worlds=count, steps=steps, workers=config.executor.workers, strategy=Spread.of(ours),
        constant=Spread.of(constant), gain=Spread.of([a - b for a, b in zip(ours, constant, strict=True)]),
        runs=fit.runs, scores=fit.scores, tasks=tuple(tasks),
    )  # fmt: skip


def _unsimulated(strategy: str, steps: int, segments: int) -> str:
    """Why a search cannot be simulated, or ""."""
    if strategy in UNSIMULATED:
        return f"{strategy} is {UNSIMULATED[strategy]}"
    if steps < 1:
        return "the budget buys no steps"
    if segments > MOST_SEGMENTS:
        return f"{segments:,} segments are more than {MOST_SEGMENTS}"
    return f"{steps:,} steps are more than {MOST_STEPS:,}" if steps > MOST_STEPS else ""


def _end(config: RunConfig, space: Space, strategy: str, task: str, number: int, steps: int, base: float) -> float:
    """True accuracy of the policy that a search would report."""
    world = FittedWorld(fitted(), task, number, config.evaluation.validation_prompts, space, base)
    own = config.search.settings if strategy == config.search.strategy else {}
    searcher = make(
        strategy, seed=number, segment_steps=config.search.segment_steps, roots=config.search.roots, space=space, **own
    )
    return Simulation(
        searcher, world, space, steps, config.executor.workers, config.search.segment_steps, number,
        first_look=config.evaluation.first_look,
    ).run().truth()  # fmt: skip


def main() -> int:
    """Print the answer; whatever a task's file prints goes to stderr."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    file, steps, base = sys.argv[1:]
    with out:
        json.dump(asdict(expected_gain(run_file.load(Path(file)), int(steps), float(base))), out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

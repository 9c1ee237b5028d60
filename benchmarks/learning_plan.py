"""The runs of `benchmarks.learning`: which tasks, configurations, seeds and budgets. Pure values; nothing runs here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

N = 1024
SEEDS = (0, 1, 2)
GROUPS = ("base", "constant", "ladder", "sensitivity")
STEPS: Mapping[str, int] = {"dedup": 150, "knights": 150, "countdown": 150, "chain": 200, "ladder": 200}
LADDER_SECONDS = 50.0


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a run: what differs from the task's suggestion, until `share` of the run's seconds is used."""

    changes: Mapping[str, float | int] = field(default_factory=dict)
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Run:
    """One training and its measurement. `name` is the arm: runs that differ in the seed only share it.

    Attributes:
        steps: GRPO steps; 0 when `seconds` ends the run. seconds: CPU seconds of training, evaluation apart.
    """

    group: str
    task: str
    name: str
    seed: int
    stages: tuple[Stage, ...]
    steps: int = 0
    seconds: float = 0.0
    n: int = N

    @property
    def label(self) -> str:
        return f"{self.group} {self.task} {self.name} seed {self.seed}"


def _at(d: int, cap: int, rate: float) -> dict[str, float | int]:
    return {"difficulty": d, "max_completion_length": cap, "learning_rate": rate}


LADDER: Mapping[str, tuple[Stage, ...]] = {
    "staged: d 6, length 24, lr 1e-4 · d 9, 31, 5e-5 · d 12, 40, 3e-5": (
        Stage(_at(6, 24, 1e-4), 0.48),
        Stage(_at(9, 31, 5e-5), 0.70),
        Stage(_at(12, 40, 3e-5), 1.0),
    ),
    "constant: d 6, length 24, lr 5e-5": (Stage(_at(6, 24, 5e-5)),),
    "constant: d 9, length 31, lr 5e-5": (Stage(_at(9, 31, 5e-5)),),
    "constant: d 6, length 24, lr 1e-4": (Stage(_at(6, 24, 1e-4)),),
    "constant: d 12, length 40, lr 5e-5": (Stage(_at(12, 40, 5e-5)),),
}

SENSITIVITY: tuple[tuple[str, str, Mapping[str, float | int]], ...] = (
    ("learning_rate", "knights", {"learning_rate": 1e-4}),
    ("learning_rate", "knights", {"learning_rate": 1e-5}),
    ("learning_rate", "knights", {"learning_rate": 5e-4}),
    ("beta", "chain", {"learning_rate": 1e-4, "beta": 0.0}),
    ("beta", "chain", {"learning_rate": 1e-4, "beta": 0.04}),
    ("max_completion_length", "knights", {"max_completion_length": 24}),
    ("max_completion_length", "knights", {"max_completion_length": 64}),
    ("max_completion_length", "chain", {"max_completion_length": 24}),
    ("max_completion_length", "chain", {"max_completion_length": 44}),
    ("max_completion_length", "countdown", {"max_completion_length": 24}),
    ("max_completion_length", "countdown", {"max_completion_length": 72}),
)


def plan() -> list[Run]:
    """Every run, the most wanted first: whatever the interruption, the seeds done are the same for all arms."""
    runs = [Run("base", task, "base", 0, ()) for task in STEPS]
    for seed in SEEDS:
        runs += [Run("constant", task, "suggested", seed, (Stage(),), steps) for task, steps in STEPS.items()]
    for seed in SEEDS:
        runs += [Run("ladder", "ladder", name, seed, stages, 0, LADDER_SECONDS) for name, stages in LADDER.items()]
        for parameter, task, changes in SENSITIVITY:
            name = f"{parameter}: " + ", ".join(f"{key} {value:g}" for key, value in changes.items())
            runs.append(Run("sensitivity", task, name, seed, (Stage(changes),), STEPS[task]))
    return runs

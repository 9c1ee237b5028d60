"""The settings of every search strategy as pydantic models, a docstring under each field.

The run file holds its `search.settings` against them, so that a wrong value is one line before anything runs; the
strategies take them as they are. Says also which package a strategy needs. Knows no room of the engine.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from engine.errors import UserError
from engine.run.section import RunFileSection


class StrategySettings(RunFileSection):
    """Base of every strategy's settings."""


class NoSettings(StrategySettings):
    """A strategy without settings."""


class LLMZeroSettings(StrategySettings):
    """llmzero, and its nulls keep-only and random-changes. Starting values with a reason (docs/search.md), not laws."""

    race_segments: int = Field(default=4, ge=1, le=1000)
    """Segments after which one root run continues at the latest; fewer when the budget is under six times as many."""
    drop_errors: float = Field(default=2.0, ge=0, le=100)
    """Standard errors by which a root run must trail (the best one, or the base after one segment) to be dropped."""
    trial_segments: int = Field(default=2, ge=1, le=1000)
    """Segments that a change is measured over before the search may continue from it."""
    earn_errors: float = Field(default=2.0, ge=0, le=100)
    """Standard errors by which a change must lead what continued unchanged, before the search follows it."""
    children: int = Field(default=4, ge=1, le=1000)
    """Segments that may begin from one node."""
    exploration: float = Field(default=1.0, ge=0, le=1000)
    """C of the confidence bound, multiplied by the share of the budget that is left."""
    explore_share: float = Field(default=0.0, ge=0, le=1)
    """Share of the steps after the race that may be spent beside the main branch while it improves."""
    stalled_share: float = Field(default=0.5, ge=0, le=1)
    """The same while the main branch stalls; the two then take turns."""
    stall_segments: int = Field(default=4, ge=1, le=1000)
    """The main branch stalls when its last so many segments do not lead the so many before."""
    stall_errors: float = Field(default=1.0, ge=0, le=100)
    """Standard errors that such a lead must have."""
    anneal_share: float = Field(default=1 / 6, ge=0, le=0.5)
    """Share of the budget kept for the annealed end, at least half a segment, at most four."""
    curriculum_rate: float = Field(default=0.25, ge=0, le=1)
    """Where training continues, largest move of the task's difficulty after one segment, as a share of its range;
    0: it moves in changes only."""
    curriculum_target: float = Field(default=0.5, ge=0, le=1)
    """Mean training reward that the difficulty is steered to."""
    anneal_from: int = Field(default=6, ge=1, le=100_000)
    """Smallest budget, in segments, that has an annealed end."""


class RootRunSettings(StrategySettings):
    """random, grid."""

    segments: int = Field(default=4, ge=0, le=10_000)
    """Segments that each configuration is trained for; 0 trains the first one to the end of the budget."""


class ContinueSettings(StrategySettings):
    """continue: a race of constants; the winner continues and is annealed late."""

    constants: int = Field(default=4, ge=1, le=64)
    """Configurations that race; fewer when the budget is under two segments for each."""
    race_share: float = Field(default=2 / 3, gt=0, lt=1)
    """Share of the budget that the race takes, in equal parts."""
    anneal_share: float = Field(default=1 / 12, ge=0, le=0.5)
    """Share of the budget at the end that is trained with a lower learning rate."""
    anneal_factor: float = Field(default=0.3, gt=0, le=1)
    """Factor on the learning rate for the annealed end."""


class TopKSettings(StrategySettings):
    """topk: one segment each; the best k continue in turn."""

    k: int = Field(default=3, ge=1, le=64)
    """Configurations that continue."""
    first_share: float = Field(default=0.5, gt=0, lt=1)
    """Share of the budget that first segments take, one for each configuration."""


class TPESettings(StrategySettings):
    """tpe: Optuna's TPE over constant configurations."""

    segments: int = Field(default=2, ge=1, le=10_000)
    """Segments that each configuration is trained for."""
    startup: int = Field(default=4, ge=1, le=1000)
    """Configurations at the beginning, the default among them, that are drawn at random."""


class CMAESSettings(StrategySettings):
    """cmaes: CMA-ES over constant configurations."""

    segments: int = Field(default=2, ge=1, le=10_000)
    """Segments that each configuration is trained for."""
    population: int = Field(default=4, ge=2, le=100)
    """Configurations of a generation."""
    sigma: float = Field(default=0.25, gt=0, le=1)
    """Spread of the first generation, as a share of each parameter's range on its scale."""


class ASHASettings(StrategySettings):
    """asha: asynchronous successive halving."""

    eta: int = Field(default=3, ge=2, le=10)
    """The best 1/eta of a rung continue, to eta times as many segments."""


class HyperbandSettings(StrategySettings):
    """hyperband: brackets of successive halving."""

    eta: int = Field(default=2, ge=2, le=10)
    """The best 1/eta of a rung continue, to eta times as many segments."""
    most_segments: int = Field(default=4, ge=1, le=1000)
    """Segments of one configuration at most."""


class PBTSettings(StrategySettings):
    """pbt: population based training."""

    population: int = Field(default=4, ge=2, le=64)
    """Members trained side by side."""
    quantile: float = Field(default=0.25, gt=0, le=0.5)
    """Share of the population that is replaced after each segment, and share it is replaced from; at least one."""
    factor: float = Field(default=1.25, gt=1, le=10)
    """A perturbed value is this factor higher or lower; on a linear scale, by the same share of its range."""
    resample: float = Field(default=0.25, ge=0, le=1)
    """Probability that a value is drawn anew instead."""


class AdaRFTSettings(StrategySettings):
    """adarft: difficulty steered to a training reward."""

    target: float = Field(default=0.5, ge=0, le=1)
    """Mean training reward that is wanted: near one half a group's advantages say most."""
    rate: float = Field(default=0.25, gt=0, le=1)
    """Largest change of the difficulty after one segment, as a share of its range."""
    sensitivity: float = Field(default=2.0, gt=0, le=100)
    """How quickly the change grows with the distance from the target, inside tanh."""


class ScheduleStage(StrategySettings):
    """One stage of a schedule: so many GRPO steps under one configuration."""

    steps: int = Field(ge=1, le=10_000_000)
    """GRPO steps."""
    configuration: dict[str, bool | int | float | str] = Field(default_factory=dict)
    """Hyperparameters; those not named stay as in the stage before, at first at the default."""
    optimizer: Literal["keep", "reset"] = "keep"
    """Whether Adam's state of the stage before is kept."""
    reference: Literal["keep", "base", "branch point"] = "keep"
    """Which policy the KL penalty is measured against: that of the stage before, the base or where this one begins."""
    rationale: str = ""
    """Why, as the search wrote it."""


class ReplaySettings(StrategySettings):
    """replay: a recorded schedule, trained again. `llmzero replay` writes these from a strategy file."""

    stages: tuple[ScheduleStage, ...] = Field(min_length=1, max_length=10_000)
    """The stages in order, as [[search.settings.stages]]."""


SETTINGS: Mapping[str, type[StrategySettings]] = {
    "llmzero": LLMZeroSettings,
    "keep-only": LLMZeroSettings,
    "random-changes": LLMZeroSettings,
    "fixed": NoSettings,
    "skill": NoSettings,
    "random": RootRunSettings,
    "grid": RootRunSettings,
    "continue": ContinueSettings,
    "topk": TopKSettings,
    "tpe": TPESettings,
    "cmaes": CMAESSettings,
    "asha": ASHASettings,
    "hyperband": HyperbandSettings,
    "pbt": PBTSettings,
    "adarft": AdaRFTSettings,
    "replay": ReplaySettings,
}
"""By the strategy's name in the run file."""

ONE_BRANCH = ("fixed", "adarft", "skill", "replay")
"""Strategies with one branch. The comparator stops nothing of theirs: all that could follow is another beginning."""

PACKAGES = {"tpe": "optuna", "cmaes": "cmaes"}
"""What a strategy needs beside what is always installed."""


def check_packages(strategy: str) -> None:
    """Raises UserError where a package that the strategy needs is not installed; imports nothing."""
    package = PACKAGES.get(strategy)
    if package is not None and importlib.util.find_spec(package) is None:
        raise UserError(f"search.strategy = {strategy!r} needs {package}: pip install 'llmzero-tui[peers]'")

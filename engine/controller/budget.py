"""What a run has spent and what it may still spend. Pure arithmetic over the limits of the run file."""

from __future__ import annotations

from dataclasses import dataclass

from engine.run.config import BudgetSection
from engine.search.base import BudgetLeft

UNLIMITED = 10**9
"""Stands for "no limit" in steps: more than any run trains."""


@dataclass(frozen=True, slots=True)
class SpentBudget:
    """Consumption so far: GRPO steps, segments begun, trainer seconds over all workers, wall seconds of work."""

    steps: int = 0
    nodes: int = 0
    trainer_seconds: float = 0.0
    wall_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class InFlightBudget:
    """What running and accepted segments will still take: GRPO steps, and segments not begun yet."""

    steps: int = 0
    nodes: int = 0


class BudgetLimits:
    """The limits of a run. Each limit that is set turns into steps; the tightest one rules."""

    def __init__(self, limits: BudgetSection, *, segment_steps: int, workers: int) -> None:
        self._limits = limits
        self._segment_steps = segment_steps
        self._workers = workers

    def fraction(self, spent: SpentBudget) -> float:
        """Share of the nearest limit that is spent, 0..1."""
        limits = self._limits
        shares = [0.0]
        if limits.steps:
            shares.append(spent.steps / limits.steps)
        if limits.nodes:
            shares.append(spent.nodes / limits.nodes)
        if limits.gpu_hours:
            shares.append(spent.trainer_seconds / (3600 * limits.gpu_hours))
        if limits.minutes:
            shares.append(spent.wall_seconds / (60 * limits.minutes))
        return min(1.0, max(shares))

    def out_of_time(self, spent: SpentBudget) -> bool:
        """Whether a limit in time is reached: then running segments are stopped, too."""
        limits = self._limits
        return bool(
            (limits.minutes and spent.wall_seconds >= 60 * limits.minutes)
            or (limits.gpu_hours and spent.trainer_seconds >= 3600 * limits.gpu_hours)
        )

    def left(self, spent: SpentBudget, in_flight: InFlightBudget, seconds_per_step: float) -> BudgetLeft:
        """What may still be started.

        Args:
            seconds_per_step: wall seconds of one worker per GRPO step, evaluation included; 0 while unknown, and then
                limits in time do not bind.
        """
        steps, segment = self._steps_left(spent, in_flight, seconds_per_step)
        return BudgetLeft(max(0, steps), self.fraction(spent), segment_steps=max(1, segment))

    def overdrawn(self, spent: SpentBudget, in_flight: InFlightBudget, seconds_per_step: float) -> bool:
        """Whether what is in flight takes more than there is; see `left`."""
        return self._steps_left(spent, in_flight, seconds_per_step)[0] < 0

    def _steps_left(self, spent: SpentBudget, in_flight: InFlightBudget, seconds_per_step: float) -> tuple[int, int]:
        """Steps of all workers together, below 0 when overdrawn, and of one segment."""
        limits = self._limits
        steps = segment = UNLIMITED
        if limits.steps:
            steps = min(steps, limits.steps - spent.steps - in_flight.steps)
        if limits.nodes:
            steps = min(steps, (limits.nodes - spent.nodes - in_flight.nodes) * self._segment_steps)
        if seconds_per_step > 0:
            if limits.gpu_hours:
                seconds = 3600 * limits.gpu_hours - spent.trainer_seconds
                steps = min(steps, int(min(UNLIMITED, seconds / seconds_per_step)) - in_flight.steps)
            if limits.minutes:
                seconds = 60 * limits.minutes - spent.wall_seconds
                segment = max(0, int(min(UNLIMITED, seconds / seconds_per_step)))
                steps = min(steps, segment * self._workers - in_flight.steps)
        return steps, segment

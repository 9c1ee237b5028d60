"""What a run has spent and may still spend: the arithmetic of its limits, then the clocks and the rows that say so.

`BudgetLimits` is pure. `BudgetTracker` is asked by the loop at every round and changed by a human's command. The limits
of now are a row of their own, so that a resume goes on with what was last said, by the human or in the run file.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from engine.controller.run_state import RunState
from engine.controller.running_segments import RunningSegments
from engine.domain.tree import NodeState
from engine.errors import UserError
from engine.run.config import BudgetSection, RunConfig
from engine.run.section import must_be
from engine.search.base import BudgetLeft

UNLIMITED = 10**9
"""Stands for "no limit" in steps: more than any run trains."""

BUDGET_ROW_SECONDS = 10.0
"""So long the last row of the budget is kept up to date in place; then it stays as it is and a new one follows."""


@dataclass(frozen=True, slots=True)
class SpentBudget:
    """Consumption so far: GRPO steps, segments begun, trainer seconds over all workers, wall seconds of work.

    `to_come`: what the segments that train have before them, in segments; they are begun, and not spent that far.
    """

    steps: int = 0
    nodes: int = 0
    trainer_seconds: float = 0.0
    wall_seconds: float = 0.0
    to_come: float = 0.0


@dataclass(frozen=True, slots=True)
class InFlightBudget:
    """What running and accepted segments will still take: GRPO steps, and segments not begun yet."""

    steps: int = 0
    nodes: int = 0


NOTHING = InFlightBudget()


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
            shares.append((spent.nodes - spent.to_come) / limits.nodes)
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
        steps, segment = self.unspent(spent, seconds_per_step, in_flight)
        return BudgetLeft(max(0, steps), self.fraction(spent), max(1, segment), self._workers)

    def overdrawn(self, spent: SpentBudget, in_flight: InFlightBudget, seconds_per_step: float) -> bool:
        """Whether what is in flight takes more than there is; see `left`."""
        return self.unspent(spent, seconds_per_step, in_flight)[0] < 0

    def unspent(
        self, spent: SpentBudget, seconds_per_step: float, in_flight: InFlightBudget = NOTHING
    ) -> tuple[int, int]:
        """Steps of all workers together, below 0 when overdrawn, and of one segment, besides what is in flight."""
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


class BudgetTracker:
    """Of one run, owned by the controller's event loop."""

    def __init__(self, config: RunConfig, run: RunState, segments: RunningSegments) -> None:
        self._config = config
        self._run = run
        self._segments = segments
        self.limits = self._limits_at_start()
        self._sums = self._arithmetic(self.limits)
        self._wall_seconds, self._waiting_seconds = self._earlier_seconds()
        self._last_tick = time.monotonic()
        self._row = 0  # seq of the row that is kept up to date; 0 for none
        self._row_since = 0.0

    # ---- the limits -----------------------------------------------------------------------------------------------

    def change(self, given: Mapping[str, float | int], author: str) -> str:
        """New limits from now on, one row and one line that says which. Raises UserError when none is left."""
        limits = merged(self.limits, given)
        if limits == self.limits:
            raise UserError(f"the budget is unchanged: {in_words(limits)}")
        before, self.limits = self.limits, limits
        self._sums = self._arithmetic(limits)
        self._run.record.limits(limits.model_dump_json())
        self.write()
        names = [name for name in given if getattr(before, name) != getattr(limits, name)]
        change = ", ".join(f"{name} {_limit(before, name)} → {_limit(limits, name)}" for name in names)
        self._run.event("info", "budget", f"{change} (by {author})", author=author)
        return f"budget {change}; {self._left_in_words()}"

    def _left_in_words(self) -> str:
        """What is spent, or how the run ends."""
        if self.out_of_time:
            return "its time is spent: the segments in flight stop after their step and the run ends"
        spent = self._sums.fraction(self.spent)
        room = spent < 1 and self.left(()).steps > 0
        return f"{spent:.0%} of it is spent" if room else "it is spent: the run ends after the segments in flight"

    def _limits_at_start(self) -> BudgetSection:
        """The limits at the start of this engine: the rows', and what was edited in the run file since it was read."""
        row = self._run.rows("SELECT config, budget FROM runs")[0]
        asked = self._config.budget
        read = json.loads(row["config"])["budget"]
        stored = BudgetSection.model_validate_json(row["budget"]) if row["budget"] else BudgetSection(**read)
        edited = {name: value for name, value in asked.model_dump().items() if value != read.get(name)}
        limits = merged(stored, edited) if edited else stored
        self._run.record.limits(limits.model_dump_json(), config=self._config.model_dump_json())
        return limits

    def _arithmetic(self, limits: BudgetSection) -> BudgetLimits:
        config = self._config
        steps, workers = config.search.segment_steps, config.executor.workers
        return BudgetLimits(limits, segment_steps=steps, workers=workers)

    # ---- the clocks -----------------------------------------------------------------------------------------------

    def tick(self, *, paused: bool, waiting: float = 0.0) -> None:
        """Time goes by; pauses are not counted. The last row says what is spent by now.

        Args:
            waiting: share of the workers that could train and wait for a human.
        """
        at = time.monotonic()
        gone, self._last_tick = at - self._last_tick, at
        if paused:
            self._row = 0  # when it goes on a new row shows how long it stood
            return
        self._wall_seconds += gone
        self._waiting_seconds += waiting * gone
        self.write()

    def write(self) -> None:
        """What is spent by now, in the last row: a step that is told is spent in the same moment."""
        spent, at = self.spent, time.monotonic()
        row = {
            "steps": spent.steps, "nodes": spent.nodes, "trainer_seconds": spent.trainer_seconds,
            "wall_seconds": spent.wall_seconds, "fraction": self._sums.fraction(spent),
            "waiting_seconds": self._waiting_seconds,
        }  # fmt: skip
        if not self._row or at - self._row_since >= BUDGET_ROW_SECONDS:
            self._row, self._row_since = 0, at
        self._row = self._run.record.spent(self._row, **row)

    @property
    def spent(self) -> SpentBudget:
        """What the run has consumed by now."""
        begun = [node for node in self._run.tree if node.transition and node.state.begun]
        return SpentBudget(
            steps=sum(node.steps for node in begun),
            nodes=len(begun),
            trainer_seconds=self._segments.trainer_seconds,
            wall_seconds=self._wall_seconds,
            to_come=sum(1 - node.steps / node.planned_steps for node in begun if node.state is NodeState.RUNNING),
        )

    @property
    def out_of_time(self) -> bool:
        """Whether a limit in time is reached: then running segments are stopped, too."""
        return self._sums.out_of_time(self.spent)

    def left(self, waiting: Sequence[int]) -> BudgetLeft:
        """What may still be started, besides the nodes that wait for a worker or at the gate."""
        return self._sums.left(self.spent, self._in_flight(waiting), self._segments.seconds_per_step)

    @property
    def unspent(self) -> int | None:
        """GRPO steps that one worker may still train, those of segments in flight among them; None without a limit that
        binds."""
        steps, segment = self._sums.unspent(self.spent, self._segments.seconds_per_step)
        return None if (least := min(steps, segment)) >= UNLIMITED else max(0, least)

    def beyond(self, waiting: Sequence[int]) -> list[int]:
        """Which of the nodes that have not begun the budget has no room for; `waiting` is oldest first."""
        spare = list(waiting)
        while spare and self._sums.overdrawn(self.spent, self._in_flight(spare), self._segments.seconds_per_step):
            spare.pop()
        return list(waiting[len(spare) :])

    def _in_flight(self, waiting: Sequence[int]) -> InFlightBudget:
        tree = self._run.tree
        running = [tree[node_id] for node_id in self._segments.running]
        return InFlightBudget(
            steps=sum(max(0, node.planned_steps - node.steps) for node in running)
            + sum(tree[node_id].planned_steps for node_id in waiting),
            nodes=len(waiting),
        )

    def _earlier_seconds(self) -> tuple[float, float]:
        """What earlier engines on this run worked, and waited of that."""
        rows: list[dict[str, Any]] = self._run.rows(
            "SELECT max(wall_seconds) AS seconds, max(waiting_seconds) AS waiting FROM budget"
        )
        return float(rows[0]["seconds"] or 0.0), float(rows[0]["waiting"] or 0.0)


def merged(limits: BudgetSection, given: Mapping[str, float | int]) -> BudgetSection:
    """The limits with some replaced. Raises UserError when none would be left, with what is allowed."""
    try:
        return BudgetSection.model_validate({**limits.model_dump(), **given})
    except ValidationError as error:
        raise UserError(f"budget: {must_be(error.errors(include_url=False)[0])}; now {in_words(limits)}") from error


def in_words(limits: BudgetSection) -> str:
    """ "steps 2000, minutes 40"; limits that are none are left out."""
    return ", ".join(f"{name} {_limit(limits, name)}" for name, value in limits.model_dump().items() if value)


def _limit(limits: BudgetSection, name: str) -> str:
    value = getattr(limits, name)
    if not value:
        return "no limit"
    return f"{value:g}" if isinstance(value, float) else str(value)

"""A comparison as it goes on: how many cells are measured, what becomes of the others, its tables and anytime curves.

Made by `feeds.evidence`, shown by `screens.evidence`. Pure values: no reader, no widget, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from llmzero_tui.values.curves import Axis, CurveTrace
from llmzero_tui.values.snapshot import RunRow

if TYPE_CHECKING:
    from engine.compare.report import TextTable
    from engine.compare.statistics import Against

AXES: dict[Axis, Against] = {Axis.CLOCK: "seconds", Axis.STEPS: "steps", Axis.TOKENS: "tokens"}
"""What compute the anytime curves stand against, by the axis of the plot."""
FAILED = frozenset({"failed", "crashed", "damaged"})
"""States of a run that ended without a measurement, and not because it was asked to."""
STALE = "stale"


@dataclass(frozen=True, slots=True)
class EvidenceView:
    """What is looked at: the table by its title ("" is the first), the task of the curves ("" is the first), and their
    axis."""

    title: str = ""
    task: str = ""
    axis: Axis = Axis.CLOCK


@dataclass(frozen=True, slots=True)
class CellRow:
    """A cell that is not measured although its run exists, or of which there is a line with other settings than the
    plan has now (state "stale", without a run). `title` is "task/strategy/seed". Foreign text."""

    title: str
    state: str
    run: RunRow | None = None


@dataclass(frozen=True, slots=True)
class StrategyCurve:
    """The best validation score so far of a strategy, a mean over `seeds` seeds."""

    strategy: str
    seeds: int
    trace: CurveTrace


@dataclass(frozen=True, slots=True)
class EvidenceSnapshot:
    """One look at a comparison.

    Attributes:
        measured, planned: cells with a line, and all. replays_measured, replays: likewise of the replays of what is
            measured by now; None where the plan wants none. stale: lines with other settings than the plan's.
        cells: what goes on, what failed, what is stale, in this order.
        seconds_left: about how long the rest takes with as many runs at a time as go on now; None when none does.
        titles: of all tables. table: the one looked at; None until it is made. runs: the runs' directories of the rows
            of the table of runs. present: names of the runs that are in the directory of runs.
        tasks: of the plan. curves: of the task looked at, in the plan's order of strategies.
    """

    taken: datetime
    name: str
    measured: int
    planned: int
    replays_measured: int
    replays: int | None
    stale: int
    cells: tuple[CellRow, ...]
    seconds_left: float | None
    titles: tuple[str, ...]
    table: TextTable | None
    runs: tuple[Path, ...]
    present: frozenset[str]
    tasks: tuple[str, ...]
    task: str
    axis: Axis
    curves: tuple[StrategyCurve, ...]

    @property
    def running(self) -> int:
        """How many cells go on now."""
        return sum(cell.run is not None and cell.run.live for cell in self.cells)

    @property
    def failed(self) -> int:
        """How many cells' runs failed; the next `llmzero compare` takes them up again."""
        return sum(cell.state in FAILED for cell in self.cells)

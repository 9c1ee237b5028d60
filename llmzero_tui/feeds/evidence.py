"""Reads how far a comparison is, its tables and its anytime curves, for the evidence screen.

Used by one worker thread at a time (the app's tick). The results are read again when their file changes, a table is
made when it is looked at, and the runs are those of the list of runs. It never touches a widget and never writes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from engine.compare.plan import ComparisonCell
from engine.compare.records import PlanProgress
from engine.compare.report import ComparisonReport, PlannedComparison, TextTable
from engine.compare.statistics import anytime
from engine.store.reader import OpenRun, open_run
from llmzero_tui.feeds.runs import RunsFeed
from llmzero_tui.values.curves import Axis, CurvePoint, CurveSelection, CurveTrace
from llmzero_tui.values.evidence import AXES, FAILED, STALE, CellRow, EvidenceSnapshot, EvidenceView, StrategyCurve
from llmzero_tui.values.snapshot import UNREAD, RunRow

POINTS = 241
"""Of a curve: about two a column of a wide terminal."""
RUNS_SECONDS = 5.0
"""Between two looks at the runs: cells take minutes, and a look costs the engine of each a tenth of a second of CPU."""
Stamp = tuple[int, int] | None


@dataclass
class EvidenceFeed:
    """Looks at a comparison whose runs live in `runs_dir`, at those every `runs_seconds`."""

    comparison: PlannedComparison
    runs_dir: Path
    clock: Callable[[], datetime]
    opener: OpenRun = open_run
    runs_seconds: float = RUNS_SECONDS
    _looked: float = 0.0
    _report: ComparisonReport | None = None
    _stamp: Stamp = None
    _tables: dict[str, TextTable] = field(default_factory=dict)
    _curves: dict[tuple[str, Axis], tuple[StrategyCurve, ...]] = field(default_factory=dict)
    _runs: Mapping[str, RunRow] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._runs_feed = RunsFeed(self.runs_dir, self.clock, self.opener)

    def read(self, view: EvidenceView, *, quick: bool = False) -> EvidenceSnapshot:
        """One look; the first has no table yet, because the tables take longest. A quick look reads no run.

        Raises:
            UserError: the results cannot be read.
        """
        first = self._report is None
        report = self._read_report()
        if first or not (quick or self._is_fresh()):
            self._runs = self._read_runs(report)
            self._looked = time.monotonic()
        started = tuple(self._started(report))
        replays = report.replayed
        titles = tuple(report.titles)
        title = view.title if view.title in titles else titles[0]
        task = view.task if view.task in report.tasks else report.tasks[0]
        return EvidenceSnapshot(
            taken=self.clock(), name=report.name, measured=len(report.standing.done), planned=len(report.cells),
            replays_measured=len(replays.done) if replays else 0,
            replays=len(replays.done) + len(replays.pending) if replays else None, stale=len(report.standing.stale),
            cells=(*started, *_stale(report.standing)), seconds_left=_seconds_left(report, started), titles=titles,
            table=None if first else self._table(report, title),
            runs=tuple(self.runs_dir / cell.run_name for cell in report.measured), present=frozenset(self._runs),
            tasks=tuple(report.tasks), task=task, axis=view.axis, curves=self._curves_of(report, task, view.axis),
        )  # fmt: skip

    def close(self) -> None:
        """Let go of all readers."""
        self._runs_feed.close()

    def _read_report(self) -> ComparisonReport:
        """What the file of results says, read again only when it changed."""
        now = _stamp(self.comparison.results)
        if self._report is None or now != self._stamp:
            self._report = self.comparison.report()
            self._stamp = now
            self._tables.clear()
            self._curves.clear()
        return self._report

    def _is_fresh(self) -> bool:
        """Whether all runs have been read, not long ago."""
        unread = any(run.state == UNREAD for run in self._runs.values())
        return not unread and time.monotonic() - self._looked < self.runs_seconds

    def _read_runs(self, report: ComparisonReport) -> dict[str, RunRow]:
        """The runs of the directory by name; those of cells that are not measured are read first."""
        pending = [self.runs_dir / cell.run_name for cell in _pending(report)]
        return {run.path.name: run for run in self._runs_feed.read(pending).runs}

    def _started(self, report: ComparisonReport) -> Iterator[CellRow]:
        """Cells that have a run and no line: first those that go on."""
        found = [(cell, self._runs[cell.run_name]) for cell in _pending(report) if cell.run_name in self._runs]
        for cell, run in sorted(found, key=lambda each: (not each[1].live, each[1].state not in FAILED)):
            yield CellRow(cell.title, run.state, run)

    def _table(self, report: ComparisonReport, title: str) -> TextTable:
        if title not in self._tables:
            self._tables[title] = report.table(title)
        return self._tables[title]

    def _curves_of(self, report: ComparisonReport, task: str, axis: Axis) -> tuple[StrategyCurve, ...]:
        if (task, axis) not in self._curves:
            self._curves[task, axis] = tuple(_drawn(report, task, axis))
        return self._curves[task, axis]


def _pending(report: ComparisonReport) -> Iterable[ComparisonCell]:
    """Cells and replays without a line."""
    return (*report.standing.pending, *(report.replayed.pending if report.replayed else ()))


def _stale(standing: PlanProgress) -> Iterator[CellRow]:
    """Each cell once, however many lines with other settings there are of it."""
    for title in dict.fromkeys(f"{line['task']}/{line['strategy']}/{line['seed']}" for line in standing.stale):
        yield CellRow(title, STALE)


def _seconds_left(report: ComparisonReport, started: Iterable[CellRow]) -> float | None:
    """As the command estimates it: for the cells, and once these are measured for their replays. How many runs another
    process has at a time is told by those that go on."""
    running = [(each.run.spent, each.run.wall_seconds) for each in started if each.run is not None and each.run.live]
    if not running:
        return None
    failed = sum(each.state in FAILED for each in started)
    standing = report.standing if report.standing.pending or report.replayed is None else report.replayed
    return standing.seconds_left(running, failed, len(running))


def _drawn(report: ComparisonReport, task: str, axis: Axis) -> Iterator[StrategyCurve]:
    """The anytime curve of every strategy that is measured on a task."""
    for strategy in report.strategies:
        lines = report.lines.get((task, strategy), {})
        points = tuple(CurvePoint(x, y, y, y, 1, 0) for x, y in anytime(lines, AXES[axis], POINTS))
        if points:
            trace = CurveTrace(task, 1.0, 0, points, selection=CurveSelection(axis), extent=points[-1].x)
            yield StrategyCurve(strategy, len(lines), trace)


def _stamp(path: Path) -> Stamp:
    """What changes when the file does: time and size; None while it cannot be seen."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size

"""A comparison as tables: test scores, differences, compute; as a Markdown page and as CSV.

Every number stands with its n and its interval; what is missing is named. Called by `llmzero compare`, and by its
screen, which asks for one table at a time.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

from engine.compare import records
from engine.compare import statistics as stats
from engine.compare.plan import AWAY, ComparisonCell, ComparisonPlan
from engine.compare.records import Line, PlanProgress, cell_key
from engine.compare.replayed import SUFFIX, replay_cells
from engine.words import counted

Row = tuple[str, ...]
RUNS = "Runs"
"""Title of the table with a row for each of `ComparisonReport.measured`."""


@dataclass(frozen=True)
class TextTable:
    """A title, a line of explanation, a header and rows of text."""

    title: str
    note: str
    header: Row
    rows: tuple[Row, ...]


Body = tuple[str, Row, tuple[Row, ...]]
"""A table without its title: note, header, rows."""


@dataclass(frozen=True)
class ComparisonReport:
    """A plan's cells with what was measured of them.

    Attributes:
        references: strategy → the strategies it is held against.
        replayed: what was measured of the replays of these cells; None where the plan wants none.
    """

    name: str
    command: str
    cells: Sequence[ComparisonCell]
    standing: PlanProgress
    references: Mapping[str, Sequence[str]] = field(default_factory=dict)
    replayed: PlanProgress | None = None

    @cached_property
    def pairs(self) -> list[tuple[str, str]]:
        """Which strategy is held against which: the reference, then the other."""
        here = self.strategies
        return [(reference, s) for s in here for reference in self._held_against(s) if reference in here]

    @property
    def lacking(self) -> list[str]:
        """Strategies that others are to be held against, and that have no cell here."""
        wanted = {reference for s in self.strategies for reference in self._held_against(s)}
        return sorted(wanted.difference(self.strategies))

    def _held_against(self, strategy: str) -> list[str]:
        return [each for each in self.references.get(strategy, ()) if each != strategy]

    @cached_property
    def tasks(self) -> list[str]:
        return list(dict.fromkeys(cell.task for cell in self.cells))

    @cached_property
    def strategies(self) -> list[str]:
        return list(dict.fromkeys(cell.strategy for cell in self.cells))

    @cached_property
    def lines(self) -> stats.Lines:
        return stats.group(list(self.standing.done.values()))

    @cached_property
    def measured(self) -> list[ComparisonCell]:
        """The cells that have a line, in the plan's order."""
        return [cell for cell in self.cells if cell.key in self.standing.done]

    @property
    def titles(self) -> list[str]:
        """The titles of all tables, the most important first."""
        return list(self._makers)

    def table(self, title: str) -> TextTable:
        """One of `titles`; it takes up to seconds where there is much to resample."""
        return TextTable(title, *self._makers[title]())

    def tables(self) -> list[TextTable]:
        """All tables, the most important first."""
        return [self.table(title) for title in self.titles]

    @property
    def _makers(self) -> dict[str, Callable[[], Body]]:
        makers = {
            "Test scores": self._scores, "The schedule again on unseen seeds": self._replays,
            "Paired differences": self._differences, "Probability of improvement": self._improvements,
            "Compute": self._compute, RUNS: self._runs,
        }  # fmt: skip
        if self.replayed is None:
            del makers["The schedule again on unseen seeds"]
        return makers

    # ---- the tables -----------------------------------------------------------------------------------------------

    def _scores(self) -> Body:
        rows = []
        for strategy in self.strategies:
            row = [strategy]
            for task in self.tasks:
                values = list(stats.scores_by_seed(self.lines.get((task, strategy), {})).values())
                row.append(_mean(values))
            rows.append(tuple(row))
        note = (
            "Mean test score over seeds [95% t interval over seeds], and how many seeds are measured of those planned."
        )
        planned = {
            task: max(len([c for c in self.cells if (c.task, c.strategy) == (task, s)]) for s in self.strategies)
            for task in self.tasks
        }
        header = ("strategy", *(f"{task} (up to {counted(planned[task], 'seed')})" for task in self.tasks))
        return note, header, tuple(rows)

    def _replays(self) -> Body:
        lines = stats.group(list(self.replayed.done.values()) if self.replayed else [])
        rows = []
        for strategy in self.strategies:
            for task in self.tasks:
                again = stats.scores_by_seed(lines.get((task, strategy + SUFFIX), {}))
                if not again:
                    continue
                by_schedule: dict[int, list[float]] = {}
                for seed, value in again.items():
                    by_schedule.setdefault(seed % AWAY, []).append(value)
                scores = stats.scores_by_seed(self.lines.get((task, strategy), {}))
                searched = [value for seed, value in scores.items() if seed in by_schedule]
                rows.append((strategy, task, _mean(searched), _mean(list(map(fmean, by_schedule.values())))))
        note = (
            "Of the cells that were replayed: the test score of the policy that was searched, and of the same schedule "
            "trained again on seeds that no search saw, each a mean over schedules [95% t interval] (how many)."
        )
        return note, ("strategy", "task", "searched", "again"), tuple(rows)

    def _differences(self) -> Body:
        rows = []
        for ours, other in self.pairs:
            for task in self.tasks:
                mine, theirs = (stats.scores_by_seed(self.lines.get((task, s), {})) for s in (ours, other))
                difference = stats.paired(mine, theirs)
                if difference is not None:
                    p = "–" if difference.p is None else f"{difference.p:.3f}"
                    intervals = (_interval(each, "+") for each in (difference.interval, difference.bootstrap))
                    gain = (f"{difference.value:+.3f}", _relative(difference.relative), *intervals, p)
                    rows.append((ours, other, task, *gain, str(difference.n)))
        note = (
            "Test score of the first minus that of the second, seed by seed: mean, as a share of the other's mean, 95% "
            "t interval over seeds, the middle 95% of the bootstrap over seeds, and Wilcoxon's p. Of few seeds the "
            "bootstrap is too narrow (of three it holds the mean in 71% of the cases, of five in 84%, of eight in 90%, "
            "where the t interval holds it in 94 to 95%: normal differences, simulated), and with three p cannot be "
            "below .25."
        )
        header = ("strategy", "against", "task", "difference", "relative", "95% interval", "bootstrap", "p", "seeds")
        return note, header, tuple(rows)

    def _improvements(self) -> Body:
        rows = []
        for ours, other in self.pairs:
            improvement = stats.improvement(self.lines, self.tasks, ours, other)
            if improvement is not None:
                rows.append(
                    (ours, other, f"{improvement.value:.2f}", _interval(improvement.interval), str(improvement.tasks))
                )
        note = (
            "Probability that a run of the first beats a run of the second on a task drawn at random, and the middle "
            "95% of its stratified bootstrap over seeds (arXiv 2108.13264); tasks with at least three seeds of both. "
            "Of few seeds that is too narrow as well, and where every run of one side wins it is a point."
        )
        return note, ("strategy", "against", "probability", "bootstrap", "tasks"), tuple(rows)

    def _compute(self) -> Body:
        rows = []
        for strategy in self.strategies:
            for task in self.tasks:
                spent = [line["spent"] for line in self.lines.get((task, strategy), {}).values()]
                if spent:
                    means = [sum(s[k] for s in spent) / len(spent) for k in SPENT]
                    rows.append((strategy, task, *(f"{value:,.0f}" for value in means), str(len(spent))))
        note = (
            "Means over seeds. Total seconds are those of the engine with evaluation and advice. Seconds depend on "
            "the other load of the machine; where it was high, compare steps and tokens."
        )
        header = ("strategy", "task", "GRPO steps", "generated tokens", "trainer s", "total s", "segments", "seeds")
        return note, header, tuple(rows)

    def _runs(self) -> Body:
        rows = tuple(self._run(cell) for cell in self.measured)
        note = (
            "One measurement of each run; [95% interval over the test prompts]. Led by: the test score of the run that "
            "it is held against (same task and seed) less its own, paired over these prompts; it says how sure this "
            "one pair is, not how another seed would go."
        )
        header = ("task", "strategy", "seed", "test score", "greedy", "sampled", "n", "base", "policy", "led by")
        return note, (*header, "revision"), rows

    def _run(self, cell: ComparisonCell) -> Row:
        line = self.standing.done[cell.key]
        reference = next((r for r, other in self.pairs if other == cell.strategy), "")
        against = self.lines.get((cell.task, reference), {}).get(cell.seed)
        lead = f"{reference} {_lead(against, line)}" if against else "–"
        return cell.task, cell.strategy, str(cell.seed), *_measured(line), lead, " ".join(line["revisions"])


@dataclass(frozen=True)
class PlannedComparison:
    """Cells of a plan, and the file of what is measured of them, which may not be there yet."""

    plan: ComparisonPlan
    cells: Sequence[ComparisonCell]
    results: Path

    def standing(self) -> PlanProgress:
        """Which cells are measured by now. Raises UserError where the file cannot be read."""
        return records.standing(self.cells, records.load(self.results))

    def states(self) -> Iterator[tuple[ComparisonCell, str]]:
        """Each cell with "done", "pending", or "stale": it was measured with other settings and is run again.

        Raises UserError where the file cannot be read.
        """
        standing = self.standing()
        stale = {cell_key(line) for line in standing.stale}
        for cell in self.cells:
            yield cell, "done" if cell.key in standing.done else "stale" if cell.key in stale else "pending"

    def replays(self, standing: PlanProgress) -> list[ComparisonCell]:
        """The replays of what is measured."""
        return list(replay_cells(self.cells, standing.done, self.plan.replays))

    def report(self, command: str = "") -> ComparisonReport:
        """What the file holds now; `command` is named on the page. Raises UserError where it cannot be read."""
        lines = records.load(self.results)
        standing = records.standing(self.cells, lines)
        replayed = records.standing(self.replays(standing), lines) if self.plan.replays else None
        first = list(self.plan.strategies)[:1]
        against = {label: entry.references or first for label, entry in self.plan.strategies.items()}
        return ComparisonReport(self.plan.name, command, self.cells, standing, against, replayed)


SPENT = ("steps", "tokens", "trainer_seconds", "wall_seconds", "segments")


def _measured(line: Line) -> Row:
    test, base = stats.score(line["test"]), stats.score(line["base"])
    best = line["best"]
    policy = "base" if best["node"] == 0 else f"#{best['node']} step {best['step']}{' soup' if best['soup'] else ''}"
    value = f"{test.value:.3f} {_interval(test.interval)}"
    shares = (f"{test.greedy / test.n:.3f}", f"{test.sampled / test.n:.3f}", str(test.n), f"{base.value:.3f}")
    return value, *shares, policy


def _lead(reference: Line, line: Line) -> str:
    """The test score of a reference less that of a run, on the same prompts, with its 95% interval."""
    lead = stats.score(reference["test"]).minus(stats.score(line["test"]))
    return f"{lead.value:+.3f} {_interval(lead.interval, '+')}"


def _relative(share: float | None) -> str:
    return "–" if share is None else f"{share:+.1%}"


def _mean(values: Sequence[float]) -> str:
    if not values:
        return "–"
    mean = stats.mean_score(values)
    interval = f" {_interval(mean.interval)}" if mean.interval else ""
    return f"{mean.value:.3f}{interval} ({mean.n})"


def _interval(ends: tuple[float, float] | None, sign: str = "") -> str:
    return "–" if ends is None else f"[{ends[0]:{sign}.3f}, {ends[1]:{sign}.3f}]"


def markdown(report: ComparisonReport, figure: str = "") -> str:
    """The page."""
    written = f"Written by `{report.command}` from {len(report.standing.done)} of {len(report.cells)} runs."
    parts = [f"# Evidence: {report.name}", "", written, "", *summary(report), ""]
    if figure:
        parts += [f"![Best validation score so far against compute, mean over seeds]({figure})", ""]
    for table in report.tables():
        parts += [f"## {table.title}", "", table.note, ""]
        if table.rows:
            parts += [_md(table.header), _md(["---"] * len(table.header)), *map(_md, table.rows)]
        else:
            parts.append("Nothing measured yet.")
        parts.append("")
    return "\n".join(parts)


def _md(row: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"


def summary(report: ComparisonReport) -> Iterator[str]:
    """What holds for all tables, a line each: what they are of, and what is mixed, stale or missing."""
    standing = report.standing
    revisions = sorted({each for line in standing.done.values() for each in line["revisions"]})
    yield "A test score is (greedy + 2 · sampled) / 3 of the accuracies on test prompts that nothing else has seen. All"
    yield "strategies have the same start, budget, validation prompts, checkpoint selection and reranking."
    yield f"Code: {', '.join(revisions) or 'none yet'}. Advisor: {', '.join(sorted(_advisors(report))) or 'none yet'}."
    if len(revisions) > 1:
        yield "These tables mix runs of several revisions; the last table lists the revision of each."
    if standing.stale:
        stale = sorted({"/".join(map(str, cell_key(line))) for line in standing.stale})
        yield f"Stale, left out (other settings than the plan's now): {', '.join(stale)}."
    if report.lacking:
        yield f"Nothing is held against {', '.join(report.lacking)}: no cell of it is among these."
    again = report.replayed.pending if report.replayed else ()
    missing = [counted(len(each), word) for each, word in ((standing.pending, "run"), (again, "replay")) if each]
    if missing:
        yield f"Not measured yet: {' and '.join(missing)}."


def _advisors(report: ComparisonReport) -> set[str]:
    return {str(line["advisor"]) for line in report.standing.done.values()}


MEASURED = tuple(f"{which}_{count}" for which in ("test", "base") for count in ("n", "greedy", "sampled"))
COLUMNS = (
    "task", "strategy", "seed", "test_score", "test_low", "test_high", *MEASURED, *SPENT, "revisions",
)  # fmt: skip


def as_rows(report: ComparisonReport) -> list[dict[str, Any]]:
    """Every measured run, then every measured replay (strategy LABEL.replay), by `COLUMNS`, numbers unrounded."""
    again = report.replayed.done.values() if report.replayed else ()
    return [_as_row(line) for line in (*(report.standing.done[cell.key] for cell in report.measured), *again)]


def _as_row(line: Line) -> dict[str, Any]:
    test = stats.score(line["test"])
    counts = [line[which][count] for which, count in (name.split("_") for name in MEASURED)]
    spent = [line["spent"][name] for name in SPENT]
    row = [*cell_key(line), test.value, *test.interval, *counts, *spent, " ".join(line["revisions"])]
    return dict(zip(COLUMNS, row, strict=True))


def as_csv(report: ComparisonReport) -> str:
    """The same as CSV."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(as_rows(report))
    return out.getvalue()


def as_dict(report: ComparisonReport) -> dict[str, Any]:
    """For scripts: the plan's name, the summary, the tables with each row by its header, as text, and the runs."""
    tables = [
        {
            "title": each.title,
            "note": each.note,
            "rows": [dict(zip(each.header, row, strict=True)) for row in each.rows],
        }
        for each in report.tables()
    ]
    return {"plan": report.name, "summary": list(summary(report)), "tables": tables, "runs": as_rows(report)}

"""`llmzero compare`: the cells of a plan worked off, and what they show: tables, and anytime curves of characters.

`--screen` shows the same live in the terminal interface, while another process works. Cells are ordinary runs;
`llmzero ls` and `attach` show them. What they measured is JSON lines beside the plan.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from engine.compare import plan as plans
from engine.compare import plan_check, records
from engine.compare.figure import AXIS
from engine.compare.plan import ComparisonCell
from engine.compare.report import ComparisonReport, PlannedComparison, as_csv, as_dict, markdown, summary
from engine.compare.statistics import Against, anytime
from engine.errors import UserError
from engine.run.rundir import refuse_files_of_runs
from engine.words import counted
from llmzero_tui.commands.look import is_terminal
from llmzero_tui.format import plain
from llmzero_tui.text.output import LINE, emit, note, table
from llmzero_tui.values.answers import to_json


def compare(options: argparse.Namespace) -> int:
    """Run what is not done yet, or say how it stands."""
    if options.screen:
        _refuse_beside_screen(options)
    plan = plans.load(options.file)
    cells = _wanted(list(plans.cells(plan)), options.only or [], options.file)
    results = options.results or options.file.with_suffix(".jsonl")
    _refuse_the_same("--results", results, {"the plan": options.file})
    refuse_files_of_runs(results)
    tell_left_out(results)
    if options.screen or options.report or options.to or options.list:
        plan_check.check_settings(cells, run_code=options.list)
    comparison = PlannedComparison(plan, cells, results)
    if options.screen:
        return _screen(options, comparison)
    if options.report or options.to:
        return _report(options, comparison)
    if options.list:
        return _list(comparison, as_json=options.json)
    if plan.replays:
        note(f"each cell is followed by up to {counted(plan.replays, 'replay')}, once all cells are done")
    code = work_off(cells, options.runs_dir, results, jobs=options.jobs, nice=options.nice, keep=options.keep)
    if again := comparison.replays(comparison.standing()):
        code |= work_off(  # nice already
            again, options.runs_dir, results, jobs=options.jobs, nice=0, keep=options.keep, cell_word="replay"
        )
    return code


def _refuse_beside_screen(options: argparse.Namespace) -> None:
    """Raises UserError for what does not go with --screen, or where there is no terminal."""
    others = {"--report": options.report, "--to": options.to, "--list": options.list, "--json": options.json}
    if given := [name for name, value in others.items() if value]:
        raise UserError(f"--screen and {' and '.join(given)}: give one of them; --screen shows the tables, too")
    if not is_terminal():
        raise UserError("--screen: no terminal here; --report prints the tables and curves, --list the cells")


def _screen(options: argparse.Namespace, comparison: PlannedComparison) -> int:
    """The comparison on a screen that follows it."""
    from llmzero_tui.app import LLMZeroApp
    from llmzero_tui.app import run as show_screens
    from llmzero_tui.feeds.evidence import EvidenceFeed
    from llmzero_tui.screens.evidence import EvidenceScreen

    def evidence(app: LLMZeroApp) -> EvidenceScreen:
        return EvidenceScreen(EvidenceFeed(comparison, options.runs_dir, app.clock, app.opener), options.against)

    return show_screens(options.runs_dir, ascii=options.ascii, first=evidence)


def _wanted(cells: Sequence[ComparisonCell], only: Sequence[str], file: Path) -> list[ComparisonCell]:
    """The cells that `only` names by their titles or parts of them: "ladder", "ladder/ours", "ours", "101"; all where
    it names none. Raises UserError for a name of no cell."""
    named = {each: {c.key for c in cells if set(each.split("/")) <= set(c.title.split("/"))} for each in only}
    if wrong := [each for each, found in named.items() if not found]:
        raise UserError(f"{file}: no cell is named {', '.join(wrong)}; --list shows the cells")
    return [cell for cell in cells if not only or any(cell.key in found for found in named.values())]


def _refuse_the_same(option: str, path: Path, others: Mapping[str, Path]) -> None:
    """Raises UserError where a file that would be written is one of those others, by what they are."""
    for what, other in others.items():
        if path.resolve() == other.resolve():
            raise UserError(f"{option} {path}: is {what}, which would be overwritten; give another file")


def work_off(
    cells: list[ComparisonCell],
    runs_dir: Path,
    results: Path,
    *,
    jobs: int,
    nice: int,
    keep: Literal["none", "best", "all"],
    cell_word: str = "cell",
) -> int:
    """Run what is not done yet and say how it goes, calling cells what the user knows them as; the exit code, 0 when
    all are done, else 1."""
    from engine.compare.work import ComparisonRunner

    plan_check.check_runs(cells, runs_dir)
    if nice:
        os.nice(nice)  # inherited by every engine and its workers
    standing = records.standing(cells, records.load(results))
    of, stale = f"of {counted(len(cells), cell_word)}", len(standing.stale)
    old = f", {stale} measured with other settings" if stale else ""
    note(f"{len(standing.done)} {of} done{old}; results in {results}")
    if not standing.pending:
        return 0
    records.check_writable(results)
    runner = ComparisonRunner(cells, runs_dir, results, jobs, keep, note, cell_word)
    try:
        failed = runner.run()
    except KeyboardInterrupt:
        done = len(records.standing(cells, records.load(results)).done)
        note(f"interrupted; {done} {of} done; the same command goes on")
        raise
    standing = records.standing(cells, records.load(results))
    others = ", ".join(cell.title for cell in runner.elsewhere if cell in standing.pending)
    not_here = f"; another process works on {others}" if others else ""
    note(f"{len(standing.done)} {of} done" + (f", {failed} failed here" if failed else "") + not_here)
    return 1 if standing.pending else 0


def tell_left_out(results: Path) -> None:
    """Say on stderr which lines of a results file are damaged."""
    if numbers := records.left_out(results):
        shown = ", ".join(map(str, numbers[:8])) + (", …" if len(numbers) > 8 else "")
        what = (
            f"line {shown} is no whole measurement" if len(numbers) == 1 else f"lines {shown} are no whole measurements"
        )
        note(f"{results}: {what}, left out")


def _command(options: argparse.Namespace) -> str:
    """The command that writes the page, as it stands on it."""
    words = ["llmzero", "compare", options.file, *(word for each in options.only or () for word in ("--only", each))]
    if options.results:
        words += ["--results", options.results]
    words += ["--to", options.to]
    if options.against != "seconds":
        words += ["--against", options.against]
    return shlex.join(map(str, words))


BESIDE = (".csv", ".svg", ".png")
"""What is written beside a page, by suffix."""


def _report(options: argparse.Namespace, comparison: PlannedComparison) -> int:
    """The tables on stdout, or as a page with its picture and its CSV beside it."""
    report = comparison.report(_command(options))
    if options.to is None:
        emit(*([to_json(as_dict(report))] if options.json else report_lines(report, options.against)))
        return 0
    from engine.compare.figure import draw

    page: Path = options.to
    if page.suffix != ".md":
        raise UserError(f"--to {page}: must be a file that ends in .md")
    refuse_files_of_runs(page)
    for each in (page, *(page.with_suffix(suffix) for suffix in BESIDE)):
        _refuse_the_same("--to", each, {"the plan": options.file, "the file of results": comparison.results})
    if not page.parent.is_dir():
        raise UserError(f"--to {page}: {page.parent} is not a directory; create it first")
    try:
        page.with_suffix(".csv").write_text(as_csv(report), encoding="utf-8")
        draw(report, options.against, [page.with_suffix(".svg"), page.with_suffix(".png")])
        page.write_text(markdown(report, figure=quote(page.with_suffix(".svg").name)), encoding="utf-8")
    except OSError as error:
        raise UserError(f"{error.filename or page}: cannot be written: {error.strerror or error}") from error
    note(f"wrote {page}, {', '.join(BESIDE[:-1])} and {BESIDE[-1]} beside it")
    return 0


def _list(comparison: PlannedComparison, *, as_json: bool) -> int:
    rows = [(cell.title, state, cell.run_name) for cell, state in comparison.states()]
    if as_json:
        emit(to_json([dict(zip(("cell", "state", "run"), row, strict=True)) for row in rows]))
    else:
        emit(*table(("cell", "state", "run"), rows))
    return 0


SHOWN = 5
"""Strategies in a plot of characters: more cannot be told apart."""


def report_lines(report: ComparisonReport, against: Against) -> Iterator[str]:
    """Everything, as lines for stdout."""
    standing = report.standing
    yield f"{report.name}: {len(standing.done)} of {len(report.cells)} runs measured, {len(standing.stale)} stale"
    yield from (plain(line, LINE) for line in summary(report))
    for each in report.tables():
        yield from ("", each.title, each.note)
        if each.rows:
            yield from table(each.header, each.rows)
        else:
            yield "nothing measured yet"
    for task in report.tasks:
        yield from _plot(report, task, against)


def _plot(report: ComparisonReport, task: str, against: Against) -> Iterator[str]:
    """The best validation score so far, mean over seeds."""
    curves = [(s, anytime(report.lines.get((task, s), {}), against)) for s in report.strategies]
    curves = [(strategy, curve) for strategy, curve in curves if curve][:SHOWN]
    if not curves:
        return
    import plotext

    plotext.clear_figure()
    plotext.theme("clear")
    plotext.plotsize(min(100, shutil.get_terminal_size((100, 24)).columns), 18)
    for (strategy, curve), marker in zip(curves, "ox+*-", strict=False):
        plotext.plot([x for x, _ in curve], [y for _, y in curve], label=strategy, marker=marker)
    plotext.xlabel(AXIS[against])
    plotext.title(f"{task}: best validation score so far, mean over seeds")
    yield ""
    yield from (line.rstrip() for line in plotext.uncolorize(plotext.build()).splitlines())

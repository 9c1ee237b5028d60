"""A comparison in the terminal: its tables, and the anytime curves as a plot of characters."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from engine.compare.figure import AXIS
from engine.compare.report import ComparisonReport
from engine.compare.statistics import Against, anytime
from llmzero_tui.text.output import table

SHOWN = 5
"""Strategies in a plot of characters: more cannot be told apart."""


def report_lines(report: ComparisonReport, against: Against) -> Iterator[str]:
    """Everything, as lines for stdout."""
    standing = report.standing
    yield f"{report.name}: {len(standing.done)} of {len(report.cells)} runs measured, {len(standing.stale)} stale"
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

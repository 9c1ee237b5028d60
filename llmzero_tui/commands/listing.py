"""`llmzero ls` and `llmzero show`: runs as lines, and one run as text; `--json` gives the same facts to scripts.

Reads only, through the same reader as the screens. A run that cannot be read is a line that says why, and hides no
other.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

from engine.analysis.summary import RunSummary, summarise
from engine.errors import Fault, UserError
from engine.run import launch
from engine.run.rundir import RunDirectory
from engine.store.errors import DamagedDatabase
from engine.store.reader import ask_run
from llmzero_tui.format import MISSING, duration, mark, plain
from llmzero_tui.text.dynamics import dynamics_lines
from llmzero_tui.text.facts import head_lines, headline, minute, read_facts, score_cells, tree_lines
from llmzero_tui.text.output import emit, note, table
from llmzero_tui.text.summary import (
    forecast_line,
    plain_grpo_line,
    read_result,
    result_as_dict,
    result_lines,
    strategy_lines,
)
from llmzero_tui.values.answers import to_json

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ListedRun:
    """One run of a directory: its facts, or why there are none."""

    directory: RunDirectory
    summary: RunSummary | None
    state: str
    trouble: str = ""

    def as_dict(self) -> Row:
        """For `ls --json`: the same keys for every run."""
        if self.summary is not None:
            return headline(self.directory, self.summary)
        own = {"name": self.directory.name, "state": self.state, "reason": self.trouble}
        return {**dict.fromkeys(RunSummary.__slots__), **own, "path": str(self.directory.path.resolve())}


HEADER = (
    "run", "state", "task", "nodes", "steps", "validation", "n", "test", "n", "budget", "started (UTC)", "trains on",
)  # fmt: skip
"""Validation is what decided, as in the terminal's list of runs: reranking, before it the best so far."""


def ls(options: argparse.Namespace) -> int:
    """The runs of a directory, newest first."""
    rows = [look(each) for each in launch.list_runs(options.runs_dir)]
    if options.json:
        emit(to_json([each.as_dict() for each in rows]))
        return 0
    if not rows:
        note(f"no runs in {options.runs_dir}; `llmzero demo` makes one")
        return 0
    emit(*table(HEADER, [_line(each) for each in rows], right={3, 4, 6, 8, 9}))
    for each in rows:
        reason = each.trouble or (each.summary.reason if each.summary else "")
        if not reason and each.state == "crashed":
            reason = "its engine is gone; `llmzero resume` continues it"
        if reason:
            note(f"{each.directory.name}: {plain(reason, 200)}")
    return 0


def show(options: argparse.Namespace) -> int:
    """One run: what it is, how far it is, its tree, what waits for the human, and its result."""
    directory = launch.find_run(options.runs_dir, options.name)
    facts, result = ask_run(directory.path, lambda reader: (read_facts(reader, directory), read_result(reader)))
    if options.json:
        emit(to_json({**facts.as_dict(), **result_as_dict(result)}))
        return 0
    emit(*head_lines(facts), "", *tree_lines(facts))
    emit("", *result_lines(result.strategy.reported), "", *strategy_lines(result))
    for line in (plain_grpo_line(result), forecast_line(result.forecast)):
        if line:
            emit(line)
    if any(each.transitions for each in result.dynamics):
        emit("", *dynamics_lines(result.dynamics))
    return 0


def look(directory: RunDirectory) -> ListedRun:
    """The facts of one run."""
    try:
        summary = ask_run(directory.path, summarise)
    except DamagedDatabase as error:
        return ListedRun(directory, None, "damaged", f"damaged: {error.why}")
    except (UserError, Fault) as error:
        return ListedRun(directory, None, "starting" if directory.holder() else "unreadable", str(error))
    return ListedRun(directory, summary, summary.state)


def _line(listed: ListedRun) -> list[object]:
    state = f"{mark(listed.state).glyph} {listed.state}"
    facts = listed.summary
    if facts is None:
        return [listed.directory.name, state, *[MISSING] * (len(HEADER) - 2)]
    spent = MISSING if facts.budget_fraction is None else f"{facts.budget_fraction:.0%}"
    if facts.eta_seconds is not None:
        spent += f", {duration(facts.eta_seconds)} left"
    scores = (facts.best_reranked or facts.best_validation, facts.best_test)
    return [
        listed.directory.name, state, facts.task, facts.nodes, facts.steps,
        *(cell for each in scores for cell in score_cells(each)),
        spent, minute(facts.started), _devices(facts),
    ]  # fmt: skip


def _devices(facts: RunSummary) -> str:
    """ "2 × cpu (box)": what segments train on now."""
    return ", ".join(
        f"{count} × {plain(device, 60)}" if count > 1 else plain(device, 60) for device, count in facts.devices.items()
    )

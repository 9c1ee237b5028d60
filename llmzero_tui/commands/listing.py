"""`llmzero ls` and `llmzero show`: runs as lines, and one run as text; `--json` gives the same facts to scripts.

Reads only, through the same reader as the screens. A run that cannot be read is a line that says why, and hides no
other.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engine import launch
from engine.analysis.strategy import read_strategy
from engine.analysis.summary import FINAL_STATES, Summary, summarise
from engine.errors import Fault, UserError
from engine.rundir import RunDirectory
from engine.store import queries
from engine.store.reader import open_run
from llmzero_tui.format import MISSING, age, duration, mark, plain, score
from llmzero_tui.summary_text import parameter_labels, result_lines, stages_as_dicts, strategy_lines
from llmzero_tui.text import emit, note, table, to_json

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Listed:
    """One run of a directory: its facts, or why there are none."""

    directory: RunDirectory
    summary: Summary | None
    state: str
    trouble: str = ""

    def as_dict(self) -> Row:
        """For `ls --json`: the same keys for every run."""
        facts = self.summary.as_dict() if self.summary else dict.fromkeys(Summary.__slots__)
        reason = self.trouble or facts["reason"]
        own = {"name": self.directory.name, "state": self.state, "reason": reason}
        return {**facts, **own, "path": str(self.directory.path.resolve())}


def ls(options: argparse.Namespace) -> int:
    """The runs of a directory, newest first."""
    found = [look(each) for each in launch.list_runs(options.runs_dir)]
    if options.json:
        emit(to_json([each.as_dict() for each in found]))
        return 0
    if not found:
        note(f"no runs in {options.runs_dir}; `llmzero demo` makes one")
        return 0
    header = ["run", "state", "task", "nodes", "steps", "best validation", "test", "budget", "started (UTC)"]
    emit(*table(header, [_line(each) for each in found], right={3, 4, 7}))
    for each in found:
        if each.state in ("crashed", "failed", "unreadable"):
            reason = plain(each.trouble or (each.summary.reason if each.summary else ""), 200)
            note(f"{each.directory.name}: {reason or 'its engine is gone; `llmzero resume` goes on'}")
    return 0


def show(options: argparse.Namespace) -> int:
    """One run: what it is, how far it is, its tree, what waits for the human, and its result."""
    directory = launch.find_run(options.runs_dir, options.name)
    reader = open_run(directory.path)
    try:
        summary, strategy, labels = summarise(reader), read_strategy(reader.rows), parameter_labels(reader)
        nodes = reader.rows(queries.load("cli_nodes"))
        inbox = [row for row in reader.rows(queries.load("ui_inbox")) if row["waits"]]
    finally:
        reader.close()
    if options.json:
        waiting = [{key: row[key] for key in ("proposal_id", "revision", "node_id", "label")} for row in inbox]
        facts = Listed(directory, summary, summary.state).as_dict()
        emit(to_json({**facts, "tree": nodes, "waiting": waiting, "stages": stages_as_dicts(strategy)}))
        return 0
    emit(*_head(directory, summary), "", *_tree(nodes))
    emit(*(f"? #{row['node_id']} {plain(row['label'], 40)} waits for you" for row in inbox))
    emit("", *result_lines(summary, strategy), "", *strategy_lines(strategy, labels))
    return 0


def look(directory: RunDirectory) -> Listed:
    """The facts of one run."""
    try:
        reader = open_run(directory.path)
        try:
            summary = summarise(reader)
        finally:
            reader.close()
    except (UserError, Fault) as error:
        return Listed(directory, None, "starting" if directory.holder() else "unreadable", str(error))
    except IndexError:
        return Listed(directory, None, "unreadable", "the engine ended before the run began")
    return Listed(directory, summary, summary.state)


def _line(listed: Listed) -> list[object]:
    state = f"{mark(listed.state).glyph} {listed.state}"
    facts = listed.summary
    if facts is None:
        return [listed.directory.name, state, *[MISSING] * 7]
    spent = MISSING if facts.budget_fraction is None else f"{facts.budget_fraction:.0%}"
    best = facts.best_validation
    test = facts.best_test
    return [
        listed.directory.name, state, facts.task, facts.nodes, facts.steps,
        score(best.value, best.n) if best else MISSING, score(test.value, test.n) if test else MISSING,
        spent, _minute(facts.started),
    ]  # fmt: skip


def _minute(time: datetime | None) -> str:
    return time.strftime("%Y-%m-%d %H:%M") if time else MISSING


def _head(directory: RunDirectory, facts: Summary) -> Iterator[str]:
    reason = f": {plain(facts.reason, 200)}" if facts.reason else ""
    yield f"{directory.name}  {mark(facts.state).glyph} {facts.state}{reason}"
    yield f"task {plain(facts.task)} · model {plain(facts.model)} · advisor {plain(facts.advisor)}"
    spent = facts.budget_fraction or 0.0
    line = (
        f"began {_minute(facts.started)} UTC · {facts.steps} steps in {facts.nodes} nodes · {spent:.0%} of the budget"
    )
    yield f"{line} · {duration(facts.wall_seconds)}"
    if facts.state not in FINAL_STATES:
        yield f"data {age(facts.age_seconds)} old"


def _tree(nodes: list[Row]) -> Iterator[str]:
    """The nodes below their parents, as deep as they are."""
    children: dict[int | None, list[Row]] = {}
    for row in nodes:
        children.setdefault(row["parent_id"], []).append(row)
    rows, indents = [], []
    stack = [(row, 0) for row in reversed(children.get(None, []))]
    while stack:
        row, depth = stack.pop()
        state = str(row["state"]) + (", pruned" if row["pruned"] else "")
        indents.append(2 * depth)
        name = f"#{row['node_id']} {plain(row['label'], 30) or 'base'}"
        shown = "base" if row["parent_id"] is None else f"{mark(str(row['state'])).glyph} {state}"
        rows.append([name, shown, row["trained_steps"], score(row["best_value"], row["best_n"]), row["intent"]])
        stack += [(child, depth + 1) for child in reversed(children.get(row["node_id"], []))]
    yield from table(["node", "state", "steps", "validation", "intent"], rows, right={2}, indents=indents)

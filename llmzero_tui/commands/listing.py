"""`llmzero ls` and `llmzero show`: runs as lines, and one run as text; `--json` gives the same facts to scripts.

Reads only, through the same reader as the screens. A run that cannot be read is a line that says why, and hides no
other.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from engine import launch
from engine.errors import Fault, UserError
from engine.rundir import RunDirectory
from engine.store import queries
from engine.store.reader import Reader, open_run
from llmzero_tui.format import MISSING, duration, mark, plain, score
from llmzero_tui.headless import OVER, status_line
from llmzero_tui.text import emit, note, table, to_json

Row = dict[str, Any]


def ls(options: argparse.Namespace) -> int:
    """The runs of a directory, newest first."""
    found = [describe(each) for each in launch.list_runs(options.runs_dir)]
    if options.json:
        emit(to_json(found))
        return 0
    if not found:
        note(f"no runs in {options.runs_dir}; `llmzero demo` makes one")
        return 0
    header = ["run", "state", "task", "nodes", "steps", "best validation", "test", "budget", "started (UTC)"]
    emit(*table(header, [_line(each) for each in found], right={3, 4, 7}))
    for each in found:
        if each["state"] in ("crashed", "failed", "unreadable"):
            note(f"{each['name']}: {plain(each['reason'], 200) or 'its engine is gone'}; see `llmzero show`")
    return 0


def show(options: argparse.Namespace) -> int:
    """One run: what it is, how far it is, its tree, what waits for the human, and its result."""
    directory = launch.find_run(options.runs_dir, options.name)
    reader = open_run(directory.path)
    try:
        run = reader.rows(queries.load("ui_run"))[0]
        nodes = reader.rows(queries.load("cli_nodes"))
        inbox = reader.rows(queries.load("ui_inbox"))
        facts = _facts(directory, reader, run)
    finally:
        reader.close()
    if options.json:
        waiting = [{key: row[key] for key in ("proposal_id", "revision", "node_id", "label")} for row in inbox]
        emit(to_json({**facts, "tree": nodes, "waiting": waiting}))
        return 0
    emit(*_head(directory, facts, run), "", *_tree(nodes))
    emit(*(f"? #{row['node_id']} {plain(row['label'], 40)} waits for you" for row in inbox))
    return 0


def describe(directory: RunDirectory) -> Row:
    """The facts of one run, as `ls --json` gives them; one that cannot be read says why in `reason`."""
    try:
        reader = open_run(directory.path)
        try:
            return _facts(directory, reader, reader.rows(queries.load("ui_run"))[0])
        finally:
            reader.close()
    except (UserError, Fault, IndexError) as error:
        state = "starting" if directory.holder() else "unreadable"
        reason = str(error) if not isinstance(error, IndexError) else "it has no row in runs: it never began"
        return {**dict.fromkeys(FACTS), "name": directory.name, "state": state, "reason": reason,
                "path": str(directory.path.resolve()), "live": False}  # fmt: skip


FACTS = (
    "name", "state", "reason", "live", "task", "model", "strategy", "advisor", "nodes", "steps", "budget_spent",
    "wall_seconds", "best_validation", "best_validation_n", "best_node", "best_step", "best_test", "best_test_n",
    "created", "started", "ended", "path",
)  # fmt: skip


def _facts(directory: RunDirectory, reader: Reader, run: Row) -> Row:
    state = run["state"] if reader.live or run["state"] in OVER else "crashed"
    return {
        "name": directory.name, "state": state, "reason": run["reason"], "live": reader.live, "task": run["task"],
        "model": run["model"], "strategy": run["strategy"], "advisor": run["advisor"], "nodes": run["nodes"],
        "steps": run["spent_steps"] or 0, "budget_spent": run["fraction"] or 0.0,
        "wall_seconds": run["wall_seconds"] or 0.0, "best_validation": run["top_value"],
        "best_validation_n": run["top_n"], "best_node": run["top_node"], "best_step": run["top_step"],
        "best_test": run["test_value"], "best_test_n": run["test_n"], "created": _utc(run["created"]),
        "started": _utc(run["started"]), "ended": _utc(run["ended"]), "path": str(directory.path.resolve()),
    }  # fmt: skip


def _utc(time: datetime | None) -> str | None:
    """The store keeps UTC without saying so; scripts are told."""
    return None if time is None else time.isoformat(timespec="seconds") + "Z"


def _minute(time: str | None) -> str:
    return time[:16].replace("T", " ") if time else MISSING


def _line(facts: Row) -> list[object]:
    spent = facts["budget_spent"]
    return [
        facts["name"], f"{mark(facts['state']).glyph} {facts['state']}", facts["task"] or MISSING,
        MISSING if facts["nodes"] is None else facts["nodes"], MISSING if facts["steps"] is None else facts["steps"],
        score(facts["best_validation"], facts["best_validation_n"]), score(facts["best_test"], facts["best_test_n"]),
        MISSING if spent is None else f"{spent:.0%}", _minute(facts["started"]),
    ]  # fmt: skip


def _head(directory: RunDirectory, facts: Row, run: Row) -> Iterator[str]:
    reason = f": {plain(facts['reason'], 200)}" if facts["reason"] else ""
    yield f"{directory.name}  {mark(facts['state']).glyph} {facts['state']}{reason}"
    yield f"task {plain(facts['task'])} · model {plain(facts['model'])} · advisor {plain(facts['advisor'])}"
    yield f"began {_minute(facts['started'])} UTC"
    if facts["state"] in OVER or facts["state"] == "crashed":
        yield f"{facts['steps']} steps in {facts['nodes']} nodes · {duration(facts['wall_seconds'])}"
    else:
        yield status_line(run)
    yield f"best validation {score(facts['best_validation'], facts['best_validation_n'])}" + (
        f" (#{facts['best_node']} step {facts['best_step']})" if facts["best_validation_n"] else ""
    )
    if facts["best_test_n"]:
        yield f"test {score(facts['best_test'], facts['best_test_n'])} (n={facts['best_test_n']})"


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

"""`llmzero approve`, `edit`, `reject`, `prune`, `branch`, `gate`, `budget`, `space`, `note`: a script as the human.

Each is one command row, and the engine's own answer is what is printed; a refusal is one line and exit code 2.
"""

from __future__ import annotations

import argparse
import json
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

from engine.domain.parameters import format_value
from engine.domain.space import Space
from engine.errors import UserError, short
from engine.run import launch
from engine.run.rundir import RunDirectory
from engine.store.queries import load
from engine.store.reader import ask_run
from llmzero_tui.commands.control import order, tell
from llmzero_tui.text.output import emit, table
from llmzero_tui.values.answers import to_json
from llmzero_tui.values.ranges import range_text, read_range

PENDING = "SELECT proposal_id, revision, node_id, changes FROM proposals WHERE state = 'pending' ORDER BY node_id"


def approve(options: argparse.Namespace) -> int:
    """Let a proposal train as it is."""
    return _on_proposal(options, "approve", {})


def reject(options: argparse.Namespace) -> int:
    """Turn a proposal down."""
    return _on_proposal(options, "reject", {"reason": options.reason})


def edit(options: argparse.Namespace) -> int:
    """Let a proposal train with other values; those not named stay as proposed."""
    return _on_proposal(options, "edit", _choices(options), _values(options.values))


def prune(options: argparse.Namespace) -> int:
    """Exclude a node and all below it."""
    return _order(options, "prune", {"node_id": options.node}, {"reason": options.reason})


def branch(options: argparse.Namespace) -> int:
    """A transition of your own from a kept checkpoint."""
    directory = launch.find_run(options.runs_dir, options.name)
    step = options.step if options.step is not None else _last_kept(directory, options.node)
    payload = {"parent": options.node, "step": step, "changes": _values(options.values), **_choices(options)}
    return _order(options, "expand", {}, payload)


def gate(options: argparse.Namespace) -> int:
    """Whether proposals wait for a human."""
    return _order(options, "gate", {}, {"mode": options.mode})


def budget(options: argparse.Namespace) -> int:
    """New limits; those not given stay."""
    given = {name: getattr(options, name) for name in ("steps", "nodes", "minutes", "gpu_hours")}
    if not (limits := {name: value for name, value in given.items() if value is not None}):
        raise UserError("give at least one of --steps, --nodes, --minutes, --gpu-hours; 0 is no limit")
    return _order(options, "budget", {}, limits)


def space(options: argparse.Namespace) -> int:
    """The ranges of the hyperparameters; with NAME=RANGE another range from now on."""
    if options.range:
        name, equals, text = options.range.partition("=")
        if not equals or not name.strip():
            raise UserError(f"{short(options.range)}: give NAME=RANGE, e.g. learning_rate=1e-5..1e-4")
        return _order(options, "space", {}, {"name": name.strip(), **read_range(text)})
    directory = launch.find_run(options.runs_dir, options.name)
    rows = ask_run(directory.path, lambda reader: reader.rows("SELECT space FROM runs"))
    parameters = list(Space.from_json(json.loads(rows[0]["space"]))) if rows else []
    if options.json:
        emit(to_json({each.name: {"range": range_text(each), "default": each.default} for each in parameters}))
        return 0
    lines = [(each.name, range_text(each), format_value(each.default)) for each in parameters]
    emit(*table(["hyperparameter", "range", "default"], lines))
    return 0


def note(options: argparse.Namespace) -> int:
    """A note on a node; an empty text takes it away."""
    return _order(options, "annotate", {"node_id": options.node}, {"text": options.text})


# ---- proposals ----------------------------------------------------------------------------------------------------


def _on_proposal(
    options: argparse.Namespace, kind: str, payload: Mapping[str, Any], values: Mapping[str, Any] | None = None
) -> int:
    """`values` are written over what the proposal changes; None sends no changes."""
    proposal = _proposal(launch.find_run(options.runs_dir, options.name), options.node)
    if values is not None:
        payload = {**payload, "changes": {**json.loads(proposal["changes"] or "{}"), **values}}
    return _order(options, kind, {"proposal_id": proposal["proposal_id"], "revision": proposal["revision"]}, payload)


def _proposal(directory: RunDirectory, node: int | None) -> dict[str, Any]:
    """The proposal that waits at a node; without a node the only one that waits."""
    waiting = ask_run(directory.path, lambda reader: reader.rows(PENDING))
    fitting = [row for row in waiting if node is None or row["node_id"] == node]
    if len(fitting) == 1:
        return fitting[0]
    there = ", ".join(f"#{row['node_id']}" for row in waiting) or "none"
    what = "several proposals wait" if fitting else "no proposal waits" + ("" if node is None else f" at #{node}")
    raise UserError(f"run {directory.name}: {what}; waiting: {there}" + ("; name its node" if fitting else ""))


def _last_kept(directory: RunDirectory, node: int) -> int:
    rows = ask_run(directory.path, lambda reader: reader.rows(load("ui_branch"), (node,)))
    if not rows:
        raise UserError(
            f"run {directory.name}: #{node} has no checkpoint whose files are kept; `llmzero show` lists nodes"
        )
    return int(rows[0]["step"])


# ---- what is sent -------------------------------------------------------------------------------------------------


def _values(words: Iterable[str]) -> dict[str, Any]:
    """NAME=VALUE of hyperparameters."""
    return dict(assignment(word, f"{short(word)}: give NAME=VALUE, e.g. learning_rate=5e-5") for word in words)


def assignment(word: str, remedy: str) -> tuple[str, Any]:
    """The name and the value of NAME=VALUE; a value that is no TOML is a text, as in loss_type=dapo. Raises UserError
    with the remedy."""
    name, equals, value = word.partition("=")
    if not equals or not name.strip():
        raise UserError(remedy)
    try:
        return name.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name.strip(), value.strip()


def _choices(options: argparse.Namespace) -> dict[str, Any]:
    """Adam, KL reference and reason, as far as they are given."""
    reference = "branch point" if options.reference == "branch-point" else options.reference
    given = {"optimizer": options.optimizer, "reference": reference, "rationale": options.reason}
    return {name: value for name, value in given.items() if value}


def _order(options: argparse.Namespace, kind: str, fields: Mapping[str, Any], payload: Mapping[str, Any]) -> int:
    directory = launch.find_run(options.runs_dir, options.name)
    answer = order(directory, kind, options.timeout or 30.0, fields=fields, payload=payload)
    tell(options, directory, kind, answer)
    return 0

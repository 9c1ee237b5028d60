"""Rows of a run as the analysis reads them: how they are asked for, the one row of the run itself, and JSON columns,
among them what the workers do between training steps (runs.activity).

Of a column that another version or another hand wrote, what can be read is read; the analysis never fails for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engine.store.errors import NotBegun

Rows = Callable[..., list[dict[str, Any]]]
"""`Reader.rows` or `Writer.rows`: SQL and parameters to a dictionary per row."""


def only_row(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The one row of a question about the run. Raises NotBegun where the engine has not written the run's row yet."""
    if not rows:
        raise NotBegun
    return rows[0]


def stored_state(rows: Rows) -> str:
    """The run's state as it is stored, e.g. "training" of an engine that is gone. Raises NotBegun as `only_row`."""
    return str(only_row(rows("SELECT state FROM runs"))["state"])


def numbers(text: str | None) -> dict[str, Any]:
    """The names and numbers of a JSON object; nothing where there is none."""
    return {name: value for name, value in values(text).items() if isinstance(value, int | float)}


def values(text: str | None) -> dict[str, Any]:
    """The names and values of a JSON object: numbers, texts and truth values; nothing where there is none."""
    return {name: value for name, value in table(text).items() if isinstance(value, int | float | str)}


def table(text: str | None) -> dict[str, Any]:
    """A JSON object, whatever it holds; empty where there is none."""
    parsed = _parsed(text)
    return parsed if isinstance(parsed, dict) else {}


def tables(text: str | None) -> list[dict[str, Any]]:
    """The objects of a JSON list; none where it is no list."""
    parsed = _parsed(text)
    return [each for each in parsed if isinstance(each, dict)] if isinstance(parsed, list) else []


def _parsed(text: str | None) -> Any:
    try:
        return json.loads(text or "null")
    except (ValueError, RecursionError):
        return None


def checkpoints(text: str | None) -> tuple[tuple[int, int], ...]:
    """The pairs (node, step) of a JSON list; none where it is no list of such pairs."""
    try:
        return tuple((int(node), int(step)) for node, step in json.loads(text or "[]"))
    except (ValueError, TypeError, RecursionError):
        return ()


@dataclass(frozen=True, slots=True)
class WorkerActivity:
    """What one worker does: for a segment (`node`), or for none (the base, the finalists)."""

    node: int | None
    what: str
    done: int = 0
    total: int = 0

    @property
    def words(self) -> str:
        """ "scoring the base 120/256"."""
        return f"{self.what} {self.done}/{self.total}" if self.total else self.what


def doings(text: str | None) -> tuple[WorkerActivity, ...]:
    """The column's value; nothing where there is none, or where another version wrote something else."""
    try:
        parsed = json.loads(text) if text else []
        return tuple(_doing(each) for each in parsed)
    except (ValueError, TypeError, KeyError, AttributeError):
        return ()


def _doing(row: dict[str, Any]) -> WorkerActivity:
    node = row["node"]
    return WorkerActivity(None if node is None else int(node), str(row["doing"]), int(row["done"]), int(row["total"]))

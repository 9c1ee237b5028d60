"""What the workers of a run do between training steps, as the engine wrote it down (runs.activity). Pure values."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


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

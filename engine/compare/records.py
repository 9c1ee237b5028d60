"""What the cells of a comparison measured, as JSON lines: one line a cell, small, committed as evidence.

A cell with a line is done and never run again. Lines are only added; of two for the same cell and settings the later
one counts. A line that was cut off by a crash is left out.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.compare.plan import ComparisonCell
from engine.errors import UserError

Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class PlanProgress:
    """The cells of a plan held against the lines there are.

    Attributes:
        done: the line of each measured cell. pending: cells without one, in the plan's order.
        stale: lines of cells of the plan that were measured with other settings.
    """

    done: dict[tuple[str, str, int], Line]
    pending: tuple[ComparisonCell, ...]
    stale: tuple[Line, ...]


def load(path: Path) -> list[Line]:
    """All lines of a results file; none when there is no file."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
    found = []
    for line in text.split("\n"):  # not splitlines: a text may hold U+2028
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(record, dict) and {"task", "strategy", "seed", "settings_hash", "test"} <= record.keys():
            found.append(record)
    return found


def append(path: Path, record: Line) -> None:
    """Add a line, whole, also beside other processes, and on a line of its own after one that was cut off."""
    line = json.dumps(record, separators=(",", ":"), ensure_ascii=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        end = file.seek(0, os.SEEK_END)
        if end:
            file.seek(end - 1)
            line = line if file.read(1) == b"\n" else f"\n{line}"
        file.write(f"{line}\n".encode())
        file.flush()
        os.fsync(file.fileno())


def standing(cells: Sequence[ComparisonCell], lines: Iterable[Line]) -> PlanProgress:
    """Which cells are done, which are pending, and which lines are of other settings."""
    by_key: dict[tuple[str, str, int], dict[str, Line]] = {}
    for line in lines:
        by_key.setdefault((line["task"], line["strategy"], line["seed"]), {})[line["settings_hash"]] = line
    done: dict[tuple[str, str, int], Line] = {}
    pending, stale = [], []
    for cell in cells:
        measured = by_key.get(cell.key, {})
        if cell.settings_hash in measured:
            done[cell.key] = measured[cell.settings_hash]
        else:
            pending.append(cell)
        stale += [line for key, line in measured.items() if key != cell.settings_hash]
    return PlanProgress(done, tuple(pending), tuple(stale))

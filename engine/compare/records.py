"""What the cells of a comparison measured, as JSON lines: one line a cell, small, committed as evidence.

A cell with a line is done and never run again. Lines are only added; of two for the same cell and settings the later
one counts. A line that a crash truncated, or that is no measurement, is left out. Opens no run.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

from engine.compare.measurement import is_measurement
from engine.compare.plan import ComparisonCell
from engine.errors import Fault, UserError

Line = dict[str, Any]
BEGINNING = '{"kind":"'
"""How `append` begins a line that has a kind."""


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

    def seconds_left(self, running: Sequence[tuple[float, float]], given_up: int, jobs: int) -> float | None:
        """About how long the pending cells take: the mean time of a cell so far times what is left, over the jobs.

        Args:
            running: of each cell that is going on, the fraction of its budget that is spent, in [0, 1], and the seconds
                it took. given_up: pending cells that failed and are not tried again. jobs: cells at the same time.

        Returns:
            Seconds; None while nothing says how long a cell takes.
        """
        known: list[float] = [line["spent"]["wall_seconds"] for line in self.done.values()]
        known += [seconds / fraction for fraction, seconds in running if fraction > 0.1]
        if not known:
            return None
        work = len(self.pending) - given_up - sum(fraction for fraction, _ in running)
        return max(0.0, work) * sum(known) / len(known) / jobs


def load(path: Path) -> list[Line]:
    """The measurements of a results file, what else it holds left out; none when there is no file.

    Raises:
        UserError: the file cannot be read; one line.
    """
    return [each for each in lines(path) if is_measurement(each)]


def left_out(path: Path) -> list[int]:
    """Numbers, from 1, of the lines that `load` leaves out though they are to be measurements: cut off, or with
    something missing or wrong. A line that has a kind is something else. Raises UserError."""
    return [
        number
        for number, line in enumerate(_texts(path), 1)
        if line.strip() and not ((record := _parsed(line)) and ("kind" in record or is_measurement(record)))
    ]


def lines(path: Path) -> Iterator[Line]:
    """The whole JSON objects of a file of lines, in order; none when there is no file. Raises UserError."""
    yield from filter(None, map(_parsed, _texts(path)))


def _texts(path: Path) -> list[str]:
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):  # a device may never end
            raise UserError(f"{path}: cannot be read: it is not a regular file")
        return path.read_text(encoding="utf-8").split("\n")  # not splitlines: a text may hold U+2028
    except FileNotFoundError:
        return []
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: cannot be read: it is no text") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error


def _parsed(line: str) -> Line | None:
    """The JSON object of a line, if it is one."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def lines_of(path: Path, kinds: Collection[str], what: str) -> Iterator[Line]:
    """The lines of a file that a user names, each a JSON object of one of these kinds; `what` says what they are.

    A line that a crash truncated is left out.

    Raises:
        UserError: there is no such file, it cannot be read, or a line is something else; one line names which.
    """
    allowed = f"allowed: a file of {what}"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UserError(f"{path}: there is no such file; {allowed}") from error
    except IsADirectoryError as error:
        raise UserError(f"{path} is a directory; {allowed}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is no text; {allowed}") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    for number, line in enumerate(text.split("\n"), 1):
        record = _parsed(line)
        if record is None and (line.startswith(BEGINNING) or BEGINNING.startswith(line)):
            continue
        if record is None or record.get("kind") not in kinds:
            raise UserError(f"{path}, line {number}: holds something else; {allowed}")
        yield record


def check_writable(path: Path) -> None:
    """Make the file, and its directory, where there is none yet. Raises UserError where it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("ab").close()
    except OSError as error:
        how = "give a file for the results that can be made and written"
        raise UserError(f"{path}: cannot be written: {error.strerror or error}; {how}") from error


def append(path: Path, record: Line) -> None:
    """Add a line, whole or not at all, also beside other processes; after one that was cut off on a line of its own.

    Raises:
        Fault: it cannot be written, e.g. to a disk that is full.
    """
    line = json.dumps(record, separators=(",", ":"), ensure_ascii=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            _add(file, f"{line}\n".encode())
    except OSError as error:
        raise Fault(f"{path} cannot be written: {error.strerror or error}") from error


def _add(file: FileIO, line: bytes) -> None:
    end = file.seek(0, os.SEEK_END)
    if end:
        file.seek(end - 1)
        line = line if file.read(1) == b"\n" else b"\n" + line
    try:
        while line:
            line = line[file.write(line) :]
        os.fsync(file.fileno())
    except OSError:
        with suppress(OSError):
            file.truncate(end)
        raise


def cell_key(line: Line) -> tuple[str, str, int]:
    """The `ComparisonCell.key` of the cell that a line is of."""
    return line["task"], line["strategy"], line["seed"]


def standing(cells: Sequence[ComparisonCell], lines: Iterable[Line]) -> PlanProgress:
    """Which cells are done, which are pending, and which lines are of other settings."""
    by_key: dict[tuple[str, str, int], dict[str, Line]] = {}
    for line in lines:
        by_key.setdefault(cell_key(line), {})[line["settings_hash"]] = line
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

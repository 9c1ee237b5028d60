"""Works off the cells of a plan: starts each as an ordinary run, resumes what was interrupted, records what is done.

Several of these processes may share a plan: a cell is claimed by a lock for as long as its process lives. Engines are
asked to end when this process is; after a kill they finish their cell, and the next process finds it.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from engine.analysis.reported import read_header
from engine.analysis.summary import FINAL_STATES
from engine.compare import records
from engine.compare.collect import check_not_steered, check_whole_schedule, collect
from engine.compare.plan import ComparisonCell
from engine.compare.revision import revision
from engine.errors import Fault, UserError, short
from engine.run import launch, preflight
from engine.run.rundir import RunDirectory
from engine.store.errors import DamagedDatabase
from engine.store.reader import ask_run, read_state
from engine.words import counted

Keep = Literal["none", "best", "all"]

LOOK_SECONDS = 2.0
STATUS_SECONDS = 60.0
LEAVE_SECONDS = 90.0
"""For engines to leave once they are asked to end."""
MOST_FAILURES = 3
"""Cells that may fail one after the other before it is given up."""
NOTE = "cell.json"
"""In a run's directory: which cell it is, and the revisions of the code that worked on it."""


@dataclass(slots=True)
class RunningCell:
    """A cell whose run is going on; `fraction` of its budget is spent after `seconds` of running in all."""

    cell: ComparisonCell
    directory: RunDirectory
    lock: int
    fraction: float = 0.0
    seconds: float = 0.0


@dataclass
class ComparisonRunner:
    """The cells, and how they are worked off.

    Attributes:
        runs_dir: where the runs live. results: the JSON lines. jobs: cells at the same time.
        keep: which checkpoints of a finished cell stay on disk.
        tell: a line about what happens. cell_word: what the user knows a cell as.
        elsewhere: cells on which other processes worked when this one last looked for one.
    """

    cells: Sequence[ComparisonCell]
    runs_dir: Path
    results: Path
    jobs: int
    keep: Keep
    tell: Callable[[str], None]
    cell_word: str = "cell"
    elsewhere: list[ComparisonCell] = field(default_factory=list)
    _active: list[RunningCell] = field(default_factory=list)
    _given_up: set[str] = field(default_factory=set)
    _failures: int = 0
    _told: float = field(default_factory=time.monotonic)

    def run(self) -> int:
        """Until no cell is left; returns how many cells failed here.

        Raises:
            Fault: several cells in a row failed, or a result cannot be written.
            KeyboardInterrupt: the process is asked to end; its engines are, too.
        """
        try:
            while True:
                self._reap()
                self._start()
                if not self._active:
                    return len(self._given_up)
                self._say_status()
                time.sleep(LOOK_SECONDS)
        except BaseException:
            self._stop_engines()
            raise
        finally:
            for each in self._active:
                os.close(each.lock)

    # ---- starting -------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        """Cells for the free places, the most wanted first."""
        if len(self._active) >= self.jobs:
            return
        running = {each.cell.run_name for each in self._active}
        self.elsewhere.clear()
        for cell in records.standing(self.cells, records.load(self.results)).pending:
            if len(self._active) >= self.jobs:
                return
            if cell.run_name not in running and cell.run_name not in self._given_up:
                self._begin(cell)

    def _begin(self, cell: ComparisonCell) -> None:
        lock = self._claim(cell)
        if lock is None:
            self.elsewhere.append(cell)
            return
        if cell not in records.standing([cell], records.load(self.results)).pending:
            os.close(lock)  # another process finished it meanwhile
            return
        directory = RunDirectory(self.runs_dir / cell.run_name)
        try:
            how = self._bring_to_life(cell, directory)
        except (UserError, Fault) as error:
            os.close(lock)
            self._fail(cell, str(error))
            return
        self._active.append(RunningCell(cell, directory, lock))
        self.tell(f"{how} {cell.title}: {directory.path}")

    def _bring_to_life(self, cell: ComparisonCell, directory: RunDirectory) -> str:
        """Start, resume or find the engine of a cell; what was done, in a word.

        Raises UserError where the directory is the run of another cell, or of other settings.
        """
        _check_note(cell, directory)
        if directory.holder() or (state := _state(directory)) == "finished":
            return "found"
        if state:
            _note_revision(cell, directory)
            launch.start_engine(directory)
            return "resumed"
        launch.remove_run(directory)  # its start was interrupted
        directory = launch.create_run(preflight.resolve(cell.config()), self.runs_dir)
        try:
            _note_revision(cell, directory)
            launch.start_engine(directory)
        except BaseException:
            launch.remove_run(directory)
            raise
        return "started"

    def _claim(self, cell: ComparisonCell) -> int | None:
        """A lock on the cell that the kernel frees with this process; None when another process has it."""
        claims = self.runs_dir / ".compare"
        claims.mkdir(parents=True, exist_ok=True)
        handle = os.open(claims / f"{cell.run_name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        return handle

    # ---- ending ---------------------------------------------------------------------------------------------------

    def _reap(self) -> None:
        for each in list(self._active):
            if each.directory.holder() is None:
                self._active.remove(each)
                try:
                    self._end(each)
                finally:
                    os.close(each.lock)
            else:
                _look(each)

    def _end(self, each: RunningCell) -> None:
        """The engine of a cell is gone: write its line, or say why there is none."""
        try:
            state = _state(each.directory)
            if state != "finished":
                raise Fault(f"{_how_it_ended(state)}; see {each.directory.log}")
            check_not_steered(each.directory.path)
            check_whole_schedule(each.directory.path)
            line = collect(each.directory.path)
        except (Fault, UserError) as error:
            self._fail(each.cell, str(error))
            return
        cell = each.cell
        _note_revision(cell, each.directory)  # the code may have changed under the run
        revisions = _revisions(each.directory)
        head = {"plan": cell.plan, "task": cell.task, "strategy": cell.strategy, "seed": cell.seed}
        line = {**head, "settings_hash": cell.settings_hash, "settings": cell.settings, "revisions": revisions, **line}
        try:
            records.append(self.results, line)
        except Fault as error:
            kept = f"its run is kept in {each.directory.path}, and the same command records it"
            raise Fault(f"{cell.title} is measured, but {error}; {kept}") from error
        drop(each.directory, self.keep)
        self._failures = 0
        test, seconds = line["test"], line["spent"]["wall_seconds"]
        shares = f"greedy {test['greedy'] / test['n']:.3f}, sampled {test['sampled'] / test['n']:.3f} (n {test['n']})"
        self.tell(f"done {cell.title}: test {shares}, {seconds:.0f} s")

    def _fail(self, cell: ComparisonCell, why: str) -> None:
        self._given_up.add(cell.run_name)
        self._failures += 1
        self.tell(f"failed {cell.title}: {why}")
        if self._failures >= MOST_FAILURES:
            raise Fault(f"{counted(self._failures, self.cell_word)} failed in a row, the last {cell.title}: {why}")

    def _stop_engines(self) -> None:
        """Ask the engines to end and wait: an interrupted segment is trained again by a resume."""
        holders = [each.directory.holder() for each in self._active]
        for holder in holders:
            if holder is not None and holder.pid:
                with suppress(ProcessLookupError):
                    os.kill(holder.pid, signal.SIGTERM)
        deadline = time.monotonic() + LEAVE_SECONDS
        while time.monotonic() < deadline and any(each.directory.holder() for each in self._active):
            time.sleep(0.1)

    # ---- telling --------------------------------------------------------------------------------------------------

    def _say_status(self) -> None:
        if time.monotonic() - self._told < STATUS_SECONDS:
            return
        self._told = time.monotonic()
        standing = records.standing(self.cells, records.load(self.results))
        running = ", ".join(f"{each.cell.title} {each.fraction:.0%}" for each in self._active)
        progress = [(each.fraction, each.seconds) for each in self._active]
        left = standing.seconds_left(progress, len(self._given_up), self.jobs)
        about = f"; about {_duration(left)} left" if left is not None else ""
        self.tell(f"{len(standing.done)} of {counted(len(self.cells), self.cell_word)} done; {running}{about}")


def drop(directory: RunDirectory, keep: Keep) -> None:
    """Delete the checkpoints of a finished run: all of them, all but the picked policy, or none."""
    if keep == "all":
        return
    kept = set()
    if keep == "best":
        path = ask_run(directory.path, lambda reader: read_header(reader.rows)["best_path"])
        kept = {(directory.path / path).resolve()} if path else set()
    for folder in [p for p in directory.segments.rglob("*") if p.is_dir()]:
        inside = any(folder.resolve() in (each, *each.parents) or each in folder.resolve().parents for each in kept)
        if folder.exists() and not inside:
            shutil.rmtree(folder, ignore_errors=True)


SPENT = "SELECT fraction, wall_seconds FROM budget ORDER BY seq DESC LIMIT 1"


def _look(each: RunningCell) -> None:
    """How far the budget of a running cell is; an engine that is busy is asked again later."""
    with suppress(Fault, UserError):
        if rows := ask_run(each.directory.path, lambda reader: reader.rows(SPENT)):
            each.fraction, each.seconds = rows[0]["fraction"], rows[0]["wall_seconds"]


def _state(directory: RunDirectory) -> str:
    """The stored state of a run; "" where nothing has begun, be it that its engine was killed as it made the file."""
    try:
        return read_state(directory.path)
    except DamagedDatabase:
        if any(directory.segments.glob("*")):
            raise
        return ""


def _how_it_ended(state: str) -> str:
    """Of a run without an engine that is not finished."""
    if not state:
        return "its run ended before it began"
    return f"its run {state}" if state in FINAL_STATES else "its engine died, and the same command resumes the run"


def _check_note(cell: ComparisonCell, directory: RunDirectory) -> None:
    """Raises UserError where a run is noted as that of another cell; one without a whole note is taken for the cell's,
    after which it is called."""
    note = _note(directory)
    if note and (note["cell"], note.get("settings_hash")) != (list(cell.key), cell.settings_hash):
        known = short("/".join(map(str, note["cell"])))
        raise UserError(f"{directory.path} is the run of {known}, or of other settings: delete it, or rename it")


def _note_revision(cell: ComparisonCell, directory: RunDirectory) -> None:
    revisions = _revisions(directory)
    now = revision()
    if now not in revisions:
        revisions.append(now)
    note = {"cell": list(cell.key), "settings_hash": cell.settings_hash, "revisions": revisions}
    (directory.path / NOTE).write_text(json.dumps(note), encoding="utf-8")


def _revisions(directory: RunDirectory) -> list[str]:
    return list(map(str, _note(directory).get("revisions", ())))


def _note(directory: RunDirectory) -> dict[str, Any]:
    """What NOTE says; {} where there is none, or none that is whole."""
    try:
        note = json.loads((directory.path / NOTE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    whole = isinstance(note, dict) and all(isinstance(note.get(key), list) for key in ("cell", "revisions"))
    return note if whole else {}


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"

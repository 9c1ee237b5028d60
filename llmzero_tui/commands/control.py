"""`llmzero pause` and `llmzero stop`: a command is a row, and its answers are rows; nothing is said to be done before.

`order` and `tell` are used by `resume` and by the commands of `steer` as well. `order` waits for the engine's word, and
says so when that does not come in time.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from typing import Any

from engine.analysis.summary import derived_state
from engine.errors import Fault, UserError
from engine.run import config as run_file
from engine.run import launch
from engine.run.rundir import RunDirectory
from engine.store.reader import Reader, open_run, read_state
from llmzero_tui.format import plain
from llmzero_tui.text.output import emit, note
from llmzero_tui.values.answers import to_json

POLL_SECONDS = 0.1
PAUSE_SECONDS = 30.0
PROGRESS_SECONDS = 10.0
ENGINE_SECONDS = 60.0
"""Beyond the deadline of the workers, for the engine to write the end of the run."""

ANSWERS = "SELECT state, message FROM command_results WHERE command_id = ? ORDER BY seq"


def pause(options: argparse.Namespace) -> int:
    """Hold the training; the processes stay."""
    directory = launch.find_run(options.runs_dir, options.name)
    answer = order(directory, "pause", options.timeout or PAUSE_SECONDS)
    tell(options, directory, "pause", answer)
    return 0


def stop(options: argparse.Namespace) -> int:
    """End the run cleanly, and wait until its engine is gone; what is waited for is said meanwhile.

    Raises:
        Fault: the engine did not end in time; the line says how to end it.
    """
    directory = launch.find_run(options.runs_dir, options.name)
    if directory.holder() is None:
        raise _not_running(directory)
    seconds = options.timeout or _longest_stop(directory)
    deadline = time.monotonic() + seconds
    answer = order(directory, "stop", seconds, _Progress())
    while (holder := directory.holder()) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    if holder:
        raise Fault(f"run {directory.name} is stopped, but its engine is still there; `kill {holder.pid}` ends it")
    tell(options, directory, "stop", answer)
    return 0


def tell(options: argparse.Namespace, directory: RunDirectory, kind: str, answer: str) -> None:
    """Print what the engine answered to a command."""
    if options.json:
        emit(to_json({"run": directory.name, "command": kind, "answer": answer}))
    else:
        emit(f"{plain(directory.name, 60)}: {answer}")


def _longest_stop(directory: RunDirectory) -> float:
    """Seconds within which a stop has come to its end, by the run file's own deadline."""
    return run_file.load(directory.config).training.stop_seconds + ENGINE_SECONDS


class _Progress:
    """Says on stderr what a stop waits for: at once, and now and then how long it has."""

    def __init__(self) -> None:
        self._begun = self._told = time.monotonic()
        self._last = ""

    def __call__(self, reader: Reader) -> None:
        rows = reader.rows("SELECT reason FROM runs WHERE state = 'stopping'")
        at = time.monotonic()
        if rows and rows[0]["reason"] != self._last:
            self._last = rows[0]["reason"]
            note(f"stopping: {plain(self._last)}")
        elif at - self._told > PROGRESS_SECONDS:
            note(f"still stopping after {at - self._begun:.0f} s")
        else:
            return
        self._told = at


def order(
    directory: RunDirectory, kind: str, timeout: float, meanwhile: Callable[[Reader], None] = lambda _: None, *,
    fields: Mapping[str, Any] | None = None, payload: Mapping[str, Any] | None = None,
) -> str:  # fmt: skip
    """Insert a command and wait for the engine's answer, at most `timeout` seconds. Returns the answer.

    Args:
        meanwhile: called between two looks. fields: node, proposal and revision. payload: what else belongs to it.

    Raises:
        UserError: the run is not live, or the engine refuses. Fault: no answer in time, or before the engine ended.
    """
    name = directory.name
    if directory.holder() is None:
        raise _not_running(directory)
    reader = open_run(directory.path)
    try:
        command = reader.command(kind, **(fields or {}), payload=payload)
        deadline = time.monotonic() + timeout
        while True:
            live = directory.holder() is not None  # asked first: what an engine answers, it answers before it ends
            state, message, reader = _answer(reader, directory, command)
            if state == "done":
                return plain(message) or kind
            if state == "refused":
                raise UserError(f"run {name}: {plain(message)}")
            how = "accepted but not done" if state == "taken" else "sent but not accepted"
            if not live:
                raise Fault(f"{kind} was {how}, and never will be: the engine of {name} has ended")
            if time.monotonic() > deadline:
                holder = directory.holder()
                end = f"; `kill {holder.pid}`, twice, ends it at once" if holder and kind == "stop" else ""
                raise Fault(f"{kind} is {how} after {timeout:g} s; `llmzero show {name}` shows when it is{end}")
            meanwhile(reader)
            time.sleep(POLL_SECONDS)
    finally:
        reader.close()


def _not_running(directory: RunDirectory) -> UserError:
    """Says so. Raises UserError, DamagedDatabase: its state cannot be read."""
    stored = read_state(directory.path)
    state = derived_state(stored, live=False) if stored else "not begun"
    first = f"raise a limit of [budget] in {directory.config}, then " if state == "finished" else ""
    way = f"{first}`llmzero resume {directory.name}` continues it"
    return UserError(f"run {directory.name} is not running ({state}); {way}")


def _answer(reader: Reader, directory: RunDirectory, command: int) -> tuple[str, str, Reader]:
    """The latest answer to a command. The engine may end while it is asked: then its file has the answer."""
    try:
        rows = reader.rows(ANSWERS, [command])
    except Fault:
        reader.close()
        reader = open_run(directory.path)
        rows = reader.rows(ANSWERS, [command])
    last = rows[-1] if rows else {"state": "sent", "message": ""}
    return str(last["state"]), str(last["message"]), reader

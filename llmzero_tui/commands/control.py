"""`llmzero pause` and `llmzero stop`: a command is a row, and its answers are rows; nothing is said to be done before.

Used by `resume` as well. Waits for the engine's word, and says so when it does not come in time.
"""

from __future__ import annotations

import argparse
import time

from engine import launch
from engine.errors import Fault, UserError
from engine.rundir import RunDirectory
from engine.store.reader import Reader, open_run
from llmzero_tui.format import plain
from llmzero_tui.text.output import emit

POLL_SECONDS = 0.1
ANSWERS = "SELECT state, message FROM command_results WHERE command_id = ? ORDER BY seq"


def pause(options: argparse.Namespace) -> int:
    """Hold the training; the processes stay."""
    return _say(options, "pause")


def stop(options: argparse.Namespace) -> int:
    """End the run cleanly, and wait until its engine is gone."""
    return _say(options, "stop")


def _say(options: argparse.Namespace, kind: str) -> int:
    directory = launch.find_run(options.runs_dir, options.name)
    deadline = time.monotonic() + options.timeout
    answer = order(directory, kind, options.timeout)
    while kind == "stop" and directory.holder() and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    emit(f"{plain(directory.name, 60)}: {answer}")
    return 0


def state_of(directory: RunDirectory) -> str:
    """The run's state as its rows say; "" when there is no database yet."""
    if not directory.database.exists() and directory.holder() is None:
        return ""
    reader = open_run(directory.path)
    try:
        rows = reader.rows("SELECT state FROM runs")
    finally:
        reader.close()
    return str(rows[0]["state"]) if rows else ""


def order(directory: RunDirectory, kind: str, timeout: float) -> str:
    """Insert a command and wait for the engine's answer, at most `timeout` seconds. Returns the answer.

    Raises:
        UserError: the run is not live, or the engine refuses. Fault: no answer in time.
    """
    name = directory.name
    if directory.holder() is None:
        state = state_of(directory) or "not begun"
        raise UserError(f"run {name} is not running ({state}); `llmzero resume {name}` goes on")
    reader = open_run(directory.path)
    try:
        command = reader.command(kind)
        deadline = time.monotonic() + timeout
        while True:
            state, message, reader = _answer(reader, directory, command)
            if state == "done":
                return plain(message) or kind
            if state == "refused":
                raise UserError(f"run {name}: {plain(message)}")
            if time.monotonic() > deadline:
                how = "taken and not done" if state == "taken" else "sent and not taken"
                raise Fault(f"{kind} is {how} after {timeout:g} s; `llmzero show {name}` tells when it is")
            time.sleep(POLL_SECONDS)
    finally:
        reader.close()


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

"""How the face and the analysis ask a run: one interface over the live engine's socket or the file of a run at rest.

The same question gives the same rows and the same one-line errors both ways. Nothing here imports duckdb or pyarrow
before a question needs them: a viewer is on screen before that.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from engine.errors import UserError
from engine.store.base import Reader, to_rows
from engine.store.errors import EngineGone, EngineUnreachable, NotBegun, QueryError, QueryInterrupted
from engine.store.file_reader import FileReader, check_file
from engine.store.protocol import DATABASE_NAME, SOCKET_NAME
from engine.store.socket_reader import SocketReader

__all__ = [
    "EngineGone", "FileReader", "OpenRun", "QueryError", "QueryInterrupted", "Reader", "SocketReader", "ask_run",
    "open_run", "read_state", "to_rows",
]  # fmt: skip

Answer = TypeVar("Answer")

OPEN_SECONDS = 2.0
"""How long `open_run` waits for an engine that has the file and does not answer yet."""

OpenRun = Callable[[Path], Reader]
"""What opens a run as `open_run` does."""


def open_run(run_dir: Path) -> Reader:
    """A reader of the run in this directory: through its engine when one answers, else of its file.

    Raises:
        UserError: no database there, or a process holds it and its engine does not answer (named by pid). NotBegun.
            DamagedDatabase.
    """
    database = run_dir / DATABASE_NAME
    check_file(database)
    deadline = time.monotonic() + OPEN_SECONDS
    while True:
        try:
            return SocketReader(run_dir / SOCKET_NAME)
        except EngineGone as gone:
            try:
                return FileReader(database)
            except UserError as error:
                # An engine that is just starting or ending holds the file without answering.
                pid = getattr(error, "pid", None)
                if pid is None:
                    raise
                if time.monotonic() > deadline or isinstance(gone.__cause__, PermissionError):
                    raise why_silent(run_dir.name, pid, gone) from error
        time.sleep(0.05)


def ask_run(run_dir: Path, question: Callable[[Reader], Answer]) -> Answer:
    """One question to a run that may be taken up, or let go by its engine, at this very moment: then it is asked anew.

    Raises:
        UserError, DamagedDatabase: as `open_run`. QueryError: as the question does. EngineGone: its engines came and
            went.
    """
    for left in range(2, -1, -1):
        reader = open_run(run_dir)
        try:
            return question(reader)
        except EngineGone:
            if not left:
                raise
        finally:
            reader.close()
    raise AssertionError("the last one returns or raises")


def read_state(run_dir: Path) -> str:
    """The stored state of the run in a directory; "" where nothing has begun: no database, no tables, or no row of it.

    Raises:
        UserError, DamagedDatabase: it cannot be read. EngineGone: as `ask_run`.
    """
    if not os.path.lexists(run_dir / DATABASE_NAME):
        return ""
    try:
        rows = ask_run(run_dir, lambda reader: reader.rows("SELECT state FROM runs"))
    except NotBegun:
        return ""
    return str(rows[0]["state"]) if rows else ""


def why_silent(run: str, pid: int, gone: EngineGone) -> UserError:
    """Why a process that holds a run does not answer, and what to do."""
    import psutil

    try:
        process = psutil.Process(pid)
        state, user, name = process.status(), process.username(), process.name()
    except psutil.Error:
        return UserError(f"{run}: process {pid} has it open and cannot be queried")
    who = f"{run}: its engine, process {pid},"
    if isinstance(gone.__cause__, PermissionError):
        return EngineUnreachable(f"{who} belongs to {user}: only that user can look at the run while it trains")
    if state in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP):
        return EngineUnreachable(f"{who} is stopped: `kill -CONT {pid}` continues it")
    if isinstance(gone.__cause__, TimeoutError):
        return UserError(f"{who} does not answer (it is {state}); `kill {pid}` ends it")
    return UserError(f"{run}: process {pid} ({name}) holds its database, and no engine answers: end that program")

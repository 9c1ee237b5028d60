"""How the face and the analysis ask a run: one interface over the live engine's socket or the file of a run at rest.

The same question gives the same rows and the same one-line errors both ways. Nothing here imports duckdb or pyarrow
before a question needs them: a viewer is on screen before that.
"""

from __future__ import annotations

import time
from pathlib import Path

from engine.errors import UserError
from engine.store.base import Reader, to_rows
from engine.store.errors import EngineGone, QueryError, QueryInterrupted
from engine.store.file_reader import FileReader
from engine.store.protocol import DATABASE_NAME, SOCKET_NAME
from engine.store.socket_reader import SocketReader

__all__ = [
    "EngineGone", "FileReader", "QueryError", "QueryInterrupted", "Reader", "SocketReader", "open_run", "to_rows",
]  # fmt: skip

OPEN_SECONDS = 2.0
"""How long `open_run` waits for an engine that has the file and does not answer yet."""


def open_run(run_dir: Path) -> Reader:
    """A reader of the run in this directory: through its engine when one answers, else of its file.

    Raises:
        UserError: no database there, or a process holds it and its engine does not answer (named by pid).
    """
    database = run_dir / DATABASE_NAME
    if not database.is_file():
        raise UserError(f"{run_dir} has no {DATABASE_NAME}: no run was started there")
    deadline = time.monotonic() + OPEN_SECONDS
    while True:
        try:
            return SocketReader(run_dir / SOCKET_NAME)
        except EngineGone:
            try:
                return FileReader(database)
            except UserError as error:
                # An engine that is just starting or ending holds the file without answering.
                if getattr(error, "pid", None) is None or time.monotonic() > deadline:
                    raise
        time.sleep(0.05)

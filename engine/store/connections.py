"""The connections of the writing process to its database, and how to get new ones when DuckDB has given the old up.

Used by the writer alone. It must never close a connection under a query that still runs.
"""

from __future__ import annotations

import threading
import time
import weakref
from pathlib import Path

import duckdb

from engine.errors import UserError
from engine.store.database import DatabaseInUse, open_database, prepare
from engine.store.errors import StoreFault, one_line

FREE_SECONDS = 3.0
"""How long a viewer that reads the file of a run at rest may take to let it go."""
PATIENCE_SECONDS = 2.0
"""How long queries that were told to stop may take to let the database go."""


class Connections:
    """One open database. `writing` belongs to the writer's thread, `cursor` makes one for any other.

    Raises:
        UserError: the file cannot be opened, see `open_database`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._cursors: weakref.WeakSet[duckdb.DuckDBPyConnection] = weakref.WeakSet()
        self._open()

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection for one thread, which closes it after use and keeps no reference."""
        with self._lock:
            cursor = self._root.cursor()
            self._cursors.add(cursor)
            return cursor

    def reopen(self) -> None:
        """Opens the database anew: DuckDB refuses one in which a fatal error happened.

        Raises:
            StoreFault: it is still in use, or does not open yet; to be tried again.
        """
        self.close()
        if self._running():
            raise StoreFault(f"{self._path.name} had a fatal error and is still being read")
        try:
            self._open()
        except UserError as error:
            raise StoreFault(str(error)) from error

    def close(self) -> None:
        """Stops the queries of other threads, then closes."""
        with self._lock:
            waiting = threading.Event()
            for _ in range(int(PATIENCE_SECONDS / 0.01)):
                if not self._running():
                    break
                waiting.wait(0.01)
            self.writing.close()
            self._root.close()

    def _running(self) -> bool:
        """Whether another thread still has a connection; what it runs is told to stop."""
        for cursor in list(self._cursors):
            try:
                cursor.interrupt()
            except duckdb.ConnectionException:
                # Closed already; a traceback may keep the object alive.
                self._cursors.discard(cursor)
        return bool(self._cursors)

    def _open(self) -> None:
        with self._lock:
            self._root = _open_when_free(self._path)
            try:
                prepare(self._root, self._path)
                self.writing = self._root.cursor()
            except duckdb.Error as error:  # the disk is full, most likely: opening writes a little
                self._root.close()
                raise StoreFault(f"{self._path} cannot be written: {one_line(error)}") from error
            except BaseException:
                self._root.close()
                raise


def _open_when_free(path: Path) -> duckdb.DuckDBPyConnection:
    deadline = time.monotonic() + FREE_SECONDS
    while True:
        try:
            return open_database(path, read_only=False)
        except DatabaseInUse:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.02)

"""One query over the rows of many runs, live ones and those at rest: every table and view has the column `run`.

Used by the command line. It holds no run: each is opened for the query alone, by the process for ad-hoc SQL.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.store.protocol import DATABASE_NAME, default_limit, encode_parameters
from engine.store.query_process import AdHocQueries, QueryLimits, Still, question
from engine.store.reader import open_run
from engine.store.socket_reader import SocketReader

if TYPE_CHECKING:
    import pyarrow as pa


class ManyRuns:
    """Ad-hoc queries over the runs of these directories. `interrupt` may come from any thread."""

    def __init__(self, run_dirs: Sequence[Path], limits: QueryLimits) -> None:
        self._run_dirs = run_dirs
        self._limits = limits
        self._adhoc = AdHocQueries()
        self.truncated = False
        """Whether the last answer was cut at its limit."""

    def query(self, sql: str, limit: int | None = None) -> pa.Table:
        """The answer; the runs together may use what the limits allow one query. Raises as a reader's `query` does."""
        readers = {path: open_run(path) for path in self._run_dirs}
        try:
            stills: dict[str, Still] = {}
            databases: dict[str, Path] = {}
            for path, reader in readers.items():
                databases[path.name] = path / DATABASE_NAME
                if isinstance(reader, SocketReader):
                    databases[path.name] = reader.database
                    stills[str(reader.database)] = reader.still
            asked = question(databases, sql, encode_parameters(()), default_limit("adhoc", limit), together=True)
            table, self.truncated = self._adhoc.ask(asked, self._limits, stills)
            return table
        finally:
            for reader in readers.values():
                reader.close()

    def interrupt(self) -> None:
        """Stops the query that runs in another thread, if any."""
        self._adhoc.interrupt()

"""The reader of a run at rest: the same questions on the file, opened read-only and shut off from the machine as the
engine's is.

Made by `engine.store.reader.open_run`. It must never write a table, nor keep the file from an engine that takes the run
up.
"""

from __future__ import annotations

import atexit
import stat
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import UserError
from engine.store.base import check_kind, to_rows
from engine.store.errors import DamagedDatabase, EngineGone, NotBegun
from engine.store.protocol import Parameters, decode_parameters, default_limit, encode_parameters, run_name
from engine.store.query_process import AdHocQueries, QueryLimits, question

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from engine.store.execute import QueryJob

IDLE_SECONDS = 0.3
"""How long the file stays open after a question."""

Stamp = tuple[str, int, int, int]
_versions: dict[Stamp, int] = {}
"""Of files as they were when this process last looked: to ask takes as long as to open one, and a face opens a run at
rest for every look."""


def _stamp(path: Path) -> Stamp:
    """What changes when a file does."""
    status = path.stat()
    return str(path), status.st_ino, status.st_mtime_ns, status.st_size


def check_file(path: Path) -> None:
    """Raises UserError when there is no file at `path`, DamagedDatabase when there is something else: a FIFO would wait
    for ever."""
    try:
        status = path.stat()
    except FileNotFoundError as error:
        if path.is_symlink():
            raise DamagedDatabase(path, "it is a link to nothing") from error
        raise UserError(f"{path.parent} has no {path.name}: no run was started there") from error
    except OSError as error:
        raise UserError(f"{path} cannot be opened: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode):
        raise DamagedDatabase(path, "it is a directory" if stat.S_ISDIR(status.st_mode) else "it is not a regular file")


class FileReader:
    """A reader of a run at rest. It lets the file go between questions, so that an engine can take the run up again.

    Raises:
        UserError: there is no database, it is held by a process (named by pid), or it is of a newer schema.
        NotBegun: it has no tables. DamagedDatabase.
    """

    def __init__(self, path: Path) -> None:
        from engine.store.database import HERE

        check_file(path)
        self._path = path
        self._asking = threading.Lock()
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._cursor: duckdb.DuckDBPyConnection | None = None
        self._idle: threading.Timer | None = None
        self._job: QueryJob | None = None
        self._adhoc = AdHocQueries()
        self.limits = QueryLimits.given()
        self._truncated = False
        # DuckDB complains on stderr about connections that are open when the interpreter ends.
        atexit.register(self._let_go)
        try:
            self._version = self._schema_version()
        except BaseException:
            self.close()
            raise
        self._views = (HERE / "views.sql").read_text(encoding="utf-8")
        self._name = run_name(path)

    @property
    def live(self) -> bool:
        return False

    @property
    def truncated(self) -> bool:
        return self._truncated

    def query(self, sql: str, params: Parameters = (), lane: str = "tick", limit: int | None = None) -> pa.Table:
        from engine.store.execute import QueryJob

        # Through the same encoding as over the socket, so that the same values are taken and refused.
        encoded = encode_parameters(params)
        if lane == "adhoc":
            self._let_go()
            asked = question({self._name: self._path}, sql, encoded, default_limit(lane, limit))
            table, self._truncated = self._adhoc.ask(asked, self.limits, {})
            return table
        values = decode_parameters(encoded)
        with self._taken_up_is_gone(), self._opened() as connection:
            self._job = job = QueryJob()
            try:
                result = job.run(
                    lambda: self._as_of_now(connection), sql, values, default_limit(lane, limit), keep=True
                )
            finally:
                self._job = None
                job.end()
        self._truncated = result.truncated
        return result.table

    def rows(
        self, sql: str, params: Parameters = (), lane: str = "tick", limit: int | None = None
    ) -> list[dict[str, Any]]:
        return to_rows(self.query(sql, params, lane=lane, limit=limit))

    def command(
        self,
        kind: str,
        *,
        node_id: int | None = None,
        proposal_id: int | None = None,
        revision: int | None = None,
        payload: Mapping[str, object] | None = None,
        author: str | None = None,
    ) -> int:
        check_kind(kind)
        raise UserError(
            f"the run is not running, so nothing would carry out the command {kind!r}: `llmzero resume` first"
        )

    def tables(self) -> Iterator[tuple[str, pa.Table]]:
        from engine.store.execute import QueryJob, export_tables

        with self._taken_up_is_gone(), self._opened() as connection:
            yield from export_tables(QueryJob(), lambda: self._as_of_now(connection), keep=True)

    def interrupt(self) -> None:
        self._adhoc.interrupt()
        job = self._job
        # DuckDB forgets an interruption between two statements.
        while job is not None and not job.ended:
            job.interrupt()
            time.sleep(0.01)

    def close(self) -> None:
        self._adhoc.interrupt()
        self._let_go()
        atexit.unregister(self._let_go)

    def _schema_version(self) -> int:
        from engine.store.database import schema_version

        with self._opened() as connection:
            version = _versions.get(stamp := _stamp(self._path))
            if version is None:
                version = schema_version(connection, self._path)
            if version is None:
                raise NotBegun
        _versions[stamp] = version
        return version

    def _as_of_now(self, connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
        """The file as a run of now: of an older or renamed run that takes 0.1 s, so it is kept as long as the file."""
        from engine.store.upgrade import as_of_now

        if self._cursor is None:
            self._cursor = as_of_now(connection.cursor, self._version, self._views, self._name)()
        return self._cursor

    @contextmanager
    def _opened(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The file, open; it stays so a moment longer, for the next question."""
        from engine.store.database import open_database

        with self._asking:
            if self._idle is not None:
                self._idle.cancel()
            if self._connection is None:
                self._connection = open_database(self._path, read_only=True)
            try:
                yield self._connection
            finally:
                self._idle = threading.Timer(IDLE_SECONDS, self._let_go)
                self._idle.daemon = True
                self._idle.start()

    def _let_go(self) -> None:
        with self._asking:
            if self._idle is not None:
                self._idle.cancel()
            for each in filter(None, (self._cursor, self._connection)):
                each.close()
            self._cursor = self._connection = None

    @contextmanager
    def _taken_up_is_gone(self) -> Iterator[None]:
        """A file that an engine has taken up meanwhile: whoever asks must open the run again."""
        from engine.store.database import DatabaseInUse

        try:
            yield
        except DatabaseInUse as error:
            raise EngineGone(f"the run was resumed by process {error.pid}: open it again") from error

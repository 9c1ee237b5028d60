"""How the face and the analysis ask a run: one interface over the live engine's socket or the file of a run at rest.

The same question gives the same rows and the same one-line errors both ways. It must never write a file's tables, and
imports duckdb and pyarrow only when a question needs them: a viewer is on screen before that.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from engine.errors import UserError
from engine.store import queries
from engine.store.errors import EngineGone, QueryError, QueryInterrupted, StoreFault
from engine.store.protocol import (
    COMMAND_KINDS,
    DATABASE_NAME,
    PREFIX,
    SOCKET_NAME,
    Header,
    Parameters,
    decode_parameters,
    default_limit,
    encode_parameters,
    frame,
    parse_header,
    reachable,
)

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from engine.store.execute import Job

HELLO_SECONDS = 5.0
TICK_SECONDS = 60.0
IDLE_SECONDS = 0.3
"""How long a file at rest stays open after a question."""
OPEN_SECONDS = 2.0
"""How long `open_run` waits for an engine that has the file and does not answer yet."""


class Reader(Protocol):
    """Questions to one run. One query at a time; `interrupt` and `close` may come from any thread."""

    @property
    def live(self) -> bool:
        """Whether an engine runs this search now."""

    @property
    def truncated(self) -> bool:
        """Whether the last answer was cut at its limit."""

    def query(self, sql: str, params: Parameters = (), lane: str = "tick", limit: int | None = None) -> pa.Table:
        """The answer as Arrow.

        Args:
            lane: "tick" for the program's own quick questions, "adhoc" for what a human typed (its own threads, 100,000
            rows). limit: the most rows; `truncated` says whether there were more.

        Raises:
            QueryError: wrong SQL, or SQL that would write. QueryInterrupted. EngineGone: the engine ended meanwhile.
        """

    def rows(
        self, sql: str, params: Parameters = (), lane: str = "tick", limit: int | None = None
    ) -> list[dict[str, Any]]:
        """The answer as a dictionary per row. Raises as `query` does."""

    def command(
        self,
        kind: str,
        *,
        node_id: int | None = None,
        proposal_id: int | None = None,
        revision: int | None = None,
        payload: Mapping[str, object] | None = None,
        author: str = "human",
    ) -> int:
        """Asks the engine for something; returns the command's id once it is on disk. What comes of it is in
        command_results.

        Raises:
            UserError: an unknown kind, or a run that is not live.
        """

    def tables(self) -> Iterator[tuple[str, pa.Table]]:
        """Every table in pieces, all as of one moment, for a copy of the run."""

    def interrupt(self) -> None:
        """Stops the query that runs in another thread, if any."""

    def close(self) -> None:
        """Lets the engine or the file go."""


def to_rows(table: pa.Table) -> list[dict[str, Any]]:
    """A dictionary per row. Sums of integers, which DuckDB makes HUGEINT, are integers again."""
    rows: list[dict[str, Any]] = table.to_pylist()
    whole = [f.name for f in table.schema if str(f.type).startswith("decimal") and f.type.scale == 0]
    for name in whole:
        for row in rows:
            if isinstance(row[name], Decimal):
                row[name] = int(row[name])
    return rows


def check_kind(kind: str) -> None:
    """Raises UserError for a command that does not exist."""
    if kind not in COMMAND_KINDS:
        raise UserError(f"unknown command {kind!r}: one of {', '.join(COMMAND_KINDS)}")


class SocketReader:
    """A reader of a live run.

    Raises:
        EngineGone: nobody answers at the socket.
    """

    def __init__(self, socket_path: Path) -> None:
        self._path = socket_path
        self._asking = threading.Lock()
        self._sending = threading.Lock()
        self._number = 0
        self._in_flight: int | None = None
        self._live = True
        self._truncated = False
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(HELLO_SECONDS)
        try:
            with reachable(socket_path) as name:
                self._socket.connect(name)
            with self._asking:
                self._send({"hello": True}, HELLO_SECONDS)
                self.pid = int(self._receive()[0]["pid"])
        except OSError as error:
            self._socket.close()
            raise EngineGone(f"no engine answers at {socket_path}: {error.strerror or error}") from error

    @property
    def live(self) -> bool:
        return self._live

    @property
    def truncated(self) -> bool:
        return self._truncated

    def query(self, sql: str, params: Parameters = (), lane: str = "tick", limit: int | None = None) -> pa.Table:
        request = {"sql": sql.encode("utf-8", "replace").decode(), "params": encode_parameters(params), "lane": lane}
        with self._asking:
            self._send({**request, "limit": limit}, None if lane == "adhoc" else TICK_SECONDS)
            header, body = self._receive()
        self._truncated = bool(header["truncated"])
        return from_bytes(body)

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
        author: str = "human",
    ) -> int:
        check_kind(kind)
        text = json.dumps(dict(payload or {}))
        answer = self.rows(queries.load("insert_command"), [kind, node_id, proposal_id, revision, text, author])
        return int(answer[0]["command_id"])

    def tables(self) -> Iterator[tuple[str, pa.Table]]:
        with self._asking:
            self._send({"snapshot": True}, TICK_SECONDS)
            header, body = self._receive(last=False)
            while "table" in header:
                yield header["table"], from_bytes(body)
                header, body = self._receive(last=False)
            self._in_flight = None

    def interrupt(self) -> None:
        number = self._in_flight
        if number is not None:
            try:
                with self._sending:
                    self._socket.sendall(frame({"cancel": number}))
            except OSError:
                # The engine is gone; the thread that waits for the answer says so.
                return

    def close(self) -> None:
        self._live = False
        # shutdown wakes a thread that waits for an answer, close alone does not.
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _send(self, request: Header, patience: float | None) -> None:
        """Sends a request; its reply may take `patience` seconds, None for any time."""
        self._number += 1
        self._in_flight = self._number
        try:
            self._socket.settimeout(patience)
            with self._sending:
                self._socket.sendall(frame({"id": self._number, **request}))
        except OSError as error:
            raise self._gone(error) from error

    def _receive(self, *, last: bool = True) -> tuple[Header, bytearray]:
        """The reply to the request in flight; an error in it is raised."""
        try:
            while True:
                header_bytes, body_bytes = PREFIX.unpack(self._exactly(PREFIX.size))
                header = parse_header(self._exactly(header_bytes))
                body = self._exactly(body_bytes)
                if header["id"] == self._number:
                    break
        except (OSError, ValueError) as error:
            raise self._gone(error) from error
        except BaseException:
            # Stopped by the user in the middle of a frame: what follows on this socket cannot be understood any more.
            self.close()
            raise
        if last or "error" in header:
            self._in_flight = None
        if "error" in header:
            kinds = {"interrupted": QueryInterrupted, "fault": StoreFault}
            raise kinds.get(header["type"], QueryError)(header["error"])
        return header, body

    def _exactly(self, count: int) -> bytearray:
        data = bytearray(count)
        view, have = memoryview(data), 0
        while have < count:
            got = self._socket.recv_into(view[have:])
            if not got:
                raise ConnectionError("it closed the connection")
            have += got
        return data

    def _gone(self, error: Exception) -> EngineGone:
        self._in_flight = None
        self.close()
        return EngineGone(f"the engine at {self._path} is gone: {getattr(error, 'strerror', None) or error}")


class FileReader:
    """A reader of a run at rest. It lets the file go between questions, so that an engine can take the run up again.

    Raises:
        UserError: there is no database, it is held by a process (named by pid), or it is of a newer schema.
    """

    def __init__(self, path: Path) -> None:
        from engine.store.database import check_version, schema_version

        if not path.is_file():
            raise UserError(f"{path.parent} has no {path.name}: no run was started there")
        self._path = path
        self._asking = threading.Lock()
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._idle: threading.Timer | None = None
        self._job: Job | None = None
        self._truncated = False
        with self._opened() as connection:
            version = schema_version(connection)
            check_version(version, path)
            if version is None:
                raise UserError(f"{path} has no tables yet: the run ended before it began")

    @property
    def live(self) -> bool:
        return False

    @property
    def truncated(self) -> bool:
        return self._truncated

    def query(self, sql: str, params: Parameters = (), lane: str = "tick", limit: int | None = None) -> pa.Table:
        from engine.store.execute import Job

        # Through the same encoding as over the socket, so that the same values are taken and refused.
        values = decode_parameters(encode_parameters(params))
        with self._taken_up_is_gone(), self._opened() as connection:
            self._job = job = Job()
            try:
                result = job.run(connection.cursor, sql, values, default_limit(lane, limit))
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
        author: str = "human",
    ) -> int:
        check_kind(kind)
        raise UserError(f"the run is not live, nobody would take the command {kind!r}: `llmzero resume` first")

    def tables(self) -> Iterator[tuple[str, pa.Table]]:
        from engine.store.execute import Job, export_tables

        with self._taken_up_is_gone(), self._opened() as connection:
            yield from export_tables(Job(), connection.cursor)

    def interrupt(self) -> None:
        job = self._job
        # DuckDB forgets an interruption between two statements.
        while job is not None and not job.ended:
            job.interrupt()
            time.sleep(0.01)

    def close(self) -> None:
        with self._asking:
            self._let_go()

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
                self._idle = threading.Timer(IDLE_SECONDS, self.close)
                self._idle.daemon = True
                self._idle.start()

    def _let_go(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def _taken_up_is_gone(self) -> Iterator[None]:
        """A file that an engine has taken up meanwhile: whoever asks must open the run again."""
        from engine.store.database import Held

        try:
            yield
        except Held as error:
            raise EngineGone(f"the run was taken up by process {error.pid}: open it again") from error


def from_bytes(body: bytearray) -> pa.Table:
    """A table from its Arrow IPC stream."""
    import pyarrow as pa

    return pa.ipc.open_stream(body).read_all()


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

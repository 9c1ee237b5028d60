"""The reader of a live run: questions and commands over the engine's socket.

Made by `engine.store.reader.open_run`. It must never be left waiting by an engine that dies, and imports pyarrow only
when an answer needs it: a viewer is on screen before that.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import UserError
from engine.store import queries
from engine.store.base import check_kind, login, to_rows
from engine.store.errors import EngineGone, QueryError, QueryInterrupted, StoreFault
from engine.store.protocol import (
    DATABASE_NAME,
    PREFIX,
    SCHEMA_VERSION,
    Header,
    Parameters,
    default_limit,
    encode_parameters,
    frame,
    parse_header,
    reachable,
)
from engine.store.query_process import AdHocQueries, QueryLimits, question

if TYPE_CHECKING:
    import pyarrow as pa

HELLO_SECONDS = 5.0
TICK_SECONDS = 60.0
"""How long an engine may take to greet, and to answer a quick question."""


class SocketReader:
    """A reader of a live run.

    Raises:
        EngineGone: nobody answers at the socket. UserError: an engine of another version answers.
    """

    def __init__(self, socket_path: Path) -> None:
        self._path = socket_path
        self._asking = threading.Lock()
        self._sending = threading.Lock()
        self._number = 0
        self._in_flight: int | None = None
        self._live = True
        self._truncated = False
        self._adhoc = AdHocQueries()
        self.limits = QueryLimits.given()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(HELLO_SECONDS)
        try:
            with reachable(socket_path) as name:
                self._socket.connect(name)
            with self._asking:
                self._send({"hello": True}, HELLO_SECONDS)
                header = self._receive()[0]
        except OSError as error:
            self._socket.close()
            raise EngineGone(f"no engine answers at {socket_path}: {error.strerror or error}") from error
        self.pid = int(header["pid"])
        if (version := header.get("schema_version")) != SCHEMA_VERSION:
            self._socket.close()
            raise UserError(
                f"the engine of {socket_path.parent.name} (process {self.pid}) has schema version {version}, this "
                f"llmzero {SCHEMA_VERSION}: `kill {self.pid}` ends it safely, then `llmzero resume` continues it"
            )

    @property
    def live(self) -> bool:
        return self._live

    @property
    def truncated(self) -> bool:
        return self._truncated

    @property
    def database(self) -> Path:
        """The file of the run, which only its engine may open."""
        return self._path.with_name(DATABASE_NAME).resolve()

    def query(self, sql: str, params: Parameters = (), lane: str = "tick", limit: int | None = None) -> pa.Table:
        encoded = encode_parameters(params)
        if lane == "adhoc":
            asked = question({"": self.database}, sql, encoded, default_limit(lane, limit))
            table, self._truncated = self._adhoc.ask(asked, self.limits, {str(self.database): self.still})
            return table
        request = {"sql": sql.encode("utf-8", "replace").decode(), "params": encoded, "lane": lane}
        with self._asking:
            self._send({**request, "limit": limit}, None if lane == "long" else TICK_SECONDS)
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
        author: str | None = None,
    ) -> int:
        check_kind(kind)
        text = json.dumps(dict(payload or {}))
        row = [kind, node_id, proposal_id, revision, text, author or login()]
        answer = self.rows(queries.load("insert_command"), row)
        return int(answer[0]["command_id"])

    def tables(self) -> Iterator[tuple[str, pa.Table]]:
        with self._asking:
            self._send({"snapshot": True}, TICK_SECONDS)
            header, body = self._receive(last=False)
            while "table" in header:
                yield header["table"], from_bytes(body)
                header, body = self._receive(last=False)
            self._in_flight = None

    @contextmanager
    def still(self) -> Iterator[None]:
        """A block in which the engine writes nothing. Raises EngineGone, or StoreFault when the block took too long."""
        with self._asking:
            self._send({"still": True}, TICK_SECONDS)
            self._receive(last=False)
            try:
                yield
            finally:
                try:
                    with self._sending:
                        self._socket.sendall(frame({"cancel": self._number}))
                except OSError as error:
                    raise self._gone(error) from error
                self._receive()

    def interrupt(self) -> None:
        self._adhoc.interrupt()
        with self._sending:
            if self._in_flight is not None:
                # Where the engine is gone, the thread that waits for the answer says so.
                with suppress(OSError):
                    self._socket.sendall(frame({"cancel": self._in_flight}))

    def close(self) -> None:
        self._live = False
        self._adhoc.interrupt()
        # shutdown wakes a thread that waits for an answer, close alone does not.
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _send(self, request: Header, patience: float | None) -> None:
        """Sends a request; its reply may take `patience` seconds, None for any time."""
        self._number += 1
        try:
            self._socket.settimeout(patience)
            with self._sending:
                # At once with the request: a cancellation that came before it would be of nothing, and so lost.
                self._in_flight = self._number
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


def from_bytes(body: bytearray) -> pa.Table:
    """A table from its Arrow IPC stream."""
    import pyarrow as pa

    return pa.ipc.open_stream(body).read_all()

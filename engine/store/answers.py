"""Turns one request of a viewer into reply frames: rows, the id of a new command, all tables for a copy, or a one-line
error.

Called by the server in its pools, several at once. It must never run SQL but through `execute`, nor write but through
the writer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.store import queries
from engine.store.errors import QueryError, QueryInterrupted, StoreFault, printable
from engine.store.execute import QueryJob, export_tables
from engine.store.protocol import COMMAND_KINDS, SCHEMA_VERSION, Header, decode_parameters, default_limit
from engine.store.writer import Writer

if TYPE_CHECKING:
    import pyarrow as pa

STILL_SECONDS = 10.0
"""The longest that a viewer may keep the engine from writing, while rows queue; 1 GB is copied in a second or two."""

Reply = tuple[Header, memoryview]


class RequestHandler:
    """The engine's side of the protocol, without sockets."""

    def __init__(self, writer: Writer, on_command: Callable[[int], None]) -> None:
        self._writer = writer
        self._on_command = on_command
        self._insert_command = queries.load("insert_command").strip()

    def hello(self, request: Header) -> Reply:
        """Who answers here."""
        return {"id": request["id"], "pid": os.getpid(), "schema_version": SCHEMA_VERSION}, memoryview(b"")

    def answer(self, request: Header, job: QueryJob) -> Reply:
        """The reply; a job that is stopped replies as interrupted."""
        number = request["id"]
        with errors_as_replies(number) as failed:
            table, truncated = self._query(request, job)
            return {"id": number, "rows": table.num_rows, "truncated": truncated}, to_bytes(table)
        return failed[0]

    def copy(self, request: Header, job: QueryJob, send: Callable[[Reply], None]) -> None:
        """Sends every table in pieces as of one moment, then an empty reply, or an error."""
        number = request["id"]
        with errors_as_replies(number) as failed:
            for name, table in export_tables(job, self._writer.cursor):
                send(({"id": number, "table": name}, to_bytes(table)))
        send(failed[0] if failed else ({"id": number}, memoryview(b"")))

    def still(self, request: Header, job: QueryJob, send: Callable[[Reply], None]) -> None:
        """Holds the writer until the viewer says that it has copied the file, or for STILL_SECONDS."""
        number = request["id"]
        with self._writer.still():
            send(({"id": number, "still": True}, memoryview(b"")))
            kept = job.wait(STILL_SECONDS)
        late = {"type": "fault", "error": f"the run could not be copied for the query within {STILL_SECONDS:g} s"}
        send(({"id": number, **({} if kept else late)}, memoryview(b"")))

    def _query(self, request: Header, job: QueryJob) -> tuple[pa.Table, bool]:
        sql, limit, lane = request.get("sql"), request.get("limit"), request.get("lane", "tick")
        if not isinstance(sql, str) or not isinstance(limit, int | None):
            raise QueryError("a request needs sql (text) and may have limit (a number)")
        try:
            params = decode_parameters(request.get("params", []))
        except ValueError as error:
            raise QueryError(f"malformed parameters: {error}") from error
        if sql.strip() == self._insert_command:
            return self._command(params), False
        if lane not in ("tick", "long"):
            raise QueryError(f"the engine answers no {printable(str(lane))[:40]} queries: a viewer runs them itself")
        result = job.run(self._writer.cursor, sql, params, default_limit(lane, limit))
        return result.table, result.truncated

    def _command(self, params: object) -> pa.Table:
        """Writes a command; it is on disk before the viewer or the controller hears of it."""
        import pyarrow as pa

        if not isinstance(params, list) or len(params) != 6 or params[0] not in COMMAND_KINDS:
            raise QueryError(f"a command takes six parameters, the first one of {', '.join(COMMAND_KINDS)}")
        kind, node_id, proposal_id, revision, payload, author = params
        try:
            command_id = self._writer.insert_new(
                "commands", kind=kind, node_id=node_id, proposal_id=proposal_id,
                revision=revision, payload=payload, author=author,
            )  # fmt: skip
        except (TypeError, ValueError) as error:
            raise QueryError(f"malformed command: {error}") from error
        self._writer.flush()
        self._on_command(command_id)
        return pa.table({"command_id": pa.array([command_id], pa.int32())})


@contextmanager
def errors_as_replies(number: int) -> Iterator[list[Reply]]:
    """Expected errors inside the block become a reply in the list, one line; our bugs go on."""
    failed: list[Reply] = []
    kinds = ((QueryInterrupted, "interrupted"), (QueryError, "query"), (StoreFault, "fault"))
    try:
        yield failed
    except (QueryError, StoreFault) as error:
        kind = next(name for known, name in kinds if isinstance(error, known))
        failed.append(({"id": number, "type": kind, "error": str(error)}, memoryview(b"")))


def to_bytes(table: pa.Table) -> memoryview:
    """The table as an Arrow IPC stream."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return memoryview(sink.getvalue())

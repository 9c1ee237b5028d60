"""Runs one SQL text of a human or the face: reads only, bounded, interruptible. The same for a live run and for a file.

Called by the server and by the file reader. It must never run what could write: one statement, of a reading kind,
inside a read-only transaction, on a database whose access to files, extensions and settings is shut.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb

from engine.store.errors import QueryError, QueryInterrupted, one_line, printable

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 2048
"""Rows that are fetched at once: DuckDB's vector, so that wide rows are seen to be too many as early as can be."""
RESULT_BYTES = 256 << 20
"""An answer larger than this is cut, whatever its rows."""

READING = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)
"""DuckDB parses DESCRIBE, SHOW, SUMMARIZE, VALUES and FROM as SELECT."""


@dataclass(frozen=True)
class QueryResult:
    """The rows, and whether there were more."""

    table: pa.Table
    truncated: bool


class QueryJob:
    """One query that another thread may stop, before, while and after it runs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cursor: duckdb.DuckDBPyConnection | None = None
        self._stop = threading.Event()
        self._ended = False

    @property
    def ended(self) -> bool:
        """Whether the query is over, so that stopping it means nothing any more."""
        return self._ended

    def end(self) -> None:
        """Says that it is over, also for a job that never ran."""
        self._ended = True

    def wait(self, seconds: float) -> bool:
        """Whether it was told to stop within so long."""
        return self._stop.wait(seconds)

    def interrupt(self) -> None:
        """Stops the query. DuckDB forgets an interruption between two statements: repeat until `ended`."""
        with self._lock:
            self._stop.set()
            if self._cursor is not None:
                self._cursor.interrupt()

    def run(
        self,
        connect: Callable[[], duckdb.DuckDBPyConnection],
        sql: str,
        params: Sequence[object] | Mapping[str, object],
        limit: int | None,
        *,
        keep: bool = False,
    ) -> QueryResult:
        """The answer, on a connection of its own that is closed afterwards, or with `keep` left without a transaction.

        Raises:
            QueryError: refused or wrong. QueryInterrupted: stopped by `interrupt`.
        """
        with self.connected(connect, keep=keep) as cursor:
            return read(cursor, sql, params, limit, self._stop.is_set)

    @contextmanager
    def connected(
        self, connect: Callable[[], duckdb.DuckDBPyConnection], *, keep: bool = False
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection that `interrupt` reaches inside the block; database errors leave it as QueryError."""
        cursor = None
        try:
            cursor = connect()
            with self._lock:
                self._cursor = cursor
            if self._stop.is_set():
                raise QueryInterrupted("the query was interrupted")
            yield cursor
        except duckdb.InterruptException as error:
            raise QueryInterrupted("the query was interrupted") from error
        except duckdb.Error as error:
            raise QueryError(one_line(error)) from error
        except (OSError, ValueError) as error:
            # While an answer streams, Arrow hands on what DuckDB says.
            if self._stop.is_set():
                raise QueryInterrupted("the query was interrupted") from error
            raise QueryError(one_line(error)) from error
        except OverflowError as error:
            raise QueryError(f"the query cannot be sent to the database: {printable(str(error))}") from error
        finally:
            with self._lock:
                self._cursor = None
            if cursor is not None and keep:
                with suppress(duckdb.Error):  # none was begun, or the database has failed, which is told already
                    cursor.rollback()
            elif cursor is not None:
                cursor.close()


def authorise(cursor: duckdb.DuckDBPyConnection, sql: str) -> duckdb.Statement:
    """The one statement of the text, when it only reads.

    Raises:
        QueryError: no statement, several, or one that does more than read. duckdb.Error: a syntax error.
    """
    statements = cursor.extract_statements(sql)
    if len(statements) != 1:
        raise QueryError(f"only reading is allowed, one statement at a time; this text has {len(statements)}")
    try:
        kind = statements[0].type
    except ValueError:
        # Kinds that the Python client does not know yet.
        raise QueryError("only reading is allowed: SELECT, EXPLAIN, DESCRIBE, SHOW or SUMMARIZE") from None
    if kind == duckdb.StatementType.MULTI:
        raise QueryError("only reading is allowed: a PIVOT must list its values, as in PIVOT … ON column IN ('a', 'b')")
    if kind not in READING:
        raise QueryError(
            f"only reading is allowed: SELECT, EXPLAIN, DESCRIBE, SHOW or SUMMARIZE, but this is {kind.name}"
        )
    return statements[0]


def read(
    cursor: duckdb.DuckDBPyConnection,
    sql: str,
    params: Sequence[object] | Mapping[str, object],
    limit: int | None,
    cancelled: Callable[[], bool],
) -> QueryResult:
    """Streams the answer until it ends, or `limit` rows, or RESULT_BYTES."""
    import pyarrow as pa

    # A lone surrogate, as terminals and models produce them, cannot reach the database.
    statement = authorise(cursor, sql.encode("utf-8", "replace").decode("utf-8"))
    cursor.execute("BEGIN TRANSACTION READ ONLY")
    relation = cursor.sql(statement, params=dict(params) if isinstance(params, Mapping) else list(params) or None)
    reader = relation.to_arrow_reader(BATCH_ROWS)
    batches, rows, size, truncated = [], 0, 0, False
    try:
        for batch in reader:
            if cancelled():
                raise QueryInterrupted("the query was interrupted")
            room = batch.num_rows if limit is None else max(0, limit - rows)
            batches.append(batch.slice(0, room))
            rows, size = rows + batches[-1].num_rows, size + batch.nbytes
            truncated = batch.num_rows > room
            if truncated or size > RESULT_BYTES:
                truncated = True
                break
        return QueryResult(pa.Table.from_batches(batches, reader.schema), truncated)
    finally:
        reader.close()


def export_tables(
    job: QueryJob, connect: Callable[[], duckdb.DuckDBPyConnection], *, keep: bool = False
) -> Iterator[tuple[str, pa.Table]]:
    """Every table in pieces, all as of one moment: (name, rows), at least one piece each. Raises as `QueryJob.run`."""
    import pyarrow as pa

    with job.connected(connect, keep=keep) as cursor:
        cursor.execute("BEGIN TRANSACTION READ ONLY")
        tables = cursor.execute("SELECT table_name FROM duckdb_tables() WHERE NOT internal ORDER BY 1").fetchall()
        for (name,) in tables:
            # A table's name comes from the catalog of our own schema.
            reader = cursor.sql(f'SELECT * FROM "{name}"').to_arrow_reader(BATCH_ROWS)  # noqa: S608
            try:
                yield name, reader.schema.empty_table()
                for batch in reader:
                    yield name, pa.Table.from_batches([batch])
            finally:
                reader.close()

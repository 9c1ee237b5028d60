"""The only writer of a run's database: callers put rows in, one thread commits them in order, in batches.

Called by the engine's controller and by the server (for commands). It must never lose a row that was put in, write one
twice or out of order, or block the caller of insert, update and delete.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb

from engine.store.changes import Change, NoSuchRow, RowDelete, RowInsert, RowUpdate, commit, last_batch
from engine.store.columns import read_tables
from engine.store.connections import Connections
from engine.store.database import DatabaseInUse
from engine.store.errors import StoreFault, one_line

BATCH_SECONDS = 0.1
BATCH_ROWS = 1000
RETRY_SECONDS = 2.0

IDENTIFIERS = {
    "nodes": ("node_id", 0),
    "proposals": ("proposal_id", 1),
    "agent_calls": ("call_id", 1),
    "commands": ("command_id", 1),
}
"""Tables whose ids the engine counts itself, with the column and the first id."""

_open_paths: set[Path] = set()
_open_lock = threading.Lock()


class Writer:
    """Opens or creates a run's database and writes it from one background thread.

    Raises:
        UserError: the file is held by another process, has a newer schema, or is no database.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        _claim(self.path)
        try:
            self._connections = Connections(self.path)
            connection = self._connections.writing
            self._tables = read_tables(connection)
            self._batch = last_batch(connection)
            with_seq = [table for table, known in self._tables.items() if "seq" in known.columns]
            self._seq = max(highest(connection, table, "seq", 0) for table in with_seq)
            self._ids = {
                table: highest(connection, table, column, first - 1) for table, (column, first) in IDENTIFIERS.items()
            }
        except BaseException:
            _release(self.path)
            raise
        self._changed = threading.Condition()
        self._queue: deque[Change] = deque()
        self._appended = self._committed = self._failures = 0
        self._urgent = self._closing = self._gave_up = self._ended = False
        self._fault: StoreFault | None = None
        self._bug: BaseException | None = None
        self._in_doubt = 0
        self._broken = False
        self._committing = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    @property
    def fault(self) -> StoreFault | None:
        """Why the last transaction failed; None once one succeeds again."""
        return self._fault

    def insert(self, table: str, /, **row: object) -> int:
        """Queues one row; fills `seq` and `ts` (UTC now) where the table has them and they are not given.

        Returns:
            The row's seq, or 0 for a table without one.

        Raises:
            KeyError: unknown table or column. ValueError, TypeError: a value the column cannot hold.
        """
        columns = self._tables[table].columns
        if "ts" in columns and row.get("ts") is None:
            row["ts"] = datetime.now(UTC).replace(tzinfo=None)
        with self._changed:
            if "seq" in columns and row.get("seq") is None:
                row["seq"] = self._seq + 1
            values = self._tables[table].row(row)
            self._append(RowInsert(table, values))
            numbers = dict(zip(columns, values, strict=True))
            seq = int(numbers.get("seq") or 0)  # type: ignore[arg-type]
            self._seq = max(self._seq, seq)
            if table in IDENTIFIERS:
                self._ids[table] = max(self._ids[table], int(numbers[IDENTIFIERS[table][0]]))  # type: ignore[arg-type]
        return seq

    def insert_new(self, table: str, /, **row: object) -> int:
        """Queues one row under the next unused id of its table, so that rows come in the order of their ids.

        Returns:
            The id.

        Raises as `insert` does.
        """
        with self._changed:
            number = self.next_id(table)
            self.insert(table, **{IDENTIFIERS[table][0]: number}, **row)
        return number

    def update(self, table: str, key: Mapping[str, object], /, **values: object) -> None:
        """Queues setting `values` in the rows of `table` that match `key`, in order with the inserts.

        A key that no row has is a bug of the caller: the next `flush` or `raise_bug` raises NoSuchRow.

        Raises as `insert` does.
        """
        if not key:
            raise ValueError(f"an update of {table} needs a key and values")
        self._update(table, key, values)

    def update_run(self, **values: object) -> None:
        """Queues setting `values` in the one row of `runs`, whatever the run is called now. Raises as `insert` does."""
        self._update("runs", {}, values)

    def _update(self, table: str, key: Mapping[str, object], values: Mapping[str, object]) -> None:
        known = self._tables[table]
        if not values:
            raise ValueError(f"an update of {table} needs a key and values")
        new = tuple(known.value(name, value) for name, value in values.items())
        where = tuple(known.value(name, value) for name, value in key.items())
        with self._changed:
            self._append(RowUpdate(table, tuple(values), tuple(key), new + where))

    def delete(self, table: str, /, *, above: tuple[str, int] | None = None, **key: object) -> None:
        """Queues the removal of the rows of `table` that match `key`, in order with the inserts.

        For the half-written rows of a segment that is trained again; nothing else is ever deleted.

        Args:
            above: a column and a number: only rows in which it is higher go.
        """
        known = self._tables[table]
        if not key:
            raise ValueError(f"a removal from {table} needs a key")
        where = tuple(known.value(name, value) for name, value in key.items())
        if above is not None:
            where = (*where, known.value(*above))
        with self._changed:
            self._append(RowDelete(table, tuple(key), where, above[0] if above else ""))

    def next_id(self, table: str) -> int:
        """The next unused id of nodes (from 0), proposals, agent_calls or commands (from 1); none is given twice."""
        with self._changed:
            self._ids[table] += 1
            return self._ids[table]

    def flush(self) -> None:
        """Returns once everything put in before is committed.

        Raises:
            StoreFault: a transaction failed; its rows are kept and retried.
        """
        with self._changed:
            target, failures = self._appended, self._failures
            self._urgent = self._urgent or self._committed < target
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._committed >= target or self._failures > failures or self._ended)
            self.raise_bug()
            if self._committed < target:
                raise self._fault or StoreFault(f"{self.path} is closed")

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection of its own on the open database, for one thread, which closes it after use.

        It can write: run others' SQL through `engine.store.execute` only.
        """
        return self._connections.cursor()

    @contextmanager
    def still(self) -> Iterator[None]:
        """A block in which the file does not change, so that another process can copy it; rows queue meanwhile."""
        with self._committing:
            yield

    def rows(self, sql: str, params: Sequence[object] = ()) -> list[dict[str, Any]]:
        """What the engine asks its own database, from any thread; sees what is committed (`flush` first).

        Raises:
            StoreFault: the database cannot be read now.
        """
        try:
            return self._asked(sql, params)
        except duckdb.Error as error:
            if not (is_fault(error) or isinstance(error, duckdb.InterruptException)):
                raise
        with self.still():  # after a fatal error the thread has ended what ran and opened it anew by then, if it opens
            try:
                return self._asked(sql, params)
            except duckdb.Error as error:
                if not is_fault(error):
                    raise
                raise StoreFault(f"{self.path.name} cannot be read: {one_line(error)}") from error

    def _asked(self, sql: str, params: Sequence[object]) -> list[dict[str, Any]]:
        cursor = self.cursor()
        try:
            cursor.execute(sql, list(params))
            names = [column[0] for column in cursor.description or []]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        finally:
            cursor.close()

    def close(self) -> None:
        """Commits what is left and closes the file. Raises StoreFault when the rest could not be written."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        with self._committing:
            self._connections.close()
        _release(self.path)
        self.raise_bug()
        if self._queue:
            raise self._fault or StoreFault(f"{self.path}: {len(self._queue)} rows were not written")

    def raise_bug(self) -> None:
        """Raises, once, what the tables refused since the last call: a bug of whoever put it in."""
        bug, self._bug = self._bug, None
        if bug is not None:
            raise bug

    # The queue; callers hold self._changed

    def _append(self, change: Change) -> None:
        if self._closing or self._ended:
            raise StoreFault(f"{self.path} is closed")
        self._queue.append(change)
        self._appended += 1
        if len(self._queue) in (1, BATCH_ROWS):
            self._changed.notify_all()

    # The thread

    def _run(self) -> None:
        try:
            while batch := self._next_batch():
                with self._committing:
                    self._attempt(batch)
        except BaseException as error:
            self._bug = error
            raise
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _next_batch(self) -> list[Change]:
        """Waits until there are rows, and company for them or someone who waits for them; empty at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closing)
            if not self._queue or self._gave_up:
                return []
            patience = RETRY_SECONDS if self._fault else BATCH_SECONDS
            self._changed.wait_for(
                lambda: self._urgent or self._closing or (len(self._queue) >= BATCH_ROWS and not self._fault), patience
            )
            self._urgent = self._urgent and len(self._queue) > BATCH_ROWS
            return list(islice(self._queue, BATCH_ROWS))

    def _attempt(self, batch: Sequence[Change]) -> None:
        try:
            self._mend()
            if self._settle():
                return
            self._batch += 1
            commit(self._connections.writing, self._tables, batch, self._batch)
        except (duckdb.Error, StoreFault, NoSuchRow) as error:
            # A failed commit has already ended the transaction.
            with suppress(duckdb.Error):
                self._connections.writing.execute("ROLLBACK")
            if is_fault(error):
                self._failed(error, len(batch))
            elif len(batch) == 1:
                # A row that the tables refuse is our bug: the next flush raises it, the other rows must not suffer.
                self._bug = error
                self._done(1)
            else:
                for change in batch:
                    self._attempt([change])
                    if self._fault:
                        return
        else:
            self._done(len(batch))

    def _mend(self) -> None:
        if self._broken:
            self._connections.reopen()
            self._broken = False

    def _settle(self) -> bool:
        """Whether the batch that failed last is in the database after all: an error may follow a commit."""
        if not self._in_doubt:
            return False
        arrived = last_batch(self._connections.writing) == self._batch
        count, self._in_doubt = self._in_doubt, 0
        if arrived:
            self._done(count)
        return arrived

    def _done(self, count: int) -> None:
        with self._changed:
            for _ in range(count):
                self._queue.popleft()
            self._committed += count
            self._fault = None
            self._changed.notify_all()

    def _failed(self, error: Exception, count: int) -> None:
        self._in_doubt = self._in_doubt or count
        # DuckDB refuses a database in which a fatal error happened until it is opened anew.
        fatal = duckdb.FatalException | duckdb.InternalException | duckdb.ConnectionException
        self._broken = self._broken or isinstance(error, fatal)
        with suppress(duckdb.Error, StoreFault):
            self._mend()  # at once: the engine goes on reading while nothing can be written
        with self._changed:
            self._fault = StoreFault(
                f"{self.path.name} cannot be written, {len(self._queue)} rows wait: {one_line(error)}"
            )
            self._failures += 1
            self._urgent = False
            self._gave_up = self._closing
            self._changed.notify_all()


def highest(connection: duckdb.DuckDBPyConnection, table: str, column: str, default: int) -> int:
    """The largest number in a column; both names come from the schema."""
    row = connection.execute(f'SELECT max("{column}") FROM "{table}"').fetchone()  # noqa: S608
    return default if row is None or row[0] is None else int(row[0])


def is_fault(error: Exception) -> bool:
    """Whether the world failed (disk, memory, a database invalidated by that) rather than the row being wrong."""
    if isinstance(error, duckdb.TransactionException):
        return "constraint" not in str(error).lower()
    return isinstance(
        error,
        StoreFault
        | duckdb.IOException
        | duckdb.OutOfMemoryException
        | duckdb.FatalException
        | duckdb.InternalException
        | duckdb.ConnectionException,
    )


def _claim(path: Path) -> None:
    """Two writers in one process would share DuckDB's instance without noticing."""
    with _open_lock:
        if path in _open_paths:
            raise DatabaseInUse(path, os.getpid())
        _open_paths.add(path)


def _release(path: Path) -> None:
    with _open_lock:
        _open_paths.discard(path)

"""What the writer is asked to do to the tables, and how a batch of it becomes one transaction.

Used by the writer's thread alone. Every transaction leaves its number in the database: when a commit reports an error,
which may come after the rows are safe, the number tells whether the batch must be written again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import duckdb

from engine.store.columns import TableColumns, Value, arrow_table

ARROW_ROWS = 16
"""From so many rows of one table on, Arrow is faster than executemany."""


@dataclass(frozen=True, slots=True)
class RowInsert:
    """A row to be appended, a value per column."""

    table: str
    row: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class RowUpdate:
    """Columns to be set in the rows that match a key (none: every row); `values` are the new ones, then the key's."""

    table: str
    names: tuple[str, ...]
    key: tuple[str, ...]
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class RowDelete:
    """The rows that match a key go; with `above` only those in which that column exceeds the last of `values`."""

    table: str
    key: tuple[str, ...]
    values: tuple[Value, ...]
    above: str = ""


Change = RowInsert | RowUpdate | RowDelete


class NoSuchRow(LookupError):
    """An update that no row matched: what it was to say would be lost without a word. A bug of the caller."""


def commit(
    connection: duckdb.DuckDBPyConnection, tables: Mapping[str, TableColumns], batch: Sequence[Change], number: int
) -> None:
    """Writes the batch in one transaction, in order. Raises duckdb.Error, or NoSuchRow for an update of nothing."""
    connection.execute("BEGIN TRANSACTION")
    connection.execute("UPDATE meta SET value = ? WHERE key = 'last_batch'", [str(number)])
    for (kind, table), changes in groupby(batch, key=lambda change: (type(change), change.table)):
        if kind is RowInsert:
            _insert(connection, tables[table], [c.row for c in changes if isinstance(c, RowInsert)])
        else:
            for change in changes:
                _change(connection, change)
    connection.execute("COMMIT")


def last_batch(connection: duckdb.DuckDBPyConnection) -> int:
    """The number of the last transaction that is in the database."""
    row = connection.execute("SELECT value FROM meta WHERE key = 'last_batch'").fetchone()
    return int(row[0]) if row else 0


def _insert(connection: duckdb.DuckDBPyConnection, table: TableColumns, rows: Sequence[tuple[Value, ...]]) -> None:
    # Names in the texts below come from the schema; values are parameters.
    if len(rows) < ARROW_ROWS:
        marks = ", ".join("?" * len(table.columns))
        connection.executemany(f'INSERT INTO "{table.name}" VALUES ({marks})', rows)  # noqa: S608
        return
    connection.register("batch_of_rows", arrow_table(table, rows))
    try:
        connection.execute(f'INSERT INTO "{table.name}" SELECT * FROM batch_of_rows')  # noqa: S608
    finally:
        connection.unregister("batch_of_rows")


def _change(connection: duckdb.DuckDBPyConnection, change: Change) -> None:
    if isinstance(change, RowInsert):
        return
    where = " AND ".join(f'"{name}" IS NOT DISTINCT FROM ?' for name in change.key)
    if isinstance(change, RowUpdate):
        new = ", ".join(f'"{name}" = ?' for name in change.names)
        only = f"WHERE {where}" if where else ""
        connection.execute(f'UPDATE "{change.table}" SET {new} {only}', list(change.values))  # noqa: S608
        if connection.fetchall() == [(0,)]:
            keys = zip(change.key, change.values[len(change.names) :], strict=True)
            which = ", ".join(f"{name} = {value!r}" for name, value in keys) or "any key"
            raise NoSuchRow(f"{change.table} has no row with {which} to set {', '.join(change.names)} in")
    else:
        where += f' AND "{change.above}" > ?' if change.above else ""
        connection.execute(f'DELETE FROM "{change.table}" WHERE {where}', list(change.values))  # noqa: S608

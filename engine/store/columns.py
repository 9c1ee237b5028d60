"""The columns of every table and what values they take, read from the database itself.

Used by the writer at each call, so that a wrong name or type is seen where it is written, not a tenth of a second later
in another thread. It must never change a value's meaning: what does not fit is refused.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb

Value = str | int | float | bool | datetime | None


@dataclass(frozen=True)
class ColumnType:
    """One column: its SQL type and whether it may be NULL."""

    name: str
    type: str
    nullable: bool


@dataclass(frozen=True)
class TableColumns:
    """One table: its columns by name, in order."""

    name: str
    columns: dict[str, ColumnType]

    def row(self, values: Mapping[str, object]) -> tuple[Value, ...]:
        """A value per column, in order; a missing one is NULL.

        Raises:
            KeyError: a name that is no column. ValueError: NULL where none may be. TypeError: a value of another type.
        """
        unknown = values.keys() - self.columns.keys()
        if unknown:
            raise KeyError(f"{self.name} has no column {sorted(unknown)}")
        return tuple(self.value(name, values.get(name)) for name in self.columns)

    def value(self, name: str, value: object) -> Value:
        """The value as this column stores it. Raises as `row` does."""
        if name not in self.columns:
            raise KeyError(f"{self.name} has no column {name!r}")
        column = self.columns[name]
        if value is None:
            if not column.nullable:
                raise ValueError(f"{self.name}.{name} must have a value")
            return None
        try:
            return CONVERT[column.type](value)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{self.name}.{name}: {error}") from None


def read_tables(connection: duckdb.DuckDBPyConnection) -> dict[str, TableColumns]:
    """All tables of the database by name."""
    rows = connection.execute(
        "SELECT table_name, column_name, data_type, is_nullable FROM duckdb_columns() "
        "WHERE NOT internal AND table_name IN (SELECT table_name FROM duckdb_tables()) "
        "ORDER BY table_name, column_index"
    ).fetchall()
    tables: dict[str, TableColumns] = {}
    for table, name, kind, nullable in rows:
        tables.setdefault(table, TableColumns(table, {})).columns[name] = ColumnType(name, kind, nullable)
    return tables


def text(value: object) -> str:
    """A string that UTF-8 can hold (a model may emit lone surrogates); objects and lists become JSON."""
    if isinstance(value, Mapping | list | tuple):
        value = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, str):
        raise TypeError(f"expected text, but got {value!r}")
    return value.encode("utf-8", "replace").decode("utf-8")


def integer(bits: int) -> Callable[[object], int]:
    """A converter to an integer of so many bits."""
    limit = 1 << (bits - 1)

    def convert(value: object) -> int:
        number = operator.index(value)  # type: ignore[arg-type]
        if not -limit <= number < limit:
            raise ValueError(f"{number} does not fit {bits} bits")
        return int(number)

    return convert


def real(value: object) -> float:
    """A float; anything that has __float__ but text."""
    if isinstance(value, str | bytes) or not hasattr(value, "__float__"):
        raise TypeError(f"expected a number, but got {value!r}")
    return float(value)


def boolean(value: object) -> bool:
    """True or False, also as 0 and 1."""
    if value not in (0, 1):
        raise TypeError(f"expected a boolean, but got {value!r}")
    return bool(value)


def moment(value: object) -> datetime:
    """A time in UTC without a zone, as the tables keep it."""
    if not isinstance(value, datetime):
        raise TypeError(f"expected a datetime, but got {value!r}")
    return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value


CONVERT: dict[str, Callable[[object], Value]] = {
    "VARCHAR": text,
    "INTEGER": integer(32),
    "BIGINT": integer(64),
    "DOUBLE": real,
    "BOOLEAN": boolean,
    "TIMESTAMP": moment,
}

ARROW = {
    "VARCHAR": "string",
    "INTEGER": "int32",
    "BIGINT": "int64",
    "DOUBLE": "float64",
    "BOOLEAN": "bool",
    "TIMESTAMP": "timestamp[us]",
}


def arrow_table(table: TableColumns, rows: Sequence[tuple[Value, ...]]) -> object:
    """The rows as a pyarrow.Table with the table's columns."""
    import pyarrow as pa

    kinds = {**{name: pa.type_for_alias(name) for name in ("string", "int32", "int64", "float64", "bool")}}
    kinds["timestamp[us]"] = pa.timestamp("us")
    columns = zip(*rows, strict=True)
    arrays = [
        pa.array(values, kinds[ARROW[column.type]])
        for column, values in zip(table.columns.values(), columns, strict=True)
    ]
    return pa.Table.from_arrays(arrays, names=list(table.columns))

"""What each version of the schema added, and how a file of an older one is brought up to it, or read as if it were.

Called when a database is opened: the writer adds the columns for good, a reader of a run at rest sees them as NULL. It
must never change or drop what is there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import duckdb

from engine.store.protocol import SCHEMA_VERSION

ADDED: dict[int, dict[str, dict[str, str]]] = {
    2: {
        "runs": {"budget": "VARCHAR"},
        "nodes": {"note": "VARCHAR"},
        "completions": {"components": "VARCHAR", "split": "VARCHAR"},
    },
    3: {
        "runs": {"activity": "VARCHAR", "policy": "VARCHAR", "members": "VARCHAR"},
        "diagnoses": {"step": "INTEGER"},
        "checkpoints": {"outcomes": "VARCHAR", "effective_n": "DOUBLE"},
        "evaluations": {
            "outcomes": "VARCHAR",
            "effective_n": "DOUBLE",
            "policy": "VARCHAR",
            "members": "VARCHAR",
        },
        "budget": {"waiting_seconds": "DOUBLE"},
    },
    4: {
        "completions": {"model_prompt": "VARCHAR"},
    },
    5: {"diagnoses": {"advisor": "VARCHAR"}},
    6: {"checkpoints": {"seconds": "DOUBLE"}},
    7: {"runs": {"forecasts": "VARCHAR"}},
}
"""Version → table → column → type; each may be NULL and stands at the end of its table, as in schema.sql."""


def upgrade(connection: duckdb.DuckDBPyConnection, version: int) -> None:
    """Adds what lacks to the tables of a file of `version`, inside the caller's transaction."""
    for table, columns in missing(version).items():
        for column, kind in columns.items():
            connection.execute(f'ALTER TABLE "{table}" ADD COLUMN "{column}" {kind}')
    _explain(connection, version)
    if version < SCHEMA_VERSION:
        connection.execute("UPDATE meta SET value = ? WHERE key = 'schema_version'", [str(SCHEMA_VERSION)])


def as_of_now(
    connect: Callable[[], duckdb.DuckDBPyConnection], version: int, views: str, name: str
) -> Callable[[], duckdb.DuckDBPyConnection]:
    """Connections that show a file of `version` with the tables and `views` of now, without writing to it.

    Args:
        name: what the run is called now, which its directory says; "" leaves the name as it is stored.
    """
    lacking = {table: _with(columns) for table, columns in missing(version).items()}

    def connected() -> duckdb.DuckDBPyConnection:
        cursor = connect()
        shown = dict(lacking)
        if name and _stored_name(cursor) not in (None, name):
            shown["runs"] = f"* REPLACE ({_named(name)})" + lacking.get("runs", "*").removeprefix("*")
        (database,) = cursor.execute("SELECT current_database()").fetchone() or ("run",)
        for table, columns in shown.items():
            cursor.execute(f'CREATE TEMP VIEW "{table}" AS SELECT {columns} FROM "{database}".main."{table}"')  # noqa: S608
        _explain(cursor, version)
        for statement in cursor.extract_statements(views) if shown else ():
            if statement.type == duckdb.StatementType.CREATE:
                cursor.execute(statement.query.replace("CREATE OR REPLACE", "CREATE OR REPLACE TEMP", 1))
            elif statement.type == duckdb.StatementType.ALTER:  # a comment; it goes to the temporary view
                cursor.execute(statement.query)
        return cursor

    return connected


def _explain(connection: duckdb.DuckDBPyConnection, version: int) -> None:
    """Says of the columns that were added after `version` what schema.sql says of them."""
    if added := missing(version):
        schema = Path(__file__).with_name("schema.sql").read_text(encoding="utf-8")
        for comment, table, column in re.findall(r"^(COMMENT ON COLUMN (\w+)\.(\w+) IS .*;)$", schema, re.MULTILINE):
            if column in added.get(table, {}):
                connection.execute(comment)


def _named(name: str) -> str:
    """What stands for the name in `runs`, and for the run file there, which has it too."""
    called = name.encode("utf-8", "replace").decode()
    literal, patch = (text.replace("'", "''") for text in (called, json.dumps({"name": called})))
    patched = f"CAST(json_merge_patch(config, '{patch}') AS VARCHAR)"  # JSON beside text would make JSON of both
    return f"'{literal}' AS name, CASE WHEN json_valid(config) THEN {patched} ELSE config END AS config"


def _with(columns: dict[str, str]) -> str:
    return ", ".join(["*", *(f'CAST(NULL AS {kind}) AS "{column}"' for column, kind in columns.items())])


def _stored_name(cursor: duckdb.DuckDBPyConnection) -> str | None:
    """What the run was called when its engine last began; None before it ever did."""
    row = cursor.execute("SELECT name FROM main.runs").fetchone()
    return str(row[0]) if row else None


def missing(version: int) -> dict[str, dict[str, str]]:
    """Table → column → type of what was added after `version`."""
    lacking: dict[str, dict[str, str]] = {}
    for number, tables in sorted(ADDED.items()):
        for table, columns in tables.items() if number > version else ():
            lacking.setdefault(table, {}).update(columns)
    return lacking

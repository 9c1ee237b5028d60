"""One query over many runs: whether a text asks for that, and the tables in which it finds every run's rows.

The command line asks `names_the_run`; the process for ad-hoc queries fills the tables. It must never write to a run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import duckdb

from engine.store.execute import BATCH_ROWS

RUN = "run"
"""The column that every table and view has in such a query: the run that a row is of."""
Connect = Callable[[], duckdb.DuckDBPyConnection]


def names_the_run(sql: str) -> bool:
    """Whether a query names the column `run`, and so means all runs in one answer, not one answer for each."""
    for node in _nodes(_parsed(sql)):
        columns = [*node.get("column_names", [])[-1:], *node.get("using_columns", []), *node.get("exclude_list", [])]
        if RUN in (str(column).lower() for column in columns):
            return True
    return False


def gather(target: duckdb.DuckDBPyConnection, run: str, connect: Connect, sql: str) -> None:
    """Adds the rows of a run to the tables that the query names; each is made when the first run has it.

    Args:
        connect: makes a connection to the run, with its tables and views as of now.
    """
    with connect() as source:
        relations = "SELECT table_name FROM duckdb_tables() UNION SELECT view_name FROM duckdb_views()"
        known = {str(name).lower() for (name,) in source.execute(relations).fetchall()}
        made = {str(name) for (name,) in target.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
        name = run.encode("utf-8", "replace").decode()
        for table in sorted(_tables(sql) & known):
            # The table's name is one of the run's own catalog.
            rows = source.sql(f'SELECT ? AS {RUN}, * FROM "{table}"', params=[name])  # noqa: S608
            target.register("rows_of_run", rows.to_arrow_reader(BATCH_ROWS))
            into = f'INSERT INTO "{table}" BY NAME' if table in made else f'CREATE TABLE "{table}" AS'
            target.execute(f"{into} FROM rows_of_run")
            target.unregister("rows_of_run")


def _tables(sql: str) -> set[str]:
    return {str(node["table_name"]).lower() for node in _nodes(_parsed(sql)) if node.get("type") == "BASE_TABLE"}


def _parsed(sql: str) -> Any:
    """DuckDB's syntax tree of a query; of what is no SELECT only the reason why there is none."""
    with duckdb.connect() as parser:
        row = parser.execute("SELECT json_serialize_sql(?)", [sql.encode("utf-8", "replace").decode()]).fetchone()
    return json.loads(row[0]) if row else None


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
    for each in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from _nodes(each)

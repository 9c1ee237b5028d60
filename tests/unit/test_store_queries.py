"""The stored queries and views on a small finished search: each runs, says what it answers, and answers it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import duckdb
import pytest

from engine.domain.score import wilson
from engine.store import queries
from engine.store.execute import QueryJob
from engine.store.reader import to_rows
from engine.store.writer import Writer
from tests.engine.store_engine import node_row, small_search


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Writer]:
    opened = Writer(tmp_path_factory.mktemp("search") / "run.duckdb")
    small_search(opened)
    yield opened
    opened.close()


READING = [name for name in queries.names() if name != "insert_command"]


@pytest.mark.parametrize("name", queries.names())
def test_every_query_says_on_top_which_question_it_answers(name: str) -> None:
    first = queries.load(name).splitlines()[0]
    assert first.startswith("-- ")
    assert len(first) > 20


@pytest.mark.parametrize("name", READING)
def test_every_query_is_one_statement_that_runs_as_it_is(writer: Writer, name: str) -> None:
    cursor = writer.cursor()
    statements = cursor.extract_statements(queries.load(name))
    assert len(statements) == 1
    cursor.execute(f"EXPLAIN {queries.load(name)}", [_example(key) for key in sorted(statements[0].named_parameters)])
    cursor.close()


def _example(key: str) -> object:
    assert key.isdigit()
    return 1


def test_a_query_that_is_not_there_is_our_bug() -> None:
    with pytest.raises(KeyError, match="no query named"):
        queries.load("../schema")


def test_a_difference_of_times_reads_as_in_the_shell(writer: Writer) -> None:
    sql = """
        SELECT TIMESTAMP '2026-01-03 00:01:09.5' - TIMESTAMP '2026-01-01' AS a,
            INTERVAL 90 SECOND AS b, NULL::INTERVAL AS c
    """
    found = to_rows(QueryJob().run(writer.cursor, sql, (), None).table)
    assert found == [{"a": "2 days 00:01:09.5", "b": "00:01:30", "c": None}]


def test_every_table_view_and_column_is_documented(writer: Writer) -> None:
    found = writer.rows('SELECT "table", "column", comment FROM documentation')
    assert [row for row in found if not row["comment"]] == []
    catalog = """
        SELECT table_name, '' FROM duckdb_tables() WHERE NOT internal
        UNION ALL SELECT view_name, '' FROM duckdb_views() WHERE NOT internal
        UNION ALL SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal
    """
    documented = [(row["table"], row["column"]) for row in found]
    assert sorted(documented) == sorted(tuple(row.values()) for row in writer.rows(catalog))


def test_what_is_said_of_columns_of_views_is_said_of_columns_that_there_are(writer: Writer) -> None:
    """And nothing of a table's columns: those have comments of their own."""
    views = (Path(queries.__file__).parents[1] / "views.sql").read_text(encoding="utf-8")
    said = re.findall(r"\[([\w.]+)\](?=\[| \S)", views.split("$$")[1])
    columns = "SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal"
    of_views = writer.rows(f"{columns} AND table_name IN (SELECT view_name FROM duckdb_views())")  # noqa: S608
    known = {f"{row['table_name']}.{row['column_name']}" for row in of_views} | {row["column_name"] for row in of_views}
    assert len(said) == len(set(said)) > 100
    assert set(said) - known == set()


def test_a_column_of_a_view_with_the_comment_of_a_tables_column_passes_it_through(writer: Writer) -> None:
    inherited = writer.rows("""
        SELECT v."table" AS view, v."column", list(t."table") AS tables
        FROM documentation v JOIN documentation t USING ("column", comment)
        WHERE v."column" <> '' AND v."table" IN (SELECT view_name FROM duckdb_views())
            AND t."table" IN (SELECT table_name FROM duckdb_tables()) GROUP BY ALL
    """)
    assert len(inherited) > 100
    for view, column, tables in (row.values() for row in inherited):
        there = " UNION ALL ".join(f'SELECT "{column}" FROM "{table}"' for table in tables)  # noqa: S608
        assert writer.rows(f'SELECT "{column}" FROM "{view}" WHERE "{column}" IS NOT NULL EXCEPT ({there})') == []  # noqa: S608


@pytest.mark.parametrize(("k", "n"), [(0, 10), (10, 10), (3, 10), (81, 263), (0.5, 7), (511.7, 512)])
def test_sql_and_python_agree_on_the_interval(writer: Writer, k: float, n: int) -> None:
    row = writer.rows("SELECT wilson_low(?, ?) AS low, wilson_high(?, ?) AS high", [k, n, k, n])[0]
    assert (row["low"], row["high"]) == pytest.approx(wilson(k, n), abs=1e-12)


def test_the_best_trajectory_uses_the_steps_up_to_each_branch(writer: Writer) -> None:
    rows = writer.rows("FROM best_trajectory")
    assert [(r["stage"], r["node_id"], r["steps"], r["total_steps"]) for r in rows] == [
        (0, 0, 0, 0), (1, 1, 30, 30), (2, 3, 50, 80),
    ]  # fmt: skip
    assert rows[1]["value"] == pytest.approx(110 / 300)


def test_parameters_are_listed_for_every_node(writer: Writer) -> None:
    rows = writer.rows("SELECT * FROM trajectory_parameters WHERE parameter = 'beta' ORDER BY node_id")
    found = [(r["node_id"], r["value"], r["changed"], r["on_best_trajectory"]) for r in rows]
    assert [row for row in found if row[0] in (0, 1, 3, 4)] == [
        (0, 0.04, False, True), (1, 0.04, False, True), (3, 0.0, True, True), (4, 0.04, False, False),
    ]  # fmt: skip


def test_the_name_of_a_category_is_its_text_and_its_value_is_null(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "run.duckdb")
    small_search(writer)
    [before] = writer.rows("SELECT configuration, changes FROM nodes WHERE node_id = 3")
    configuration = {**json.loads(before["configuration"]), "loss_type": "dr_grpo", "mask_truncated_completions": True}
    writer.update("nodes", {"node_id": 3}, configuration=configuration, changes={"loss_type": "dr_grpo"})
    writer.flush()
    rows = writer.rows(
        "SELECT parameter, value, text, parent_text, changed FROM trajectory_parameters WHERE node_id = 3 "
        "AND parameter IN ('beta', 'loss_type', 'mask_truncated_completions') ORDER BY parameter"
    )
    assert [tuple(row.values()) for row in rows] == [
        ("beta", 0.0, "0.0", "0.04", False),
        ("loss_type", None, "dr_grpo", None, True),
        ("mask_truncated_completions", None, "true", None, False),
    ]
    writer.close()


def test_cost_and_failures_are_summed_up(writer: Writer) -> None:
    rows = writer.rows("SELECT role, calls, errors, prompt_tokens, seconds FROM cost ORDER BY role")
    assert rows == [
        {"role": "diagnosis", "calls": 1, "errors": 0, "prompt_tokens": 10, "seconds": 0.5},
        {"role": "proposal", "calls": 2, "errors": 1, "prompt_tokens": 20, "seconds": 1.0},
    ]
    rows = writer.rows("SELECT node_id, state, reason, repaired_by FROM failures")
    assert rows == [{"node_id": 2, "state": "nan", "reason": "loss is NaN", "repaired_by": 4}]


def test_the_stored_command_runs_in_a_plain_shell(writer: Writer, tmp_path: Path) -> None:
    """Outside the engine, on a copy of the schema: the text is SQL as it stands, and numbers as the engine does."""
    shell = duckdb.connect()
    shell.execute((Path(queries.__file__).parents[1] / "schema.sql").read_text(encoding="utf-8"))
    for expected in (1, 2):
        found = shell.execute(queries.load("insert_command"), ["pause", None, None, None, "{}", "x"]).fetchall()
        assert found == [(expected,)]
    ts = shell.execute("SELECT ts FROM commands").fetchall()[0][0]
    shell.close()
    assert isinstance(ts, datetime)
    assert ts.tzinfo is None


def test_a_reason_that_is_the_rationale_is_not_told_twice(tmp_path: Path) -> None:
    """As where the search itself decides the changes: pbt and other peers."""
    writer = Writer(tmp_path / "run.duckdb")
    small_search(writer)
    [proposal] = writer.rows("SELECT node_id FROM proposals ORDER BY proposal_id LIMIT 1")
    node = proposal["node_id"]
    writer.update("proposals", {"node_id": node}, rationale="it is among the worst")
    node_row(writer, 9, 0, 0, rationale="it is among the worst")
    told = []
    for message in ("it is among the worst", "it leads"):
        for each in (node, 9):
            writer.insert("events", level="info", kind="selected", node_id=each, message=message, detail="")
        writer.flush()
        [asked], path = writer.rows(queries.load("ui_proposal"), (node,)), writer.rows(queries.load("ui_path"), (9,))
        told.append((asked["selected"], path[-1]["selected"]))
    assert told == [(None, None), ("it leads", "it leads")]
    writer.close()

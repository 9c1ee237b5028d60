"""The stored queries and views on a small finished search: each runs, says what it answers, and answers it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from engine.analysis.statistics import wilson
from engine.store import queries
from engine.store.execute import Job
from engine.store.reader import to_rows
from engine.store.writer import Writer
from tests.engine.store_engine import metric_rows, node_row, small_search


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Writer]:
    opened = Writer(tmp_path_factory.mktemp("search") / "run.duckdb")
    small_search(opened)
    yield opened
    opened.close()


def ask(writer: Writer, name: str, *params: object) -> list[dict[str, Any]]:
    return to_rows(Job().run(writer.cursor, queries.load(name), params, None).table)


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


def test_every_table_view_and_column_is_documented(writer: Writer) -> None:
    rows = writer.rows("""
        SELECT * FROM documentation WHERE comment IS NULL AND "table" IN (SELECT table_name FROM duckdb_tables())
    """)
    assert rows == []
    views = writer.rows("SELECT view_name FROM duckdb_views() WHERE NOT internal AND comment IS NULL")
    assert views == []


@pytest.mark.parametrize(("k", "n"), [(0, 10), (10, 10), (3, 10), (81, 263), (0.5, 7), (511.7, 512)])
def test_sql_and_python_agree_on_the_interval(writer: Writer, k: float, n: int) -> None:
    row = writer.rows("SELECT wilson_low(?, ?) AS low, wilson_high(?, ?) AS high", [k, n, k, n])[0]
    assert (row["low"], row["high"]) == pytest.approx(wilson(k, n), abs=1e-7)


def test_the_tree_has_each_node_with_its_best_score_and_interval(writer: Writer) -> None:
    rows = {row["node_id"]: row for row in ask(writer, "tree")}
    assert sorted(rows) == [0, 1, 2, 3, 4, 5]
    assert (rows[1]["best_step"], rows[1]["n"]) == (30, 100)
    assert rows[1]["value"] == pytest.approx((30 + 80) / 300)
    assert (rows[1]["value_low"], rows[1]["value_high"]) == pytest.approx(wilson(100 * 110 / 300, 100), abs=1e-7)
    assert rows[2]["value"] is None
    assert rows[1]["last_reward"] is None


def test_a_running_node_shows_its_last_reward(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "run.duckdb")
    node_row(writer, 1, 0, 0, state="running")
    metric_rows(writer, 20)
    metric_rows(writer, 30, name="kl")
    writer.flush()
    row = ask(writer, "tree")[0]
    writer.close()
    assert (row["last_reward"], row["last_step"]) == (20.0, 20)


def test_the_header_has_budget_incumbent_and_test_scores(writer: Writer) -> None:
    row = ask(writer, "run_header")[0]
    assert (row["name"], row["state"], row["nodes"], row["failed"]) == ("run", "finished", 4, 1)
    assert (row["best_node"], row["best_step"], row["best_n"]) == (3, 50, 100)
    assert (row["test_n"], row["test_greedy"], row["base_greedy"]) == (1000, 790, 120)
    assert row["budget_fraction"] == 0.5
    assert -1 < row["age_seconds"] < 3600


def test_buckets_are_aligned_to_the_range_and_leave_out_nan(writer: Writer) -> None:
    rows = ask(writer, "metric_buckets", 1, "reward", 1, 100, 10)
    assert [row["step"] for row in rows] == [1, 11, 21, 31, 41, 51]
    assert {row["width"] for row in rows} == {10}
    assert (rows[0]["low"], rows[0]["high"], rows[0]["mean"], rows[0]["points"]) == (1, 10, 5.5, 10)
    assert (rows[-1]["mean"], rows[-1]["points"], rows[-1]["broken"]) == (None, 0, 1)
    whole = ask(writer, "metric_buckets", 1, "reward", 1, 50, 100)
    assert [(row["step"], row["mean"]) for row in whole] == [(step, float(step)) for step in range(1, 51)]


def test_the_best_trajectory_uses_the_steps_up_to_each_branch(writer: Writer) -> None:
    rows = writer.rows("FROM best_trajectory")
    assert [(r["stage"], r["node_id"], r["steps"], r["total_steps"]) for r in rows] == [
        (0, 0, 0, 0), (1, 1, 30, 30), (2, 3, 50, 80),
    ]  # fmt: skip
    assert rows[1]["value"] == pytest.approx(110 / 300)
    path = ask(writer, "trajectory", 3)
    assert [(r["stage"], r["node_id"], r["steps"]) for r in path] == [(0, 0, 0), (1, 1, 30), (2, 3, 50)]


def test_changes_along_a_trajectory_have_old_and_new_value(writer: Writer) -> None:
    assert ask(writer, "trajectory_changes", 3) == [
        {"stage": 1, "node_id": 1, "parameter": "learning_rate", "before": 1e-5, "after": 1e-4},
        {"stage": 2, "node_id": 3, "parameter": "beta", "before": 0.04, "after": 0.0},
    ]


def test_parameters_are_listed_for_every_node(writer: Writer) -> None:
    rows = writer.rows("SELECT * FROM trajectory_parameters WHERE parameter = 'beta' ORDER BY node_id")
    found = [(r["node_id"], r["value"], r["changed"], r["on_best_trajectory"]) for r in rows]
    assert [row for row in found if row[0] in (0, 1, 3, 4)] == [
        (0, 0.04, False, True), (1, 0.04, False, True), (3, 0.0, True, True), (4, 0.04, False, False),
    ]  # fmt: skip


def test_cost_and_failures_are_summed_up(writer: Writer) -> None:
    rows = writer.rows("SELECT role, calls, errors, prompt_tokens, seconds FROM cost ORDER BY role")
    assert rows == [
        {"role": "diagnosis", "calls": 1, "errors": 0, "prompt_tokens": 10, "seconds": 0.5},
        {"role": "proposal", "calls": 2, "errors": 1, "prompt_tokens": 20, "seconds": 1.0},
    ]
    rows = writer.rows("SELECT node_id, state, reason, repaired_by FROM failures")
    assert rows == [{"node_id": 2, "state": "nan", "reason": "loss is NaN", "repaired_by": 4}]


def test_the_inbox_counts_the_seconds_that_are_left(writer: Writer) -> None:
    rows = ask(writer, "inbox")
    assert [row["proposal_id"] for row in rows] == [2]
    assert 0 < rows[0]["seconds_left"] <= 120


def test_commands_show_how_far_they_are(writer: Writer) -> None:
    rows = ask(writer, "command_status", 10)
    assert [(r["command_id"], r["state"], r["message"]) for r in rows] == [(2, "sent", ""), (1, "done", "done it")]


def test_advice_has_the_rationale_and_the_diagnoses(writer: Writer) -> None:
    assert [(r["kind"], r["title"], r["model"]) for r in ask(writer, "advice", 1)] == [
        ("rationale", "lr↑", None), ("diagnosis", "KL spike", "m"),
    ]  # fmt: skip
    assert [(r["kind"], r["model"]) for r in ask(writer, "advice", 3)] == [("rationale", "m")]


def test_small_questions(writer: Writer) -> None:
    assert ask(writer, "metric_names") == [{"name": "reward", "nodes": 1, "rows": 51}]
    assert [(r["name"], r["step"]) for r in ask(writer, "latest_metrics", 1)] == [("reward", 51)]
    assert [r["completion"] for r in ask(writer, "samples", 1, 5)] == ["c"]
    events = ask(writer, "log", 0)
    assert [r["message"] for r in events] == ["finished"]
    assert ask(writer, "log", events[-1]["seq"]) == []
    assert [r["fraction"] for r in ask(writer, "budget", 0)] == [0.5]


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

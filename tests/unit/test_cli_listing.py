"""`ls`, `show` and `sql` over runs at rest: what is data goes to stdout, hostile text stays harmless."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from engine.analysis.reported import read_header
from engine.run.rundir import RunDirectory
from engine.store.errors import QueryError
from engine.store.file_reader import FileReader
from engine.store.queries import load
from engine.store.reader import open_run
from engine.store.writer import Writer
from llmzero_tui import cli
from llmzero_tui.values.rows import node_of, run_of
from tests.unit.cli_process import HOSTILE, called, finished_run, llmzero

Ask = Callable[..., str]


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Runs a command on the runs of the test; returns its stdout, after looking at its exit code."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, code: int = 0) -> str:
        assert cli.main(list(arguments)) == code
        return capsys.readouterr().out

    return run


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def test_ls_lists_the_newest_run_first(ask: Ask, runs: Path) -> None:
    for age, name in enumerate(("old", "middle", "new")):
        directory = finished_run(runs, name)
        times = (1_700_000_000 + age, 1_700_000_000 + age)
        os.utime(directory.config, times)
    assert [line.split()[0] for line in ask("ls").splitlines()] == ["run", "new", "middle", "old"]
    assert [each["name"] for each in json.loads(ask("ls", "--json"))] == ["new", "middle", "old"]


def test_ls_has_the_score_that_decided_once_there_is_one_with_its_n(ask: Ask, runs: Path) -> None:
    directory = finished_run(runs, "one")
    assert ask("ls").splitlines()[1].split("finished")[1].split()[3:11] == [
        "0.750", "[0.51,", "0.90]", "16", "0.750", "[0.51,", "0.90]", "16",
    ]  # fmt: skip
    writer = Writer(directory.database)
    writer.insert(
        "evaluations", node_id=1, step=4, path="segments/1/checkpoint-4", kind="reranking", split="validation", seed=2,
        n=16, greedy=4, sampled=4, seconds=0.1, ts=datetime(2026, 3, 2, 9), policy="#1 step 4", members="[[1,4]]",
    )  # fmt: skip
    writer.update("runs", {"name": "one"}, policy="#1 step 4", members="[[1,4]]")
    writer.close()
    (facts,) = json.loads(ask("ls", "--json"))
    head, line = ask("ls").splitlines()
    decided, steered = facts["best_reranked"], facts["best_validation"]
    assert decided["value"] != steered["value"]
    assert line[head.index("validation") :].startswith(f"{decided['value']:.3f}")
    assert line[head.index("validation") :].split()[3] == str(decided["n"]) == "32"


def test_show_has_the_n_of_every_score_and_says_which_checkpoint_it_is_of(ask: Ask, runs: Path) -> None:
    finished_run(runs, "one")
    lines = ask("show", "one").splitlines()
    tree = next(i for i, line in enumerate(lines) if line.startswith("node "))
    assert lines[tree].split("steps")[1].split() == ["best", "validation", "n", "intent"]
    assert lines[tree + 2].split("finished")[1].split() == ["4", "0.750", "[0.51,", "0.90]", "★", "16", "root"]
    stages = next(i for i, line in enumerate(lines) if line.startswith("stage "))
    assert lines[stages].endswith("validation at its end   n")
    assert lines[stages + 2].endswith("0.750 [0.51, 0.90]     16")


def test_ls_as_json_has_the_promised_keys(ask: Ask, runs: Path) -> None:
    finished_run(runs, "one")
    (facts,) = json.loads(ask("ls", "--json"))
    assert facts["name"] == "one"
    assert facts["state"] == "finished"
    assert facts["nodes"] == 1
    assert facts["best_validation"]["value"] == 0.75
    assert facts["best_validation"]["n"] == 16
    assert facts["best_validation"]["low"] < 0.75 < facts["best_validation"]["high"]
    assert facts["best_test"]["value"] == 0.75
    assert facts["base_test"]["value"] == 0.25
    assert facts["started"] == "2026-03-02T09:00:00+00:00"
    assert facts["budget_fraction"] == 1.0


def test_ls_show_and_tail_tell_the_same_facts(ask: Ask, runs: Path) -> None:
    finished_run(runs, "one")
    listed = json.loads(ask("ls", "--json"))[0]
    shown, told = json.loads(ask("show", "one", "--json")), json.loads(ask("tail", "one", "--json"))
    assert told["type"] == "run"
    for key in listed.keys() - {"age_seconds"}:
        assert shown[key] == told[key] == listed[key], key
    assert listed["budget"] == {"steps": 0, "nodes": 2, "minutes": 0.0, "gpu_hours": 0.0}
    assert (shown["running"], shown["waiting"]) == ([], [])
    text = ask("show", "one")
    assert "best 0.750 [0.51, 0.90] (#1 step 4, n 16) · test 0.750 [0.51, 0.90] (n 16)" in text
    assert "spent 1 of 2 nodes" in text
    assert "100% of the budget · 3s" in text
    assert (
        ask("tail", "one")
        .strip()
        .startswith("✓ finished · 4 steps in 1 node · 100% of the budget · 3s · best 0.750 [0.51, 0.90]")
    )


def test_ls_of_nothing_is_nothing(ask: Ask) -> None:
    assert ask("ls") == ""
    assert json.loads(ask("ls", "--json")) == []


def test_a_run_whose_engine_is_gone_without_a_word_is_crashed(ask: Ask, runs: Path) -> None:
    finished_run(runs, "one", state="training")
    assert json.loads(ask("ls", "--json"))[0]["state"] == "crashed"


def test_a_segment_whose_best_score_is_not_its_last_says_where_that_was(runs: Path, tmp_path: Path) -> None:
    directory = finished_run(runs, "one")
    with closing(Writer(directory.database)) as writer:
        writer.insert(
            "checkpoints", node_id=1, step=2, path="segments/1/checkpoint-2", bytes=0, n=16, greedy=14, sampled=14,
            value=14 / 16, kept=False,
        )  # fmt: skip
    said = called("attach", "one", cwd=tmp_path).stderr
    assert re.search(r"finished, 4 steps, validation 0\.875 \[[0-9., ]+\] \(n 16\) at step 2", said), said


def test_a_broken_run_hides_no_other(ask: Ask, runs: Path) -> None:
    finished_run(runs, "good")
    broken = finished_run(runs, "broken")
    broken.database.write_bytes(b"this is no database")
    empty = runs / "empty"
    empty.mkdir()
    (empty / "run.toml").write_text("")
    states = {each["name"]: each["state"] for each in json.loads(ask("ls", "--json"))}
    assert states == {"good": "finished", "broken": "damaged", "empty": "unreadable"}
    assert len(ask("ls").splitlines()) == 4


def test_a_runs_directory_may_be_named_before_or_after_the_command(ask: Ask, tmp_path: Path) -> None:
    finished_run(tmp_path / "other", "one")
    assert "one" in ask("--runs-dir", "other", "ls")
    assert "one" in ask("ls", "--runs-dir", "other")


def test_a_runs_directory_may_come_from_the_environment(tmp_path: Path) -> None:
    finished_run(tmp_path / "other", "one")
    assert "one" in llmzero("ls", cwd=tmp_path, LLMZERO_RUNS="other").stdout


def test_show_says_since_when_the_model_that_advises_fails(ask: Ask, runs: Path) -> None:
    directory = finished_run(runs, "one")
    assert "advisor rules\n" in ask("show", "one")
    writer = Writer(directory.database)
    writer.update("runs", {"name": "one"}, advisor="ollama")
    for call, (hour, error) in enumerate(
        [(13, ""), (14, "refused: nothing answers"), (15, "refused: nothing answers")]
    ):
        writer.insert(
            "agent_calls", call_id=call, node_id=1, advisor="ollama", role="strategist", model="m", prompt_version="",
            request="{}", response="", rationale="", images="[]", prompt_tokens=0, completion_tokens=0,
            milliseconds=1.0, error=error, ts=datetime(2026, 11, 29, hour),
        )  # fmt: skip
    writer.close()
    assert "\nadvice ollama, 1 of 1 answer usable" in ask("show", "one")
    state = "failing since 2026-11-29 14:00 UTC, last answer 2026-11-29 13:00"
    assert f"advisor ollama, {state}\n" in ask("show", "one")
    (listed,) = json.loads(ask("ls", "--json"))
    assert listed["advisor_failing"] == "2026-11-29T14:00:00+00:00"


def test_show_draws_the_tree(ask: Ask, runs: Path) -> None:
    finished_run(runs, "one")
    text = ask("show", "on")
    assert "finished" in text
    assert "\n#0 base" in text
    assert "\n  #1 lr↑" in text
    assert "0.750 [" in text
    assert re.search(r"\ntest 0\.250 \[.+\] \(n \d+\) → 0\.750 \[.+\] \(n \d+\), 3\.0 times the base\n", text)
    assert re.search(r"^1 +#1 +4 ", text, re.MULTILINE)
    assert "\nwith: learning_rate 2e-4" in text
    assert json.loads(ask("show", "one", "--json"))["tree"][1]["label"] == "lr↑"


@pytest.mark.parametrize(
    "command", [["ls"], ["show", "one"], ["tail", "one"], ["sql", "one", "SELECT label, rationale FROM nodes"]]
)
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_hostile_text_cannot_drive_a_terminal(ask: Ask, runs: Path, command: list[str], form: list[str]) -> None:
    finished_run(runs, "one", label=HOSTILE)
    text = ask(*command, *form)
    assert text
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_sql_gives_the_same_rows_in_every_format(ask: Ask, runs: Path, tmp_path: Path) -> None:
    finished_run(runs, "one")
    question = "SELECT node_id, label, ts FROM nodes JOIN checkpoints USING (node_id) ORDER BY node_id"
    rows = json.loads(ask("sql", "one", question, "--format", "json"))
    assert rows == [
        {"node_id": 0, "label": "base", "ts": "2026-03-02T09:00:00"},
        {"node_id": 1, "label": "lr↑", "ts": "2026-03-02T09:00:00"},
    ]
    lines = list(csv.DictReader(io.StringIO(ask("sql", "one", question, "--format", "csv"))))
    assert [(line["node_id"], line["label"]) for line in lines] == [("0", "base"), ("1", "lr↑")]
    assert ask("sql", "one", question, "-o", "answer.parquet") == ""
    assert pq.read_table(tmp_path / "answer.parquet").column("label").to_pylist() == ["base", "lr↑"]
    table = ask("sql", "one", question).splitlines()
    assert table[0].split() == ["node_id", "label", "ts"]
    assert table[2].split()[:2] == ["1", "lr↑"]
    assert {path.name for path in tmp_path.iterdir()} == {"runs", "answer.parquet"}


def test_sql_over_all_runs_names_the_run_of_each_row(ask: Ask, runs: Path) -> None:
    for name in ("one", "two"):
        finished_run(runs, name)
    rows = json.loads(ask("sql", "SELECT max(value) AS best FROM checkpoints", "--json"))
    assert sorted(rows, key=lambda row: str(row["run"])) == [
        {"run": "one", "best": 0.75},
        {"run": "two", "best": 0.75},
    ]


def test_a_query_that_names_the_run_is_one_over_all_runs(ask: Ask, runs: Path) -> None:
    for name in ("one", "two"):
        finished_run(runs, name)
    best = json.loads(ask("sql", "SELECT run, max(value) AS best FROM checkpoints GROUP BY run ORDER BY run", "--json"))
    assert best == [{"run": "one", "best": 0.75}, {"run": "two", "best": 0.75}]
    over_all = "SELECT count(DISTINCT run) AS runs, avg(value) AS mean, count(*) AS n FROM checkpoints"
    assert json.loads(ask("sql", over_all, "--json")) == [{"runs": 2, "mean": 0.5, "n": 4}]
    joined = "SELECT run, node_id, label, value FROM nodes JOIN scores USING (run, node_id) ORDER BY ALL"
    assert json.loads(ask("sql", joined, "--json")) == [
        {"run": run, "node_id": node, "label": label, "value": value}
        for run in ("one", "two") for node, label, value in ((0, "base", 0.25), (1, "lr↑", 0.75))
    ]  # fmt: skip
    assert json.loads(ask("sql", "SELECT run, best_value FROM current_state WHERE run = 'two'", "--json")) == [
        {"run": "two", "best_value": 0.75}
    ]


@pytest.mark.parametrize(
    ("query", "words"), [("run, valu FROM checkpoints", '"valu" not found'), ("run FROM x", "x does not exist")]
)
def test_a_wrong_query_over_all_runs_is_one_line(
    ask: Ask, runs: Path, query: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        finished_run(runs, name)
    assert cli.main(["sql", f"SELECT {query}"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert words in line


def test_a_query_over_all_runs_is_cut_at_its_limit(ask: Ask, runs: Path) -> None:
    for name in ("one", "two"):
        finished_run(runs, name)
    assert len(json.loads(ask("sql", "SELECT run FROM nodes", "--rows", "3", "--json"))) == 3


def test_sql_over_all_runs_leaves_a_broken_one_out(ask: Ask, runs: Path) -> None:
    finished_run(runs, "good")
    finished_run(runs, "broken").database.write_bytes(b"no")
    assert json.loads(ask("sql", "SELECT 1 AS x", "--json")) == [{"run": "good", "x": 1}]


def test_sql_from_a_file(ask: Ask, runs: Path, tmp_path: Path) -> None:
    finished_run(runs, "one")
    (tmp_path / "q.sql").write_text("-- how many\nSELECT count(*) AS n FROM nodes")
    assert json.loads(ask("sql", "one", "--file", "q.sql", "--json")) == [{"n": 2}]
    assert json.loads(ask("sql", "--file", "q.sql", "--json")) == [{"run": "one", "n": 2}]


@pytest.mark.parametrize(
    "words",
    [
        ["one", "--json", "SELECT 1 AS x"],
        ["--json", "one", "SELECT 1 AS x"],
        ["one", "--seconds", "3", "SELECT 1 AS x", "--json"],
        ["one", "--json", "--", "-- a comment\nSELECT 1 AS x"],
    ],
)
def test_sql_takes_options_anywhere(ask: Ask, runs: Path, words: list[str]) -> None:
    finished_run(runs, "one")
    assert json.loads(ask("sql", *words)) == [{"x": 1}]


@pytest.mark.parametrize("table", ["runs", "run_header", "current_state"])
def test_sql_calls_a_copied_run_as_its_directory_is(ask: Ask, runs: Path, table: str) -> None:
    shutil.copytree(finished_run(runs, "one").path, runs / "two")
    rows = json.loads(ask("sql", f"SELECT name FROM {table}", "--json"))  # noqa: S608
    assert sorted((row["run"], row["name"]) for row in rows) == [("one", "one"), ("two", "two")]


def test_the_run_file_of_a_copied_run_has_its_name_and_all_else(ask: Ask, runs: Path) -> None:
    shutil.copytree(finished_run(runs, "one").path, runs / "two")
    one, two = json.loads(ask("sql", "SELECT config FROM runs ORDER BY name", "--json"))
    assert json.loads(two["config"]) == {**json.loads(one["config"]), "name": "two"}


def test_a_moved_run_is_brought_up_to_date_once_while_its_file_is_open(runs: Path) -> None:
    """Not for every question, of which a look asks fifteen; a wrong one in between spoils nothing."""
    path = finished_run(runs, "old").path.rename(runs / "new")
    with closing(FileReader(path / "run.duckdb")) as reader:
        assert reader.rows("SELECT name FROM run_header") == [{"name": "new"}]
        cursor = reader._cursor
        with pytest.raises(QueryError):
            reader.rows("SELECT nothing FROM runs")
        assert reader.rows("SELECT name FROM current_state") == [{"name": "new"}]
        assert reader._cursor is cursor
    assert reader._cursor is None


def test_screens_call_a_moved_run_as_its_directory_is(runs: Path) -> None:
    directory = finished_run(runs, "before")
    moved = RunDirectory(directory.path.rename(runs / "after"))
    stored = moved.database.read_bytes()
    reader = open_run(moved.path)
    row = read_header(reader.rows)
    reader.close()
    assert run_of(moved.path, row, live=False).name == "after"
    assert moved.database.read_bytes() == stored


@pytest.mark.parametrize(("live", "state"), [(True, "starting"), (False, "interrupted")])
def test_a_base_that_was_not_scored_is_not_shown_as_finished(ask: Ask, runs: Path, live: bool, state: str) -> None:
    directory = finished_run(runs, "one", state="failed")
    with duckdb.connect(str(directory.database)) as connection:
        connection.execute("DELETE FROM checkpoints; DELETE FROM evaluations; UPDATE runs SET best_node = NULL")
    shown = ask("show", "one")
    assert "no strategy: the base model has not been scored" in shown
    assert "95% interval" not in shown, "no table without a score"
    reader = open_run(directory.path)
    rows = reader.rows(load("ui_nodes"), ["[]"])
    reader.close()
    assert [node_of(row, live=live).state for row in rows] == [state, "finished"]


def test_a_task_may_be_named_behind_an_option(ask: Ask) -> None:
    assert ask("tasks", "--preview", "knights") == ask("tasks", "knights", "--preview")


def test_what_json_has_no_word_for_becomes_null_or_text(ask: Ask, runs: Path) -> None:
    finished_run(runs, "one")
    question = (
        "SELECT 'nan'::DOUBLE AS a, 1.50::DECIMAL(9,2) AS b, [1, NULL] AS c, {'k': 1} AS d, DATE '2026-01-02' AS e"
    )
    assert json.loads(ask("sql", "one", question, "--json")) == [
        {"a": None, "b": 1.5, "c": [1, None], "d": {"k": 1}, "e": "2026-01-02"}
    ]


def test_an_answer_without_rows_keeps_its_columns(ask: Ask, runs: Path) -> None:
    finished_run(runs, "one")
    assert ask("sql", "one", "SELECT 1 AS a, 2 AS b WHERE false", "--format", "csv") == "a,b\n"
    assert json.loads(ask("sql", "one", "SELECT 1 AS a WHERE false", "--json")) == []


@pytest.mark.parametrize(
    "command", [["ls"], ["sql", "one", "SELECT 1"], ["show", "one"], ["tail", "one"], ["tasks"], ["doctor"]]
)
def test_no_command_that_looks_imports_torch(tmp_path: Path, command: list[str]) -> None:
    finished_run(tmp_path / "runs", "one")
    program = (
        "import sys\nfrom llmzero_tui import cli\n"
        f"code = cli.main({command!r})\n"
        "heavy = {'torch', 'transformers', 'trl', 'textual'} & set(sys.modules)\n"
        "assert not heavy, heavy\nsys.exit(code)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_pipe_that_closes_early_is_no_error(tmp_path: Path) -> None:
    finished_run(tmp_path / "runs", "one")
    command = f"{sys.executable} -m llmzero_tui sql one 'SELECT * FROM range(90000)' --format csv | head -1"  # noqa: S608
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "range\n"
    assert done.stderr == ""


def test_ls_says_why_a_run_was_stopped(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = finished_run(runs, "one", state="stopped")
    writer = Writer(directory.database)
    writer.update_run(reason="by anna")
    writer.close()
    assert cli.main(["--runs-dir", str(runs), "ls"]) == 0
    assert capsys.readouterr().err == "one: by anna\n"


def test_what_trained_when_its_engine_died_is_told_as_interrupted(ask: Ask, runs: Path) -> None:
    directory = finished_run(runs, "one", state="training")
    with duckdb.connect(str(directory.database)) as file:
        file.execute("UPDATE nodes SET state = 'running' WHERE node_id = 1")
    assert "◑ interrupted" in ask("show", "one")
    assert [each["state"] for each in json.loads(ask("show", "one", "--json"))["tree"]] == ["finished", "interrupted"]

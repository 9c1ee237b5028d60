"""A user's mistake is one line on stderr that names the remedy, exit code 2, and nothing is lost or left behind."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from engine.run.rundir import Holder, RunLock
from llmzero_tui import cli
from tests.tui.live_engine import live
from tests.unit.cli_process import RUN_FILE, called, finished_run, llmzero, run_file


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """One line, exit code 2, no data, and the words that make it useful."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


def entries(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*")}


BAD_FILES = {
    "unknown key": (RUN_FILE.replace("segment_steps = 4", "segment_step = 4"), ["segment_step", "segment_steps?"]),
    "unknown section": (RUN_FILE + "[serach]\nseed = 1\n", ["serach", "search?"]),
    "unknown task": (RUN_FILE.replace('"knights"', '"knight"'), ["knight", "knights"]),
    "missing task": ("[budget]\nsteps = 5\n", ["task is missing"]),
    "out of range": (RUN_FILE.replace("segment_steps = 4", "segment_steps = 0"), ["segment_steps", "0", "1"]),
    "wrong type": (RUN_FILE.replace("segment_steps = 4", 'segment_steps = "many"'), ["segment_steps", "many"]),
    "not a table": ("task = 3\n", ["task = 3", "table"]),
    "not a number": (RUN_FILE.replace("nodes = 2", "nodes = 2\nminutes = inf"), ["minutes", "inf", "finite"]),
    "share of a model": (RUN_FILE + "[advisor]\nshare = 1.5\n", ["share", "1.5", "1"]),
    "no limit": (RUN_FILE.replace("nodes = 2", "nodes = 0"), ["limit", "steps, gpu_hours, minutes, nodes"]),
    "missing model": (RUN_FILE + '[model]\npath = "./nowhere"\n', ["nowhere", "directory"]),
    "no such hub model": (RUN_FILE + '[model]\npath = "nobody/nothing"\n', ["nobody/nothing", "directory"]),
    "not TOML": ("[task\nname = ", ["not TOML"]),
    "endless nesting": ("a = " + "[" * 5000, ["not TOML"]),
    "batch and group": (
        RUN_FILE + "[space.num_generations]\nchoices = [5]\n",
        ["num_generations", "5", "16", "divisible"],
    ),
    "micro-batch": (RUN_FILE.replace("threads = 1", "micro_batch = 5"), ["micro_batch = 5", "batch_size = 16"]),
    "unknown hyperparameter": (RUN_FILE + "[space.learning_rat]\nlow = 1e-5\n", ["learning_rat", "learning_rate"]),
    "range of a hyperparameter": (RUN_FILE + "[space.learning_rate]\nhigh = 10.0\n", ["learning_rate", "10"]),
    "too long for the model": (
        RUN_FILE + "[space.max_completion_length]\nhigh = 4000\n",
        ["256 positions", "evaluation.max_completion_length to at most 236"],
    ),
    "name": ('name = "../x"\n' + RUN_FILE, ["name = '../x'", "letters"]),
    "binary": ("\x00\x01", ["not TOML"]),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_run_file_does_not_start(tmp_path: Path, case: str) -> None:
    text, words = BAD_FILES[case]
    path = run_file(tmp_path, text)
    before = entries(tmp_path)
    refused(called("run", path, cwd=tmp_path), *words)
    assert entries(tmp_path) == before


@pytest.mark.parametrize("case", BAD_FILES)
def test_check_says_the_same_of_a_bad_run_file(
    tmp_path: Path, case: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text, words = BAD_FILES[case]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert cli.main(["check", str(run_file(tmp_path, text))]) == 2
    said = capsys.readouterr()
    assert len(said.err.splitlines()) == 1
    for word in words:
        assert word in said.err
    if said.out:  # what could be looked at is data, the verdict is the line
        assert "error" in said.out


def test_a_run_file_that_is_not_there(tmp_path: Path) -> None:
    refused(called("run", "none.toml", cwd=tmp_path), "none.toml", "No such file")


def test_a_run_file_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_bytes(b"\xff\xfe\x00")
    refused(called("check", "x.toml", cwd=tmp_path), "x.toml", "UTF-8")


def test_a_name_that_is_taken_leaves_the_run_as_it_was(tmp_path: Path) -> None:
    finished_run(tmp_path / "runs", "mine")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*")}
    path = run_file(tmp_path, 'name = "mine"\n' + RUN_FILE)
    refused(called("run", path, cwd=tmp_path), "mine", "llmzero resume mine")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*")} == before


def test_a_runs_directory_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    for where in ("file", "file/below"):
        done = called("run", run_file(tmp_path), "--runs-dir", where, cwd=tmp_path)
        refused(done, where, "directory")
    assert (tmp_path / "file").read_text() == "not a directory"


def test_an_unknown_command_names_the_nearest(tmp_path: Path) -> None:
    refused(llmzero("resum", cwd=tmp_path), "resum", "did you mean resume?")


def test_an_unknown_option(tmp_path: Path) -> None:
    refused(called("ls", "--jsno", cwd=tmp_path), "--jsno")


def test_a_bench_without_a_bank_answers_or_a_page(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text('{"a":1}')
    for arguments, words in (
        (["--bank", "none.jsonl"], ["none.jsonl", "no such file"]),
        (["--answers", "other.json"], ["other.json, line 1", "allowed: a file of the answers"]),
        (["--answers", "none.jsonl", "--advisor", "rules"], ["none.jsonl", "no such file"]),
        (["--model", "m"], ["--model", "--advisor ollama"]),
        (["--shows-rules", "--advisor", "rules"], ["--shows-rules", "--advisor ollama"]),
        (["--n=-1"], ["'-1'", "1 to 1024"]),
        (["--to", "page.txt"], ["page.txt", ".md"]),
        (["--to", "new/report.md"], ["new/report.md", "new is not a directory"]),
    ):
        refused(called("advisor-bench", *arguments, cwd=tmp_path), *words)
    assert entries(tmp_path) == {"other.json"}


def test_a_comparison_whose_page_has_no_place(tmp_path: Path) -> None:
    plan = 'name = "small"\ntasks = ["knights"]\nseeds = [1]\n[strategies.fixed]\nstrategy = "fixed"\n'
    (tmp_path / "plan.toml").write_text(plan)
    for page, words in (("page.txt", [".md"]), ("new/evidence.md", ["new is not a directory"])):
        refused(called("compare", "plan.toml", "--report", "--to", page, cwd=tmp_path), page, *words)
    assert entries(tmp_path) == {"plan.toml"}


def test_a_comparison_on_a_screen_and_elsewhere_or_without_a_terminal(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(
        'name = "small"\ntasks = ["knights"]\nseeds = [1]\n[strategies.fixed]\nstrategy = "fixed"\n'
    )
    for other in (["--report"], ["--list"], ["--to", "report.md"], ["--json"]):
        refused(called("compare", "plan.toml", "--screen", *other, cwd=tmp_path), "--screen", other[0], "one of them")
    refused(called("compare", "plan.toml", "--screen", cwd=tmp_path), "--screen", "no terminal", "--report")
    assert entries(tmp_path) == {"plan.toml"}


@pytest.mark.parametrize("minutes", ["0", "-1", "nan", "many"])
def test_a_demo_of_no_length(tmp_path: Path, minutes: str) -> None:
    refused(called("demo", f"--minutes={minutes}", cwd=tmp_path), minutes, "above 0")


def test_a_demo_of_an_unknown_task(tmp_path: Path) -> None:
    refused(called("demo", "--task", "knight", cwd=tmp_path), "knight", "knights")
    assert entries(tmp_path) == set()


def test_a_task_file_of_the_users_that_fails(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("raise RuntimeError('line one\\nline two')\n")
    path = run_file(tmp_path, RUN_FILE.replace('"knights"', '"mine.py:Mine"'))
    refused(called("run", path, cwd=tmp_path), "mine.py", "RuntimeError", "line one line two")


@pytest.mark.parametrize("command", ["attach", "show", "tail", "pause", "stop", "resume"])
def test_a_run_that_is_not_there(tmp_path: Path, command: str) -> None:
    finished_run(tmp_path / "runs", "one")
    refused(called(command, "two", cwd=tmp_path), "two", "one")


@pytest.mark.parametrize("lines", ["-1", "many", "1.5", "", "9" * 20])
def test_a_tail_of_no_length(tmp_path: Path, lines: str) -> None:
    finished_run(tmp_path / "runs", "one")
    refused(called("tail", "one", f"--lines={lines}", cwd=tmp_path), "whole number, 0 to 100000")


def test_a_tail_of_nothing(tmp_path: Path) -> None:
    refused(called("tail", cwd=tmp_path), "RUN")
    refused(called("tail", "", cwd=tmp_path), "which run?")


def test_a_prefix_of_two_runs(tmp_path: Path) -> None:
    finished_run(tmp_path / "runs", "one-a")
    finished_run(tmp_path / "runs", "one-b")
    refused(called("show", "one", cwd=tmp_path), "one-a, one-b")


@pytest.mark.parametrize("command", ["pause", "stop"])
def test_a_command_to_a_run_that_is_over(tmp_path: Path, command: str) -> None:
    finished_run(tmp_path / "runs", "one")
    refused(called(command, "one", cwd=tmp_path), "not running (finished); raise a limit", "llmzero resume one")


def test_a_run_whose_engine_died_is_not_said_to_train(tmp_path: Path) -> None:
    finished_run(tmp_path / "runs", "one", state="training")
    refused(called("pause", "one", cwd=tmp_path), "not running (crashed)", "llmzero resume one")


def test_a_command_that_comes_as_the_engine_ends_is_not_waited_for(tmp_path: Path) -> None:
    directory = finished_run(tmp_path / "runs", "one", state="training")
    lock = RunLock(directory, Holder(os.getpid(), "0", "2026-03-02T09:00:00+00:00"))
    with live(directory.path, on_command=lambda engine, command: lock.release()):
        done = called("prune", "one", "1", cwd=tmp_path)
    assert done.returncode == 1
    said = "llmzero: prune was sent but not accepted, and never will be: the engine of one has ended\n"
    assert done.stderr == said


def test_resuming_a_finished_run_names_the_remedy(tmp_path: Path) -> None:
    finished_run(tmp_path / "runs", "one")
    refused(called("resume", "one", cwd=tmp_path), "is finished", "budget", "run.toml")


WRITING = [
    "DROP TABLE nodes",
    "DELETE FROM nodes",
    "UPDATE nodes SET label = 'x'",
    "INSERT INTO commands VALUES (1, 'stop', 0, 0, 0, '', '', now())",
    "CREATE TABLE x (a INTEGER)",
    "COPY nodes TO 'stolen.csv'",
    "ATTACH 'other.duckdb'",
    "INSTALL httpfs",
    "SET threads = 1",
    "SELECT 1; DROP TABLE nodes",
    "EXPLAIN ANALYZE DELETE FROM nodes",
]


@pytest.mark.parametrize("text", WRITING)
def test_sql_that_would_write_is_refused_and_changes_nothing(tmp_path: Path, text: str) -> None:
    directory = finished_run(tmp_path / "runs", "one")
    before = directory.database.read_bytes()
    done = called("sql", "one", text, cwd=tmp_path)
    refused(done)
    assert directory.database.read_bytes() == before
    assert not list(tmp_path.rglob("stolen.csv"))
    assert not list(tmp_path.rglob("other.duckdb"))


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("SELEC 1", "syntax error"),
        ("SELECT * FROM node", "node"),
        ("SELECT nod_id FROM nodes", "nod_id"),
        ("SELECT * FROM read_csv('/etc/passwd')", "disabled"),
        ("", "no query"),
    ],
)
def test_wrong_sql_is_refused(tmp_path: Path, text: str, word: str) -> None:
    finished_run(tmp_path / "runs", "one")
    refused(called("sql", "one", text, cwd=tmp_path) if text else called("sql", cwd=tmp_path), word)


def test_sql_with_a_run_and_no_query(tmp_path: Path) -> None:
    finished_run(tmp_path / "runs", "one")
    refused(called("sql", "one", cwd=tmp_path), "no query", "llmzero sql one")


def test_resuming_a_run_whose_model_is_gone(tmp_path: Path) -> None:
    directory = finished_run(tmp_path / "runs", "one", state="stopped")
    directory.config.write_text(directory.config.read_text().replace('path = ""', 'path = "/gone"'))
    refused(called("resume", "one", cwd=tmp_path), "model.path", "/gone")
    assert not directory.log.exists()


def test_a_terminal_without_the_glyphs_gets_other_ones(tmp_path: Path) -> None:
    finished_run(tmp_path / "runs", "one")
    for command in ("ls", "show", "tail"):
        done = llmzero(command, *(["one"] if command != "ls" else []), cwd=tmp_path, PYTHONIOENCODING="ascii")
        assert (done.returncode, "finished" in done.stdout) == (0, True), done.stderr
    asked = llmzero("show", "one", "--json", cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert json.loads(asked.stdout)["tree"][1]["label"] == "lr↑"


@pytest.mark.parametrize("where", [("--ascii", "show"), ("show", "--ascii")])
def test_ascii_holds_for_what_commands_print_but_not_for_data(tmp_path: Path, where: tuple[str, str]) -> None:
    finished_run(tmp_path / "runs", "one")
    plain = llmzero("show", "one", cwd=tmp_path).stdout
    assert not plain.isascii()
    done = llmzero(*where, "one", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.isascii()
    assert len(done.stdout.splitlines()) == len(plain.splitlines())
    assert json.loads(llmzero(*where, "one", "--json", cwd=tmp_path).stdout)["tree"][1]["label"] == "lr↑"
    old = llmzero("show", "one", cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert old.stdout == done.stdout


def test_a_file_holds_no_runs(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    refused(called("--runs-dir", "file", "ls", cwd=tmp_path), "--runs-dir file: must be a directory, is a file")


def test_sql_in_too_many_words(tmp_path: Path) -> None:
    refused(called("sql", "SELECT", "1", "FROM nodes", cwd=tmp_path), "quotes")


def test_sql_output_that_cannot_be_written(tmp_path: Path) -> None:
    finished_run(tmp_path / "runs", "one")
    refused(called("sql", "one", "SELECT 1", "-o", "no/where.csv", cwd=tmp_path), "no/where.csv")


def test_new_never_overwrites(tmp_path: Path) -> None:
    path = run_file(tmp_path)
    before = path.read_text()
    refused(called("new", path, cwd=tmp_path), "exists", "not overwritten")
    assert path.read_text() == before


def test_new_where_nothing_can_be_written(tmp_path: Path) -> None:
    refused(called("new", "no/where.toml", cwd=tmp_path), "no/where.toml")
    refused(called("new", "x.toml", "--task", "knight", cwd=tmp_path), "knight", "knights")
    assert not (tmp_path / "x.toml").exists()


def test_the_screens_need_a_terminal(tmp_path: Path) -> None:
    refused(llmzero(cwd=tmp_path), "terminal", "llmzero ls")


def test_verbose_shows_where_a_mistake_was_found(tmp_path: Path) -> None:
    done = called("show", "none", "-v", cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("llmzero: no run none")

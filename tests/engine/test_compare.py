"""`llmzero compare` as a user has it: real cells, killed in the middle, taken up again, and not run twice."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import psutil
import pytest

from engine.compare import plan as plans
from engine.compare import records
from engine.compare.work import ComparisonRunner
from engine.run import launch, preflight
from engine.run.rundir import RunDirectory
from engine.store.writer import Writer
from llmzero_tui.cli import main
from tests.engine.live import wait_for
from tests.unit.cli_process import finished_run

PLAN = """
name = "small"
tasks = ["knights"]
seeds = [1]
[run.budget]
steps = 16
[run.search]
segment_steps = 8
[run.evaluation]
validation_prompts = 8
rerank_prompts = 8
test_prompts = 16
[run.space]
max_completion_length = { low = 24, high = 32, default = 24 }
[run.advisor]
kind = "rules"
[run.training]
batch_size = 16
threads = 1
[strategies.continue]
strategy = "continue"
[strategies.keep-only]
strategy = "keep-only"
"""


def compare(where: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "llmzero_tui", "--runs-dir", str(where / "runs"), "compare"]
    return subprocess.Popen([*command, str(where / "plan.toml"), *words], text=True, stderr=subprocess.PIPE)


def ended(process: subprocess.Popen[str]) -> str:
    _, said = process.communicate(timeout=500)
    return said


def said_until(process: subprocess.Popen[str], words: str) -> str:
    """What a comparison says until it has said this, or ended."""
    assert process.stderr is not None
    said = ""
    while words not in said and (line := process.stderr.readline()):
        said += line
    return said


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    (tmp_path / "plan.toml").write_text(PLAN)
    return tmp_path


@pytest.mark.long
@pytest.mark.timeout(900)  # real training, twice; a minute on a machine that does nothing else
def test_a_killed_comparison_goes_on_where_it_was_and_runs_no_cell_twice(plan: Path) -> None:
    first = compare(plan, "--keep", "none")
    runs = plan / "runs"
    wait_for("a checkpoint", lambda: list(runs.glob("small-*/segments/*/checkpoint-*")))
    (directory,) = (RunDirectory(each) for each in runs.glob("small-*"))
    first.send_signal(signal.SIGTERM)
    ended(first)
    assert first.returncode == 130
    assert directory.holder() is None, "its engine was asked to end"
    assert not records.load(plan / "plan.jsonl")

    second = compare(plan, "--keep", "none")
    said = ended(second)
    assert second.returncode == 0, said
    assert "resumed knights/continue/1" in said
    assert "started knights/keep-only/1" in said
    lines = records.load(plan / "plan.jsonl")
    assert [line["strategy"] for line in lines] == ["continue", "keep-only"]
    for line in lines:
        assert line["spent"]["steps"] == 16
        assert line["spent"]["tokens"] > 16 * 16
        assert line["test"]["n"] == 16
        assert len(line["test"]["outcomes"]) == 6
        assert line["scores"][-1][5] == 16
        assert line["scores"][-1][6] == pytest.approx(line["spent"]["trainer_seconds"], rel=0.1, abs=0.5)
    assert not list(directory.segments.rglob("*.safetensors"))
    assert directory.database.is_file()

    third = compare(plan)
    said = ended(third)
    assert third.returncode == 0
    assert "2 of 2 cells done" in said
    assert "started" not in said


def test_a_cell_that_another_process_works_on_is_left_to_it(plan: Path) -> None:
    import fcntl

    from engine.compare.plan import cells, load

    claims = plan / "runs" / ".compare"
    claims.mkdir(parents=True)
    handles = []
    for cell in cells(load(plan / "plan.toml")):
        handles.append(os.open(claims / f"{cell.run_name}.lock", os.O_RDWR | os.O_CREAT))
        fcntl.flock(handles[-1], fcntl.LOCK_EX)
    process = compare(plan)
    said = ended(process)
    assert "0 of 2 cells done; another process works on knights/continue/1, knights/keep-only/1\n" in said
    assert process.returncode == 1
    assert "failed" not in said
    assert not list((plan / "runs").glob("small-*"))
    for handle in handles:
        os.close(handle)


def without_tables(database: Path) -> None:
    duckdb.connect(str(database)).close()


def without_a_row(database: Path) -> None:
    Writer(database).close()


@pytest.mark.parametrize("left", [None, Path.touch, without_tables, without_a_row])
def test_a_cell_in_which_nothing_has_begun_begins_anew(plan: Path, left: Callable[[Path], object] | None) -> None:
    cell = next(plans.cells(plans.load(plan / "plan.toml")))
    directory = launch.create_run(preflight.resolve(cell.config()), plan / "runs")
    (directory.path / "of the start before").touch()
    if left is not None:
        left(directory.database)
    process = compare(plan, "--only", "continue")
    said = said_until(process, "started")
    assert f"started knights/continue/1: {directory.path}" in said
    assert not (directory.path / "of the start before").exists()
    assert directory.holder() is not None
    process.send_signal(signal.SIGTERM)
    ended(process)


@pytest.mark.parametrize("left", [without_tables, without_a_row])
def test_a_run_in_which_nothing_has_begun_is_one_line_with_the_remedy(
    plan: Path, left: Callable[[Path], object], capsys: pytest.CaptureFixture[str]
) -> None:
    cell = next(plans.cells(plans.load(plan / "plan.toml")))
    directory = launch.create_run(preflight.resolve(cell.config()), plan / "runs")
    left(directory.database)
    for command in ("show", "tail", "stop", "pause"):
        assert main(["--runs-dir", str(plan / "runs"), command, directory.name]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "begun" in line
        assert "`llmzero resume" in line
    assert main(["--runs-dir", str(plan / "runs"), "resume", "--detach", directory.name]) == 0
    assert main(["--runs-dir", str(plan / "runs"), "stop", directory.name]) == 0


@pytest.mark.long
@pytest.mark.parametrize("moment", ["engine.log", "engine.lock", "run.duckdb"])
def test_a_cell_whose_start_is_interrupted_or_killed_begins_anew(plan: Path, moment: str) -> None:
    runs, words = plan / "runs", ("--only", "continue")
    process = compare(plan, *words)
    wait_for(moment, lambda: list(runs.glob(f"small-*/{moment}")) or process.poll() is not None)
    process.send_signal(signal.SIGINT)
    ended(process)
    assert process.returncode == 130
    for directory in map(RunDirectory, runs.glob("small-*")):  # it was ready just before
        assert directory.holder() is None

    process = compare(plan, *words)
    wait_for(moment, lambda: list(runs.glob(f"small-*/{moment}")) or process.poll() is not None)
    engines = psutil.Process(process.pid).children()
    for each in (psutil.Process(process.pid), *engines):
        each.kill()
    psutil.wait_procs(engines)
    ended(process)

    process = compare(plan, *words)
    said = said_until(process, "started")
    assert "failed" not in said
    process.send_signal(signal.SIGTERM)
    ended(process)
    assert process.returncode == 130


def test_a_cell_whose_engine_does_not_start_leaves_nothing_and_the_next_is_tried(
    plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for the interpreter: no real engine hangs on request."""
    sham = plan / "python"
    sham.write_text("#!/bin/sh\nexec sleep 60\n")
    sham.chmod(0o700)
    cells = list(plans.cells(plans.load(plan / "plan.toml")))
    said: list[str] = []
    monkeypatch.setattr(sys, "executable", str(sham))
    monkeypatch.setattr(launch, "IDLE_SECONDS", 1.0)
    assert ComparisonRunner(cells, plan / "runs", plan / "plan.jsonl", 1, "none", said.append).run() == 2
    assert [line.partition(": ")[0] for line in said] == ["failed knights/continue/1", "failed knights/keep-only/1"]
    assert all("llmzero ended it after" in line for line in said)
    assert not list((plan / "runs").glob("small-*"))


def test_results_that_cannot_be_written_are_refused_before_anything_is_trained(plan: Path) -> None:
    process = compare(plan, "--results", "/proc/x.jsonl")
    said = ended(process)
    assert process.returncode == 2
    assert said.splitlines()[-1].startswith("llmzero: /proc/x.jsonl: cannot be written")
    assert "Traceback" not in said
    assert not list((plan / "runs").glob("small-*"))


@pytest.mark.long
def test_a_measured_run_is_kept_until_its_line_can_be_written(plan: Path) -> None:
    cell = next(plans.cells(plans.load(plan / "plan.toml")))
    directory = finished_run(plan / "runs", cell.run_name)
    results = plan / "plan.jsonl"
    results.write_text("\n" * 100_000)
    process = compare(plan, "--only", "continue", "--keep", "none")
    resource.prlimit(
        process.pid, resource.RLIMIT_FSIZE, (100_100, resource.RLIM_INFINITY)
    )  # as a disk that is full soon
    said = ended(process).splitlines()
    assert process.returncode == 1
    begins = (
        f"llmzero: knights/continue/1 is measured, but {results} cannot be written: File too large; its run is kept"
    )
    assert said[-1].startswith(begins)
    assert results.read_text() == "\n" * 100_000
    assert list(directory.segments.rglob("*.safetensors"))
    process = compare(plan, "--only", "continue", "--keep", "none")
    assert "done knights/continue/1" in ended(process)
    assert process.returncode == 0
    assert not list(directory.segments.rglob("*.safetensors"))


@pytest.mark.parametrize("kind", ["budget", "edit", "annotate"])
def test_a_run_that_a_human_steered_is_no_measurement_of_its_cell(plan: Path, kind: str) -> None:
    cell = next(plans.cells(plans.load(plan / "plan.toml")))
    directory = finished_run(plan / "runs", cell.run_name)
    with duckdb.connect(str(directory.database)) as connection:
        connection.execute("INSERT INTO commands VALUES (1, ?, NULL, NULL, NULL, '{}', 'me', now()::TIMESTAMP)", [kind])
        connection.execute("INSERT INTO command_results VALUES (900, 1, 'done', '', now()::TIMESTAMP)")
    said: list[str] = []
    failed = ComparisonRunner([cell], plan / "runs", plan / "plan.jsonl", 1, "all", said.append).run()
    assert failed == (kind != "annotate")
    assert len(records.load(plan / "plan.jsonl")) == (kind == "annotate")
    assert any(f"its run was steered by hand ({kind}), so it is not recorded" in line for line in said) == failed


@pytest.mark.parametrize("steps", [4, 5])
def test_a_replay_whose_schedule_was_not_trained_to_its_end_is_no_measurement(plan: Path, steps: int) -> None:
    cell = next(plans.cells(plans.load(plan / "plan.toml")))
    directory = finished_run(plan / "runs", cell.run_name)  # it trained 4 steps
    config = cell.config().model_dump(mode="json")
    config["search"] |= {"strategy": "replay", "settings": {"stages": [{"steps": 3}, {"steps": steps - 3}]}}
    with duckdb.connect(str(directory.database)) as connection:
        connection.execute("UPDATE runs SET config = ?", [json.dumps(config)])
        connection.execute("UPDATE nodes SET trained_steps = 4, planned_steps = 4 WHERE node_id = 1")
    said: list[str] = []
    failed = ComparisonRunner([cell], plan / "runs", plan / "plan.jsonl", 1, "all", said.append).run()
    assert failed == (steps == 5)
    assert len(records.load(plan / "plan.jsonl")) == (steps == 4)
    assert (
        any("4 of the 5 steps of its schedule were trained, so it is not recorded" in line for line in said) == failed
    )


def test_the_run_of_another_cell_is_not_taken_for_this_one(plan: Path) -> None:
    cell, other = plans.cells(plans.load(plan / "plan.toml"))
    directory = finished_run(plan / "runs", cell.run_name)
    note = {"cell": list(other.key), "settings_hash": other.settings_hash, "revisions": ["abc"]}
    (directory.path / "cell.json").write_text(json.dumps(note))
    said: list[str] = []
    assert ComparisonRunner([cell], plan / "runs", plan / "plan.jsonl", 1, "all", said.append).run() == 1
    assert f"{directory.path} is the run of 'knights/keep-only/1', or of other settings" in said[0]
    assert records.load(plan / "plan.jsonl") == []
    for torn in ('{"cell": ["knights"', '{"cell": 3, "revisions": null}', "[]", "\0"):
        (directory.path / "cell.json").write_text(torn)
        (plan / "plan.jsonl").unlink(missing_ok=True)
        assert ComparisonRunner([cell], plan / "runs", plan / "plan.jsonl", 1, "all", said.append).run() == 0


def test_a_damaged_line_of_results_is_told_once(plan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (plan / "plan.jsonl").write_text('{"kind":"policy"}\n\n{"task":"knights","test":null}\n')
    assert main(["compare", str(plan / "plan.toml"), "--list"]) == 0
    assert capsys.readouterr().err == f"{plan / 'plan.jsonl'}: line 3 is no whole measurement, left out\n"

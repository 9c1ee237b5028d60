"""`llmzero compare` as a user has it: real cells, killed in the middle, taken up again, and not run twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.compare import records
from engine.run.rundir import RunDirectory
from tests.engine.live import wait_for

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
    command = [sys.executable, "-m", "llmzero_tui.cli", "--runs-dir", str(where / "runs"), "compare"]
    return subprocess.Popen([*command, str(where / "plan.toml"), *words], text=True, stderr=subprocess.PIPE)


def ended(process: subprocess.Popen[str]) -> str:
    _, said = process.communicate(timeout=500)
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
    said = ended(compare(plan))
    assert "0 of 2 cells done" in said
    assert "failed" not in said
    assert not list((plan / "runs").glob("small-*"))
    for handle in handles:
        os.close(handle)

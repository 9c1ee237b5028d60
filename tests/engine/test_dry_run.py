"""`check --dry-run`: real steps by a real worker in a directory that is gone afterwards, and what they mean."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest

from engine.run import dry_run
from engine.run.config import RunConfig, parse
from engine.run.findings import CheckFinding
from engine.training.events import Evaluation
from llmzero_tui.text.plan import RecordedGain, plan_lines
from tests.engine.conftest import LETTERS
from tests.engine.live import wait_for
from tests.unit.cli_process import environment, finished_run, llmzero, run_file

FILE = """
[task]
name = "{task}"
[model]
path = "{model}"
[budget]
{budget}
[search]
segment_steps = 10
workers = 2
[evaluation]
validation_prompts = 32
rerank_prompts = 64
test_prompts = 64
checkpoints = 1
[advisor]
kind = "rules"
[training]
batch_size = 16
threads = 1
"""


def config(task: str, model: str = "", budget: str = "steps = 200") -> RunConfig:
    return parse(FILE.format(task=task, model=model, budget=budget), default_name="dry")


def by_subject(found: list[CheckFinding]) -> dict[str, CheckFinding]:
    return {each.subject: each for each in found}


@pytest.mark.parametrize("to_group", [True, False], ids=["Ctrl+C", "kill -INT"])
def test_a_plan_that_is_interrupted_leaves_nothing(tmp_path: Path, to_group: bool) -> None:
    path = run_file(tmp_path, FILE.format(task="knights", model="", budget="steps = 200"))
    (tmp_path / "tmp").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "llmzero_tui", "plan", str(path)], cwd=tmp_path, stderr=subprocess.DEVNULL,
        env=environment(TMPDIR=str(tmp_path / "tmp")), start_new_session=True,
    )  # fmt: skip
    wait_for("a worker", lambda: list((tmp_path / "tmp").rglob("worker-*.log")) or process.poll() is not None)
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) >= 2
    (os.killpg if to_group else os.kill)(process.pid, signal.SIGINT)
    assert process.wait(60) == 130
    assert list((tmp_path / "tmp").glob("llmzero-*")) == []
    assert psutil.wait_procs(children, timeout=30)[1] == []


def test_check_measures_the_base_and_two_steps_and_leaves_nothing(tmp_path: Path) -> None:
    path = run_file(tmp_path, FILE.format(task="knights", model="", budget="steps = 200"))
    (tmp_path / "tmp").mkdir()
    done = llmzero(
        "check", path, "--dry-run", "--json", cwd=tmp_path, timeout=300, TMPDIR=str(tmp_path / "tmp"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = {each["subject"]: each for each in json.loads(done.stdout)}
    assert "of 32 validation prompts by a sampled answer: 0." in found["pass rate"]["text"]
    assert "of 4 groups of completions in 2 steps" in found["learning signal"]["text"]
    assert "the budget is about 20 segments of 10 steps: about " in found["time"]["text"]
    assert "a worker used " in found["peak memory"]["text"]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["run-file.toml", "tmp"]
    assert not list((tmp_path / "tmp").glob("llmzero-*"))


@pytest.mark.long
def test_a_plan_is_measured_and_says_what_finished_runs_of_the_task_gained(tmp_path: Path) -> None:
    """The finished run: 0.75 on the test prompts, its base 0.25."""
    finished_run(tmp_path / "runs", "old")
    path = run_file(tmp_path, FILE.format(task="knights", model="", budget="steps = 200"))
    done = llmzero("plan", path, "--json", cwd=tmp_path, timeout=300)
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    assert (plan["segments"], plan["segment_steps"], plan["gpu_hours"]) == (20, 10, None)
    assert 0 < plan["scoring_seconds"] < plan["segment_seconds"] < plan["work_seconds"]
    assert plan["training_tokens"] > 200 * 16
    assert plan["recorded_gains"] == [{"gain": 0.5, "steps": 4}]
    simulated = plan["simulated"]
    assert (simulated["none"], simulated["steps"], simulated["workers"]) == ("", 200, 2)
    assert 0 <= simulated["strategy"]["low"] <= simulated["strategy"]["high"] <= 1


def test_a_plan_in_words() -> None:
    base = Evaluation(n=32, greedy=3, sampled=4, seconds=0.8)  # 25 ms a prompt
    measured = dry_run.DryRunResult(
        base, setup=0.2, steps=[9.0, 1.0], alike=[0.5, 0.25], lengths=[7.0, 9.0], memory=900_000_000
    )
    run = config("knights", budget="steps = 200")
    bought = asdict(dry_run.plan_of(run, measured))
    assert plan_lines(
        run, bought, "340 MB", [RecordedGain(0.5, 1200), RecordedGain(0.1, 24), RecordedGain(0.2, 60)]
    ) == [
        "search  20 segments of 10 GRPO steps, 1 scored checkpoint each",
        "tokens  about 26 thousand generated in 200 steps, 17 thousand to score policies",
        "time    about 2m01s with 2 workers, 11s of it before and after the search",
        "work    0.064 worker-hours, 12% of it without set-up (27s) to score policies",
        "memory  a worker used 0.9 GB",
        "disk    340 MB",
        "gain    from +0.100 to +0.500 on the test prompts in 3 finished runs of knights here (24 to 1,200 steps), "
        "median +0.200",
    ]
    assert plan_lines(run, bought, "", [])[-1].endswith("no finished run of knights in this directory of runs")


def test_a_scored_prompt_takes_what_it_takes_a_worker_that_is_warm() -> None:
    cold, warm = (Evaluation(n=32, greedy=3, sampled=4, seconds=seconds) for seconds in (3.2, 0.8))
    measured = dry_run.DryRunResult(cold, warm, steps=[9.0, 1.0], alike=[0.5, 0.25])
    assert dry_run.plan_of(config("knights"), measured).scoring_seconds == pytest.approx(0.8)


def test_a_plan_of_a_run_file_that_cannot_run_is_one_line(tmp_path: Path) -> None:
    done = llmzero("plan", run_file(tmp_path, FILE.format(task="nosuch", model="", budget="")), cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "nosuch" in done.stderr


def test_without_the_flag_check_only_mentions_it(tmp_path: Path) -> None:
    done = llmzero(
        "check", run_file(tmp_path, FILE.format(task="knights", model="", budget="steps = 200")), cwd=tmp_path
    )
    assert "--dry-run` trains two steps" in done.stderr
    assert "learning signal" not in done.stdout


def test_a_users_task_that_gives_nothing_is_a_warning(tiny_base: str) -> None:
    found = by_subject(list(dry_run.look(config(f"{LETTERS}:Nothing", tiny_base)).findings))
    assert found["pass rate"].level == found["learning signal"].level == "warning"
    assert "solves 0 of 32" in found["pass rate"].text
    assert found["learning signal"].text.startswith("100% of ")


@pytest.mark.parametrize(("task", "words"), [("Strange", "does not know '€'"), ("Missing", "has no class 'Missing'")])
def test_what_cannot_be_done_is_one_line(task: str, words: str, tiny_base: str) -> None:
    (finding,) = dry_run.look(config(f"{LETTERS}:{task}", tiny_base)).findings
    assert finding.level == "error"
    assert words in finding.text
    assert "\n" not in finding.text


@pytest.mark.parametrize(("steps", "level", "share"), [(10, "warning", "31%"), (200, "ok", "2%")])
def test_evaluation_that_costs_much_is_a_warning_with_its_share(steps: int, level: str, share: str) -> None:
    """2.4 s of scoring in segments and 11 s of closing evaluations beside 30 or 600 s of steps."""
    base = Evaluation(n=32, greedy=3, sampled=4, seconds=0.8)
    measured = dry_run.DryRunResult(base, setup=0.0, steps=[9.0, 1.0], alike=[0.5, 0.25], memory=1)
    text = FILE.replace("segment_steps = 10", f"segment_steps = {steps}")
    run = parse(text.format(task="knights", model="", budget="steps = 0\nnodes = 3"), default_name="dry")
    finding = by_subject(list(dry_run.findings(run, measured)))["evaluation"]
    assert (finding.level, share in finding.text) == (level, True), finding.text


@pytest.mark.parametrize(
    ("budget", "says"),
    [
        ("steps = 95", "about 10 segments of 10 steps: about 66 s, 11 s"),
        ("steps = 0\nnodes = 1", "about 1 segment of 10 steps: about 22 s"),
        ("steps = 0\nminutes = 10", "about 109 segments of 10 steps: about 10 min"),
        ("steps = 0\ngpu_hours = 1", "about 327 segments of 10 steps: about 30 min"),
        ("steps = 95\nnodes = 1", "about 1 segment of 10 steps"),
    ],
)
def test_the_estimate_counts_every_limit(budget: str, says: str) -> None:
    base = Evaluation(n=32, greedy=3, sampled=4, seconds=0.8)  # 25 ms a prompt
    measured = dry_run.DryRunResult(
        base, setup=0.2, steps=[9.0, 1.0], alike=[0.5, 0.25], memory=900_000_000, gpu=2_000_000_000
    )
    found = by_subject(list(dry_run.findings(config("knights", budget=budget), measured)))
    assert says in found["time"].text
    assert found["time"].text.endswith(" GPU-hours")
    assert found["pass rate"].text.startswith(
        "the base solves 4 of 32 validation prompts by a sampled answer: 0.12 [0.05, 0.28]; 3 greedily"
    )
    assert found["learning signal"].text.startswith("38% of 4 groups")
    assert found["peak memory"].text == "a worker used 900 MB, and 2.0 GB of the GPU; 2 workers take 1.8 GB"

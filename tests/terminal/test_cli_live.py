"""The command line on live runs: real engines and workers, the shipped tiny model, small numbers."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from engine.run import launch
from engine.run.rundir import RunDirectory
from tests.engine import live
from tests.unit.cli_process import RUN_FILE, environment, finished_run, llmzero, run_file

ENDLESS = RUN_FILE.replace("nodes = 2", "nodes = 500")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A working directory; no engine of its runs outlives the test."""
    yield tmp_path
    for directory in launch.list_runs(tmp_path / "runs"):
        live.kill(directory)


def follow(place: Path, *arguments: str) -> subprocess.Popen[str]:
    """A command that keeps running, without a terminal."""
    command = [sys.executable, "-m", "llmzero_tui", *arguments]
    return subprocess.Popen(
        command, cwd=place, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, encoding="utf-8", preexec_fn=hear_ctrl_c,
    )  # fmt: skip


def hear_ctrl_c() -> None:
    """In the child: Ctrl+C is heard even where the tests were started with it ignored (nohup, a background job)."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def interrupt(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Ctrl+C, and what it said until it ended."""
    process.send_signal(signal.SIGINT)
    try:
        return process.communicate(timeout=20)
    finally:
        process.kill()  # a query that went on must not outlive its test


def _seconds(process: psutil.Process) -> float:
    """CPU seconds so far, 0 of a process that is gone."""
    try:
        return process.cpu_times().user
    except psutil.NoSuchProcess:
        return 0.0


def ask_without_end_and_interrupt(place: Path) -> None:
    """Ctrl+C while a query over the run `endless` computes ends it, and the process of its own that it has."""
    query = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range * b.range % 7 = 3"
    process = follow(place, "sql", "endless", query)
    asked = psutil.Process(process.pid)

    def computing() -> list[psutil.Process]:
        """The process of its own that an ad-hoc query has, once it works."""
        queries = [child for child in asked.children(recursive=True) if "engine.store.query_worker" in child.cmdline()]
        return [child for child in queries if _seconds(child) > 1.5]

    live.wait_for("the query to compute", computing)
    workers = computing()
    _, err = interrupt(process)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    gone, left = psutil.wait_procs(workers, timeout=60)
    assert gone
    assert not left


def test_ctrl_c_stops_a_runaway_query_over_a_run_at_rest(place: Path) -> None:
    finished_run(place / "runs", "endless")
    ask_without_end_and_interrupt(place)


@pytest.mark.long
def test_a_run_without_a_terminal_tells_what_happens_and_ends_with_its_result(place: Path) -> None:
    done = llmzero("run", run_file(place, 'name = "whole"\n' + RUN_FILE), cwd=place, timeout=200)
    assert done.returncode == 0, done.stderr
    for word in ("#0 base  validation", "#1", "from #0, root, 4 steps", "finished, 4 steps, validation"):
        assert word in done.stderr
    for word in ("whole  ✓ finished", "policy", "95% interval", "stage"):
        assert word in done.stdout
    strategy = tomllib.loads((place / "runs" / "whole" / "strategy.toml").read_text())
    assert strategy["run"] == "whole"
    facts = json.loads(llmzero("ls", "--json", cwd=place).stdout)[0]
    assert facts["state"] == "finished"
    assert facts["nodes"] == 2
    assert facts["best_test"]["n"] == 16
    again = llmzero("attach", "whole", cwd=place)
    assert again.stdout == done.stdout

    assert llmzero("resume", "whole", cwd=place).returncode == 2
    asked = place / "runs" / "whole" / "run.toml"
    asked.write_text(asked.read_text().replace("nodes = 2", "nodes = 3"))
    further = llmzero("resume", "whole", "--json", cwd=place, timeout=200)
    assert further.returncode == 0, further.stderr
    facts = json.loads(further.stdout)
    assert (facts["state"], facts["nodes"]) == ("finished", 3)
    lines = further.stderr.splitlines()
    assert any("#3" in line and "finished, 4 steps" in line for line in lines)
    assert not any("#0 base" in line or "#1 " in line for line in lines), "what the first run told is not told again"


@dataclass(frozen=True)
class Left:
    """A run that goes on until it is told otherwise, and what the command said that began it and was left."""

    directory: RunDirectory
    status: int
    out: str
    err: str


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Left]:
    """Begun without a terminal, left with Ctrl+C while its first node trained; the tests of a live run share it."""
    place = tmp_path_factory.mktemp("left")
    process = follow(place, "run", str(run_file(place, 'name = "endless"\n' + ENDLESS)), "--headless")
    directory = RunDirectory(place / "runs" / "endless")
    live.wait_for("the engine", directory.holder)
    live.wait_for_rows(directory, "SELECT 1 FROM nodes WHERE state = 'running'")
    out, err = interrupt(process)
    yield Left(directory, process.returncode, out, err)
    live.kill(directory)


@pytest.fixture
def endless(left: Left) -> RunDirectory:
    """The same run, which trains."""
    assert left.directory.holder() is not None, "the test before this one has ended it"
    live.wait_for_rows(left.directory, "SELECT 1 FROM checkpoints WHERE node_id > 0")
    return left.directory


def test_ctrl_c_leaves_the_engine_training(left: Left) -> None:
    assert left.status == 130, left.err
    assert left.out == ""
    assert "Traceback" not in left.err
    assert "llmzero attach endless" in left.err
    before = live.rows(left.directory, "SELECT max(seq) AS seq FROM metrics")[0]["seq"] or 0
    live.wait_for_rows(left.directory, "SELECT 1 FROM metrics WHERE seq > ?", before)


@pytest.mark.long
def test_a_live_run_is_listed_asked_paused_stopped_and_resumed(endless: RunDirectory) -> None:
    directory, place = endless, endless.path.parents[1]
    assert json.loads(llmzero("ls", "--json", cwd=place).stdout)[0]["state"] == "training"
    shown = llmzero("show", "endless", cwd=place).stdout
    assert "#0 base" in shown
    asked = llmzero("sql", "endless", "SELECT count(*) AS n FROM nodes WHERE state = 'finished'", "--json", cwd=place)
    assert json.loads(asked.stdout)[0]["n"] >= 1

    holder = directory.holder()
    assert holder is not None
    second = llmzero("resume", "endless", "--detach", cwd=place)
    assert (second.returncode, len(second.stderr.splitlines())) == (2, 1)
    assert f"held by engine {holder.pid}" in second.stderr
    taken = llmzero("run", run_file(place, 'name = "endless"\n' + ENDLESS), cwd=place)
    assert (taken.returncode, len(taken.stderr.splitlines())) == (2, 1)

    paused = llmzero("pause", "endless", cwd=place)
    assert (paused.returncode, paused.stderr) == (0, "")
    assert json.loads(llmzero("ls", "--json", cwd=place).stdout)[0]["state"] == "paused"
    refused = llmzero("pause", "endless", cwd=place)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
    assert llmzero("resume", "endless", "--detach", cwd=place).returncode == 0
    assert json.loads(llmzero("ls", "--json", cwd=place).stdout)[0]["state"] == "training"

    query = "SELECT * EXCLUDE kept FROM checkpoints WHERE node_id < 2 ORDER BY seq LIMIT 2"
    during = llmzero("sql", "endless", query, "--json", cwd=place)
    assert len(json.loads(during.stdout)) == 2
    stopped = llmzero("stop", "endless", "--json", cwd=place)
    assert stopped.returncode == 0
    assert json.loads(stopped.stdout) == {
        "run": "endless",
        "command": "stop",
        "answer": "stopped; `llmzero resume` continues it",
    }
    assert all(line.startswith(("stopping: ", "still stopping")) for line in stopped.stderr.splitlines())
    assert llmzero("sql", "endless", query, "--json", cwd=place).stdout == during.stdout
    assert directory.holder() is None
    before = live.rows(directory, "SELECT node_id, label FROM nodes WHERE state = 'finished' ORDER BY node_id")
    assert json.loads(llmzero("ls", "--json", cwd=place).stdout)[0]["state"] == "stopped"

    assert llmzero("resume", "endless", "--detach", cwd=place).returncode == 0
    after = live.rows(directory, "SELECT node_id, label FROM nodes WHERE state = 'finished' ORDER BY node_id")
    assert after[: len(before)] == before


def test_ctrl_c_stops_a_runaway_query(endless: RunDirectory) -> None:
    place = endless.path.parents[1]
    ask_without_end_and_interrupt(place)
    assert llmzero("sql", "endless", "SELECT 1", cwd=place).returncode == 0
    assert endless.holder() is not None


@pytest.mark.long
def test_a_killed_engine_is_named_and_the_run_resumed(endless: RunDirectory) -> None:
    place = endless.path.parents[1]
    attached = follow(place, "attach", "endless", "--headless")
    tailed = follow(place, "tail", "endless")
    for process in (attached, tailed):
        first = process.stderr if process is attached else process.stdout
        assert first is not None
        assert first.readline(), "it tells what happens"
    live.wait_for_rows(endless, "SELECT 1 FROM nodes WHERE state = 'running'")
    live.kill(endless)
    for process in (attached, tailed):
        _, err = process.communicate(timeout=60)
        assert process.returncode == 1
        last = err.splitlines()[-1]
        assert last.startswith("llmzero: the engine of endless is gone")
        assert "llmzero resume endless" in last
    assert json.loads(llmzero("ls", "--json", cwd=place).stdout)[0]["state"] == "crashed"
    assert llmzero("pause", "endless", cwd=place).returncode == 2
    before = live.rows(endless, "SELECT max(seq) AS seq FROM metrics")[0]["seq"]
    assert llmzero("resume", "endless", "--detach", cwd=place).returncode == 0
    live.wait_for_rows(endless, "SELECT 1 FROM metrics WHERE seq > ?", before)
    assert llmzero("pause", "endless", cwd=place).returncode == 0
    assert llmzero("stop", "endless", cwd=place).returncode == 0, "a paused run can be stopped"
    assert endless.holder() is None


@pytest.mark.long
def test_a_demo_trains_the_base_that_ships_with_its_task(place: Path) -> None:
    done = llmzero("demo", "--minutes", "5", "--detach", "--json", cwd=place)
    assert done.returncode == 0, done.stderr
    name = json.loads(done.stdout)["name"]
    assert name.startswith("demo-knights")
    directory = RunDirectory(place / "runs" / name)
    live.wait_for_rows(directory, "SELECT 1 FROM metrics")
    second = llmzero("demo", "--minutes", "5", "--detach", "--json", cwd=place)
    assert json.loads(second.stdout)["name"] != name

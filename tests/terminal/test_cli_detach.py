"""Leaving the terminal in every way leaves the engine training, and `attach` shows the same run again. A real pty."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.run import launch
from engine.run.rundir import RunDirectory
from tests.engine import live
from tests.terminal.terminals import Terminal
from tests.unit.cli_process import RUN_FILE, llmzero, run_file

ENDLESS = 'name = "endless"\n' + RUN_FILE.replace("nodes = 2", "nodes = 500")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A working directory; no engine of its runs outlives the test."""
    yield tmp_path
    for directory in launch.list_runs(tmp_path / "runs"):
        live.kill(directory)


@pytest.mark.long
def test_leaving_the_terminal_in_any_way_leaves_the_engine_training(place: Path) -> None:
    terminal = Terminal(place, "run", str(run_file(place, ENDLESS)))
    directory = RunDirectory(place / "runs" / "endless")
    terminal.wait_for("endless")
    terminal.wait_for("#1", seconds=120)  # a worker has to start
    engine = directory.holder()
    assert engine is not None

    terminal.child.send("q")
    last = terminal.rest().rstrip().splitlines()[-1]
    assert terminal.child.exitstatus == 0
    assert "llmzero attach endless" in last

    killed = Terminal(place, "attach", "endless")
    killed.wait_for("#1")
    assert killed.child.pid is not None
    os.kill(killed.child.pid, signal.SIGKILL)
    killed.rest()

    closed = Terminal(place, "attach", "endless")
    closed.wait_for("#1")
    pid = closed.child.pid
    assert pid is not None
    closed.child.ptyproc.fileobj.close()  # type: ignore[attr-defined]  # the terminal goes away: SIGHUP
    live.wait_for("the screens to end", lambda: os.waitpid(pid, os.WNOHANG)[0] == pid, 20)

    assert directory.holder() == engine
    before = live.rows(directory, "SELECT count(*) AS n FROM metrics")[0]["n"]
    live.wait_for_rows(directory, "SELECT 1 FROM metrics HAVING count(*) > ?", before)
    assert llmzero("stop", "endless", cwd=place).returncode == 0


def test_the_list_of_runs_opens_one_and_q_leaves_it(place: Path) -> None:
    done = llmzero("run", run_file(place, ENDLESS), "--detach", "--json", cwd=place)
    assert done.returncode == 0, done.stderr
    holder = RunDirectory(place / "runs" / "endless").holder()
    assert holder is not None
    assert json.loads(done.stdout) == {"name": "endless", "path": "runs/endless", "pid": holder.pid}
    assert "llmzero attach endless" in done.stderr.splitlines()[-1]
    terminal = Terminal(place)
    terminal.wait_for("endless")
    terminal.child.send("\r")
    terminal.wait_for("#0")
    terminal.child.send("q")
    assert "llmzero attach endless" in terminal.rest().rstrip().splitlines()[-1]
    assert terminal.child.exitstatus == 0
    assert RunDirectory(place / "runs" / "endless").holder() == holder

"""Leaving the terminal in every way leaves the engine training, and `attach` shows the same run again. A real pty."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pexpect
import pyte
import pytest

from engine import launch
from engine.rundir import RunDirectory
from tests.engine import live
from tests.unit.cli_process import RUN_FILE, environment, llmzero, run_file

ENDLESS = 'name = "endless"\n' + RUN_FILE.replace("nodes = 2", "nodes = 500")


class Terminal:
    """A terminal of 120×40 in which `llmzero` runs, and what its screen shows."""

    def __init__(self, place: Path, *arguments: str) -> None:
        command = ["-m", "llmzero_tui.cli", *arguments]
        env = environment(TERM="xterm-256color", TEXTUAL_ANIMATIONS="none")
        self.child = pexpect.spawn(sys.executable, command, cwd=place, env=env, dimensions=(40, 120), timeout=60)
        self._screen = pyte.Screen(120, 40)
        self._stream = pyte.ByteStream(self._screen)
        self.said = b""

    @property
    def text(self) -> str:
        return "\n".join(self._screen.display)

    def wait_for(self, word: str, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while word not in self.text:
            assert time.monotonic() < deadline, f"waited in vain for {word!r} on\n{self.text}"
            self._read(0.2)

    def rest(self) -> str:
        """What it printed until it ended."""
        while self._read(30):
            pass
        self.child.close()
        return self.said.decode("utf-8", "replace")

    def _read(self, seconds: float) -> bool:
        """Whether it goes on."""
        try:
            data = cast(bytes, self.child.read_nonblocking(65536, seconds))
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        self.said += data
        self._stream.feed(data)
        return True


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A working directory; no engine of its runs outlives the test."""
    yield tmp_path
    for directory in launch.list_runs(tmp_path / "runs"):
        live.kill(directory)


def test_leaving_the_terminal_in_any_way_leaves_the_engine_training(place: Path) -> None:
    terminal = Terminal(place, "run", str(run_file(place, ENDLESS)))
    directory = RunDirectory(place / "runs" / "endless")
    terminal.wait_for("endless")
    terminal.wait_for("#1")
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
    done = llmzero("run", run_file(place, ENDLESS), "--detach", cwd=place)
    assert done.returncode == 0, done.stderr
    terminal = Terminal(place)
    terminal.wait_for("endless")
    terminal.child.send("\r")
    terminal.wait_for("#0")
    terminal.child.send("q")
    assert "llmzero attach endless" in terminal.rest().rstrip().splitlines()[-1]
    assert terminal.child.exitstatus == 0
    assert RunDirectory(place / "runs" / "endless").holder() is not None

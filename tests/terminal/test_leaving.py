"""What is left when a command ends: after `q` the way back to a run that goes on and not a byte more, after a signal
neither the screen nor files."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.run.rundir import Holder, RunDirectory, RunLock
from tests.engine.live import wait_for
from tests.terminal.terminals import Terminal
from tests.tui import sample_run
from tests.tui.live_engine import live
from tests.unit.cli_process import environment

CONTROL = re.compile(r"\x1b\[[<>=?]?[0-9;]*[A-Za-z]")
SCREEN_IS_BACK = "\x1b[?1049l"


def after_the_screen(terminal: Terminal) -> str:
    """What it printed once the terminal's own screen was back."""
    return CONTROL.sub("", terminal.rest().rpartition(SCREEN_IS_BACK)[2])


def sample(place: Path, name: str, state: str) -> RunDirectory:
    directory = RunDirectory(sample_run.build(place / "runs", name=name, state=state))
    directory.config.write_text(sample_run.RUN_FILE.format(name=name), encoding="utf-8")
    return directory


@pytest.mark.long
@pytest.mark.parametrize("view", ["", "S"], ids=["tree", "samples"])
def test_nothing_is_left_of_a_run_at_rest(tmp_path: Path, view: str) -> None:
    sample(tmp_path, "rest", "finished")
    terminal = Terminal(tmp_path, "attach", "rest")
    terminal.wait_for("#0 base")
    if view:
        terminal.send(view)
        terminal.until(lambda: "Search tree" not in terminal.text, "another screen")
        terminal.send("\x1b")
        terminal.wait_for("Search tree")
    terminal.send("q")
    assert after_the_screen(terminal) == ""
    assert terminal.child.exitstatus == 0


@pytest.mark.long
def test_only_the_way_back_is_left_of_a_run_that_goes_on(tmp_path: Path) -> None:
    directory = sample(tmp_path, "goes-on", "training")
    lock = RunLock(directory, Holder(os.getpid(), "0", "2026-03-02T09:00:00+00:00"))
    try:
        with live(directory.path):
            terminal = Terminal(tmp_path, "attach", "goes-on")
            terminal.wait_for("#0 base")
            terminal.send("q")
            way_back = "detached: run goes-on continues; `llmzero attach goes-on` returns to it\r\n"
            assert after_the_screen(terminal) == way_back
    finally:
        lock.release()


def default_signals() -> None:
    """In the child: signals end it even where the tests were started with them ignored (nohup)."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def test_a_terminated_screen_gives_the_terminal_back(tmp_path: Path) -> None:
    sample(tmp_path, "rest", "finished")
    terminal = Terminal(tmp_path, "attach", "rest")
    terminal.wait_for("#0 base")
    terminal.child.kill(signal.SIGTERM)
    assert after_the_screen(terminal).strip() == ""
    assert SCREEN_IS_BACK in terminal.said.decode("utf-8", "replace")
    assert terminal.child.exitstatus == 128 + signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_query_that_is_ended_by_a_signal_leaves_no_copy_of_the_run(tmp_path: Path, number: signal.Signals) -> None:
    directory = sample(tmp_path, "goes-on", "training")
    (tmp_path / "tmp").mkdir()
    lock = RunLock(directory, Holder(os.getpid(), "0", "2026-03-02T09:00:00+00:00"))
    endless = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range * b.range % 7 = 3"
    try:
        with live(directory.path):
            process = subprocess.Popen(
                [sys.executable, "-m", "llmzero_tui", "sql", "goes-on", endless], cwd=tmp_path,
                env=environment(TMPDIR=str(tmp_path / "tmp")), stderr=subprocess.DEVNULL, preexec_fn=default_signals,
            )  # fmt: skip
            wait_for("a copy", lambda: list((tmp_path / "tmp").glob("llmzero-sql-*")) or process.poll() is not None)
            process.send_signal(number)
            assert process.wait(60) == 130
            assert list((tmp_path / "tmp").iterdir()) == []
    finally:
        lock.release()

"""The real app in a real terminal: it paints, answers keys, leaves, and ends when its terminal is gone."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pexpect
import psutil
import pyte
import pytest

from tests.tui import sample_run
from tests.tui.live_engine import live

ROOT = Path(__file__).parents[2]
START = "import sys; from pathlib import Path; from llmzero_tui.app import run; d = Path(sys.argv[1]); " + (
    "code = run(d, d / sys.argv[2] if sys.argv[2] else None); print('left with', code)"
)


class Terminal:
    """A program in a pseudo-terminal, and what it shows."""

    def __init__(self, arguments: list[str], size: tuple[int, int]) -> None:
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "TEXTUAL_ANIMATIONS": "none"}
        self.screen = pyte.Screen(*size)
        self._stream = pyte.ByteStream(self.screen)
        self.child: Any = pexpect.spawn(
            sys.executable, ["-c", START, *arguments], cwd=str(ROOT), env=environment,
            dimensions=(size[1], size[0]), timeout=30,
        )  # fmt: skip

    @property
    def text(self) -> str:
        return "\n".join(self.screen.display)

    def pump(self, seconds: float = 0.05) -> bool:
        """Take what it wrote; False when it closed its terminal."""
        try:
            data: bytes = self.child.read_nonblocking(1 << 16, seconds)
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        # pyte knows neither these private reports nor the kitty keyboard.
        self._stream.feed(re.sub(rb"\x1b\[[<>=?][0-9;]*[uc]|\x1bP.*?\x1b\\", b"", data))
        return True

    def until(self, condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"never happened: {what}\n{self.text}"
            assert self.pump() or condition(), f"it ended before: {what}\n{self.text}"

    def shows(self, words: str) -> None:
        self.until(lambda: words in self.text, words)


@contextmanager
def terminal(arguments: list[str], size: tuple[int, int] = (120, 40)) -> Iterator[Terminal]:
    program = Terminal(arguments, size)
    try:
        yield program
    finally:
        program.child.close(force=True)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample runs."""
    directory = tmp_path_factory.mktemp("runs")
    sample_run.main(directory)
    return directory


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
def test_it_paints_answers_keys_and_leaves(runs: Path, size: tuple[int, int]) -> None:
    with live(runs / "knights-01"), terminal([str(runs), ""], size) as program:
        for name in ("knights-00", "knights-01", "sums-02"):
            program.shows(name)
        program.child.send("k" * 5)
        program.child.send("j")
        program.until(lambda: "training" in program.text, "the live run")
        program.child.send("\r")
        program.shows("Search tree")
        program.child.send("?")
        program.shows("Approve the proposal as it is")
        program.child.send("q")
        program.shows("Search tree")
        program.child.send("q")
        program.shows("left with 0")


def test_a_command_in_a_real_terminal_reaches_the_engine(runs: Path) -> None:
    with live(runs / "knights-01") as engine, terminal([str(runs), "knights-01"]) as program:
        program.shows("2 waiting")
        program.child.send(" ")
        program.shows("pause sent")
        engine.answer(engine.commands[-1], "taken")
        program.shows("pause taken")
        engine.answer(engine.commands[-1], "done")
        program.shows("pause done")


@pytest.mark.parametrize("hangup", ["default", "ignored"])
def test_it_ends_when_its_terminal_is_gone(runs: Path, hangup: str) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN if hangup == "ignored" else signal.SIG_DFL)
    try:
        program = Terminal([str(runs), "knights-00"], (120, 40))
    finally:
        signal.signal(signal.SIGHUP, before)
    program.shows("Search tree")
    process = psutil.Process(program.child.pid)
    program.child.ptyproc.fileobj.close()  # not `os.close`: the number would be closed again, then another's
    try:
        gone, _alive = psutil.wait_procs([process], timeout=60)
        assert gone, f"still there, {process.cpu_percent(0.2)}% CPU"
    finally:
        if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            process.kill()


def test_kill_minus_nine_of_the_viewer_leaves_the_engine_working(runs: Path) -> None:
    with live(runs / "knights-01") as engine:
        with terminal([str(runs), "knights-01"]) as program:
            program.shows("Search tree")
            program.child.kill(signal.SIGKILL)
            program.child.wait()
        engine.step(33)
        with terminal([str(runs), "knights-01"]) as again:
            again.shows("step 33/50")

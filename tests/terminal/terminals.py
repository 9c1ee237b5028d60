"""Real terminals for tests: `llmzero` in a pseudo-terminal of its own, or typed into a shell inside tmux.

Both show what a human would see (`text`), take keys, and are waited on by what they show; nothing sleeps for a time.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pexpect
import pyte

from tests.unit.cli_process import environment

POLL_SECONDS = 0.05
UNKNOWN_TO_PYTE = re.compile(rb"\x1b\[[<>=?][0-9;]*[uc]|\x1bP.*?\x1b\\", re.DOTALL)
"""Private reports and the kitty keyboard."""


class Terminal:
    """A pseudo-terminal in which one program runs."""

    def __init__(self, place: Path, *arguments: str, size: tuple[int, int] = (120, 40), **extra: str) -> None:
        command = ["-m", "llmzero_tui", *arguments]
        env = environment(TERM="xterm-256color", COLORTERM="truecolor", TEXTUAL_ANIMATIONS="none", **extra)
        self.child = pexpect.spawn(
            sys.executable, command, cwd=place, env=env, dimensions=(size[1], size[0]), timeout=60
        )  # fmt: skip
        self._screen = pyte.Screen(*size)
        self._stream = pyte.ByteStream(self._screen)
        self.said = b""

    @property
    def text(self) -> str:
        """The screen, from the cells: pyte's own `display` fails where a wide character was half overwritten."""
        rows, columns = range(self._screen.lines), range(self._screen.columns)
        return "\n".join("".join(self._screen.buffer[y][x].data for x in columns) for y in rows)

    def send(self, keys: str) -> None:
        self.child.send(keys)

    def until(self, condition: Callable[[], object], what: str, seconds: float = 60) -> None:
        """Read until the condition holds; fails with the screen."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain for {what} on\n{self.text}"
            assert self._read(POLL_SECONDS) or condition(), f"it ended before {what}, on\n{self.text}"

    def wait_for(self, words: str, seconds: float = 60) -> None:
        self.until(lambda: words in self.text, repr(words), seconds)

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
        self._stream.feed(UNKNOWN_TO_PYTE.sub(b"", data))
        return True


class Tmux:
    """A shell in a tmux server of its own: what is typed goes through tmux, as over SSH."""

    def __init__(self, place: Path, size: tuple[int, int] = (120, 40), **extra: str) -> None:
        self._socket = str(place / "tmux.sock")
        self._env = environment(TERM="xterm-256color", TEXTUAL_ANIMATIONS="none", **extra)
        columns, rows = size
        shell = "env PS1='ready> ' sh"
        self._tmux("-f", os.devnull, "new-session", "-d", "-x", str(columns), "-y", str(rows), "-c", str(place), shell)
        self.wait_for("ready>")

    @property
    def text(self) -> str:
        return self._tmux("capture-pane", "-p", "-t", "0")

    def keys(self, *names: str) -> None:
        """Press keys by their tmux names: Enter, Escape, Tab, C-p, F5 …"""
        self._tmux("send-keys", "-t", "0", *names)

    def type(self, text: str) -> None:
        """Type text letter by letter, none of it a key's name."""
        self._tmux("send-keys", "-t", "0", "-l", "--", text)

    def llmzero(self, *arguments: str) -> None:
        """Type a command line of `llmzero` and press Enter."""
        self.type(shlex.join([sys.executable, "-m", "llmzero_tui", *arguments]))
        self.keys("Enter")

    def until(self, condition: Callable[[], object], what: str, seconds: float = 60) -> None:
        """Poll until the condition holds; fails with the screen."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain for {what} on\n{self.text}"
            time.sleep(POLL_SECONDS)

    def wait_for(self, words: str, seconds: float = 60) -> None:
        self.until(lambda: words in self.text, repr(words), seconds)

    def resize(self, columns: int, rows: int) -> None:
        """As a window that is pulled larger or smaller."""
        self._tmux("resize-window", "-t", "0", "-x", str(columns), "-y", str(rows))

    def close(self) -> None:
        """End the server and what runs in it."""
        subprocess.run(["tmux", "-S", self._socket, "kill-server"], capture_output=True, env=self._env, check=False)

    def _tmux(self, *arguments: str) -> str:
        command = ["tmux", "-S", self._socket, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=self._env, check=False, timeout=30)
        assert done.returncode == 0, f"tmux {shlex.join(arguments)}: {done.stderr}"
        return done.stdout

"""`llmzero` in a pseudo-terminal that is read as fast as it writes: what stands on the screen, and what it cost.

Used by the measurements of this package. A thread takes the bytes and the time at which they came: the emulator may
still be at work on earlier ones, which takes longer than many an answer.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pexpect
import psutil
import pyte

ROOT = Path(__file__).parents[2]
ROWS, COLUMNS = 40, 120
WAIT_SECONDS = 60.0
PAUSE_SECONDS = 0.1
REST_SECONDS = 1.5
PRIVATE = (b"\x1b[>1u", b"\x1b[<u")
"""What the emulator does not know: it would print it."""


class Cost(NamedTuple):
    """Seconds on the clock, and of processor time."""

    wall: float
    cpu: float


class Terminal:
    """The app in a pseudo-terminal of 120×40: on one run, or with no run on the list of `runs_dir`."""

    def __init__(self, home: Path, runs_dir: Path, run: str | None = None) -> None:
        environment = {
            **os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "LLMZERO_RUNS": str(runs_dir),
            "XDG_CONFIG_HOME": str(home), "XDG_STATE_HOME": str(home), "XDG_DATA_HOME": str(home),
        }  # fmt: skip
        self.screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.ByteStream(self.screen)
        self.bytes = 0
        command = Path(sys.executable).with_name("llmzero")
        self.begun = self.read_at = time.perf_counter()
        self.child: Any = pexpect.spawn(
            str(command), ["attach", run] if run else [], cwd=str(ROOT), env=environment, dimensions=(ROWS, COLUMNS)
        )
        self.child.delaybeforesend = None
        sys.setswitchinterval(0.0005)
        self._read: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self) -> None:
        """Bytes and the time at which they came; none at the end."""
        descriptor, data = self.child.child_fd, b"-"
        while data:
            try:
                data = os.read(descriptor, 1 << 16)
            except OSError:  # how Linux says that the other side is gone
                data = b""
            self._read.put((time.perf_counter(), data))

    @property
    def text(self) -> str:
        return "\n".join(self.row(y) for y in range(ROWS))

    def row(self, y: int) -> str:
        """One line of the screen; far cheaper than all of them."""
        cells = self.screen.buffer[y]
        return "".join(cells[x].data for x in range(COLUMNS))

    def cpu(self) -> float:
        """Seconds of processor time the app has used, all threads: what it costs whatever else the machine does."""
        times = psutil.Process(self.child.pid).cpu_times()
        return float(times.user + times.system)

    def fine_cpu(self) -> float:
        """The same in nanoseconds where the system counts them; of threads that still live."""
        total = 0
        for task in Path(f"/proc/{self.child.pid}/task").glob("*/schedstat"):
            try:
                total += int(task.read_text().split()[0])
            except FileNotFoundError:  # a thread that ended meanwhile
                continue
        return total / 1e9 if total else self.cpu()

    def memory(self) -> tuple[float, float]:
        """Megabytes: unique to the app, and with its share of what it shares with others."""
        found = psutil.Process(self.child.pid).memory_full_info()
        return found.uss / 1e6, getattr(found, "pss", found.uss) / 1e6

    def pump(self, seconds: float) -> bool:
        """Take what it wrote within `seconds`; whether there was something."""
        try:
            self.read_at, data = self._read.get(timeout=seconds)
        except queue.Empty:
            return False
        if not data:
            raise SystemExit(f"the app ended:\n{self.text}")
        self.bytes += len(data)
        for sequence in PRIVATE:
            data = data.replace(sequence, b"")
        self._stream.feed(data)
        return True

    def until(self, condition: Callable[[], bool], what: str) -> float:
        """The moment at which what makes the condition hold was read."""
        deadline = time.perf_counter() + WAIT_SECONDS
        while not condition():
            if time.perf_counter() > deadline:
                raise SystemExit(f"never happened: {what}\n{self.text}")
            self.pump(0.005)
        return self.read_at

    def press(self, key: str, *conditions: Callable[[], bool], what: str) -> list[Cost]:
        """What it took from a key to each of what follows, one after the other. None may hold before the key, which is
        why the caller rests before it looks at what is there, and nothing is read in between."""
        used, begun = self.fine_cpu(), time.perf_counter()
        self.child.send(key)
        return [Cost(self.until(condition, what) - begun, self.fine_cpu() - used) for condition in conditions]

    def rest(self) -> None:
        """A typist's pace: until nothing was written for a tenth of a second, or a while has passed."""
        deadline = time.perf_counter() + REST_SECONDS
        while time.perf_counter() < deadline:
            if not self.pump(PAUSE_SECONDS):
                return

    def watch(self, seconds: float) -> tuple[float, float]:
        """Share of a core, and bytes a second, over a while in which nobody presses a key."""
        written, used, begun = self.bytes, self.cpu(), time.perf_counter()
        while time.perf_counter() - begun < seconds:
            self.pump(0.2)
        passed = time.perf_counter() - begun
        return (self.cpu() - used) / passed, (self.bytes - written) / passed

    def reached(self, condition: Callable[[], bool], what: str) -> Cost:
        """What it took from the start of the process to here."""
        return Cost(self.until(condition, what) - self.begun, self.cpu())

    def close(self) -> None:
        self.child.close(force=True)

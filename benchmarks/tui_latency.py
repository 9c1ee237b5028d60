"""How fast the terminal is, measured through a pseudo-terminal as a user sees it; writes docs/benchmark-tui.md.

    python -m benchmarks.tui_latency            the sample run, with a live engine that writes two steps a second
    python -m benchmarks.tui_latency RUN        a run directory of yours, live or at rest

Start to first paint: from the start of the process until the first line is on the screen. Key to answer: from the
key's byte until the screen shows what was asked for (not just any output): another tab, the zoom, the tree's cursor on
another node, the plot's frame with another metric. The curve of that node or metric follows from the database, and has
lines of its own. Keys come at a typist's pace: each after a tenth of a second in which nothing was written.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import pexpect
import psutil
import pyte

ROOT = Path(__file__).parents[1]
REPORT = ROOT / "docs" / "benchmark-tui.md"
PROGRAM = (
    "import sys; from pathlib import Path; from llmzero_tui.app import run; p = Path(sys.argv[1]); run(p.parent, p)"
)
WAIT_SECONDS = 30.0
PAUSE_SECONDS = 0.1
PAINT_GOAL, KEY_GOAL = 0.6, 0.05


class Cost(NamedTuple):
    """Seconds on the clock, and of processor time."""

    wall: float
    cpu: float


class Terminal:
    """The app on a run in a pseudo-terminal of 120×40."""

    def __init__(self, run: Path) -> None:
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "TEXTUAL_ANIMATIONS": "none"}
        self.screen = pyte.Screen(120, 40)
        self._stream = pyte.ByteStream(self.screen)
        self.begun = self.read_at = time.perf_counter()
        self.child: Any = pexpect.spawn(
            sys.executable, ["-c", PROGRAM, str(run)], cwd=str(ROOT), env=environment, dimensions=(40, 120)
        )
        self.child.delaybeforesend = None

    @property
    def text(self) -> str:
        return "\n".join(str(line) for line in self.screen.display)

    def cpu(self) -> float:
        """Seconds of processor time the app has used, all threads: what it costs whatever else the machine does."""
        times = psutil.Process(self.child.pid).cpu_times()
        tasks = Path(f"/proc/{self.child.pid}/task")
        if not tasks.is_dir():
            return float(times.user + times.system)
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()) / 1e9

    def pump(self, seconds: float) -> None:
        """Take what it wrote within `seconds`, if anything."""
        try:
            data: bytes = self.child.read_nonblocking(1 << 16, seconds)
        except pexpect.TIMEOUT:
            return
        self.read_at = time.perf_counter()  # before the emulator's own work
        self._stream.feed(data.replace(b"\x1b[>1u", b"").replace(b"\x1b[<u", b""))

    def row(self, y: int) -> str:
        """One line of the screen; far cheaper than all of them."""
        cells = self.screen.buffer[y]
        return "".join(cells[x].data for x in range(self.screen.columns))

    def until(self, condition: Callable[[], bool], what: str) -> float:
        """The moment at which what makes the condition hold was read."""
        deadline = time.perf_counter() + WAIT_SECONDS
        while not condition():
            if time.perf_counter() > deadline:
                raise SystemExit(f"never happened: {what}\n{self.text}")
            self.pump(0.005)
        return self.read_at

    def press(self, key: str, *conditions: Callable[[], bool], what: str) -> list[Cost]:
        """What it took from a key to each of what follows, one after the other."""
        self.rest()
        used, begun = self.cpu(), time.perf_counter()
        self.child.send(key)
        return [Cost(self.until(condition, what) - begun, self.cpu() - used) for condition in conditions]

    def rest(self) -> None:
        """A typist's pace: until nothing was written for a tenth of a second, at most a second."""
        deadline = time.perf_counter() + 1.0
        while time.perf_counter() < deadline:
            before = self.read_at
            self.pump(PAUSE_SECONDS)
            if self.read_at == before:
                return

    def reached(self, condition: Callable[[], bool], what: str) -> Cost:
        """What it took from the start of the process to here."""
        return Cost(self.until(condition, what) - self.begun, self.cpu())

    def close(self) -> None:
        self.child.close(force=True)


@dataclass(frozen=True)
class Probe:
    """Two keys that undo each other, and the line and words that answer each; `curve`: data follow the answer."""

    name: str
    keys: tuple[str, str]
    shown: tuple[tuple[int, str], tuple[int, str]]
    curve: bool = False


FRAME, TEXT = 2, range(25, 40)
PROBES = (
    Probe("another metric", ("]", "["), ((FRAME, "· kl"), (FRAME, "· reward")), curve=True),
    Probe("the zoom", ("z", "z"), ((FRAME, "╭─ #"), (FRAME, "Search tree"))),
    Probe("another tab", ("2", "1"), ((-1, "trajectory"), (-1, "validation"))),
)


def shows(terminal: Terminal, place: int, words: str) -> bool:
    """Whether a line (-1: one of the lower right panel) has the words; a frame must begin with them."""
    if place < 0:
        return any(words in terminal.row(y) for y in TEXT)
    line = terminal.row(place)
    return line.startswith(words) if words.startswith("╭") else words in line


def title(terminal: Terminal) -> str:
    """The frame of the plot: number and metric."""
    return terminal.row(FRAME)


def highlighted(terminal: Terminal) -> tuple[str, ...]:
    """Background of the tree's lines: one of them is the cursor's."""
    return tuple(terminal.screen.buffer[y][12].bg for y in range(3, 35))


def settled(terminal: Terminal) -> bool:
    """The plot shows the curve its frame names."""
    return "…" not in title(terminal)


def measure_keys(terminal: Terminal, rounds: int) -> tuple[dict[str, list[Cost]], dict[str, list[Cost]]]:
    """From key to answer, and to the curve where one follows, per kind of key."""
    answers: dict[str, list[Cost]] = {}
    curves: dict[str, list[Cost]] = {}

    def press(name: str, key: str, answered: Callable[[], bool], curve: Callable[[], bool] | None) -> None:
        conditions = [answered, curve] if curve else [answered]
        costs = terminal.press(key, *conditions, what=f"{key}: {name}")
        answers.setdefault(name, []).append(costs[0])
        if curve:
            curves.setdefault(f"the curve of {name}", []).append(costs[1])

    for _ in range(rounds):
        for probe in PROBES:
            for key, (place, words) in zip(probe.keys, probe.shown, strict=True):
                press(
                    probe.name, key, partial(shows, terminal, place, words),
                    partial(settled, terminal) if probe.curve else None,
                )  # fmt: skip
        for key in "kj":
            cursor, named = highlighted(terminal), title(terminal)
            answered = lambda before=cursor: highlighted(terminal) != before  # noqa: E731
            curve = lambda before=named: title(terminal) != before and settled(terminal)  # noqa: E731
            press("another node", key, answered, curve)
    return answers, curves


def measure_paint(run: Path, rounds: int) -> tuple[list[Cost], list[Cost]]:
    """Seconds to the first line on screen, and to the run's data on screen."""
    paints, fulls = [], []
    for _ in range(rounds):
        terminal = Terminal(run)
        painted = terminal.reached(lambda t=terminal: "LLMZero" in t.text, "the first paint")  # type: ignore[misc]
        full = terminal.reached(lambda t=terminal: "#0 " in t.text, "the data")  # type: ignore[misc]
        paints.append(painted)
        fulls.append(full)
        terminal.close()
    return paints, fulls


def quantile(values: list[float], share: float) -> float:
    """The nearest-rank quantile."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@contextmanager
def sample() -> Iterator[Path]:
    """The sample run with a live engine in a process of its own."""
    with tempfile.TemporaryDirectory() as directory:
        build = [sys.executable, "-m", "tests.tui.sample_run", directory]
        subprocess.run(build, cwd=ROOT, check=True)
        run = Path(directory) / "knights-01"
        engine = subprocess.Popen([sys.executable, "-m", "tests.tui.live_engine", str(run)], cwd=ROOT)
        try:
            while not (run / "engine.sock").exists():
                if engine.poll() is not None:
                    raise SystemExit("the sample's engine ended")
                time.sleep(0.05)
            yield run
        finally:
            engine.kill()
            engine.wait()


def line(name: str, values: list[Cost], goal: str) -> str:
    """A row of the report, in milliseconds."""
    wall, cpu = [v.wall for v in values], [v.cpu for v in values]
    found = (median(wall), quantile(wall, 0.95), max(wall), median(cpu), quantile(cpu, 0.95))
    return f"| {name} | {len(values)} | " + " | ".join(f"{1000 * v:.0f}" for v in found) + f" | {goal} |"


def report(
    what: str, paints: list[Cost], fulls: list[Cost], keys: dict[str, list[Cost]], curves: dict[str, list[Cost]]
) -> str:
    """The page."""
    every = [cost for values in keys.values() for cost in values]
    rows = [
        line("start → first paint", paints, f"{1000 * PAINT_GOAL:.0f}"),
        line("start → the run's data on screen", fulls, "–"),
        line("key → answer, all kinds", every, f"p95 {1000 * KEY_GOAL:.0f}"),
        *(line(f"key → {name}", values, "–") for name, values in (*keys.items(), *curves.items())),
    ]
    load = os.getloadavg()[0]
    return "\n".join((
        "# How fast the terminal is", "",
        "Written by `python -m benchmarks.tui_latency`; the docstring of that file says what is measured.", "",
        f"{what}; 120×40, {os.cpu_count()} cores (load {load:.1f} at the end), Python {platform.python_version()}, "
        f"Textual {version('textual')}.", "",
        "| milliseconds | n | p50 | p95 | max | CPU p50 | CPU p95 | goal |",
        "|---|---|---|---|---|---|---|---|", *rows, "",
        "CPU is the processor time of the app alone; on a machine that is busy with training the clock counts the "
        "waiting for a core too.", "",
    ))  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path, nargs="?", help="a run directory; the sample run when left out")
    parser.add_argument("--starts", type=int, default=10, help="how often the app is started")
    parser.add_argument("--rounds", type=int, default=15, help="how often every key is pressed")
    options = parser.parse_args()
    if options.run is not None:
        text = measured(options.run.resolve(), "A run of the user's", options.starts, options.rounds)
    else:
        with sample() as run:
            text = measured(
                run, "The sample run with a live engine, two steps a second", options.starts, options.rounds
            )
    REPORT.write_text(text, encoding="utf-8")
    print(text)


def measured(run: Path, what: str, starts: int, rounds: int) -> str:
    """Measure a run, and the page about it."""
    paints, fulls = measure_paint(run, starts)
    terminal = Terminal(run)
    try:
        terminal.until(lambda: "validation" in terminal.text and "┤" in terminal.text, "everything on screen")
        keys, curves = measure_keys(terminal, rounds)
    finally:
        terminal.close()
    return report(what, paints, fulls, keys, curves)


if __name__ == "__main__":
    main()

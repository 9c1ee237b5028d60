"""Measures the terminal and writes docs/benchmark-tui.md; about seven minutes on a quiet machine.

    python -m benchmarks.tui              everything
    python -m benchmarks.tui --quick      the same in a minute, to see that it works; writes nothing

Runs: the sample run with a live engine that writes two steps a second; a generated run of 10,000 nodes and 1,000,000
metric rows, live and finished; a generated run of one curve with 1,000,000 points. First paint: from the start of the
process (`llmzero attach RUN`) until the first line is on the screen. Key to answer: from the key's byte until the
screen shows what was asked for, not just any output; the curve of another node or metric follows from the database and
has lines of its own. Zooming: until the last byte of the new plot.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median

from benchmarks import big_run
from benchmarks.tui.keys import measure, measure_zoom, tree_frame
from benchmarks.tui.terminal import COLUMNS, ROOT, ROWS, Cost, Terminal
from tests.tui import sample_run

REPORT = ROOT / "docs" / "benchmark-tui.md"
SAMPLE, BIG = "the sample run, live", "10,000 nodes, live"
SCREENS = ("d", "S", "A", "T", "C", "B", "n", ",", "?", ":")
"""Keys that open a screen or a dialog over the run; escape leaves each."""


@dataclass(frozen=True)
class Effort:
    """How much is measured."""

    starts: int = 10
    rounds: int = 12
    zooms: int = 8
    seconds: float = 30.0


QUICK = Effort(2, 1, 1, 4.0)


def quantile(values: list[float], share: float) -> float:
    """The nearest-rank quantile."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def line(name: str, values: list[Cost], goal: str = "–") -> str:
    """A row of the table of times, in milliseconds."""
    wall, cpu = [v.wall for v in values], [v.cpu for v in values]
    found = (median(wall), quantile(wall, 0.95), max(wall), median(cpu), quantile(cpu, 0.95))
    return f"| {name} | {len(values)} | " + " | ".join(f"{1000 * v:.0f}" for v in found) + f" | {goal} |"


def shown(terminal: Terminal, *words: str) -> bool:
    """Whether one of the words stands on the screen."""
    text = terminal.text
    return any(word in text for word in words)


@contextmanager
def held(module: str, *words: str, run: Path) -> Iterator[None]:
    """The run with a live engine in a process of its own."""
    engine = subprocess.Popen([sys.executable, "-m", module, *words, str(run)], cwd=ROOT)
    try:
        while not (run / "engine.sock").exists():
            if engine.poll() is not None:
                raise SystemExit(f"{module} ended")
            time.sleep(0.05)
        yield
    finally:
        engine.kill()
        engine.wait()


class Bench:
    """The runs in a directory of their own, and what was found about them."""

    def __init__(self, directory: Path, effort: Effort) -> None:
        self.runs, self.home, self.effort = directory / "runs", directory / "home", effort
        self.runs.mkdir()
        self.home.mkdir()
        sample_run.main(self.runs)
        big_run.build(self.runs)
        big_run.build(self.runs, name="generated-live", state="training")
        big_run.build_curve(self.runs)
        self.times: list[str] = []
        self.costs: list[str] = []

    def opened(self, run: str) -> Terminal:
        """The app on a run, with everything on screen."""
        terminal = Terminal(self.home, self.runs, run)
        terminal.until(lambda: tree_frame(terminal) and "┤" in terminal.text, f"{run} on screen")
        terminal.rest()
        terminal.child.send("\x1b")  # the first time there is a tour
        for _ in range(4):
            terminal.rest()
        return terminal

    def paint(self, run: str | None, what: str) -> None:
        """From the start to the first line, and to the data."""
        paints, fulls = [], []
        for _ in range(self.effort.starts):
            with closing(Terminal(self.home, self.runs, run)) as terminal:
                data = "generated-" if run is None else "#0 "
                paints.append(terminal.reached(partial(shown, terminal, "LLMZero"), "the first paint"))
                fulls.append(terminal.reached(partial(shown, terminal, data, "├ #"), "the data"))
        self.times.append(line(f"start → first paint, {what}", paints, "600"))
        self.times.append(line(f"start → data on screen, {what}", fulls))

    def keys(self, run: str, what: str, goal: int) -> None:
        """From keys to answers."""
        with closing(self.opened(run)) as terminal:
            answers, curves = measure(terminal, self.effort.rounds)
        every = [cost for values in answers.values() for cost in values]
        self.times.append(line(f"**key → answer, {what}**", every, f"p95 {goal}"))
        self.times += [line(f"key → {name}, {what}", values) for name, values in (*answers.items(), *curves.items())]

    def zoom(self) -> None:
        """Closer and farther over one curve of a million points."""
        with closing(self.opened("generated-curve")) as terminal:
            costs = measure_zoom(terminal, self.effort.zooms)
        self.times.append(line("**zoom or pan → the plot drawn, one curve of 1,000,000 points**", costs, "100"))

    def watch(self, run: str, what: str, goal: str) -> None:
        """Processor and line while nobody presses a key."""
        with closing(self.opened(run)) as terminal:
            terminal.watch(3.0)
            share, written = terminal.watch(self.effort.seconds)
        self.costs.append(f"| processor, {what} | {share:.2%} of a core | {goal} |")
        self.costs.append(f"| to the terminal, {what} | {written / 1000:.2f} KB/s | ≤ 20 KB/s |")

    def memory(self) -> None:
        """Megabytes after every screen was open, over the big run."""
        with closing(self.opened("generated-live")) as terminal:
            first = terminal.memory()
            for tab in "12345":
                terminal.child.send(tab)
                terminal.rest()
            opened = 0
            for key in SCREENS:
                terminal.child.send(key)
                terminal.rest()
                opened += not tree_frame(terminal)
                for _ in range(3):
                    if tree_frame(terminal):
                        break
                    terminal.child.send("\x1b")
                    terminal.rest()
            last = terminal.memory()
        words = f"memory, 10,000 nodes, every tab and {opened} other screens opened"
        found = f"{last[0]:.0f} MB its own, {last[1]:.0f} MB with its share of libraries (at first {first[0]:.0f})"
        self.costs.append(f"| {words} | {found} | < 250 MB |")

    def everything(self) -> None:
        """All of it, in the order of the page."""
        sample, big = self.runs / "knights-01", self.runs / "generated-live"
        self.paint(None, "the list of runs")
        self.watch("knights-00", "a finished run", "< 1%")
        with held("tests.tui.live_engine", run=sample):
            self.paint("knights-01", SAMPLE)
            self.watch("knights-01", SAMPLE, "≤ 5%")
            self.keys("knights-01", SAMPLE, 30)
        with held("benchmarks.big_run", "--live", run=big):
            self.paint("generated-live", BIG)
            self.watch("generated-live", BIG, "≤ 5%")
            self.keys("generated-live", BIG, 50)
            self.memory()
        self.keys("generated-tree", "10,000 nodes, finished", 50)
        self.watch("generated-tree", "10,000 nodes, finished", "< 1%")
        self.zoom()

    def page(self) -> str:
        """The report."""
        machine = f"{os.cpu_count()} cores of {processor()}, load {os.getloadavg()[0]:.1f} at the end"
        return "\n".join((
            "# How fast the terminal is", "",
            "Written by `python -m benchmarks.tui`; `benchmarks/tui/__main__.py` says what is measured.",
            "", f"Through a pseudo-terminal of {COLUMNS}×{ROWS}; {machine}; Python {platform.python_version()}, "
            f"Textual {version('textual')}, DuckDB {version('duckdb')}. The run of 10,000 nodes (1,000,000 metrics, "
            "20,000 checkpoints, 80,000 completions) and the long curve are generated, as their screens say.", "",
            "| milliseconds | n | p50 | p95 | max | CPU p50 | CPU p95 | goal |",
            "|---|---|---|---|---|---|---|---|", *self.times, "",
            "CPU is the processor time of the app alone; on a machine that is busy with training the clock counts the "
            "waiting for a core too.", "",
            f"| over {self.effort.seconds:.0f} seconds without a key | | goal |", "|---|---|---|", *self.costs, "",
        ))  # fmt: skip


def processor() -> str:
    """What the machine calls its processor."""
    found = Path("/proc/cpuinfo")
    names = [
        row.split(":")[1].strip()
        for row in found.read_text(encoding="utf-8").splitlines()
        if row.startswith("model name")
    ]
    return names[0] if names else platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="see that it works; writes nothing")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        bench = Bench(Path(directory), QUICK if options.quick else Effort())
        bench.everything()
    print(bench.page())
    if not options.quick:
        REPORT.write_text(bench.page(), encoding="utf-8")


if __name__ == "__main__":
    main()

"""From a key to what it asks for: the keys that are measured, and when each counts as answered.

Keys come at a typist's pace: each after a tenth of a second in which nothing was written, while the engine goes on.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import takewhile

from benchmarks.tui.terminal import COLUMNS, Cost, Terminal

FRAME, LEFT = 2, 46
NUMBER = re.compile(r"#\d+")
QUIET_SECONDS = 0.25
Look = Callable[[Terminal], object]


def cursor(terminal: Terminal) -> str:
    """The line of the tree under the cursor: the only one with its background."""
    cells = terminal.screen.buffer
    rows = list(takewhile(lambda y: cells[y][0].data != "╰", range(FRAME + 1, len(cells))))
    grounds = [cells[y][12].bg for y in rows]
    odd = [y for y, ground in zip(rows, grounds, strict=True) if grounds.count(ground) == 1]
    return terminal.row(odd[0])[1 : LEFT - 2].strip() if odd else ""


def frame(terminal: Terminal) -> str:
    """The title of the plot: node and metric."""
    return terminal.row(FRAME)[LEFT:].replace("…", "").rstrip("─╮ ")


def tree_frame(terminal: Terminal) -> bool:
    """Whether the tree is on screen, and not the plot alone."""
    return "Search tree" in terminal.row(FRAME)


def texts(terminal: Terminal) -> tuple[str, ...]:
    """The lower right panel."""
    return tuple(terminal.row(y)[LEFT:COLUMNS] for y in range(25, 39))


def settled(terminal: Terminal) -> bool:
    """The plot shows the curve of the node under the cursor, if its line is on screen, and of the metric asked for."""
    title, line = terminal.row(FRAME)[LEFT:], NUMBER.search(cursor(terminal))
    return "…" not in title and (line is None or f"{line.group()} " in title)


@dataclass(frozen=True)
class Probe:
    """Keys that are pressed one after the other; each is answered when what `look` sees is not as it was before it.

    `curve`: the plot follows from the database, which is measured apart.
    """

    name: str
    keys: tuple[str, ...]
    look: Look
    curve: bool = False


PROBES = (
    Probe("another node", ("k", "k", "j", "j"), cursor, curve=True),
    Probe("another metric", ("]", "["), frame, curve=True),
    Probe("the plot alone, and back", ("z", "z"), tree_frame),
    Probe("another tab", ("2", "4", "1"), texts),
)
FAR = Probe("the ends of the tree", ("\x1b[H", "G"), cursor, curve=True)


def differs(terminal: Terminal, look: Look, before: object) -> bool:
    """Whether what is looked at is not as it was."""
    return look(terminal) != before


def filtered(terminal: Terminal, word: str) -> bool:
    """Whether the tree says that it is filtered by the word."""
    return any(f"/{word} · esc" in terminal.row(y)[:LEFT] for y in range(20, 40))


def measure(terminal: Terminal, rounds: int) -> tuple[dict[str, list[Cost]], dict[str, list[Cost]]]:
    """From key to answer, and to the curve where one follows, per kind of key."""
    answers: dict[str, list[Cost]] = {}
    curves: dict[str, list[Cost]] = {}
    terminal.rest()
    terminal.press("G", lambda: bool(cursor(terminal)), what="the cursor")
    for _ in range(rounds):
        for probe in (*PROBES, FAR):
            for key in probe.keys:
                terminal.rest()
                before = probe.look(terminal)
                conditions = [partial(differs, terminal, probe.look, before)]
                if probe.curve:
                    conditions.append(partial(settled, terminal))
                costs = terminal.press(key, *conditions, what=f"{key!r}: {probe.name}")
                answers.setdefault(probe.name, []).append(costs[0])
                if probe.curve:
                    curves.setdefault(f"the curve of {probe.name}", []).append(costs[1])
        answers.setdefault("a letter of the filter", []).extend(_filter(terminal, "nan"))
    return answers, curves


def _filter(terminal: Terminal, word: str) -> list[Cost]:
    """Type a filter letter by letter, and leave it."""
    terminal.rest()
    terminal.press("/", lambda: "number, label or state" in terminal.text, what="the filter")
    costs = []
    for count in range(1, len(word) + 1):
        terminal.rest()
        costs += terminal.press(
            word[count - 1], partial(filtered, terminal, word[:count]), what=f"filter {word[:count]}"
        )
    terminal.rest()
    terminal.press("\x1b", lambda: not filtered(terminal, word), what="no filter")
    return costs


def measure_zoom(terminal: Terminal, rounds: int) -> list[Cost]:
    """From a key to the last byte of the plot it drew: closer, along, farther, everything, over one long curve."""
    costs = []
    terminal.rest()
    terminal.press("z", lambda: not tree_frame(terminal), what="the plot alone")
    for _ in range(rounds):
        for key in ("+", "+", "+", "h", "l", "-", "0"):
            terminal.rest()
            used, written = terminal.fine_cpu(), terminal.bytes
            begun = last = time.perf_counter()
            terminal.child.send(key)
            while terminal.pump(QUIET_SECONDS):
                last = terminal.read_at
            if terminal.bytes > written:
                costs.append(Cost(last - begun, terminal.fine_cpu() - used))
    return costs

"""A run as text: each node as it starts and ends, how far the budget is, and the summary at the end.

Used where there is no terminal, or where `--headless` asks for it. Progress goes to stderr and the summary to stdout;
the run does not notice whether anybody follows it.
"""

from __future__ import annotations

import sys
import textwrap
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self

from engine.analysis.summary import FINAL_STATES
from engine.errors import Fault, UserError
from engine.rundir import RunDirectory
from engine.store import queries
from engine.store.reader import Reader, open_run
from llmzero_tui.format import MISSING, duration, mark, plain, score, to_ascii
from llmzero_tui.summary_text import show_summary
from llmzero_tui.text import note

LOOK_SECONDS = 0.5
STATUS_SECONDS = 15.0
"""Between two lines of progress where lines stay, as in a log file."""
ENDING_SECONDS = 60.0
"""For an engine to leave once its run is over: it writes the strategy and lets its workers go."""

Row = dict[str, Any]
WAITING = frozenset({"proposed", "queued"})


class Display(Protocol):
    """Where progress is shown: lines that stay, and one status that is replaced."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the terminal."""

    def line(self, text: str) -> None:
        """Something that happened."""

    def status(self, text: str) -> None:
        """How far the run is."""


def follow(directory: RunDirectory, *, as_json: bool = False) -> int:
    """Show a run until it is over, then its summary. Returns 0 when it finished or was stopped, 1 when it failed.

    Raises:
        Fault: the engine died. KeyboardInterrupt: the user has seen enough; the engine goes on.
    """
    try:
        with _display() as display:
            state = Follower(directory, display).until_over()
    except KeyboardInterrupt:
        if directory.holder():
            note(f"\ndetached: run {directory.name} goes on; `llmzero attach {directory.name}` comes back")
        raise
    show_summary(directory, as_json=as_json)
    return 1 if state == "failed" else 0


@dataclass
class Follower:
    """Looks at a run again and again and says what is new."""

    directory: RunDirectory
    display: Display
    _reader: Reader | None = None
    _state: str = ""
    _nodes: dict[int, str] = field(default_factory=dict)
    _asked: set[int] = field(default_factory=set)
    _event: int = 0
    _best: float = 0.0

    def until_over(self) -> str:
        """Returns the run's last state: finished, stopped or failed. Raises Fault when its engine is gone before."""
        try:
            while not self._over():
                time.sleep(LOOK_SECONDS)
        finally:
            self._let_go()
        deadline = time.monotonic() + ENDING_SECONDS
        while self.directory.holder() and time.monotonic() < deadline:
            time.sleep(0.1)
        return self._state

    def _over(self) -> bool:
        try:
            reader = self._reader = self._reader or open_run(self.directory.path)
            self._look(reader)
        except (Fault, UserError):
            self._let_go()
            if self.directory.holder():
                return False  # it is starting, ending, or busy: look again
            reader = self._reader = open_run(self.directory.path)
            self._look(reader)
        if self._state in FINAL_STATES:
            return True
        if not reader.live and self.directory.holder() is None:
            name = self.directory.name
            raise Fault(f"the engine of {name} is gone ({self.directory.log}); `llmzero resume {name}` goes on")
        return False

    def _let_go(self) -> None:
        if self._reader is not None:
            self._reader.close()
        self._reader = None

    def _look(self, reader: Reader) -> None:
        run = reader.rows(queries.load("ui_run"))[0]
        self._say_state(run)
        for row in reader.rows(queries.load("cli_nodes")):
            self._say_node(row)
        for row in reader.rows(queries.load("ui_inbox")):
            if row["waits"]:
                self._say_waiting(row)
        for row in reader.rows(queries.load("ui_events"), (self._event,)):
            self._event = row["seq"]
            if row["level"] != "info":
                self.display.line(f"! {row['level']}: {plain(row['kind'])}: {plain(row['message'], 300)}")
        if self._state == "finishing":
            self.display.status("the finalists are scored")
        elif self._state not in FINAL_STATES:
            self.display.status(status_line(run))

    def _say_state(self, run: Row) -> None:
        if run["state"] == self._state:
            return
        if not self._state:
            about = f"task {plain(run['task'])}, advisor {plain(run['advisor'])}, {self.directory.path}"
            self.display.line(f"run {self.directory.name}: {about}")
        self._state = str(run["state"])
        reason = f": {plain(run['reason'])}" if run["reason"] else ""
        self.display.line(f"{mark(self._state).glyph} {self._state}{reason}")

    def _say_node(self, row: Row) -> None:
        number, state = row["node_id"], str(row["state"])
        before = self._nodes.get(number)
        if number == 0:
            state = "finished" if row["best_n"] else "waiting"
        if state == before:
            return
        self._nodes[number] = state
        if state in WAITING or state == "waiting":
            return
        if number == 0:
            self._best = row["best_value"]
            self.display.line(f"{mark('finished').glyph} #0 base  validation {score(row['best_value'], row['best_n'])}")
        elif state == "running":
            self._say_started(row)
        else:
            self._say_ended(row)

    def _say_started(self, row: Row) -> None:
        where = f"#{row['parent_id']}" + (f" step {row['branch_step']}" if row["branch_step"] else "")
        head = f"{mark('running').glyph} #{row['node_id']} {plain(row['label'], 40)}  from {where}, {row['intent']}"
        self.display.line(f"{head}, {row['planned_steps']} steps")
        self.display.line(f"    {plain(row['rationale'], 200)}")

    def _say_ended(self, row: Row) -> None:
        state = str(row["state"])
        text = f"{mark(state).glyph} #{row['node_id']} {plain(row['label'], 40)}  {state}, {row['trained_steps']} steps"
        if row["best_n"]:
            text += f", validation {score(row['best_value'], row['best_n'])}"
            if row["best_value"] > self._best:
                self._best = row["best_value"]
                text += "  ★ best so far"
        if row["reason"] and state != "finished":
            text += f"  ({plain(row['reason'], 160)})"
        self.display.line(text)

    def _say_waiting(self, row: Row) -> None:
        if row["proposal_id"] in self._asked:
            return
        self._asked.add(row["proposal_id"])
        name = self.directory.name
        self.display.line(f"? #{row['node_id']} {plain(row['label'], 40)} waits for you: `llmzero attach {name}`")


def status_line(run: Row) -> str:
    """How far a run is: steps, nodes, budget, time, best score."""
    spent, wall = run["fraction"] or 0.0, run["wall_seconds"] or 0.0
    left = duration(wall * (1 - spent) / spent) if spent > 0.02 else MISSING
    best = f"best {score(run['top_value'], run['top_n'])} (#{run['top_node']})" if run["top_n"] else "no score yet"
    steps = f"{run['spent_steps'] or 0} steps in {run['nodes']} nodes"
    return f"{steps} · {spent:.0%} of the budget · {duration(wall)}, {left} left · {best}"


class Lines:
    """Progress where lines stay: a log, a pipe."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._ascii = (sys.stderr.encoding or "").lower().replace("-", "") != "utf8"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def line(self, text: str) -> None:
        note(to_ascii(text) if self._ascii else text)

    def status(self, text: str) -> None:
        if time.monotonic() - self._last >= STATUS_SECONDS:
            self._last = time.monotonic()
            self.line(f"· {text}")


class Live:
    """Progress on a terminal: lines scroll by above a status that is redrawn."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.status import Status

        self._console = Console(stderr=True, highlight=False, markup=False, emoji=False)
        self._status = Status("", console=self._console, spinner="dots")

    def __enter__(self) -> Self:
        self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._status.stop()

    def line(self, text: str) -> None:
        width = max(20, self._console.width)
        self._console.print(textwrap.fill(text, width, subsequent_indent="    "), soft_wrap=True)

    def status(self, text: str) -> None:
        from rich.text import Text

        self._status.update(Text(text, overflow="ellipsis", no_wrap=True))


def _display() -> Display:
    return Live() if sys.stderr.isatty() else Lines()

"""A run as text: each node as it starts and ends, how far the budget is, and the summary at the end.

Used where there is no terminal, or where `--headless` asks for it. Progress goes to stderr and the summary to stdout;
the run does not notice whether anybody follows it.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self

from engine.analysis.rows import stored_state
from engine.analysis.summary import FINAL_STATES, RunSummary
from engine.run.rundir import RunDirectory
from engine.store import queries
from engine.store.reader import Reader, ask_run
from engine.words import change_text, counted, intent_name
from llmzero_tui.format import mark, plain, to_ascii
from llmzero_tui.text.facts import RunFacts, best_score, read_facts, status_line, waiting_words
from llmzero_tui.text.following import LongPhases, RunWatch
from llmzero_tui.text.output import note
from llmzero_tui.text.summary import show_summary
from llmzero_tui.values.rows import json_of

STATUS_SECONDS = 15.0
"""Between two lines of progress where lines stay, as in a log file."""

Row = dict[str, Any]
WAITING = frozenset({"proposed", "queued"})


class ProgressDisplay(Protocol):
    """Where progress is shown: lines that stay, and where the run stands, which is replaced."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the terminal."""

    def line(self, text: str) -> None:
        """Something that happened."""

    def standing(self, facts: RunFacts) -> None:
        """Where the run stands now."""


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """What a run had said when it was resumed, which is not said again: its latest event and the nodes' states."""

    event: int = 0
    nodes: Mapping[int, str] = field(default_factory=dict)


def resume_point(directory: RunDirectory) -> ResumePoint:
    """All that the run holds now. Raises UserError, Fault: it cannot be read."""

    def told(reader: Reader) -> ResumePoint:
        nodes = {row["node_id"]: _told_state(row) for row in read_facts(reader, directory).nodes}
        return ResumePoint(reader.rows("SELECT max(seq) AS seq FROM events")[0]["seq"] or 0, nodes)

    return ask_run(directory.path, told)


def follow(
    directory: RunDirectory, *, as_json: bool = False, ascii: bool = False, before: ResumePoint | None = None
) -> int:
    """Show a run until it is over, then its summary. Returns 0 when it finished or was stopped, 1 when it failed.

    Args:
        before: what is left out; without it everything is told from the run's beginning.

    Raises:
        Fault: the engine died. KeyboardInterrupt: the user has seen enough; the engine goes on.
    """
    try:
        with _display(ascii) as display:
            follower = RunFollower(directory, display, before or ResumePoint())
            state = RunWatch(directory, follower.look).until_over()
    except KeyboardInterrupt:
        if directory.holder():
            sys.stderr.write("\n")  # below the ^C that the terminal shows
            note(f"detached: run {directory.name} continues; `llmzero attach {directory.name}` returns to it")
        raise
    show_summary(directory, as_json=as_json)
    return 1 if state == "failed" else 0


@dataclass
class RunFollower:
    """Says at each look what is new."""

    directory: RunDirectory
    display: ProgressDisplay
    before: ResumePoint = field(default_factory=ResumePoint)
    _state: str = ""
    _nodes: dict[int, str] = field(init=False)
    _asked: set[int] = field(default_factory=set)
    _event: int = field(init=False)

    def __post_init__(self) -> None:
        self._nodes, self._event = dict(self.before.nodes), self.before.event

    def look(self, reader: Reader) -> str:
        """Tell it; returns the run's stored state."""
        stored = stored_state(reader.rows)  # read first: what is told below is no older
        facts = read_facts(reader, self.directory)
        self._say_state(stored, facts.summary)
        for row in facts.nodes:
            self._say_node(row, facts.summary.best_node)
        for row in facts.waiting:
            self._say_waiting(row)
        for row in reader.rows(queries.load("ui_events"), (self._event,)):
            self._event = row["seq"]
            if row["level"] != "info":
                self.display.line(f"! {plain(row['level'], 20)}: {plain(row['kind'])}: {plain(row['message'], 300)}")
        if stored not in FINAL_STATES:
            self.display.standing(facts)
        return stored

    def _say_state(self, state: str, summary: RunSummary) -> None:
        if state == self._state:
            return
        if not self._state:
            about = f"task {plain(summary.task)}, advisor {plain(summary.advisor)}, {plain(self.directory.path)}"
            self.display.line(f"run {plain(self.directory.name, 60)}: {about}")
        self._state = state
        reason = f": {plain(summary.reason)}" if summary.reason else ""
        self.display.line(f"{mark(state).glyph} {plain(state, 20)}{reason}")

    def _say_node(self, row: Row, best: int | None) -> None:
        number, state = row["node_id"], _told_state(row)
        before = self._nodes.get(number)
        if state == before:
            return
        self._nodes[number] = state
        if state in WAITING:
            return
        if number == 0:
            self.display.line(f"{mark('finished').glyph} #0 base  validation {best_score(row)}")
        elif state == "running":
            self._say_started(row)
        else:
            self._say_ended(row, best=number == best)

    def _say_started(self, row: Row) -> None:
        where = f"#{row['parent_id']}" + (f" step {row['branch_step']}" if row["branch_step"] else "")
        label, intent = _change(row), plain(intent_name(row["intent"]), 20)
        head = f"{mark('running').glyph} #{row['node_id']} {label}  from {where}, {intent}"
        self.display.line(f"{head}, {counted(row['planned_steps'], 'step')}")
        self.display.line(f"    {plain(row['rationale'], 200)}")

    def _say_ended(self, row: Row, *, best: bool) -> None:
        state, label = plain(row["state"], 20), _change(row)
        text = f"{mark(state).glyph} #{row['node_id']} {label}  {state}, {counted(row['trained_steps'], 'step')}"
        if row["best_n"]:
            where = f" at step {row['best_step']}" if row["best_step"] != row["trained_steps"] else ""
            text += f", validation {best_score(row)}{where}"
            text += "  ★ best so far" if best else ""
        if row["reason"] and state != "finished":
            text += f"  ({plain(row['reason'], 160)})"
        self.display.line(text)

    def _say_waiting(self, row: Row) -> None:
        if row["proposal_id"] in self._asked:
            return
        self._asked.add(row["proposal_id"])
        self.display.line(f"{waiting_words(row)}: `llmzero attach {plain(self.directory.name, 60)}`")


def _told_state(row: Row) -> str:
    """The state of a node as far as a line is said of it: the base model's is said once it is scored."""
    return str(row["state"]) if row["node_id"] or row["best_n"] else "proposed"


class PlainDisplay:
    """Progress where lines stay: a log, a pipe."""

    def __init__(self, ascii: bool) -> None:
        self._last = time.monotonic()
        self._ascii = ascii
        self._phases = LongPhases()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def line(self, text: str) -> None:
        # What is foreign in it went through `plain`; blanks stand for depth.
        sys.stderr.write((to_ascii(text) if self._ascii else text) + "\n")
        sys.stderr.flush()

    def standing(self, facts: RunFacts) -> None:
        for doing in self._phases.new(facts.summary.activity):
            about = f"#{doing.node} " if doing.node is not None else ""
            self.line(f"· {about}{plain(doing.words, 80)}")
        if time.monotonic() - self._last >= STATUS_SECONDS:
            self._last = time.monotonic()
            self.line(f"· {status_line(facts.summary)}")


def _display(ascii: bool) -> ProgressDisplay:
    """On a terminal that can redraw, the board; else lines."""
    ascii = ascii or (sys.stderr.encoding or "").lower().replace("-", "") != "utf8"
    if not sys.stderr.isatty() or os.environ.get("TERM", "dumb") in ("dumb", "unknown"):
        return PlainDisplay(ascii)
    from llmzero_tui.text.board import ProgressBoard

    return ProgressBoard(ascii)


def _change(row: Row) -> str:
    """What a row of `cli_nodes` changes."""
    return plain(change_text(json_of(row["changes"], {}), row["label"]), 200)

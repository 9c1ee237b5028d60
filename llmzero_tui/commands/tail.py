"""`llmzero tail`: the log of a run as it grows, with what the training says now; one line a thing, or one JSON object.

Data goes to stdout. It ends when the run ends; the run does not notice.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from engine.analysis.rows import stored_state
from engine.analysis.summary import FINAL_STATES
from engine.run import launch
from engine.run.rundir import RunDirectory
from engine.store import queries
from engine.store.reader import Reader
from llmzero_tui.format import mark, plain
from llmzero_tui.text.facts import RunFacts, RunningNode, headline, read_facts, running_words, state_words, status_line
from llmzero_tui.text.following import LongPhases, RunWatch
from llmzero_tui.text.output import emit
from llmzero_tui.values.answers import to_json

HEADLINE_SECONDS = 5.0
"""Between two lines about the same node's training, and between two about the run."""
AT_ONCE = 10_000
"""The most events of one look."""
LEVELS = {"info": " ", "warning": "!", "error": mark("failed").glyph}

Row = dict[str, Any]


def tail(options: argparse.Namespace) -> int:
    """Follow one run."""
    directory = launch.find_run(options.runs_dir, options.name)
    teller = TailPrinter(directory, options.lines, as_json=options.json)
    state = RunWatch(directory, teller.look).until_over()
    return 1 if state == "failed" else 0


@dataclass
class TailPrinter:
    """Says what is new at each look: events, the training's headline, where the run stands."""

    directory: RunDirectory
    lines: int
    as_json: bool
    _event: int = 0
    _begun: bool = False
    _state: str = ""
    _steps: dict[int, tuple[int, float]] = field(default_factory=dict)
    _told: tuple[str, float] = ("", 0.0)
    _phases: LongPhases = field(default_factory=LongPhases)

    def look(self, reader: Reader) -> str:
        """Tell it; returns the stored state."""
        stored = stored_state(reader.rows)  # read first: what is told below is no older
        facts = read_facts(reader, self.directory)
        self._events(reader)
        for doing in self._phases.new(facts.summary.activity):
            about = f"#{doing.node} " if doing.node is not None else ""
            words = f"{'':15}{mark('running').glyph} {about}{plain(doing.words, 80)}"
            self._say({"type": "activity", **asdict(doing)}, words)
        for each in facts.running:
            self._training(each)
        if not (reader.live and stored in FINAL_STATES):  # the last line: an engine that leaves may still log
            self._standing(facts)
        self._begun = True
        sys.stdout.flush()
        return stored

    def _events(self, reader: Reader) -> None:
        most = AT_ONCE if self._begun else self.lines
        last = reader.rows("SELECT max(seq) AS seq FROM events")[0]["seq"] or 0  # read first: later ones are told below
        rows = reader.rows(queries.load("cli_events"), (self._event, most))
        for row in rows:
            self._say({"type": "event", **row}, _event_line(row))
        self._event = max(self._event, last, *(row["seq"] for row in rows))

    def _training(self, running: RunningNode) -> None:
        step, at = self._steps.get(running.node, (0, 0.0))
        now = time.monotonic()
        if running.step == step or (now - at < HEADLINE_SECONDS and running.step < running.planned):
            return
        self._steps[running.node] = (running.step, now)
        self._say({"type": "training", **running.as_dict()}, f"{'':15}{mark('running').glyph} {running_words(running)}")

    def _standing(self, facts: RunFacts) -> None:
        """Where the run stands, when that changed: its state at once, the rest now and then."""
        summary, now = facts.summary, time.monotonic()
        line = status_line(summary)
        changed = summary.state != self._state
        if not changed and (line == self._told[0] or now - self._told[1] < HEADLINE_SECONDS):
            return
        self._state, self._told = summary.state, (line, now)
        more = {"waiting": facts.questions, "running": [each.as_dict() for each in facts.running]}
        words = f"{state_words(summary)} · {line}" if changed else f"· {line}"
        self._say({"type": "run", **headline(self.directory, summary), **more}, f"{'':15}{words}")

    def _say(self, facts: Row, line: str) -> None:
        if self.as_json:
            emit(to_json(facts, indent=None))
        else:
            emit(line)


def _event_line(row: Row) -> str:
    node = f"#{row['node_id']} " if row["node_id"] is not None else ""
    text = plain(row["message"], 400)
    words = text if text.startswith(node.strip() or " ") else f"{node}{text}"
    return f"{row['ts']:%m-%d %H:%M:%S} {LEVELS.get(row['level'], ' ')} {plain(row['kind'], 30)}: {words}"

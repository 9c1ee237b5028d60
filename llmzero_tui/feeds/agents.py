"""Reads the calls of advisors a page at a time, what all of them cost, and the one that is read in full.

Used by one worker thread at a time (the app's tick). A call that is being written is read anew at every look. It never
touches a widget and never writes.
"""

from __future__ import annotations

from dataclasses import replace

from engine.analysis.reported import read_header
from engine.store.queries import load as sql
from engine.store.reader import Reader
from llmzero_tui.feeds.source import ViewFeed
from llmzero_tui.values.calls import (
    PAGE,
    AgentsSnapshot,
    AgentsView,
    CallDetail,
    called_of,
    record_words,
    totals_of,
    whole_of,
)
from llmzero_tui.values.rows import run_of

CHARACTERS = 400_000
"""Of one text, at most so many leave the database. Much, because a request is taken apart as JSON: its beginning is
none."""


class AgentsFeed(ViewFeed[AgentsView, AgentsSnapshot]):
    """Snapshots of the agents screen."""

    def _look(self, reader: Reader, view: AgentsView, last: AgentsSnapshot | None) -> AgentsSnapshot:
        run = run_of(self.path, read_header(reader.rows), live=reader.live)
        totals = totals_of(reader.rows(sql("ui_agents_totals")))
        same = last is not None and last.totals == totals and not totals.writing
        if last is not None and same and last.view == view:
            return replace(last, taken=self.clock(), run=run)
        if last is not None and same and replace(last.view, chosen=None) == replace(view, chosen=None):
            lines, total, record = last.lines, last.found, last.record
        else:
            rows = reader.rows(
                sql("ui_agents_page"), (view.node, view.role, view.errors, PAGE, PAGE * view.page)
            )  # fmt: skip
            lines, total = tuple(map(called_of, rows)), rows[0]["found"] if rows else 0
            record = tuple(map(record_words, reader.rows("FROM advisor_record")))
        call = view.chosen if view.chosen is not None else lines[0].call if lines else None
        whole = _whole(reader, call, last.whole if last else None)
        return AgentsSnapshot(self.clock(), view, run, totals, lines, total, whole, record)


def _whole(reader: Reader, call: int | None, known: CallDetail | None) -> CallDetail | None:
    """A call in full; one that has ended is not read again."""
    if call is None:
        return None
    if known is not None and known.line.call == call and not known.line.writing:
        return known
    rows = reader.rows(sql("ui_agents_one"), (call, CHARACTERS))
    return whole_of(rows[0]) if rows else None

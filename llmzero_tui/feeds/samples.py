"""Reads the completions of a node, a page at a time, the one that is read in full, and where else its prompt occurs.

Used by one worker thread at a time (the app's tick). Filters, order and pages are the database's work: a run may have a
million completions. It never touches a widget and never writes.
"""

from __future__ import annotations

from dataclasses import replace

from engine.analysis.reported import read_header
from engine.store.queries import load as sql
from engine.store.reader import Reader
from llmzero_tui.feeds.source import ViewFeed
from llmzero_tui.format import READ_LIMIT, readable
from llmzero_tui.values.difference import Span, differences
from llmzero_tui.values.rows import run_of
from llmzero_tui.values.samples import (
    PAGE,
    CompletionCounts,
    CompletionDetail,
    CompletionLine,
    SampledNode,
    SamplesSnapshot,
    SamplesView,
    full_of,
    line_of,
)

CHARACTERS = READ_LIMIT
"""Of one text, at most so many leave the database."""


class SamplesFeed(ViewFeed[SamplesView, SamplesSnapshot]):
    """Snapshots of the samples screen. What is filtered by a text is asked on the slow lane: it must not keep other
    viewers waiting."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._newest: int | None = None

    def _look(self, reader: Reader, view: SamplesView, last: SamplesSnapshot | None) -> SamplesSnapshot:
        run = run_of(self.path, read_header(reader.rows), live=reader.live)
        newest = reader.rows(sql("ui_samples_grown"))[0]["newest"]
        grown = last is None or newest != self._newest
        self._newest = newest
        if last is not None and not grown and last.view == view:
            return replace(last, taken=self.clock(), run=run)
        place = last.place if last is not None else None
        if grown or place is None or place.node != view.node:
            place = _place(reader, view.node)
        now = SamplesSnapshot(self.clock(), view, run, place)
        if place is None:
            return now
        if last is not None and not grown and last.view.listed == view.listed and last.node == place.node:
            now = replace(now, counts=last.counts, lines=last.lines, found=last.found)
        else:
            now = _list(reader, now, place.node)
        return self._texts(reader, now, last)

    def _texts(self, reader: Reader, now: SamplesSnapshot, last: SamplesSnapshot | None) -> SamplesSnapshot:
        """The chosen completion, and the one it is held against."""
        view, known = now.view, {f.seq: f for f in (last.full, last.other) if f} if last else {}
        first = now.lines[0].seq if now.lines else None
        chosen = view.chosen if view.chosen is not None or view.comparing else first
        full = _one(reader, chosen, known)
        if not view.comparing:
            return replace(now, full=full)
        other = _one(reader, view.other if view.other is not None else _nearest(now.lines, full), known)
        apart: tuple[tuple[Span, ...], tuple[Span, ...]] = ((), ())
        if full is not None and other is not None:
            apart = differences(readable(full.completion), readable(other.completion))
        return replace(now, full=full, other=other, apart=apart)


def _place(reader: Reader, node: int | None) -> SampledNode | None:
    row = reader.rows(sql("ui_samples_nodes"), (node,))[0]
    if row["node"] is None:
        return None
    return SampledNode(**{**row, "before": tuple(row["before"]), "after": tuple(row["after"])})


def _list(reader: Reader, now: SamplesSnapshot, node: int) -> SamplesSnapshot:
    """The page of the list: the node's completions, or the other answers to one prompt."""
    view = now.view
    if view.comparing:
        offset = PAGE * view.other_page
        same = (view.chosen, view.other_node, view.other_step, PAGE, offset)
        rows = reader.rows(sql("ui_samples_same"), same, lane="long")
        return replace(now, lines=tuple(map(line_of, rows)), found=rows[0]["found"] if rows else 0)
    lane = "long" if view.text else "tick"
    counts = CompletionCounts(
        **reader.rows(sql("ui_samples_count"), (node, view.step, view.split, view.text), lane=lane)[0]
    )
    rows = reader.rows(
        sql("ui_samples_page"),
        (node, view.verdict, view.step, view.split, view.text, view.order, PAGE, PAGE * view.page),
        lane=lane,
    )
    return replace(now, counts=counts, lines=tuple(map(line_of, rows)), found=counts.of(view.verdict))


def _one(reader: Reader, seq: int | None, known: dict[int, CompletionDetail]) -> CompletionDetail | None:
    """A completion in full. It is never changed, so one that was read is not read again."""
    if seq is None or seq in known:
        return known.get(seq) if seq is not None else None
    rows = reader.rows(sql("ui_samples_one"), (seq, CHARACTERS))
    return full_of(rows[0]) if rows else None


def _nearest(lines: tuple[CompletionLine, ...], full: CompletionDetail | None) -> int | None:
    """What one would hold against a completion first: the same node's answer before it, else the first there is."""
    if full is None or not lines:
        return None
    same = [line for line in lines if line.node == full.node and line.step < full.step]
    return (same[-1] if same else lines[0]).seq

"""The ways through a tree that a curve follows, as pieces of segments, and where those lie in time.

Called by `feeds.curves`. The axis of time counts training alone: breaks between segments, pauses and the time in which
no engine ran are left out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from engine.store.queries import load as sql
from engine.store.reader import Reader
from engine.words import CONTINUING
from llmzero_tui.values.nodes import NodeRow

OPEN_END = 2_147_483_647
FOREVER = 4_102_444_800_000_000
"""The year 2100, in microseconds of the epoch."""


@dataclass(frozen=True, slots=True)
class SegmentPiece:
    """Steps `first` to `last` of a node that begins `start` steps from the base."""

    node: int
    start: int
    first: int = 1
    last: int = OPEN_END


def trajectory(nodes: Mapping[int, NodeRow], node_id: int) -> tuple[SegmentPiece, ...]:
    """The way from the base to the last step of a node; each segment up to where it was left."""
    pieces: list[SegmentPiece] = []
    at, left = nodes.get(node_id), OPEN_END
    while at is not None and len(pieces) <= len(nodes):
        pieces.append(SegmentPiece(at.id, at.start, last=left))
        left = at.branch_step if at.branch_step is not None else OPEN_END
        at = nodes.get(at.parent) if at.parent is not None else None
    return tuple(reversed(pieces))


def continuation(nodes: Mapping[int, NodeRow], node_id: int) -> tuple[SegmentPiece, ...]:
    """How the parent of a node went on without it, as far as the node itself goes: its own remaining steps, then the
    unchanged children it was continued by."""
    node = nodes.get(node_id)
    parent = nodes.get(node.parent) if node is not None and node.parent is not None else None
    if node is None or parent is None or node.branch_step is None or parent.parent is None:
        return ()
    until = node.start + max(node.planned, node.trained)
    pieces: list[SegmentPiece] = []
    at: NodeRow | None = parent
    first = node.branch_step + 1
    while at is not None and at.start < until and len(pieces) <= len(nodes):
        if at.trained >= first:
            pieces.append(SegmentPiece(at.id, at.start, first, min(at.trained, until - at.start)))
        at, first = _kept(nodes, at, node_id), 1
    return tuple(pieces)


def _kept(nodes: Mapping[int, NodeRow], parent: NodeRow, without: int) -> NodeRow | None:
    """The child that trained the parent on, from its end; the longest of several."""
    children = [
        n for n in nodes.values()
        if n.parent == parent.id and n.id != without and n.intent in CONTINUING and n.branch_step == parent.trained
        and n.trained > 0
    ]  # fmt: skip
    return max(children, key=lambda n: n.trained, default=None)


# ---- time --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ClockBreak:
    """Between two moments (microseconds of the epoch) only `counted` seconds were training."""

    first: int
    last: int
    counted: float


@dataclass(frozen=True, slots=True)
class ClockSpan:
    """From `since` until before `until` the axis goes on from `offset` by `rate` seconds a second."""

    since: int
    until: int
    offset: float
    rate: float = 1.0

    def at(self, moment: int) -> float:
        """Where a moment of the span lies on the axis."""
        return self.offset + self.rate * (min(moment, self.until) - self.since) / 1e6

    def within(self, first: float, last: float) -> ClockSpan | None:
        """The part of it that lies between two places of the axis."""
        if self.rate <= 0:
            return self if first <= self.offset <= last else None
        since = max(self.since, self.since + math.floor((first - self.offset) / self.rate * 1e6))
        until = min(float(self.until), self.since + math.floor((last - self.offset) / self.rate * 1e6) + 1.0)
        return ClockSpan(since, int(until), self.at(since), self.rate) if since < until else None


@dataclass(frozen=True, slots=True)
class Clock:
    """Where a piece lies on the axis of time, up to the moment when it `ended`."""

    spans: tuple[ClockSpan, ...]
    ended: int

    @property
    def offset(self) -> float:
        return self.spans[0].offset

    @property
    def end(self) -> float:
        return self.at(self.ended)

    def at(self, moment: int) -> float:
        """Where a moment lies; before the piece: at its beginning."""
        span = next((s for s in reversed(self.spans) if s.since <= moment), None)
        return span.at(moment) if span is not None else self.offset


def spans(begun: int, ended: int, offset: float, breaks: Iterable[ClockBreak]) -> Clock:
    """A piece from one moment to another, as it lies on the axis from `offset` on."""
    clock_spans: list[ClockSpan] = []
    at = begun
    for gap in breaks:
        if gap.last <= begun or gap.first >= ended:
            continue
        if gap.first > at:
            clock_spans.append(ClockSpan(at, gap.first, offset))
            offset = clock_spans[-1].at(gap.first)
            at = gap.first
        rate = max(0.0, gap.counted) * 1e6 / (gap.last - gap.first)
        until = gap.last
        clock_spans.append(ClockSpan(at, until, offset, rate))
        offset = clock_spans[-1].at(until)
        at = until
    clock_spans.append(ClockSpan(at, FOREVER, offset))
    return Clock(tuple(clock_spans), ended)


def clocks(reader: Reader, path: Sequence[SegmentPiece], beyond: Sequence[SegmentPiece]) -> dict[SegmentPiece, Clock]:
    """Where every piece lies on an axis of seconds: one after the other. What goes on beyond a branch begins there."""
    asked = json.dumps([{"node": p.node, "last": p.last} for p in (*path, *beyond)])
    rows = {(r["node"], r["last"]): r for r in reader.rows(sql("ui_curves_times"), (asked,))}
    breaks = [ClockBreak(**row) for row in reader.rows(sql("ui_curves_breaks"))]
    clock_of: dict[SegmentPiece, Clock] = {}

    def lay(pieces: Sequence[SegmentPiece], offset: float) -> None:
        for piece in pieces:
            row = rows.get((piece.node, piece.last))
            if row is not None:
                clock_of[piece] = spans(row["begun"], row["ended"], offset, breaks)
                offset = clock_of[piece].end

    lay(path, 0.0)
    left = clock_of.get(path[-2]) if len(path) > 1 else None
    if beyond and left is not None:
        same = beyond[0].node == path[-2].node
        lay(beyond, left.offset if same else left.end)
    return clock_of

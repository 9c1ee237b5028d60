"""Reads curves: any metric along trajectories, over steps or over time, through a window, with validation scores.

Called by the feeds of the run screen and of the comparison, in their worker. It aggregates in DuckDB: never more points
than a plot has columns for. It never touches a widget and never writes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from engine.domain.score import score_of
from engine.store.queries import load as sql
from engine.store.reader import Reader
from llmzero_tui.feeds.pieces import OPEN_END, Clock, SegmentPiece, clocks, continuation, trajectory
from llmzero_tui.values.curves import (
    LEAD_STEPS,
    Axis,
    AxisWindow,
    CurvePoint,
    CurveSelection,
    CurveTrace,
    ScoredPoint,
    SegmentBound,
    bucket,
)
from llmzero_tui.values.nodes import NodeRow
from llmzero_tui.values.snapshot import Row

NEVER = 1e10
"""In seconds: after everything."""
MOST_POINTS = 4000
"""More than any plot has columns for, for one line; reached only by a node that claims fewer steps than it logged."""
VALIDATED = frozenset({"reward"})
"""Metrics beside which the validation score makes sense: both are shares of right answers."""


def shows(
    trace: CurveTrace, nodes: Mapping[int, NodeRow], node_id: int, metric: str, selection: CurveSelection, columns: int
) -> bool:
    """Whether a trace is what would be read now, as long as nothing grew."""
    beyond = tuple(p.node for p in continuation(nodes, node_id)) if selection.beyond else ()
    asked = (node_id, metric, selection, columns, beyond)
    return (trace.node, trace.metric, trace.selection, trace.columns, trace.beyond_nodes) == asked


def concerned(nodes: Mapping[int, NodeRow], node_id: int, selection: CurveSelection) -> frozenset[int]:
    """Nodes whose metrics a curve is made of."""
    pieces = trajectory(nodes, node_id) + (continuation(nodes, node_id) if selection.beyond else ())
    return frozenset(piece.node for piece in pieces)


def read_traces(
    reader: Reader,
    nodes: Mapping[int, NodeRow],
    node_id: int,
    metrics: Sequence[str],
    selection: CurveSelection,
    columns: int,
) -> tuple[CurveTrace, ...]:
    """The metrics along the trajectory to a node, each with its validation scores where it has some.

    `columns` is the plot's width in cells. Raises Fault when the engine went away.
    """
    path = trajectory(nodes, node_id)
    beyond = continuation(nodes, node_id) if selection.beyond else ()
    node = nodes[node_id]
    planned = node.start + max(node.planned, node.trained)
    places = clocks(reader, path, beyond) if selection.axis is Axis.CLOCK else {}
    reading = _CurveQuery(reader, selection, places)
    extent = _extent(path, places, selection.axis, node)
    bounds = _bounds(path, places, selection.axis)
    checks = _checks(reader, path, places, selection.axis) if any(m in VALIDATED for m in metrics) else ()
    length = extent if selection.axis is Axis.CLOCK else float(planned)
    width = bucket(selection.window.length if selection.window else length, columns, selection.axis)
    curves = []
    for metric in metrics:
        lines, broken = reading.lines(metric, (path, beyond), width)
        curves.append(CurveTrace(
            metric=metric, width=width, columns=columns, points=lines[0], broken=broken, selection=selection,
            node=node_id, extent=extent, bounds=bounds, checks=checks if metric in VALIDATED else (), beyond=lines[1],
            beyond_nodes=tuple(p.node for p in beyond),
        ))  # fmt: skip
    return tuple(curves)


@dataclass(frozen=True, slots=True)
class _CurveQuery:
    """Asks for one metric of several lines, each a row of pieces."""

    reader: Reader
    selection: CurveSelection
    clocks: Mapping[SegmentPiece, Clock]

    def lines(
        self, metric: str, lines: Sequence[Sequence[SegmentPiece]], width: float
    ) -> tuple[tuple[tuple[CurvePoint, ...], ...], int]:
        """The points of every line, and how many values were not finite."""
        ask = self._over_time if self.selection.axis is Axis.CLOCK else self._over_steps
        rows = ask(metric, lines, width, MOST_POINTS * len(lines))
        points_of: list[list[CurvePoint]] = [[] for _ in lines]
        for row in rows:
            if row["value"] is not None and math.isfinite(row["value"]):
                points_of[row["line"]].append(_point(row))
        broken = sum(row["broken"] for row in rows if row["line"] == 0)
        return tuple(tuple(points) for points in points_of), broken

    def _over_steps(self, metric: str, lines: Sequence[Sequence[SegmentPiece]], width: float, limit: int) -> list[Row]:
        asked = [
            {"line": i, "node": p.node, "first": p.first, "last": p.last, "start": p.start}
            for i, pieces in enumerate(lines) for p in _seen(pieces, self.selection.window, width)
        ]  # fmt: skip
        if not asked:
            return []
        if len(asked) == 1:
            only = asked[0]
            values = (only["node"], metric, int(width), only["first"], only["last"], only["start"], only["line"])
            return self.reader.rows(sql("ui_curves_piece"), values, limit=limit)
        first, last = min(a["first"] for a in asked), max(a["last"] for a in asked)
        return self.reader.rows(sql("ui_curves"), (json.dumps(asked), metric, int(width), first, last), limit=limit)

    def _over_time(self, metric: str, lines: Sequence[Sequence[SegmentPiece]], width: float, limit: int) -> list[Row]:
        window = self.selection.window or AxisWindow(0.0, NEVER)
        first = math.floor((window.first - LEAD_STEPS * self._pace(lines[0])) / width) * width
        last = math.ceil(window.last / width) * width
        asked = [
            {"line": i, "node": p.node, "first": p.first, "last": p.last, **asdict(part)}
            for i, pieces in enumerate(lines) for p in pieces if p in self.clocks
            for span in self.clocks[p].spans if (part := span.within(first, last)) is not None
        ]  # fmt: skip
        if not asked:
            return []
        since, until = min(a["since"] for a in asked), max(a["until"] for a in asked)
        return self.reader.rows(sql("ui_curves_clock"), (json.dumps(asked), metric, width, since, until), limit=limit)

    def _pace(self, pieces: Sequence[SegmentPiece]) -> float:
        """Seconds a step, roughly: how far back in time an average looks."""
        known = [(p.last - p.first + 1, c.end - c.offset) for p in pieces if (c := self.clocks.get(p)) is not None]
        whole = [(steps, seconds) for steps, seconds in known if steps < OPEN_END]
        steps = sum(steps for steps, _ in whole)
        return sum(seconds for _, seconds in whole) / steps if steps > 0 else 1.0


def _point(row: Row) -> CurvePoint:
    return CurvePoint(row["x"], row["value"], row["low"], row["high"], row["steps"], row["node"])


def _seen(pieces: Sequence[SegmentPiece], window: AxisWindow | None, width: float) -> list[SegmentPiece]:
    """The pieces within a window, with what the average needs from before it, in whole buckets."""
    if window is None:
        return [p for p in pieces if p.node != 0 or p.last > 0]
    first = int((window.first - LEAD_STEPS) // width * width)
    last = int(-(-window.last // width) * width) + 1
    nodes_seen = []
    for piece in pieces:
        cut = SegmentPiece(
            piece.node, piece.start, max(piece.first, first - piece.start + 1), min(piece.last, last - piece.start)
        )
        if cut.first <= cut.last:
            nodes_seen.append(cut)
    return nodes_seen


def _extent(path: Sequence[SegmentPiece], clocks: Mapping[SegmentPiece, Clock], axis: Axis, node: NodeRow) -> float:
    if axis is Axis.CLOCK:
        return max((clocks[p].end for p in path if p in clocks), default=0.0)
    return float(node.start + node.trained)


def _bounds(path: Sequence[SegmentPiece], clocks: Mapping[SegmentPiece, Clock], axis: Axis) -> tuple[SegmentBound, ...]:
    """Where every segment but the first begins."""
    bounds = []
    for piece in path:
        clock = clocks.get(piece)
        if axis is Axis.STEPS and piece.start > 0:
            bounds.append(SegmentBound(float(piece.start), piece.node))
        elif clock is not None and clock.offset > 0:
            bounds.append(SegmentBound(clock.offset, piece.node))
    return tuple(bounds)


def _checks(
    reader: Reader, path: Sequence[SegmentPiece], clocks: Mapping[SegmentPiece, Clock], axis: Axis
) -> tuple[ScoredPoint, ...]:  # fmt: skip
    """The validation scores on the way, each with its 95% interval."""
    by_node = {piece.node: piece for piece in path}
    checks = []
    question = "ui_curves_checks" if axis is Axis.STEPS else "ui_curves_checks_clock"
    for row in reader.rows(sql(question), (json.dumps(sorted(by_node)),)):
        piece = by_node[row["node"]]
        if row["step"] > piece.last or not row["n"]:
            continue
        clock = clocks.get(piece)
        if axis is Axis.STEPS:
            x = float(piece.start + row["step"])
        elif clock is not None and row["at"] is not None:
            x = clock.at(row["at"])
        elif piece.node == 0:
            x = 0.0
        else:
            continue
        score = score_of(row)
        assert score is not None
        low, high = score.interval
        checks.append(ScoredPoint(x, score.value, low, high, score.n, piece.node))
    return tuple(sorted(checks))

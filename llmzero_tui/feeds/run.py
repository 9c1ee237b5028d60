"""Reads a run's database into snapshots for the run screen: only what has grown, the rest is kept from the look before.

Used by one worker thread at a time (the app's tick). It never touches a widget and never writes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from engine.analysis.kept_forecasts import read_forecasts
from engine.analysis.plain_grpo import read_plain
from engine.analysis.reported import read_header
from engine.store.queries import load as sql
from engine.store.reader import OpenRun, Reader, open_run
from llmzero_tui.feeds.curves import concerned, read_traces, shows
from llmzero_tui.feeds.nodes import NodesFeed, SparksFeed
from llmzero_tui.feeds.source import Source
from llmzero_tui.values.calls import CallLine, called_of
from llmzero_tui.values.curves import CurveTrace
from llmzero_tui.values.nodes import NodeRow, Nodes
from llmzero_tui.values.rows import (
    command_of,
    event_of,
    json_of,
    parts,
    proposal_of,
    run_of,
    said_of,
    sample_of,
    stage_of,
    training_of,
)
from llmzero_tui.values.snapshot import (
    DiagnosisRow,
    NodeDetail,
    Row,
    RunRow,
    RunSnapshot,
    RunView,
    SampleRow,
    SmallMetric,
)
from llmzero_tui.values.standing import yardstick

STRIP_PARTS = 7
EVENTS_KEPT = 400


@dataclass
class RunFeed:
    """Snapshots of one run. `read` is called by one thread at a time; `close` by anyone once no read is under way."""

    path: Path
    clock: Callable[[], datetime]
    opener: OpenRun = open_run
    _last: RunSnapshot | None = None
    _metric_seq: int = 0
    _event_seq: int = 0
    _metric_time: datetime | None = None
    _nodes: NodesFeed = field(default_factory=NodesFeed)
    _sparks: SparksFeed = field(default_factory=SparksFeed)

    def __post_init__(self) -> None:
        self._source = Source(self.path, self.opener)

    def read(self, view: RunView, *, quick: bool = False) -> RunSnapshot:
        """One look; `quick` reads only what `view` asks for anew and leaves the rest to the next tick.

        Raises Fault when the engine went away under it (the next look opens the run anew), UserError when there is no
        such run.
        """
        if self._last is not None and self._source.resting:
            return self._again(self._last, view)
        glance = quick and self._source.live and not self._source.fresh
        if self._source.fresh:
            self._forget()
        with self._source.reader() as reader:
            if glance and self._last is not None:
                self._last = self._glance(reader, self._last, view)
            else:
                self._last = self._look(reader, view, self.clock())
        return self._last

    def close(self) -> None:
        """Let go of the reader; the next read opens the run anew and reads everything again."""
        self._source.close()

    def _forget(self) -> None:
        """The run is opened anew: nothing that was read before is taken for granted."""
        self._metric_seq, self._event_seq, self._metric_time = 0, 0, None
        self._nodes.forget()
        self._sparks.forget()

    def _again(self, last: RunSnapshot, view: RunView) -> RunSnapshot:
        """A run at rest, seen another way."""
        if last.detail is not None and self._shows(last, view):
            self._last = replace(last, taken=self.clock())
        else:
            with self._source.reader() as reader:
                self._last = self._glance(reader, last, view)
        return self._last

    def _glance(self, reader: Reader, last: RunSnapshot, view: RunView) -> RunSnapshot:
        detail = self._detail(reader, last.nodes, last.run, view, set())
        self._sparks.read(reader, last.nodes, view.lines, ())
        return replace(last, taken=self.clock(), detail=detail, sparks=self._sparks.sparks, extent=self._sparks.extent)

    def _shows(self, last: RunSnapshot, view: RunView) -> bool:
        """Whether the last snapshot is what `view` asks for."""
        node, detail = _selected(last.nodes, last.run, view.node), last.detail
        if node is None or detail is None:
            return node is None
        if self._sparks.missing(last.nodes, view.lines):
            return False
        told = (detail.samples is not None or not view.samples) and (detail.calls is not None or not view.calls)
        return told and _drawn(detail, last.nodes, node, view)

    def _look(self, reader: Reader, view: RunView, now: datetime) -> RunSnapshot:
        row = read_header(reader.rows)
        run = run_of(self.path, row, live=reader.live)
        grown = self._grown(reader)
        before_nodes, nodes = self._nodes.nodes, self._nodes.read(reader)
        grown |= _begun_again(before_nodes, nodes)
        self._sparks.read(reader, nodes, view.lines, grown)
        writing = tuple(said_of(r) for r in reader.rows(sql("ui_writing")))
        before = self._last.writing if self._last else ()
        grown |= {w.node for w in before if w.node is not None and w.call not in {x.call for x in writing}}
        new = tuple(event_of(r) for r in reader.rows(sql("ui_events"), (self._event_seq,)))
        known = self._last.events if self._last and self._event_seq else ()
        events = (known + new)[-EVENTS_KEPT:]
        self._event_seq = events[-1].seq if events else 0
        times = [t for t in (self._metric_time, row["spent_ts"], events[-1].ts if events else None) if t]
        return RunSnapshot(
            taken=now, run=run, nodes=nodes, events=events, data_time=max(times, default=None),
            inbox=tuple(proposal_of(r) for r in reader.rows(sql("ui_inbox"))),
            commands=tuple(command_of(r) for r in reader.rows(sql("ui_commands"))),
            space=tuple(json_of(row["space"], ())), detail=self._detail(reader, nodes, run, view, grown),
            writing=writing, sparks=self._sparks.sparks, extent=self._sparks.extent, yardstick=_yardstick(reader, run),
            workers=tuple(training_of(r) for r in reader.rows(sql("cli_running"))) if run.live else (),
            forecasts=read_forecasts(reader.rows) if run.live else (),
        )  # fmt: skip

    def _grown(self, reader: Reader) -> set[int]:
        """Nodes with metrics that were not there at the last look."""
        row = reader.rows(sql("ui_growth"), (self._metric_seq,))[0]
        if row["seq"] is None:
            return set()
        self._metric_seq, self._metric_time = row["seq"], row["ts"]
        return set(row["nodes"])

    def _detail(self, reader: Reader, nodes: Nodes, run: RunRow, view: RunView, grown: set[int]) -> NodeDetail | None:
        """The selected node, or by default what trains, else the best; only what changed is read."""
        node = _selected(nodes, run, view.node)
        if node is None:
            return None
        old = self._last.detail if self._last else None
        if old is not None and old.node == node.id and node.id not in grown and self._calm(node):
            if not _drawn(old, nodes, node, view) or grown & concerned(nodes, node.id, view.selection):
                old = replace(old, traces=_traces(reader, nodes, node, view))
            if old.samples is None and view.samples:
                old = replace(old, samples=_samples(reader, node))
            if view.calls and (calls := _calls(reader, node)) != old.calls:
                old = replace(old, calls=calls)
            return old
        strip: dict[str, list[Row]] = {}
        for row in reader.rows(sql("ui_strip"), (node.id, STRIP_PARTS)):
            strip.setdefault(row["name"], []).append(row)
        return NodeDetail(
            node=node.id, traces=_traces(reader, nodes, node, view),
            stages=tuple(stage_of(r, live=reader.live) for r in reader.rows(sql("ui_path"), (node.id,))),
            strip=tuple(SmallMetric(n, parts(r, STRIP_PARTS), r[-1]["latest"]) for n, r in strip.items()),
            samples=_samples(reader, node) if view.samples else None,
            calls=_calls(reader, node) if view.calls else None,
            diagnoses=tuple(DiagnosisRow(**r) for r in reader.rows(sql("ui_diagnoses"), (node.id,))),
            said=tuple(said_of(r) for r in reader.rows(sql("ui_calls"), (node.id,))),
        )  # fmt: skip

    def _calm(self, node: NodeRow) -> bool:
        """Whether the node and the way to it are as they were at the last look: then only the curve can differ."""
        if self._last is None:
            return False
        nodes, before, at = self._nodes.nodes, self._last.nodes, node
        while before.get(at.id) is at:
            if at.parent is None:
                return True
            above = nodes.get(at.parent)
            if above is None:
                return at.parent not in before
            at = above
        return False


def _yardstick(reader: Reader, run: RunRow) -> str:
    """Plain GRPO beside the policy of a run at rest; "" while it trains and where the base is the best."""
    if reader.live or run.best is None or not run.best.node:
        return ""
    return yardstick(read_plain(reader.rows))


def _begun_again(before: Nodes, now: Nodes) -> set[int]:
    """Segments that have trained less than they had: their metrics were taken back with their steps."""
    if before is now:
        return set()
    return {
        i for i, n in now.items() if (old := before.get(i)) is not None and old is not n and n.trained < old.trained
    }


def _selected(nodes: Nodes, run: RunRow, wanted: int | None) -> NodeRow | None:
    """The node to look at: the wanted one, else what trains, else that of the reported policy, else the first."""
    if wanted is not None and wanted in nodes:
        return nodes[wanted]
    if nodes.running is not None:
        return nodes.running
    best = nodes.get(run.best.node) if run.best is not None and run.best.node is not None else None
    return best or next(iter(nodes.values()), None)


def _traces(reader: Reader, nodes: Nodes, node: NodeRow, view: RunView) -> tuple[CurveTrace, ...]:
    metrics = (view.metric, *view.selection.also)
    return read_traces(reader, nodes, node.id, metrics, view.selection, view.columns)


def _drawn(detail: NodeDetail, nodes: Nodes, node: NodeRow, view: RunView) -> bool:
    """Whether the curves of a detail are those that `view` asks for."""
    return shows(detail.trace, nodes, node.id, view.metric, view.selection, view.columns)


def _samples(reader: Reader, node: NodeRow) -> tuple[SampleRow, ...]:
    return tuple(sample_of(r) for r in reader.rows(sql("ui_samples"), (node.id,)))


def _calls(reader: Reader, node: NodeRow) -> tuple[CallLine, ...]:
    return tuple(called_of(r) for r in reader.rows(sql("ui_agents_node"), (node.id,)))

"""Reads two to four trajectories for the comparison: of nodes of one run, or the best ones of several runs.

Used by one worker thread at a time (the app's tick). It never touches a widget and never writes. A run that cannot be
read is shown with the reason, beside the others.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from engine.analysis.reported import read_header
from engine.errors import Fault, UserError
from engine.store.queries import load as sql
from engine.store.reader import OpenRun, Reader, open_run
from llmzero_tui.feeds.curves import read_traces, shows
from llmzero_tui.feeds.nodes import NodesFeed
from llmzero_tui.feeds.source import Source
from llmzero_tui.values.comparison import (
    CompareView,
    Comparison,
    Contender,
    differences,
    flat,
    partings,
    shared,
)
from llmzero_tui.values.nodes import LETTERS, Nodes, Target
from llmzero_tui.values.rows import json_of, run_of, stage_of
from llmzero_tui.values.snapshot import RunRow


@dataclass
class _RunPart:
    """What is kept of one run between looks: its source, its nodes, and the last metric that was seen."""

    source: Source
    nodes: NodesFeed = field(default_factory=NodesFeed)
    seq: int = -1
    read: bool = False

    def forget(self) -> None:
        """The run is opened anew: nothing that was read before is taken for granted."""
        self.seq, self.read = -1, False
        self.nodes.forget()


@dataclass
class CompareFeed:
    """Looks at the trajectories of `targets`, in their order."""

    targets: tuple[Target, ...]
    clock: Callable[[], datetime]
    opener: OpenRun = open_run
    _last: Comparison | None = None
    _view: CompareView | None = None

    def __post_init__(self) -> None:
        self._runs = {t.path: _RunPart(Source(t.path, self.opener)) for t in self.targets}
        self._metrics: dict[str, tuple[str, ...]] = {}

    def read(self, view: CompareView, *, quick: bool = False) -> Comparison:
        """One look. Raises the Fault or UserError of the last run when none of them can be read."""
        if self._last is not None and self._view == view and all(r.source.resting for r in self._runs.values()):
            return replace(self._last, taken=self.clock())
        before = {c.letter: c for c in self._last.contenders} if self._last else {}
        by_letter: dict[str, Contender] = {}
        for path, part in self._runs.items():
            letters = {letter: t for letter, t in zip(LETTERS, self.targets, strict=False) if t.path == path}
            if part.source.fresh and not part.source.resting:
                part.forget()
            try:
                with part.source.reader() as reader:
                    by_letter.update(self._look(reader, part, letters, view, before))
            except (Fault, UserError) as error:
                part.forget()
                if len(self._runs) == 1:
                    raise
                by_letter.update({letter: Contender(letter, path.name, problem=str(error)) for letter in letters})
        contenders = tuple(by_letter[letter] for letter in LETTERS if letter in by_letter)
        self._last, self._view = self._compared(contenders), view
        return self._last

    def close(self) -> None:
        """Let go of all readers."""
        for part in self._runs.values():
            part.source.close()

    def _compared(self, contenders: tuple[Contender, ...]) -> Comparison:
        names = tuple(dict.fromkeys(m for c in contenders for m in self._metrics.get(c.letter, ())))
        one_run = len(self._runs) == 1
        return Comparison(
            taken=self.clock(), contenders=contenders, metrics=names, differences=differences(contenders),
            common=shared([c.stages for c in contenders if c.stages]) if one_run else (),
            partings=partings(contenders) if one_run else (),
        )  # fmt: skip

    def _look(
        self, reader: Reader, part: _RunPart, letters: dict[str, Target], view: CompareView,
        before: dict[str, Contender],
    ) -> dict[str, Contender]:  # fmt: skip
        """The contenders of one run; curves are read again only where something grew, or for another view."""
        row = read_header(reader.rows)
        run = run_of(part.source.path, row, live=reader.live)
        nodes_before, nodes = part.nodes.nodes, part.nodes.read(reader)
        chosen = {letter: _node(target, run, nodes) for letter, target in letters.items()}
        grown = self._grown(reader, part, [n for n in chosen.values() if n is not None])
        calm = part.read and not grown and nodes is nodes_before
        part.read = True
        settings = flat(json_of(row["config"], {})) if len(self._runs) > 1 else None
        by_letter = {}
        for letter, node_id in chosen.items():
            if node_id is None:
                by_letter[letter] = Contender(letter, run.name, state=run.state, problem="nothing was trained yet")
                continue
            old = before.get(letter)
            whole = letters[letter].node is None
            if (
                old is None
                or not calm
                or old.node != node_id
                or (whole and (old.best, old.test) != (run.best, run.test))
            ):
                old = replace(self._contender(reader, letter, letters[letter], run, nodes, node_id), settings=settings)
            if old.trace is None or not shows(old.trace, nodes, node_id, view.metric, view.selection, view.columns):
                trace = read_traces(reader, nodes, node_id, (view.metric,), view.selection, view.columns)[0]
                old = replace(old, trace=trace)
            by_letter[letter] = replace(old, state=_state(letters[letter], run, nodes))
        return by_letter

    def _contender(
        self, reader: Reader, letter: str, target: Target, run: RunRow, nodes: Nodes, node_id: int
    ) -> Contender:
        """Everything about one trajectory but its curve."""
        stages = tuple(stage_of(r, live=reader.live) for r in reader.rows(sql("ui_path"), (node_id,)))
        whole = target.node is None
        if whole and run.best is not None:  # a run's trajectory ends at the policy it reports
            stages = (*stages[:-1], replace(stages[-1], left_at=run.best.step))
        path = json.dumps([stage.node for stage in stages])
        self._metrics[letter] = tuple(r["name"] for r in reader.rows(sql("ui_compare_metrics"), (path,)))
        node = nodes[node_id]
        end = run.best if whole else None
        return Contender(
            letter, name=run.name if whole else f"#{node_id}", label=end.policy if end else node.label,
            state=_state(target, run, nodes), node=node_id, best=end or node.best,
            test=run.test if whole else None, stages=stages,
            steps=node.start + (node.trained if end is None or end.step is None else end.step),
        )  # fmt: skip

    def _grown(self, reader: Reader, part: _RunPart, chosen: Sequence[int]) -> bool:
        """Whether any trajectory has new metrics."""
        nodes: set[int] = set()
        for node_id in chosen:
            at = part.nodes.nodes.get(node_id)
            while at is not None and at.id not in nodes:
                nodes.add(at.id)
                at = part.nodes.nodes.get(at.parent) if at.parent is not None else None
        row = reader.rows(sql("ui_compare_grown"), (json.dumps(sorted(nodes)), part.seq))[0]
        part.seq = part.seq if row["seq"] is None else row["seq"]
        return bool(row["grown"])


def _node(target: Target, run: RunRow, nodes: Nodes) -> int | None:
    """The node whose trajectory it is; None where there is none."""
    if target.node is not None:
        return target.node if target.node in nodes else None
    best = run.best.node if run.best is not None else None
    return best if best in nodes else None


def _state(target: Target, run: RunRow, nodes: Nodes) -> str:
    return run.state if target.node is None else nodes[target.node].state

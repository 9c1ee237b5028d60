"""Reads a path of the tree: its stages with their scores, what was found in each and what was said.

Used by one worker thread at a time (the app's tick). It never touches a widget and never writes.
"""

from __future__ import annotations

import json
from dataclasses import replace

from engine.analysis.dynamics import ParameterDynamics, RunMoves, dynamics, read_moves
from engine.analysis.reported import read_header
from engine.store.queries import load as sql
from engine.store.reader import Reader
from llmzero_tui.feeds.source import ViewFeed
from llmzero_tui.values.proposal_detail import CheckpointScore, PathStage, TrajectorySnapshot, TrajectoryView, score_of
from llmzero_tui.values.rows import json_of, run_of, stage_of
from llmzero_tui.values.snapshot import DiagnosisRow, StageRow


class TrajectoryFeed(ViewFeed[TrajectoryView, TrajectorySnapshot]):
    """Snapshots of the trajectory screen. Unchanged stages are the same objects as in the snapshot before."""

    _moves: RunMoves | None = None
    _found: tuple[ParameterDynamics, ...] = ()

    def _look(self, reader: Reader, view: TrajectoryView, last: TrajectorySnapshot | None) -> TrajectorySnapshot:
        row = read_header(reader.rows)
        best = view.node is None
        node, step = (row["best_node"], row["best_step"]) if best else (view.node, None)
        stages = _stages(reader, node, step) if node is not None else ()
        before = last.stages if last else ()
        return TrajectorySnapshot(
            taken=self.clock(), run=run_of(self.path, row, live=reader.live), node=node, best=best,
            stages=before if before == stages else stages, space=tuple(json_of(row["space"], ())),
            dynamics=self._dynamics(reader) if best else (),
        )  # fmt: skip

    def _dynamics(self, reader: Reader) -> tuple[ParameterDynamics, ...]:
        """Reckoned anew, with its shuffles, only when a transition has come."""
        if (moves := read_moves(reader.rows)) != self._moves:
            self._moves, self._found = moves, tuple(dynamics([moves]))
        return self._found


def _stages(reader: Reader, node: int, step: int | None) -> tuple[PathStage, ...]:
    stages = [stage_of(r, live=reader.live) for r in reader.rows(sql("ui_path"), (node,))]
    if stages and step is not None:
        stages[-1] = replace(stages[-1], left_at=step)
    ids = json.dumps([s.node for s in stages])
    scores = [score_of(r) for r in reader.rows(sql("ui_scores"), (ids,))]
    told: dict[int, list[DiagnosisRow]] = {}
    for row in reader.rows(sql("ui_told"), (ids,)):
        told.setdefault(row.pop("node_id"), []).append(DiagnosisRow(**row))
    return tuple(PathStage(s, _at_end(s, scores), tuple(told.get(s.node, ())[:4])) for s in stages)


def _at_end(stage: StageRow, scores: list[CheckpointScore]) -> CheckpointScore | None:
    """The score where the path leaves a stage; of the last one where none is said, its latest."""
    mine = [s for s in scores if s.node == stage.node]
    if stage.left_at is not None:
        return next((s for s in mine if s.step == stage.left_at), None)
    return mine[-1] if mine else None

"""Reads one proposal with everything that bears on it: its parent's reward, scores, diagnoses, what was tried there.

Used by one worker thread at a time (the app's tick). It never touches a widget and never writes.
"""

from __future__ import annotations

import json
from dataclasses import replace

from engine.analysis.reported import read_header
from engine.store.queries import load as sql
from engine.store.reader import Reader
from llmzero_tui.feeds.source import ViewFeed
from llmzero_tui.values.proposal_detail import (
    BranchPoint,
    DecisionSnapshot,
    DecisionView,
    ProposalDetail,
    ProposalRecord,
    Sibling,
    place_of,
    score_of,
    sibling_of,
    standing_of,
)
from llmzero_tui.values.rows import command_of, json_of, proposal_of, run_of, stage_of
from llmzero_tui.values.snapshot import DiagnosisRow, ProposalRow, StageRow

COLUMNS = 60
"""Points of the parent's curve: as many as the widest plot of the screen has columns."""


class DecisionFeed(ViewFeed[DecisionView, DecisionSnapshot]):
    """Snapshots of the decision screen."""

    def _look(self, reader: Reader, view: DecisionView, last: DecisionSnapshot | None) -> DecisionSnapshot:
        row = read_header(reader.rows)
        inbox = tuple(proposal_of(r) for r in reader.rows(sql("ui_inbox")))
        detail = _detail(reader, _node(view, inbox), last.detail if last else None)
        return DecisionSnapshot(
            taken=self.clock(), run=run_of(self.path, row, live=reader.live), inbox=_as_read_last(inbox, detail),
            commands=tuple(command_of(r) for r in reader.rows(sql("ui_commands"))),
            space=tuple(json_of(row["space"], ())), detail=detail,
        )  # fmt: skip


def _as_read_last(inbox: tuple[ProposalRow, ...], detail: ProposalDetail | None) -> tuple[ProposalRow, ...]:
    """The inbox with the one proposal as it was read in detail: another hand may have changed it between the two."""
    newer = {detail.proposal.id: detail.proposal} if detail is not None else {}
    return tuple(newer.get(proposal.id, proposal) for proposal in inbox)


def _node(view: DecisionView, inbox: tuple[ProposalRow, ...]) -> int | None:
    """The node looked at: without one, that of the oldest proposal that waits."""
    return view.node if view.node is not None else next((p.node for p in inbox), None)


def standing(reader: Reader, node: int) -> ProposalRecord | None:
    """Where the proposal of a node stands; None for one that came without."""
    return next((standing_of(r, live=reader.live) for r in reader.rows(sql("ui_proposal"), (node,))), None)


def places(reader: Reader) -> tuple[BranchPoint, ...]:
    """Every checkpoint one may branch from, the best first."""
    return tuple(place_of(r, live=reader.live) for r in reader.rows(sql("ui_places")))


def _detail(reader: Reader, node: int | None, before: ProposalDetail | None) -> ProposalDetail | None:
    """Everything about the proposal of a node; the curve is read again only when its parent has trained on."""
    stands = standing(reader, node) if node is not None else None
    if stands is None:
        return None
    parent = stands.proposal.parent
    stages = tuple(stage_of(r, live=reader.live) for r in reader.rows(sql("ui_path"), (parent,)))
    if stages:
        stages = (*stages[:-1], replace(stages[-1], left_at=stands.proposal.step))
    same = before is not None and stages and before.stages and _end(before.stages) == _end(stages)
    return ProposalDetail(
        standing=stands, stages=stages,
        scores=tuple(score_of(r) for r in reader.rows(sql("ui_scores"), (json.dumps([parent]),))),
        siblings=_siblings(reader, parent, node),
        diagnoses=tuple(DiagnosisRow(**r) for r in reader.rows(sql("ui_diagnoses"), (parent,))),
        reward=before.reward if before and same else _reward(reader, parent),
    )  # fmt: skip


def _siblings(reader: Reader, parent: int, node: int | None) -> tuple[Sibling, ...]:
    """The other segments that begin from the same node."""
    rows = reader.rows(sql("ui_siblings"), (parent,))
    return tuple(sibling_of(r, live=reader.live) for r in rows if r["node_id"] != node)


def _end(stages: tuple[StageRow, ...]) -> tuple[int, int, str]:
    """Which segment a path ends in, and how far that is."""
    return stages[-1].node, stages[-1].trained, stages[-1].state


def _reward(reader: Reader, node: int) -> tuple[tuple[int, float, bool], ...]:
    """The reward along the path to a node, in few parts."""
    return tuple((r["step"], r["value"], r["own"]) for r in reader.rows(sql("ui_reward"), (node, COLUMNS)))

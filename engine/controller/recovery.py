"""What an engine does with what an earlier one left: segments that were cut off are taken up, lost files are noticed.

Called when a run is loaded and when a worker dies. A segment keeps its number, its seed and its plan whatever dies
when; nothing is trained twice under two numbers.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

from engine.controller import retention
from engine.domain.proposals import ProposalGate
from engine.domain.tree import Node, NodeState
from engine.run.config import GateSection
from engine.training.events import MANIFEST

if TYPE_CHECKING:
    from engine.controller.run_state import RunState

_log = logging.getLogger(__name__)

RUN_STOPPED = "the run was stopped"
"""How the reason of a segment begins that a stop of the run cut off: a resume takes it up."""


def recover(run: RunState) -> None:
    """Bring the tree of an earlier engine to where this one can go on."""
    _take_name(run)
    for node in run.tree:
        _notice_lost_files(run, node)
    _settle_proposals(run)
    for node in run.tree:
        if node.state is NodeState.RUNNING and node.pruned:  # its engine died while it was coming to its end
            run.set_state(node.id, NodeState.STOPPED, run.reasons.get(node.id, ""))
        elif (
            node.state is NodeState.RUNNING
            or _was_stopped(run, node)
            or (node.state is NodeState.QUEUED and node.steps)
        ):
            take_up(run, node.id, "it was training when the engine ended")
    for node in run.tree:
        _reject_unreachable(run, node)


def take_up(run: RunState, node_id: int, why: str) -> None:
    """Queue a segment that was cut off: it goes on from its last checkpoint, within its plan."""
    node = run.tree[node_id]
    done = max((c.step for c in node.checkpoints if c.kept), default=0)
    unscored = [step for step in _unscored(run, node) if done < step <= node.steps]
    done = max([done, *unscored])
    if done >= node.planned_steps and not unscored:  # all is there but the word that it ended
        run.set_state(node_id, NodeState.FINISHED)
        run.event("warning", "requeued", f"#{node_id}: {why}; it had trained all of its {done} steps", node_id)
        return
    how = f"it continues from step {done} of {node.planned_steps}" if done else "it starts again"
    run.requeue(node_id, done, step_seconds(run, node_id, done), f"{why}; {how}")
    run.event("warning", "requeued", f"#{node_id}: {why}; {how}", node_id)


def _unscored(run: RunState, node: Node) -> Iterator[int]:
    """Steps of checkpoints that a worker has saved when it was asked to end, without scoring them."""
    for manifest in run.directory.segment(node.id).glob(f"checkpoint-*/{MANIFEST}"):
        try:
            record = json.loads(manifest.read_text(encoding="utf-8"))
        except ValueError as error:  # as after a loss of power: it is no checkpoint
            _log.warning("%s is damaged: %s", manifest, error)
            continue
        if record.get("evaluation", True) is None:
            yield int(record["step"])


def drop_unscored(run: RunState, node_id: int) -> None:
    """Delete what lies in the directory of a segment that has ended and is none of its checkpoints."""
    for step in list(_unscored(run, run.tree[node_id])):
        if all(checkpoint.step != step for checkpoint in run.tree[node_id].checkpoints):
            retention.discard(run.checkpoint_path(node_id, step))


def _settle_proposals(run: RunState) -> None:
    """Nodes that wait at the gate and whose proposal does not: their engine died between the two rows."""
    decided = {
        row["node_id"]: row["state"]
        for row in run.rows("SELECT node_id, state FROM proposals WHERE state <> 'pending'")
    }
    for node in run.tree:
        if node.state is NodeState.PROPOSED and node.id not in run.proposals:
            approved = decided.get(node.id) in ("approved", "edited")
            reason = "" if approved else "the engine ended while it was proposed"
            run.set_state(node.id, NodeState.QUEUED if approved else NodeState.REJECTED, reason)


def step_seconds(run: RunState, node_id: int, last_step: int) -> float:
    """Seconds of the trainer up to a step, as the metrics of a segment tell."""
    told = "SELECT sum(value) AS seconds FROM metrics WHERE node_id = ? AND step <= ? AND name = 'step_seconds'"
    return float(run.rows(told, (node_id, last_step))[0]["seconds"] or 0.0)


def gate(run: RunState, asked: GateSection) -> ProposalGate:
    """The gate as it was last set, by a human or in the run file; that of the run file in a new run."""
    return ProposalGate(run.rows("SELECT gate FROM runs")[0]["gate"] or asked.mode, asked.seconds)


def _take_name(run: RunState) -> None:
    """A run is called as its directory is, which may have been renamed while no engine ran."""
    name = run.directory.name
    before = run.rows("SELECT name FROM runs")[0]["name"]
    if before != name:
        run.record.name(name)
        run.event("info", "renamed", f"renamed from {before} to {name}")


def _was_stopped(run: RunState, node: Node) -> bool:
    """Whether a stop of the run cut a segment off, and nothing has gone on from it (as earlier versions did)."""
    if node.state is not NodeState.STOPPED or not run.reasons.get(node.id, "").startswith(RUN_STOPPED):
        return False
    return not node.pruned and all(child.state is NodeState.REJECTED for child in run.tree.children(node.id))


def _notice_lost_files(run: RunState, node: Node) -> None:
    """Checkpoints that are marked kept and whose files somebody deleted."""
    for checkpoint in node.checkpoints if node.transition else ():
        path = run.checkpoint_path(node.id, checkpoint.step)
        if checkpoint.kept and not (path / MANIFEST).is_file():
            run.forget_files(node.id, checkpoint.step)
            line = f"the files of #{node.id} step {checkpoint.step} are gone: {run.relative(path)}"
            run.event("warning", "checkpoint lost", line, node.id)


def _reject_unreachable(run: RunState, node: Node) -> None:
    """What waits for a worker and was to begin from a checkpoint whose files are gone never will."""
    if node.state is not NodeState.QUEUED or node.transition is None or node.steps:
        return
    parent, step = node.transition.parent, node.transition.step
    if not any(c.step == step and c.kept for c in run.tree[parent].checkpoints):
        run.set_state(node.id, NodeState.REJECTED, f"the files of #{parent} step {step} are gone")

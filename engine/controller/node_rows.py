"""Nodes, transitions and checkpoints as rows of the database, and back; and the training rewards of the tree's nodes,
from rows or step by step. Used by RunState alone; nothing is written here."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

from engine.domain.policy import steering_prompts
from engine.domain.proposals import Proposal
from engine.domain.score import Score
from engine.domain.space import Intent, KLReference, OptimizerState, Transition, recorded_reference
from engine.domain.tree import REWARD_STEPS, Checkpoint, Node, NodeState, Tree
from engine.store.writer import Writer


def transition_columns(transition: Transition) -> dict[str, Any]:
    """The columns that `nodes` and `proposals` share: what a transition changes and why."""
    return {
        "label": transition.label,
        "changes": json.dumps(dict(transition.changes)),
        "optimizer": transition.optimizer,
        "reference": transition.reference,
        "rationale": transition.rationale,
        "expected": transition.expected,
    }


def node_columns(node: Node) -> dict[str, Any]:
    """A new node's row, but for its depth, seed, advisor, proposal and times."""
    transition = node.transition
    base = Transition(parent=node.id, step=0, intent=Intent.ROOT, label="base", optimizer=OptimizerState.RESET)
    return {
        "node_id": node.id,
        "parent_id": node.parent,
        "branch_step": transition.step if transition else None,
        "state": node.state,
        "reason": "",
        "intent": transition.intent if transition else "base",
        "configuration": json.dumps(dict(node.configuration)),
        "planned_steps": node.planned_steps,
        "trained_steps": 0,
        "start_steps": node.start_steps,
        "trainer_seconds": 0.0,
        "pruned": False,
        "started": None,
        **transition_columns(transition or base),
    }


def transition(row: Mapping[str, Any]) -> Transition:
    return Transition(
        parent=row["parent_id"],
        step=row["branch_step"],
        intent=Intent(row["intent"]),
        changes=json.loads(row["changes"]),
        optimizer=OptimizerState(row["optimizer"]),
        reference=KLReference(recorded_reference(row["reference"], row["intent"])),
        label=row["label"],
        rationale=row["rationale"],
        expected=row["expected"],
    )


def checkpoint(row: Mapping[str, Any]) -> Checkpoint:
    n, outcomes = row["n"], row["outcomes"] or ""
    score = Score(n, row["greedy"], row["sampled"], outcomes, (steering_prompts(n),))
    return Checkpoint(row["step"], score, row["kept"])


def node(row: Mapping[str, Any]) -> Node:
    return Node(
        id=row["node_id"],
        transition=None if row["parent_id"] is None else transition(row),
        configuration=json.loads(row["configuration"]),
        state=NodeState(row["state"]),
        start_steps=row["start_steps"],
        steps=row["trained_steps"],
        planned_steps=row["planned_steps"],
        pruned=row["pruned"],
    )


def tree(nodes: Sequence[Mapping[str, Any]], checkpoints: Iterable[Mapping[str, Any]]) -> Tree:
    """The tree of all nodes, the root first, with their checkpoints.

    Raises ValueError, TypeError or KeyError for rows that are no tree.
    """
    scored: dict[int, dict[int, Checkpoint]] = {row["node_id"]: {} for row in nodes}
    for row in checkpoints:
        scored[row["node_id"]].setdefault(row["step"], checkpoint(row))
    return Tree.of(
        replace(node(row), checkpoints=tuple(by_step[step] for step in sorted(by_step)))
        for row in nodes
        for by_step in [scored[row["node_id"]]]
    )


def proposals(rows: Iterable[Mapping[str, Any]]) -> dict[int, Proposal]:
    """Proposals by the node that they would be. Raises as `tree` does."""
    return {
        row["node_id"]: Proposal(
            row["proposal_id"], row["revision"], row["node_id"], transition(row), row["advisor"], row["deadline"]
        )
        for row in rows
    }


LAST = """
SELECT node_id, list(value ORDER BY step) AS rewards FROM (
    SELECT node_id, step, value, row_number() OVER (PARTITION BY node_id ORDER BY step DESC) AS place
    FROM metrics WHERE name = 'reward'
) WHERE place <= ? GROUP BY node_id
"""


class TrainingRewards:
    """The last rewards of every segment of one run; the tree holds their mean for strategies that steer by it."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._last: dict[int, deque[float]] = {}

    def load(self, writer: Writer) -> None:
        """What an earlier engine wrote down."""
        for row in writer.rows(LAST, (REWARD_STEPS,)):
            for reward in row["rewards"]:
                self.add(row["node_id"], reward)

    def add(self, node_id: int, reward: float) -> None:
        """The reward of one more step of a segment."""
        last = self._last.setdefault(node_id, deque(maxlen=REWARD_STEPS))
        last.append(reward)
        self._tree.set_reward(node_id, fmean(last))

"""Nodes, transitions and checkpoints as rows of the database, and back. Pure; used by RunState alone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from engine.domain.prompt_sets import steering_prompts
from engine.domain.proposals import Proposal
from engine.domain.score import Score
from engine.domain.space import Intent, KLReference, OptimizerState, Transition
from engine.domain.tree import Checkpoint, Node, NodeState, Tree


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
        reference=KLReference(row["reference"]),
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
    grown = Tree(node(nodes[0]))
    for row in nodes[1:]:
        grown.add(node(row))
    for row in checkpoints:
        grown.add_checkpoint(row["node_id"], checkpoint(row))
    return grown


def proposals(rows: Iterable[Mapping[str, Any]]) -> dict[int, Proposal]:
    """Proposals by the node that they would be. Raises as `tree` does."""
    return {
        row["node_id"]: Proposal(
            row["proposal_id"], row["revision"], row["node_id"], transition(row), row["advisor"], row["deadline"]
        )
        for row in rows
    }

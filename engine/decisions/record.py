"""A decision point and what was measured there, as JSON lines: read back into the Evidence that an advisor gets.

Two kinds of lines. A *point* holds the tree of a run up to the decision with its curves, scores and rollouts, and the
transitions that are to be measured; a *branch* holds the test scores of one of these after some steps, for one seed.
Written by `benchmarks.decisions`, read by `bank`. Nothing is judged here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from engine.advisors.base import Evidence, SampledCompletion, Series
from engine.advisors.evidence import METRICS, compared
from engine.compare.packing import pack, unpack
from engine.domain.policy import TEST_SEED, steering_prompts
from engine.domain.score import PromptSet, Score
from engine.domain.space import Intent, KLReference, OptimizerState, Space, Transition
from engine.domain.tree import Checkpoint, Node, NodeState, Tree

POINT, BRANCH, FAILED = "point", "branch", "failed"
DIGITS = 4
"""Significant digits of a metric."""


def measuring_prompts(n: int) -> PromptSet:
    """What every measured policy is asked: other prompts than those of the evidence."""
    return PromptSet("test", TEST_SEED, n)


# ---- scores -------------------------------------------------------------------------------------------------------


def score_to_json(step: int, score: Score) -> list[Any]:
    """[step, n, greedy, sampled, packed outcomes]."""
    return [step, score.n, score.greedy, score.sampled, pack(score.outcomes)]


def score_from_json(item: Sequence[Any], prompts: PromptSet) -> Score:
    _, n, greedy, sampled, packed = item
    return Score(n, greedy, sampled, unpack(packed, n), (prompts,))


# ---- transitions --------------------------------------------------------------------------------------------------


def transition_to_json(transition: Transition) -> dict[str, Any]:
    """Without what is as usual."""
    usual = {"optimizer": OptimizerState.KEEP, "reference": KLReference.KEEP, "changes": {}}
    return {name: value for name, value in asdict(transition).items() if value != "" and usual.get(name) != value}


def transition_from_json(item: Mapping[str, Any]) -> Transition:
    return Transition(
        **{
            **item,
            "intent": Intent(item["intent"]),
            "optimizer": OptimizerState(item.get("optimizer", OptimizerState.KEEP)),
            "reference": KLReference(item.get("reference", KLReference.KEEP)),
        }
    )


# ---- the evidence ---------------------------------------------------------------------------------------------------


def evidence_to_json(evidence: Evidence) -> dict[str, Any]:
    """The evidence without pictures, which are drawn from it again."""
    series = {**evidence.others, evidence.parent.id: evidence.metrics}
    return {
        "space": evidence.space.to_json(),
        "nodes": [_node(node, series.get(node.id, {})) for node in evidence.tree],
        "completions": [list(asdict(each).values()) for each in evidence.completions],
        "parent": evidence.parent.id,
        "step": evidence.step,
        "intent": str(evidence.intent),
        "candidates": [list(place) for place in evidence.candidates],
        "steps": evidence.steps,
        "fraction_spent": evidence.fraction_spent,
        "seed": evidence.seed,
    }


def evidence_from_json(item: Mapping[str, Any]) -> Evidence:
    """What `evidence_to_json` wrote."""
    tree, curves = _tree(item["nodes"]), {each["id"]: _series(each.get("metrics", {})) for each in item["nodes"]}
    parent = tree[item["parent"]]
    return Evidence(
        tree=tree,
        space=Space.from_json(item["space"]),
        parent=parent,
        step=item["step"],
        intent=Intent(item["intent"]),
        metrics={name: [p for p in points if p[0] <= item["step"]] for name, points in curves[parent.id].items()},
        completions=tuple(SampledCompletion(*each) for each in item["completions"]),
        candidates=tuple((node, step) for node, step in item["candidates"]),
        tried=tuple(child.transition for child in tree.children(parent.id) if child.transition),
        steps=item["steps"],
        fraction_spent=item["fraction_spent"],
        seed=item["seed"],
        others={node: curves[node] for node in compared(tree, parent)},
    )


def _node(node: Node, series: Series) -> dict[str, Any]:
    return {
        "id": node.id,
        "transition": None if node.transition is None else transition_to_json(node.transition),
        "configuration": dict(node.configuration),
        "state": str(node.state),
        "start_steps": node.start_steps,
        "steps": node.steps,
        "planned_steps": node.planned_steps,
        "reward": node.reward,
        "checkpoints": [[*score_to_json(c.step, c.score), c.kept] for c in node.checkpoints],
        "metrics": {name: _curve(series[name], node.planned_steps) for name in METRICS if series.get(name)},
    }


def _tree(nodes: Iterable[Mapping[str, Any]]) -> Tree:
    root, *others = (
        Node(
            id=each["id"],
            transition=None if each["transition"] is None else transition_from_json(each["transition"]),
            configuration=each["configuration"],
            state=NodeState(each["state"]),
            start_steps=each["start_steps"],
            steps=each["steps"],
            planned_steps=each["planned_steps"],
            checkpoints=tuple(
                Checkpoint(c[0], score_from_json(c[:5], steering_prompts(c[1])), c[5]) for c in each["checkpoints"]
            ),
            reward=each["reward"],
        )
        for each in nodes
    )
    tree = Tree(root)
    for node in others:
        tree.add(node)
    return tree


def _curve(points: Iterable[tuple[int, float | None]], steps: int) -> list[float | str | None]:
    """The value of every step, null where it has none; NaN and infinities, which JSON lacks, as text."""
    curve: list[float | str | None] = [None] * steps
    for step, value in points:
        if value is not None:
            finite = abs(value) < float("inf")
            curve[step - 1] = float(f"{value:.{DIGITS}g}") if finite else str(value)
    return curve


def _series(curves: Mapping[str, Sequence[float | str | None]]) -> dict[str, list[tuple[int, float]]]:
    return {
        name: [(step, float(value)) for step, value in enumerate(values, 1) if value is not None]
        for name, values in curves.items()
    }

"""The rules advisor: what it does about each pathology and each failure, and what it says."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from engine.advisors.base import Evidence
from engine.advisors.designs import DESIGNS
from engine.advisors.diagnosis import diagnose
from engine.advisors.moves import REMEDIES
from engine.advisors.rules import RulesAdvisor
from engine.domain.space import Intent, KLReference, OptimizerState, Space, Transition, numeric
from engine.domain.tree import Checkpoint, Node, NodeState, Tree
from engine.words import pathology_name
from tests.unit.test_diagnosis import CASES, variant

SPACE = Space.build(
    {"epsilon_high": {}, "num_iterations": {"default": 2}},
    {
        "learning_rate": {"low": 1e-5, "high": 5e-4, "default": 1e-4},
        "beta": {"low": 0.0, "high": 0.5, "default": 0.02},
        "max_completion_length": {"low": 24, "high": 128, "default": 64},
        "difficulty": {"low": 6, "high": 12, "default": 6},
    },
    batch_size=32,
)


def evidence(intent: Intent, change: dict[str, Any] | None = None, **more: Any) -> Evidence:
    """A segment #1 from the base whose curves show what `change` makes of a healthy one."""
    case = variant(change or {})
    root = Node(0, None, SPACE.default(), NodeState.FINISHED, checkpoints=(Checkpoint(0, case["start"]),))
    tree = Tree(root)
    configuration = SPACE.apply(SPACE.default(), more.pop("configuration", {}))
    reference = more.pop("reference", KLReference.KEEP)
    tree.add(Node(1, Transition(0, 0, Intent.ROOT, reference=reference), configuration, NodeState.FINISHED, 0, 50, 50))
    for checkpoint in case["checkpoints"]:
        tree.add_checkpoint(1, checkpoint)
    if "failed" in more:
        tree.add(more["failed"])
    at_root = intent is Intent.ROOT
    blank = Evidence(
        tree=tree, space=SPACE, parent=tree[0 if at_root else 1], step=0 if at_root else 50, intent=intent,
        metrics=case["metrics"], completions=(), candidates=((1, 25),), tried=(), steps=40, fraction_spent=0.9, seed=1,
    )  # fmt: skip
    return replace(blank, **more)


def first(question: Evidence) -> Transition:
    return RulesAdvisor().advise(question).proposals[0]


def moved(proposal: Transition, configuration: Mapping[str, float] | None = None) -> dict[str, int]:
    """Direction of every change: +1 or −1."""
    before = SPACE.default() | dict(configuration or {})
    return {name: 1 if numeric(value) > numeric(before[name]) else -1 for name, value in proposal.changes.items()}


DIRECTIONS = {
    "entropy collapse": {"learning_rate": -1, "temperature": 1, "epsilon_high": 1},
    "kl spike": {"beta": 1, "learning_rate": -1},
    "kl-bound plateau": {"beta": -1, "learning_rate": 1},
    "dead groups": {"difficulty": 1, "num_generations": 1, "temperature": 1},
    "truncation": {"max_completion_length": 1, "learning_rate": -1},
    "rambling": {"max_completion_length": -1, "temperature": -1},
    "gradient explosion": {"max_grad_norm": -1, "learning_rate": -1},
    "off-policy drift": {"num_iterations": -1, "learning_rate": -1, "max_grad_norm": -1, "beta": 1},
    "sampler mismatch": {"learning_rate": -1, "num_iterations": -1, "max_grad_norm": -1, "temperature": -1},
    "reward hacking": {"beta": 1, "learning_rate": -1, "difficulty": 1},
    "collapse": {"learning_rate": -1, "beta": 1, "temperature": -1},
    "plateau": {"temperature": 1, "learning_rate": 1},
}


@pytest.mark.parametrize(("pathology", "change", "quote"), CASES)
def test_each_pathology_gets_its_coordinated_change(pathology: str, change: dict[str, Any], quote: str) -> None:
    advice = RulesAdvisor().advise(evidence(Intent.CHANGE, change))
    answers = [p for p in advice.proposals if p.rationale.lower().startswith(pathology_name(pathology).lower())]
    assert answers, [p.rationale for p in advice.proposals]
    assert moved(answers[0]) == DIRECTIONS[pathology]
    assert quote in answers[0].rationale
    assert len(advice.proposals) == 3


def test_every_pathology_has_a_remedy() -> None:
    assert set(REMEDIES) == set(DIRECTIONS) == {pathology for pathology, _, _ in CASES}


def test_changes_are_coordinated_even_when_a_plan_can_move_little() -> None:
    at_the_edge = {"beta": 0.5, "max_grad_norm": 0.1, "temperature": 1.5, "learning_rate": 1e-5, "num_generations": 32}
    for _, change, _ in CASES:
        for proposal in RulesAdvisor().advise(evidence(Intent.CHANGE, change, configuration=at_the_edge)).proposals:
            assert len(proposal.changes) >= 2


def test_the_diagnoses_are_those_of_the_segment() -> None:
    change = CASES[0][1]
    case = variant(change)
    advice = RulesAdvisor().advise(evidence(Intent.CHANGE, change))
    assert advice.diagnoses == diagnose(case["metrics"], case["checkpoints"], SPACE.default(), start=case["start"])


def test_a_healthy_segment_is_grown_first() -> None:
    proposal = first(evidence(Intent.CHANGE))
    assert moved(proposal) == {"difficulty": 1, "max_completion_length": 1, "num_generations": 1}
    assert "validation 0.2 → 0.36 (n 256, SE of the change 0.039)" in proposal.rationale


def test_a_change_that_explores_never_lowers_the_learning_rate() -> None:
    tree = evidence(Intent.CHANGE)
    seen: list[Transition] = []
    for _ in range(12):
        proposals = RulesAdvisor().advise(replace(tree, tried=tuple(seen))).proposals
        seen += [each for each in proposals if each not in seen]
    assert len(seen) > 12
    assert any("Drawn at random" in each.rationale for each in seen)
    assert all(moved(each).get("learning_rate", 0) >= 0 for each in seen)


def test_nor_where_little_can_move() -> None:
    at_the_edge = {"num_generations": 32, "max_completion_length": 128, "difficulty": 12}
    proposals = RulesAdvisor().advise(evidence(Intent.CHANGE, configuration=at_the_edge)).proposals
    assert proposals
    for each in proposals:
        assert len(each.changes) >= 2
        assert moved(each, at_the_edge).get("learning_rate", 0) >= 0
        assert moved(each, at_the_edge).get("beta", 0) <= 0


def test_trouble_late_in_the_segment_is_left_by_an_earlier_checkpoint() -> None:
    spike = next(change for pathology, change, quote in CASES if "kl 0.2 at step 40" in quote)
    proposal = first(evidence(Intent.CHANGE, spike))
    assert proposal.step == 25
    assert "Branches earlier, at step 25" in proposal.rationale
    assert first(evidence(Intent.CHANGE, spike, candidates=())).step == 50


def test_the_second_answer_to_a_binding_penalty_moves_the_reference() -> None:
    bound = next(change for pathology, change, _ in CASES if pathology == "kl-bound plateau")
    question = evidence(Intent.CHANGE, bound)
    proposals = RulesAdvisor().advise(question).proposals
    assert [p.reference for p in proposals[:2]] == [KLReference.KEEP, KLReference.BRANCH]
    assert proposals[1].label.startswith("ref↺")


def test_a_keep_says_what_the_segment_shows() -> None:
    healthy = first(evidence(Intent.KEEP))
    assert (healthy.changes, healthy.label) == ({}, "continue")
    assert healthy.rationale.startswith(
        "#1 looks healthy; continue with the same settings. Evidence: reward 0.22 → 0.38"
    )
    assert "after 40 steps" in healthy.expected
    ill = first(evidence(Intent.KEEP, CASES[0][1]))
    assert ill.rationale.startswith("Entropy collapse: entropy 1.67 → 0.63")
    assert "the next 40 steps are the control for any change" in ill.rationale
    assert ill.changes == {}


@pytest.mark.parametrize("intent", [Intent.KEEP, Intent.ANNEAL, Intent.CHANGE])
def test_a_child_keeps_its_parents_reference_and_does_not_move_it_again(intent: Intent) -> None:
    assert first(evidence(intent, reference=KLReference.BRANCH)).reference is KLReference.KEEP


def test_the_end_is_annealed_with_adam_kept() -> None:
    question = evidence(Intent.ANNEAL)
    proposal = first(question)
    assert proposal.changes == {"learning_rate": 3e-5}
    assert proposal.optimizer is OptimizerState.KEEP
    assert "90% of the budget" in proposal.rationale
    assert first(replace(question, tried=(proposal,))).changes == {"learning_rate": 1e-5}


def test_the_first_four_roots_differ_and_span_the_learning_rate() -> None:
    question = evidence(Intent.ROOT)
    found: list[Transition] = []
    for _ in range(len(DESIGNS)):
        found.append(first(replace(question, tried=tuple(found))))
    assert found[0].changes == {}
    rates = [numeric(p.changes.get("learning_rate", 1e-4)) for p in found[:4]]
    assert min(rates) < 1e-4 < max(rates)
    assert len({tuple(sorted(p.changes.items())) for p in found}) == len(DESIGNS)
    drawn = first(replace(question, tried=tuple(found)))
    assert drawn.rationale.startswith("Drawn at random (seed 1)")
    assert drawn == first(replace(question, tried=tuple(found)))


def failed(state: NodeState, changes: dict[str, Any]) -> Node:
    parent = SPACE.default()
    transition = Transition(1, 50, Intent.CHANGE, changes, OptimizerState.RESET)
    return Node(2, transition, SPACE.apply(parent, changes), state, 50, 12, 50)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (NodeState.OUT_OF_MEMORY, {"learning_rate": 2e-4, "max_completion_length": 48, "num_generations": 4}),
        (NodeState.NAN, {"learning_rate": 6.7e-5, "max_grad_norm": 0.5}),
        (NodeState.HUNG, {"learning_rate": 2e-4}),
        (NodeState.CRASHED, {"learning_rate": 2e-4}),
    ],
)
def test_a_failed_segment_is_repaired_by_the_way_it_failed(state: NodeState, expected: dict[str, float]) -> None:
    question = evidence(Intent.REPAIR, failed=failed(state, {"learning_rate": 2e-4}))
    proposal = first(question)
    assert proposal.changes == expected
    assert proposal.optimizer is OptimizerState.RESET
    assert "#2" in proposal.rationale
    assert "step 12 of 50" in proposal.rationale


def test_the_call_is_logged_with_its_question_and_its_time() -> None:
    question = evidence(Intent.CHANGE)
    began = time.perf_counter()
    (call,) = RulesAdvisor().advise(question).calls
    around = time.perf_counter() - began
    assert call.role == "rules"
    assert '"intent": "change"' in call.request
    assert '"label"' in call.response
    assert 0 < call.milliseconds < 1000 * around

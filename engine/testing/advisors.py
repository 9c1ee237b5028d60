"""What every advisor promises, as a suite to subclass: valid proposals in open places, never a repeat, numbers for
reasons, the same twice."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from engine.advisors.base import Advice, Advisor, Evidence
from engine.domain.score import Score
from engine.domain.space import Intent, Space, Transition
from engine.domain.tree import Checkpoint, Node, NodeState, Tree
from engine.search.llmzero import LLMZero
from engine.simulation.search import Simulation
from engine.testing.simulation import SPACE, World
from engine.testing.strategies import SEGMENT_STEPS, unlucky

MakeAdvisor = Callable[[], Advisor]

SPACES = {
    "knights": SPACE,
    "general": Space.build({}, batch_size=32),
    "with difficulty": Space.build({}, {"difficulty": {"low": 6, "high": 12, "default": 6}}, batch_size=32),
    "rising": Space.build(
        {"max_completion_length": {"rising": True}, "num_generations": {"rising": True}},
        {"difficulty": {"low": 3, "high": 12, "default": 6, "rising": True}},
        batch_size=32,
    ),
    "one parameter": Space.build(
        {name: {"fixed": value} for name, value in Space.build({}, batch_size=32).default().items() if name != "beta"},
        batch_size=32,
    ),
    "all fixed": Space.build(
        {name: {"fixed": value} for name, value in Space.build({}, batch_size=32).default().items()}, batch_size=32
    ),
}


class AdvisorConformance:
    """Subclass it with a fixture `make_advisor`: a function that makes the advisor."""

    @pytest.mark.parametrize("workers", [1, 3])
    def test_through_a_whole_search_with_failures(self, make_advisor: MakeAdvisor, workers: int) -> None:
        advisor, world = CheckedAdvisor(make_advisor()), World(5, prompts=64)
        run = Simulation(LLMZero(SEGMENT_STEPS), world, SPACE, 1200, workers, seed=5, advisor=advisor, fault=unlucky)
        assert len(run.run().tree) > 20

    @pytest.mark.parametrize("intent", [Intent.ROOT, Intent.KEEP, Intent.CHANGE, Intent.ANNEAL])
    def test_a_space_without_a_choice_still_gets_a_valid_answer(
        self, make_advisor: MakeAdvisor, intent: Intent
    ) -> None:
        space = SPACES["all fixed"]
        root = Node(0, None, space.default(), NodeState.FINISHED, checkpoints=(Checkpoint(0, Score(64, 5, 9)),))
        tree = Tree(root)
        tree.add(Node(1, Transition(0, 0, Intent.ROOT), space.default(), NodeState.FINISHED, 0, 50, 50))
        tree.add_checkpoint(1, Checkpoint(50, Score(64, 9, 9)))
        parent, step = (0, 0) if intent is Intent.ROOT else (1, 50)
        evidence = Evidence(
            tree=tree, space=space, parent=tree[parent], step=step, intent=intent, metrics={}, completions=(),
            candidates=(), tried=(), steps=50, fraction_spent=0.5, seed=0,
        )  # fmt: skip
        assert CheckedAdvisor(make_advisor()).advise(evidence).proposals


def assert_kept_promises(evidence: Evidence, advice: Advice) -> None:
    """Every proposal is valid, new, at a place that was offered, and says why with a number."""
    assert advice.proposals
    assert (advice.diagnoses != ()) or evidence.intent is Intent.ROOT
    offered = {(evidence.parent.id, evidence.step), *evidence.candidates}
    seen = [] if evidence.intent is Intent.REPAIR else list(evidence.tried)
    for proposal in advice.proposals:
        assert proposal.intent is evidence.intent
        assert (proposal.parent, proposal.step) in offered
        parent = evidence.tree[proposal.parent]
        assert evidence.space.check_transition(parent.configuration, proposal) == ()
        assert evidence.space.violations(evidence.space.apply(parent.configuration, proposal.changes)) == ()
        assert not any(proposal.parent == other.parent and proposal.repeats(other) for other in seen)
        seen.append(proposal)
        assert re.search(r"\d", proposal.rationale), "no number quoted"
        assert proposal.expected
    for call in advice.calls:
        assert call.milliseconds >= 0
        assert json.loads(call.request)
        assert json.loads(call.response)
        assert call.rationale


class CheckedAdvisor(Advisor):
    """Holds every advice of an advisor against the promises; AssertionError where one is broken."""

    def __init__(self, inner: Advisor) -> None:
        self.name, self.deterministic, self._inner = inner.name, inner.deterministic, inner

    def advise(self, evidence: Evidence) -> Advice:
        advice = self._inner.advise(evidence)
        assert_kept_promises(evidence, advice)
        if self.deterministic:
            again = self._inner.advise(evidence)
            assert (again.proposals, again.diagnoses) == (advice.proposals, advice.diagnoses)
        return advice

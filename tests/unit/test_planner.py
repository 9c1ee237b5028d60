"""The planner: what an advisor proposes is held against the space, sent back once, and replaced by the rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.advisors.base import Advice, AdviceFailed, Advisor, AdvisorCall, Evidence, Selection
from engine.advisors.rules import RulesAdvisor
from engine.controller.evidence_builder import EvidenceBuilder
from engine.controller.planner import PlannedTransition, Planner
from engine.controller.run_state import RunState
from engine.domain.space import Configuration, Intent, KLReference, OptimizerState, Space, Transition
from engine.domain.tree import NodeState
from engine.errors import Fault
from engine.run.rundir import RunDirectory
from engine.search.base import Expansion
from engine.store.writer import Writer
from engine.testing.advisors import SPACES
from engine.training.events import Evaluation

SPACE = Space.build({}, batch_size=32)
CHANGE = Expansion(1, 50, Intent.CHANGE, 50, "a change", candidates=((1, 25),))
CALL = AdvisorCall("strategist", "{}", "{}", "entropy .49", 1.0, model="m")


class Scripted(Advisor):
    """Answers with one script after the other; keeps what it was asked."""

    name = "ollama"
    slow = True

    def __init__(self, *answers: Callable[[Evidence], tuple[Transition, ...]]) -> None:
        self._answers = list(answers)
        self.asked: list[Evidence] = []

    def advise(self, evidence: Evidence) -> Advice:
        self.asked.append(evidence)
        return Advice(self.name, (), self._answers.pop(0)(evidence), (CALL,))


def proposing(changes: Configuration, **fields: object) -> Callable[[Evidence], tuple[Transition, ...]]:
    def answer(evidence: Evidence) -> tuple[Transition, ...]:
        made = Transition(
            evidence.parent.id, evidence.step, evidence.intent, changes, label="x", rationale=".49", expected="up"
        )
        return (replace(made, **fields),)  # type: ignore[arg-type]

    return answer


def failing(fault: Fault) -> Callable[[Evidence], tuple[Transition, ...]]:
    def answer(_: Evidence) -> tuple[Transition, ...]:
        raise fault

    return answer


@pytest.fixture
def run_state(tmp_path: Path) -> Iterator[RunState]:
    """A base and one finished segment with two checkpoints."""
    writer = Writer(tmp_path / "run.duckdb")
    made = RunState.begin(writer, RunDirectory(tmp_path), "base", SPACE.default())
    made.score(0, 0, tmp_path, Evaluation(n=100, greedy=10, sampled=10, seconds=0), 0)
    root = Transition(0, 0, Intent.ROOT, {}, label="as suggested", rationale="1")
    propose(made, root)
    made.set_state(1, NodeState.FINISHED)
    for step in (25, 50):
        path = made.checkpoint_path(1, step)
        made.score(1, step, path, Evaluation(n=100, greedy=20, sampled=20, seconds=0), 0)
    yield made
    writer.close()


def propose(run_state: RunState, transition: Transition) -> None:
    configuration = SPACE.apply(run_state.tree[transition.parent].configuration, transition.changes)
    run_state.propose(transition, configuration, steps=50, seed=0, advisor="rules", call_id=None, deadline=None)


async def plan(run_state: RunState, advisor: Advisor, expansion: Expansion = CHANGE, **how: bool) -> PlannedTransition:
    builder = EvidenceBuilder(run_state, SPACE, seed=0, draws=advisor.sees)
    return await Planner(run_state, SPACE, advisor, builder).plan(expansion, 0.5, **how)


def speakers(planned: PlannedTransition) -> list[str]:
    return [advice.advisor for advice, _ in planned.records]


async def test_an_advisor_that_lost_the_lead_is_not_asked(run_state: RunState) -> None:
    advisor = Scripted()
    builder = EvidenceBuilder(run_state, SPACE, seed=0, draws=False)
    planned = await Planner(run_state, SPACE, advisor, builder, lambda: False).plan(CHANGE, 0.5)
    assert speakers(planned) == ["rules"]
    assert advisor.asked == []


async def test_a_valid_proposal_is_taken_at_once(run_state: RunState) -> None:
    planned = await plan(run_state, Scripted(proposing({"temperature": 0.9})))
    assert (planned.advice.advisor, dict(planned.transition.changes)) == ("ollama", {"temperature": 0.9})
    assert speakers(planned) == ["ollama"]
    assert planned.refusals == planned.faults == ()


async def test_what_breaks_the_space_goes_back_once_with_the_reason(run_state: RunState) -> None:
    advisor = Scripted(proposing({"temperature": 9.0}), proposing({"temperature": 1.1}))
    planned = await plan(run_state, advisor)
    assert "temperature = 9.0 is not allowed; allowed: 0.6 to 1.5" in advisor.asked[1].feedback
    assert dict(planned.transition.changes) == {"temperature": 1.1}
    assert speakers(planned) == ["ollama", "ollama"]


async def test_after_two_useless_advices_the_rules_advise(run_state: RunState) -> None:
    planned = await plan(run_state, Scripted(proposing({"nonsense": 1}), proposing({})))
    assert planned.advice.advisor == "rules"
    assert speakers(planned) == ["ollama", "ollama", "rules"]
    assert len(planned.refusals) == 2


@pytest.mark.parametrize("fault", [Fault("refused"), AdviceFailed("stall", (replace(CALL, error="stall: 30 s"),))])
async def test_after_a_fault_the_rules_advise_at_once_and_the_call_is_kept(run_state: RunState, fault: Fault) -> None:
    planned = await plan(run_state, Scripted(failing(fault)))
    assert speakers(planned) == ["ollama", "rules"]
    assert planned.records[0][0].calls[0].error
    assert planned.faults == (f"ollama: {fault}",)


async def test_a_repeat_of_a_sibling_is_refused(run_state: RunState) -> None:
    propose(run_state, Transition(1, 50, Intent.CHANGE, {"temperature": 0.9}, label="x", rationale="1"))
    planned = await plan(run_state, Scripted(proposing({"temperature": 0.9}), proposing({"temperature": 0.8})))
    assert "repeats a transition already tried from here" in planned.refusals[0]
    assert dict(planned.transition.changes) == {"temperature": 0.8}


@pytest.mark.parametrize("again", [Expansion(0, 0, Intent.ROOT, 50, "a first segment"), CHANGE])
async def test_what_a_space_without_choice_has_is_tried_again_with_another_seed(
    run_state: RunState, again: Expansion
) -> None:
    fixed = SPACES["all fixed"]
    builder = EvidenceBuilder(run_state, fixed, seed=0, draws=False)
    planner = Planner(run_state, fixed, RulesAdvisor(), builder)
    tried = []
    for _ in range(8):
        planned = await planner.plan(again, 0.5)
        propose(run_state, planned.transition)
        tried.append(planned.transition)
    assert {each.intent for each in tried} == {again.intent}
    assert all(not each.changes for each in tried)
    assert any(tried[-1].repeats(each) for each in tried[:-1])


async def test_a_first_segment_that_differs_in_what_means_nothing_at_the_base_is_a_repeat(run_state: RunState) -> None:
    root = Expansion(0, 0, Intent.ROOT, 50, "a first segment")
    same = proposing({}, optimizer=OptimizerState.RESET, reference=KLReference.BRANCH)
    planned = await plan(run_state, Scripted(same, proposing({"temperature": 0.8})), root)
    assert "repeats a transition already tried from here" in planned.refusals[0]
    assert dict(planned.transition.changes) == {"temperature": 0.8}


async def test_a_place_that_was_not_offered_is_refused(run_state: RunState) -> None:
    planned = await plan(
        run_state, Scripted(proposing({"temperature": 0.9}, parent=0, step=0), proposing({"beta": 0.1}))
    )
    assert "#0 step 0 is not a checkpoint that was offered" in planned.refusals[0]


async def test_a_worker_that_waits_gets_the_rules(run_state: RunState) -> None:
    advisor = Scripted()
    assert (await plan(run_state, advisor, by_rules=True)).advice.advisor == "rules"
    keep = replace(CHANGE, intent=Intent.KEEP)
    assert (await plan(run_state, advisor, keep)).advice.advisor == "rules"
    assert advisor.asked == []


class Choosing(Scripted):
    """With a selector."""

    place = (1, 25)

    def select(self, evidence: Evidence) -> Selection | None:
        return Selection(*self.place, "earlier", (replace(CALL, role="selector"),))


async def test_the_selector_moves_the_branch_point_among_what_was_offered(run_state: RunState) -> None:
    advisor = Choosing(proposing({"temperature": 0.9}))
    planned = await plan(run_state, advisor)
    assert (planned.transition.parent, planned.transition.step) == (1, 25)
    assert advisor.asked[0].candidates == ((1, 50),)
    assert [advice.calls[0].role for advice, _ in planned.records] == ["selector", "strategist"]


async def test_a_selector_that_leaves_the_offer_is_not_followed(run_state: RunState) -> None:
    advisor = Choosing(proposing({"temperature": 0.9}))
    advisor.place = (0, 0)
    planned = await plan(run_state, advisor)
    assert (planned.transition.parent, planned.transition.step) == (1, 50)
    assert planned.refusals == ("#0 step 0 is not a checkpoint that was offered",)

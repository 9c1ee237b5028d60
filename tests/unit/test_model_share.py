"""The model's share of the decisions, and the rules' proposals among its evidence."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from engine.advisors.evidence import describe
from engine.advisors.rules import RulesAdvisor
from engine.controller.advisor_lead import ModelShare
from engine.controller.evidence_builder import EvidenceBuilder
from engine.controller.planner import PlannedTransition, Planner
from engine.controller.run_state import RunState
from engine.domain.space import Intent, Transition
from engine.domain.tree import Node, NodeState, Tree
from tests.unit import advice_cases
from tests.unit.test_planner import CHANGE, SPACE, Scripted, propose, proposing
from tests.unit.test_planner import run_state as run_state  # a fixture


def turns(share: float, decisions: int, intent: Intent = Intent.CHANGE) -> list[bool]:
    """Whose turn each of so many decisions is, one after the other in one tree."""
    found, tree = [], Tree(Node(0, None, {}, NodeState.FINISHED))
    for number in range(1, decisions + 1):
        found.append(ModelShare(share).models_turn(tree, intent))
        tree.add(Node(number, Transition(0, 0, intent, label="x"), {}, NodeState.FINISHED))
    return found


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.5, 0.7, 1.0])
def test_a_share_of_the_decisions_is_the_models_and_they_are_spread_evenly(share: float) -> None:
    found = turns(share, 100)
    assert sum(found) == round(100 * share)
    for start in range(0, 100, 10):
        assert sum(found[start : start + 10]) == round(10 * share)


def test_what_there_is_no_choice_in_is_not_shared() -> None:
    for intent in (Intent.KEEP, Intent.ANNEAL, Intent.REPAIR):
        assert all(turns(0.0, 5, intent))


def test_a_rejected_proposal_takes_no_turn() -> None:
    tree = Tree(Node(0, None, {}, NodeState.FINISHED))
    share = ModelShare(0.5)
    tree.add(Node(1, Transition(0, 0, Intent.ROOT, label="x"), {}, NodeState.FINISHED))
    assert share.models_turn(tree, Intent.CHANGE)
    tree.add(Node(2, Transition(0, 0, Intent.CHANGE, label="y"), {}, NodeState.REJECTED))
    assert share.models_turn(tree, Intent.CHANGE)


async def plan(run_state: RunState, advisor: Scripted, share: ModelShare) -> PlannedTransition:
    builder = EvidenceBuilder(run_state, SPACE, seed=0, draws=False)
    return await Planner(run_state, SPACE, advisor, builder, share=share).plan(CHANGE, 0.5)


async def test_the_rules_decide_the_other_changes_and_the_log_says_so(run_state: RunState) -> None:
    model = Scripted(proposing({"temperature": 0.7}), proposing({"temperature": 0.8}))
    first = await plan(run_state, model, ModelShare(0.5))  # the second decision of the run
    propose(run_state, first.transition)
    second = await plan(run_state, model, ModelShare(0.5))
    assert [first.advice.advisor, second.advice.advisor] == ["ollama", "rules"]
    run_state.flush()
    told = run_state.rows("SELECT message FROM events WHERE kind = 'advisor share'")
    assert told == [{"message": "the rules decide: the share of ollama is 50%"}]


@pytest.mark.parametrize("shows", [True, False])
async def test_a_model_sees_what_the_rules_propose_only_where_that_is_set(run_state: RunState, shows: bool) -> None:
    model = Scripted(proposing({"temperature": 0.7}))
    await plan(run_state, model, ModelShare(shows_rules=shows))
    (evidence,) = model.asked
    wanted = RulesAdvisor().advise(replace(evidence, suggested=())).proposals
    assert evidence.suggested == (wanted if shows else ())


def test_the_proposals_of_the_rules_are_a_section_of_the_evidence() -> None:
    given = advice_cases.evidence()
    assert "What the rules propose" not in describe(given)
    proposals = RulesAdvisor().advise(given).proposals
    text = describe(replace(given, suggested=proposals))
    section = text.partition("## What the rules propose\n")[2].partition("\n\n## ")[0]
    assert len(section.splitlines()) == 2 + len(proposals)
    for line, proposal in zip(section.splitlines()[1:-1], proposals, strict=True):
        assert line.startswith(f"- #{proposal.parent} step {proposal.step}: ")
        assert all(name in line for name in proposal.changes)


def test_a_model_is_told_what_continuing_is_forecast_to_score() -> None:
    given = advice_cases.evidence()
    line = describe(replace(given, suggested=RulesAdvisor().advise(given).proposals)).partition("forecast to score ")[2]
    mean, low, high = (float(number) for number in re.findall(r"0\.\d+", line)[:3])
    assert low < mean < high
    assert 0.2 < mean < 0.45  # it began at 0.31, and scored 0.30 and 0.29
    assert "(90%) after 50 more steps." in line


def test_nothing_is_forecast_at_the_base() -> None:
    given = advice_cases.at_root()
    assert "forecast" not in describe(replace(given, suggested=RulesAdvisor().advise(given).proposals))

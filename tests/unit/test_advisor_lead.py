"""A model's record in a run: what counts, and when the rules take over."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.advisors.base import Advice, Advisor, AdvisorCall, Evidence
from engine.controller.advisor_lead import AdvisorLead
from engine.controller.run_state import RunState
from engine.domain.space import Intent, Transition
from engine.training.events import Evaluation
from tests.unit.test_run_state import begin

CALL = AdvisorCall("strategist", "{}", "", "", 1.0, model="m")


class Model(Advisor):
    name = "ollama"
    slow = True

    def advise(self, evidence: Evidence) -> Advice:
        raise AssertionError("it is not asked here")


@pytest.fixture
def run_state(tmp_path: Path) -> RunState:
    made = begin(tmp_path / "run")
    made.score(0, 0, tmp_path, Evaluation(n=100, greedy=30, sampled=30, seconds=0), 0)
    return made


def answers(run_state: RunState, errors: list[str]) -> None:
    for error in errors:
        run_state.calls.record(Advice("ollama", (), (), (replace(CALL, error=error),)), 0)
    run_state.flush()


def changes(run_state: RunState, advisor: str, rights: list[int]) -> None:
    """Trained changes of an advisor, each with so many right of 100."""
    for right in rights:
        transition = Transition(0, 0, Intent.CHANGE, {"learning_rate": 1e-5 * len(run_state.tree)}, label="x")
        node = run_state.propose(
            transition, dict(transition.changes), steps=5, seed=0, advisor=advisor, call_id=None, deadline=None
        ).node
        path = run_state.checkpoint_path(node, 5)
        run_state.score(node, 5, path, Evaluation(n=100, greedy=right, sampled=right, seconds=0), 0)
    run_state.flush()


def told(run_state: RunState) -> list[dict[str, Any]]:
    run_state.flush()
    return run_state.rows("SELECT message FROM events WHERE kind = 'advisor'")


def test_a_model_whose_answers_are_mostly_of_no_use_loses_the_lead_once(run_state: RunState) -> None:
    lead = AdvisorLead(run_state, Model(), may_lose=True)
    answers(run_state, [""] * 2 + ["schema: severity"] * 7 + ["timeout: 5 s"] * 9)
    assert lead.holds(), "nine answers are too few, and a lost one is none"
    answers(run_state, ["not json: no object"])
    assert not lead.holds()
    assert not lead.holds()
    assert told(run_state) == [
        {"message": "the rules advisor takes over from ollama: 2 of 10 answers could be used"}
    ]  # fmt: skip
    assert run_state.rows("SELECT advisor FROM runs") == [{"advisor": "rules"}]
    run_state.close()


def test_a_model_whose_changes_gain_clearly_less_than_the_rules_loses_the_lead(run_state: RunState) -> None:
    lead = AdvisorLead(run_state, Model(), may_lose=True)
    answers(run_state, [""])
    changes(run_state, "rules", [38, 39, 40, 41, 42, 40])
    changes(run_state, "ollama", [30, 31, 29, 32, 30])
    assert lead.holds(), "five changes are too few"
    changes(run_state, "ollama", [30])
    assert not lead.holds()
    assert "its 6 changes gained +0.003 on average, the 6 of the rules +0.100" in told(run_state)[0]["message"]
    run_state.close()


def test_a_difference_within_the_noise_costs_nothing(run_state: RunState) -> None:
    changes(run_state, "rules", [30, 50, 35, 45, 40, 41])
    changes(run_state, "ollama", [28, 48, 36, 44, 39, 41])
    assert AdvisorLead(run_state, Model(), may_lose=True).holds()
    run_state.close()


def test_a_model_that_was_asked_for_keeps_the_lead(run_state: RunState) -> None:
    answers(run_state, ["schema: severity"] * 20)
    assert AdvisorLead(run_state, Model(), may_lose=False).holds()
    run_state.close()

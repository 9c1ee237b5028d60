"""What paid on a bank: kinds of change, verdicts that need points and tasks, rules that are tried on another task."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engine.compare.statistics import SeedMean
from engine.decisions import bank, payoff
from engine.decisions.bank import CONTINUE, DecisionPoint, MeasuredTransition
from engine.decisions.bench import DERIVED, BenchQuestion, bench
from engine.decisions.payoff import ANY, Payoff
from engine.domain.space import Intent, KLReference, OptimizerState, Transition
from llmzero_tui.text.advisor_bench import page
from tests.unit import decision_bank

N = decision_bank.N


@pytest.fixture
def points(tmp_path: Path) -> list[DecisionPoint]:
    return bank.load(decision_bank.whole(tmp_path / "bank.jsonl"))


def kinds(point: DecisionPoint, transition: Transition, origin: str = "probe") -> frozenset[str]:
    return payoff.kinds(point, MeasuredTransition(origin, transition, {}))


def test_a_transition_is_of_every_kind_of_change_that_it_is_made_of(points: list[DecisionPoint]) -> None:
    changes = {"learning_rate": 1e-5, "temperature": 1.3}
    given = Transition(5, 50, Intent.CHANGE, changes)
    assert kinds(points[0], given) == {"learning_rate ↓", "temperature ↑"}
    more = replace(given, optimizer=OptimizerState.RESET, reference=KLReference.BRANCH, step=25)
    assert kinds(points[0], more) == {"learning_rate ↓", "temperature ↑", "reset Adam", "new reference", "earlier"}
    assert kinds(points[0], Transition(5, 50, Intent.KEEP), CONTINUE) == frozenset()
    assert kinds(points[0], given, "bad: frozen") == frozenset()


def test_a_kind_gains_what_its_transitions_gained_under_the_worst_diagnosis_and_under_any(
    points: list[DecisionPoint],
) -> None:
    found = {(p.diagnosis, p.kind): p for p in payoff.payoffs(points, 100)}
    worst = payoff.worst_of(points[0])
    for diagnosis in (ANY, worst):
        hotter = found[diagnosis, "reset Adam"]
        assert (round(hotter.gain.value * N), hotter.gain.n, hotter.tasks) == (-9, 2, 2)
        assert hotter.without is not None
        assert [round(each * N) for each in hotter.without] == [-9, -9]
    assert next(iter(found))[0] == ANY


@pytest.mark.parametrize(
    ("n", "tasks", "interval", "without", "verdict"),
    [
        (6, 3, (0.01, 0.05), (0.005, 0.04), "pays"),
        (6, 3, (0.01, 0.05), (-0.005, 0.04), "open"),  # one task carries it
        (6, 3, (-0.01, 0.05), (0.005, 0.04), "open"),
        (5, 3, (0.01, 0.05), (0.005, 0.04), "open"),
        (6, 2, (0.01, 0.05), (0.005, 0.04), "open"),
        (6, 3, (-0.05, -0.01), (-0.04, -0.005), "costs"),
        (1, 1, None, None, "open"),
    ],
)
def test_a_verdict_needs_an_interval_enough_points_and_every_task(
    n: int, tasks: int, interval: tuple[float, float] | None, without: tuple[float, float] | None, verdict: str
) -> None:
    assert Payoff(ANY, "learning_rate ↓", SeedMean(n, 0.02, interval), tasks, without).verdict == verdict


def several(points: list[DecisionPoint], *tasks: str) -> list[DecisionPoint]:
    """Copies of the first point, each with a task of its own or shared."""
    return [replace(points[0], name=f"{task}/{n}", task=task) for n, task in enumerate(tasks)]


def test_derived_rules_take_what_paid_on_the_other_tasks(points: list[DecisionPoint]) -> None:
    gains = payoff.held_out(several(points, "ladder", "ladder", "chain", "chain"), 100)
    assert {round(gain * N) for gain in gains.values()} == {9}
    assert len(gains) == 4


def test_derived_rules_continue_where_they_know_too_little(points: list[DecisionPoint]) -> None:
    assert payoff.held_out(several(points, "ladder", "chain"), 100) == {"ladder/0": 0.0, "chain/1": 0.0}
    assert payoff.held_out(several(points, "ladder", "ladder"), 100) == {}


def test_derived_rules_continue_where_nothing_paid(points: list[DecisionPoint]) -> None:
    ill = [replace(p, measured=(p.measured[0], p.measured[2])) for p in several(points, "a", "a", "b", "b")]
    assert set(payoff.held_out(ill, 100).values()) == {0.0}


def test_the_bench_tells_both(tmp_path: Path) -> None:
    found = bench(BenchQuestion(bank=str(decision_bank.whole(tmp_path / "bank.jsonl"))))
    derived = next(row for row in found["rows"] if row["advisor"] == DERIVED)
    assert derived["gain"]["100"]["value"] == 0
    assert "| any | reset Adam | 2 | 2 | −0.100 | −0.100 to −0.100 | open |" in page(found)

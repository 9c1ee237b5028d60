"""What paid on a bank: kinds of change, verdicts that need points and tasks, rules that are tried on another task."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engine.compare.statistics import SeedMean
from engine.decisions import bank, payoff
from engine.decisions.bank import CONTINUE, DecisionPoint, MeasuredTransition
from engine.decisions.bench import CORRECTED, BenchQuestion, bench
from engine.decisions.payoff import ANY, Payoff
from engine.domain.score import Score
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


def _scores(right: int) -> dict[int, dict[int, Score]]:
    return {seed: {horizon: decision_bank.score(right) for horizon in (50, 100)} for seed in (1, 2)}


def chosen(points: list[DecisionPoint]) -> set[str]:
    return {each.origin for each in payoff.chosen_elsewhere(points, 100).values()}


def test_rules_are_kept_where_the_other_tasks_say_nothing_against_them(points: list[DecisionPoint]) -> None:
    assert chosen(several(points, "ladder", "chain")) == {"rules 1"}


def test_nothing_is_chosen_where_there_is_no_other_task(points: list[DecisionPoint]) -> None:
    assert payoff.chosen_elsewhere(several(points, "ladder", "ladder"), 100) == {}


def test_rules_are_corrected_by_what_lost_on_the_other_tasks(points: list[DecisionPoint]) -> None:
    """Where their proposal lost elsewhere and another gained, that one is chosen; with no other, continuing."""
    unchanged, rules, hotter = points[0].measured
    lost = replace(rules, scores=hotter.scores)
    gained = replace(hotter, scores=_scores(80))
    elsewhere = [replace(p, measured=(unchanged, lost, gained)) for p in several(points, *"aaaaaa")]
    here = replace(points[0], name="b/9", task="b")
    assert payoff.chosen_elsewhere([*elsewhere, here], 100)["b/9"].origin == "hotter"
    bad = [replace(p, measured=(unchanged, replace(rules, scores=_scores(1)))) for p in several(points, *"aaaaaa")]
    alone = replace(here, measured=(unchanged, rules))
    assert payoff.chosen_elsewhere([*bad, alone], 100)["b/9"].origin == CONTINUE


def test_a_choice_does_not_depend_on_what_it_gained_there(points: list[DecisionPoint]) -> None:
    elsewhere, here = several(points, "a", "b")
    unchanged, rules, hotter = here.measured
    poor = replace(here, measured=(unchanged, replace(rules, scores=_scores(0)), hotter))
    assert payoff.chosen_elsewhere([elsewhere, poor], 100)[here.name].origin == "rules 1"


def test_the_bench_tells_both(tmp_path: Path) -> None:
    result = bench(BenchQuestion(bank=str(decision_bank.whole(tmp_path / "bank.jsonl"))))
    corrected = next(row for row in result["rows"] if row["advisor"] == CORRECTED)
    assert round(corrected["gain"]["100"]["value"] * N) == 9
    against = next(d for d in result["differences"] if d["against"] == CORRECTED)
    assert against["gain"]["100"]["value"] == 0
    told = page(result)
    assert "| any | reset Adam | 2 | 2 | −0.100 | −0.100 to −0.100 | open |" in told
    assert "## Where the gain comes from" in told
    assert f"| {payoff.worst_of(bank.load(tmp_path / 'bank.jsonl')[0])} | 2 | +0.100" in told

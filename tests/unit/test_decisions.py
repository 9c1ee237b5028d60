"""The bank of decisions: evidence that survives the file, gains by seed, and what a proposal is worth."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.decisions_plan import STATES, TASKS, moved, plan
from benchmarks.decisions_plan import transitions as planned
from engine.advisors.base import Series
from engine.advisors.evidence import describe
from engine.advisors.rules import RulesAdvisor, look
from engine.compare.records import append
from engine.decisions import bank, record, scoring
from engine.decisions.bank import CONTINUE
from engine.domain.space import Intent, KLReference, Transition
from engine.errors import UserError
from tests.unit import advice_cases, decision_bank


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return decision_bank.whole(tmp_path / "bank.jsonl")


def rounded(series: Series) -> Series:
    """To the digits that the file keeps."""
    return {
        name: [(step, float(f"{value:.{record.DIGITS}g}")) for step, value in points] for name, points in series.items()
    }


def test_an_advisor_is_told_the_same_after_the_file_as_before() -> None:
    given = advice_cases.evidence()
    given = replace(given, metrics=rounded(given.metrics), others={n: rounded(s) for n, s in given.others.items()})
    read = record.evidence_from_json(json.loads(json.dumps(record.evidence_to_json(given), allow_nan=False)))
    assert describe(read, look(read)) == describe(given, look(given))
    assert RulesAdvisor().advise(read).proposals == RulesAdvisor().advise(given).proposals
    assert read.tried == given.tried
    assert [node.best for node in read.tree] == [node.best for node in given.tree]


def test_a_metric_that_is_no_number_survives_a_file_that_knows_none() -> None:
    metrics = {"grad_norm": [(1, 0.5), (2, math.nan), (4, math.inf)]}
    text = json.dumps(record.evidence_to_json(advice_cases.evidence(metrics=metrics)), allow_nan=False)
    (_, first), (_, second), (step, third) = record.evidence_from_json(json.loads(text)).metrics["grad_norm"]
    assert first == 0.5
    assert math.isnan(second)
    assert (step, third) == (4, math.inf)


def test_a_gain_is_the_difference_to_continuing_with_the_same_seeds(file: Path) -> None:
    first, _ = bank.load(file)
    gains = {m.origin: [first.gain(m, h) for h in first.horizons] for m in first.measured}
    assert [round(g.value * decision_bank.N) for g in gains["rules 1"] if g] == [6, 9]
    assert [round(g.value * decision_bank.N) for g in gains["hotter"] if g] == [-3, -9]
    assert all(g and g.paired for g in gains["rules 1"])


def test_a_seed_that_only_one_side_has_does_not_count(tmp_path: Path) -> None:
    file = tmp_path / "bank.jsonl"
    decision_bank.point(file)
    for origin, seed in ((CONTINUE, 1), ("rules 1", 1), ("rules 1", 2)):
        decision_bank.branch(file, 0, origin, seed)
    (point,) = bank.load(file)
    gain = point.gain(point.measured[1], 50)
    assert gain is not None
    assert round(gain.value * decision_bank.N) == 6
    assert not point.whole


def test_a_branch_that_failed_counts_as_the_policy_it_left(tmp_path: Path) -> None:
    file = tmp_path / "bank.jsonl"
    decision_bank.point(file)
    decision_bank.branch(file, 0, CONTINUE, 1)
    decision_bank.branch(file, 0, "hotter", 1, end="nan")
    (point,) = bank.load(file)
    failed = point.measured[1].scores[1]
    assert failed[100] == failed[50]


def test_a_line_that_a_kill_cut_off_is_left_out_and_the_next_one_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "bank.jsonl"
    decision_bank.point(file)
    with file.open("a") as cut:
        cut.write('{"kind":"branch","point":"ladd')
    decision_bank.branch(file, 0, CONTINUE, 1)
    (point,) = bank.load(file)
    assert [m.origin for m in point.measured] == [CONTINUE]


def test_a_file_that_is_no_bank_is_named(tmp_path: Path) -> None:
    file = tmp_path / "other.jsonl"
    append(file, {"kind": record.POINT, "name": "x"})
    with pytest.raises(UserError, match=r"other\.jsonl is no bank of decisions"):
        bank.load(file)


def test_a_proposal_that_was_measured_counts_as_measured_and_another_as_the_nearest(file: Path) -> None:
    first, _ = bank.load(file)
    hotter = first.measured[2].transition
    same = scoring.outcome(first, replace(hotter, label="other words", rationale="another reason"))
    assert (same.origin, same.exact) == ("hotter", True)
    near = scoring.outcome(first, replace(hotter, changes={"temperature": 1.25}))
    assert (near.origin, near.exact) == ("hotter", False)
    assert near.gains == same.gains
    assert scoring.outcome(first, replace(hotter, changes={"temperature": 1.01})).distance > near.distance


def test_reference_adam_and_place_are_part_of_the_distance() -> None:
    given = advice_cases.evidence()
    plain = Transition(5, 50, Intent.CHANGE, {"temperature": 1.1})
    for other in (replace(plain, reference=KLReference.BRANCH), replace(plain, step=25), replace(plain, parent=4)):
        assert scoring.distance(plain, other, given) > 0.1
    assert scoring.distance(plain, plain, given) == 0


def test_what_can_be_known_is_chosen_by_one_seed_and_scored_by_the_other(file: Path) -> None:
    first, _ = bank.load(file)
    known = scoring.attainable(first, 100)
    assert known is not None
    assert round(known * decision_bank.N) == 9
    assert scoring.best(first, 100) == pytest.approx(known)


def test_the_plan_goes_round_tasks_and_states() -> None:
    points, first = list(plan()), TASKS[0]
    assert len({(p.task, p.state) for p in points}) == len(points) == sum(map(len, TASKS)) * len(STATES)
    assert len({p.name for p in points}) == len({p.seed for p in points}) == len(points)
    for turn in range(0, len(first) * len(STATES), len(first)):
        some = points[turn : turn + len(first)]
        assert {p.task for p in some} == set(first)
        assert len({p.state for p in some}) == len(first)
    assert set(Counter(p.state for p in points[: len(STATES)]).values()) <= {1, 2}


def test_a_state_is_a_share_of_every_tasks_own_range() -> None:
    space = advice_cases.SPACE
    ill = moved(space, space.default(), {"learning_rate": 1.0, "beta": 0.0, "no such parameter": 1.0})
    assert ill == {**space.default(), "learning_rate": 5e-4, "beta": 0.0}


@pytest.mark.parametrize("number", [0, 3, 7])
def test_what_is_measured_at_a_point_is_valid_begins_with_continuing_and_repeats_nothing(number: int) -> None:
    given = advice_cases.evidence()
    found = planned(list(plan())[number], given)
    assert found[0][0] == CONTINUE
    assert found[-1][0].startswith("bad: ")
    assert 5 <= len(found) <= 8
    for n, (_, ours) in enumerate(found):
        configuration = given.tree[ours.parent].configuration
        assert not given.space.check_transition(configuration, ours)
        assert not any(ours.parent == other.parent and ours.repeats(other) for _, other in found[:n])


def test_the_shipped_bank_holds_valid_transitions_and_stays_small() -> None:
    assert bank.FILE.stat().st_size < 4_000_000
    points = bank.load()
    assert any(point.whole for point in points)
    for point in points:
        assert describe(point.evidence)
        for each in point.measured:
            configuration = point.evidence.tree[each.transition.parent].configuration
            assert not point.evidence.space.check_transition(configuration, each.transition)

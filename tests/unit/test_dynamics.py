"""Parameter dynamics on a real database: what moves, which way, how often back, and what is left out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.analysis.dynamics import ParameterMove, RunMoves, dynamics, read_moves
from engine.domain.score import wilson
from engine.store.writer import Writer
from tests.engine.store_engine import node_row, run_row

SPACE = [
    {"name": "learning_rate", "kind": "regularization", "scale": "log", "low": 1e-6, "high": 1e-3, "choices": []},
    {"name": "max_completion_length", "kind": "capacity", "scale": "linear", "low": 20, "high": 120, "choices": []},
    {"name": "difficulty", "kind": "capacity", "scale": "linear", "low": 1, "high": 5, "choices": [], "rising": True},
    {"name": "loss_type", "kind": "regularization", "scale": "category", "choices": ["grpo", "dapo"]},
]


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    made = Writer(tmp_path / "run.duckdb")
    run_row(made)
    made.update_run(space=json.dumps(SPACE))
    yield made
    made.close()


def segment(writer: Writer, node: int, parent: int, rate: float, length: int, level: int = 1, **more: Any) -> None:
    configuration = {
        "learning_rate": rate,
        "max_completion_length": length,
        "difficulty": level,
        "loss_type": more.pop("loss", "grpo"),
    }
    node_row(writer, node, parent, 50, configuration=configuration, intent=more.pop("intent", "change"), **more)


def search(writer: Writer) -> RunMoves:
    """A branch of four changes; a first segment, a repair and a rejected change beside it."""
    node_row(
        writer, 0,
        configuration={"learning_rate": 1e-5, "max_completion_length": 20, "difficulty": 1, "loss_type": "grpo"},
    )  # fmt: skip
    segment(writer, 1, 0, 1e-4, 40, intent="root")
    segment(writer, 2, 1, 2e-4, 60)
    segment(writer, 3, 2, 1e-4, 60, level=2)
    segment(writer, 4, 3, 1e-4, 80, intent="keep")
    segment(writer, 5, 4, 2e-4, 100, loss="dapo")
    segment(writer, 6, 5, 1e-6, 20, intent="repair")
    segment(writer, 7, 5, 1e-6, 20, state="rejected")
    writer.update_run(best_node=5, best_step=50, best_path="segments/5/checkpoint-50")
    writer.flush()
    return read_moves(writer.rows)


def test_changes_of_the_search_are_moves_and_first_segments_repairs_and_rejected_ones_are_not(writer: Writer) -> None:
    run = search(writer)
    assert run.transitions == 3
    rates = [(m.node, m.direction, m.amount, m.before) for m in run.moves if m.parameter == "learning_rate"]
    assert rates == [(2, 1, 1.0, None), (3, -1, -1.0, 2), (5, 1, 1.0, 3)]
    lengths = [(m.node, m.direction, m.amount, m.before) for m in run.moves if m.parameter == "max_completion_length"]
    assert lengths == [(2, 1, 0.2, None), (5, 1, pytest.approx(0.2), 2)]
    assert not [m for m in run.moves if m.parameter == "loss_type"]


def test_the_views_count_what_the_analysis_counts(writer: Writer) -> None:
    run = search(writer)
    rows = {row["parameter"]: row for row in writer.rows("SELECT * FROM parameter_dynamics")}
    for each in dynamics([run]):
        if each.ups + each.downs:
            row = rows[each.parameter]
            assert (row["ups"], row["downs"]) == (each.ups, each.downs)
            assert (row["up_low"], row["up_high"]) == pytest.approx(each.up_interval, abs=1e-6)
    assert rows.keys() == {"learning_rate", "max_completion_length", "difficulty"}


def test_what_a_space_lets_only_rise_is_no_finding(writer: Writer) -> None:
    verdicts = {each.parameter: each.verdict for each in dynamics([search(writer)])}
    assert verdicts["difficulty"] == "rises by rule"
    assert verdicts["learning_rate"] == "undecided"
    assert verdicts["loss_type"] == "too few"


def branch(directions: Sequence[int], name: str = "x", number: int = 0) -> RunMoves:
    """A run of one branch on which every transition moves one hyperparameter."""
    moves = tuple(
        ParameterMove(name, i, direction, float(direction), i - 1 if i else None, on_best=True)
        for i, direction in enumerate(directions)
    )
    return RunMoves(f"run-{number}", "llmzero", {name: "capacity"}, frozenset(), len(moves), moves)


def test_many_rises_accumulate_with_an_interval_above_one_half() -> None:
    (found,) = dynamics([branch([1] * 12)])
    assert (found.verdict, found.ups, found.downs, found.drift, found.monotonicity) == ("accumulates", 12, 0, 12, 1)
    assert found.up_interval == wilson(12, 12)
    assert found.reversals == 0
    assert dynamics([branch([-1] * 12)])[0].verdict == "declines"


def test_changes_that_take_each_other_back_oscillate_against_the_shuffled_ones() -> None:
    (found,) = dynamics([branch([1, -1] * 8)])
    assert (found.verdict, found.reversals, found.pairs) == ("oscillates", 15, 15)
    assert found.expected_reversals == pytest.approx(8, abs=0.2)
    assert found.p is not None
    assert found.p < 0.05
    assert found.monotonicity == 0


def test_blocks_of_ups_and_downs_are_undecided() -> None:
    (found,) = dynamics([branch([1] * 6 + [-1] * 6)])
    assert found.verdict == "undecided"
    assert found.p is not None
    assert found.p > 0.9


def test_runs_are_shuffled_within_themselves() -> None:
    """Two runs that go one way each hold no reversal, and shuffling within a run makes none."""
    (found,) = dynamics([branch([1] * 5), branch([-1] * 5, number=1)])
    assert (found.reversals, found.expected_reversals, found.p) == (0, 0, 1)


def test_a_hyperparameter_that_never_moved_is_flat_only_after_some_transitions() -> None:
    still = RunMoves("a", "llmzero", {"x": "capacity"}, frozenset(), 12, ())
    assert dynamics([still])[0].verdict == "flat"
    assert dynamics([RunMoves("a", "llmzero", {"x": "capacity"}, frozenset(), 2, ())])[0].verdict == "too few"

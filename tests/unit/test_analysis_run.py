"""Strategy and summary of a run: what is read from the store, and how it is told."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from engine.analysis.strategy import read_strategy, to_toml
from engine.analysis.summary import derived_state, summarise
from engine.domain.score import PromptSet, Score, wilson
from engine.errors import UserError
from engine.store.reader import FileReader
from engine.store.writer import Writer
from tests.engine.store_engine import checkpoint_row, node_row, run_row, small_search


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    opened = Writer(tmp_path / "run.duckdb")
    yield opened
    opened.close()


def on_validation(n: int, greedy: int, sampled: int) -> Score:
    """A score on the prompts that steer."""
    return Score(n, greedy, sampled, prompts=(PromptSet("validation", 0, n),))


def on_test(n: int, greedy: int, sampled: int) -> Score:
    """A score on the test prompts of the rows in these tests."""
    return Score(n, greedy, sampled, prompts=(PromptSet("test", 1, n),))


def file_reader(writer: Writer) -> FileReader:
    writer.close()
    return FileReader(writer.path)


def test_the_strategy_has_the_stages_of_the_best_line(writer: Writer) -> None:
    small_search(writer)
    strategy = read_strategy(writer.rows)
    assert [(stage.node, stage.steps, stage.start_steps) for stage in strategy.stages] == [(1, 30, 0), (3, 50, 30)]
    assert [stage.changes for stage in strategy.stages] == [{"learning_rate": 1e-4}, {"beta": 0.0}]
    assert strategy.steps == 80
    best = strategy.reported
    assert (best.policy, best.kind, best.members, best.picked) == ("#3 step 50", "checkpoint", ((3, 50),), True)
    assert (best.base_validation, best.validation) == (on_validation(100, 10, 20), on_validation(100, 80, 70))
    assert (best.base_test, best.test) == (on_test(1000, 120, 120), on_test(1000, 790, 790))


def test_the_strategy_is_toml_that_a_program_can_replay(writer: Writer) -> None:
    small_search(writer)
    text = to_toml(read_strategy(writer.rows))
    document = tomllib.loads(text)
    assert (document["task"], document["base"], document["steps"]) == ("knights", "base", 80)
    assert document["scores"]["test"]["n"] == 1000
    assert document["scores"]["test"]["value"] == 0.79
    low, high = wilson(790, 1000)
    assert (document["scores"]["test"]["low"], document["scores"]["test"]["high"]) == pytest.approx(
        (low, high), abs=1e-6
    )
    first, second = document["stage"]
    assert first["configuration"] == {"learning_rate": 1e-4, "beta": 0.04}
    assert (second["optimizer"], second["reference"], second["steps"]) == ("keep", "branch point", 50)
    assert second["rationale"] == 'KL "high"\nat step 20'


def test_hostile_text_of_an_advisor_stays_a_value(writer: Writer) -> None:
    hostile = '"""\n[stage.configuration]\nlearning_rate = 9\n\x1b[31m\u202e # \\'
    small_search(writer)
    writer.update("nodes", {"node_id": 3}, rationale=hostile, label="'\n[x]")
    writer.flush()
    text = to_toml(read_strategy(writer.rows))
    assert tomllib.loads(text)["stage"][1]["rationale"] == hostile
    assert "\x1b" not in text


def test_a_soup_is_called_one_and_scored_as_one(writer: Writer) -> None:
    small_search(writer)
    writer.insert(
        "evaluations", node_id=3, step=50, path="segments/soup", kind="soup", split="validation", seed=0, n=100,
        greedy=90, sampled=85, seconds=1.0,
    )  # fmt: skip
    writer.update_run(best_path="segments/soup")
    writer.flush()
    strategy = read_strategy(writer.rows)
    best = strategy.reported
    assert (best.kind, best.policy, best.validation) == (
        "soup",
        "soup ending at #3 step 50",
        on_validation(100, 90, 85),
    )
    assert best.test is None  # that of #3 step 50 is of another policy
    reader = file_reader(writer)
    assert summarise(reader).best_validation == on_validation(100, 90, 85)
    reader.close()


def test_a_run_without_any_score_has_an_empty_strategy(writer: Writer) -> None:
    run_row(writer)
    writer.flush()
    strategy = read_strategy(writer.rows)
    assert strategy.stages == ()
    assert strategy.reported.validation is None
    assert (
        "stage" not in tomllib.loads(to_toml(read_strategy(writer.rows)))
        or tomllib.loads(to_toml(read_strategy(writer.rows)))["stage"] == []
    )


def test_a_base_that_nothing_beats_is_the_result(writer: Writer) -> None:
    run_row(writer, state="finished")
    writer.update_run(best_node=0, best_step=0, best_path="base")
    node_row(writer, 0)
    node_row(writer, 1, 0, 0)
    checkpoint_row(writer, 0, 0, 50, 50)
    checkpoint_row(writer, 1, 50, 10, 10)
    writer.insert(
        "evaluations", node_id=0, step=0, path="base", kind="baseline", split="test", seed=1, n=10, greedy=5,
        sampled=5, seconds=1.0,
    )  # fmt: skip
    writer.flush()
    strategy = read_strategy(writer.rows)
    assert (strategy.stages, strategy.reported.test) == ((), on_test(10, 5, 5))
    reader = file_reader(writer)
    summary = summarise(reader)
    reader.close()
    assert (summary.best_node, summary.best_test) == (0, on_test(10, 5, 5))


def test_the_summary_has_scores_with_n_and_interval(writer: Writer) -> None:
    small_search(writer)
    last = writer.rows("SELECT max(ts) AS ts FROM budget")[0]["ts"]
    reader = file_reader(writer)
    summary = summarise(reader, now=last + timedelta(seconds=90))
    reader.close()
    assert (summary.name, summary.state, summary.live, summary.nodes, summary.failed_nodes) == (
        writer.path.parent.name, "finished", False, 4, 1,
    )  # fmt: skip
    assert (summary.best_node, summary.best_step, summary.best_validation) == (3, 50, on_validation(100, 80, 70))
    assert (summary.best_test, summary.base_test) == (on_test(1000, 790, 790), on_test(1000, 120, 120))
    assert (summary.budget_fraction, summary.steps, summary.pending_proposals) == (0.5, 150, 1)
    assert summary.age_seconds == pytest.approx(90, abs=1)
    plain = summary.as_dict()
    assert plain["best_validation"]["value"] == pytest.approx(0.733333)
    assert plain["best_validation"]["low"] < 0.7333 < plain["best_validation"]["high"]
    assert plain["created"].endswith("+00:00")
    assert datetime.fromisoformat(plain["created"]).tzinfo is not None


def test_a_run_whose_engine_wrote_nothing_yet_is_told_in_one_line(writer: Writer) -> None:
    with pytest.raises(UserError, match="has not begun"):
        read_strategy(writer.rows)
    reader = file_reader(writer)
    with pytest.raises(UserError, match="has not begun"):
        summarise(reader)
    reader.close()


def test_a_run_that_just_began_has_no_scores(writer: Writer) -> None:
    run_row(writer, state="starting")
    reader = file_reader(writer)
    summary = summarise(reader)
    reader.close()
    assert (summary.best_validation, summary.best_test, summary.age_seconds, summary.budget_fraction) == (None,) * 4
    assert (summary.nodes, summary.steps) == (0, 0)


@pytest.mark.parametrize(
    ("state", "live", "derived"),
    [
        ("training", True, "training"),
        ("training", False, "crashed"),
        ("paused", False, "crashed"),
        ("finished", False, "finished"),
        ("stopped", False, "stopped"),
        ("failed", False, "failed"),
        ("finished", True, "finished"),
    ],
)
def test_crashed_is_a_state_that_is_not_final_while_nobody_holds_the_run(state: str, live: bool, derived: str) -> None:
    assert derived_state(state, live=live) == derived


def test_a_score_is_told_with_n_and_interval() -> None:
    assert str(Score(100, 80, 70)) == "0.733 [0.639, 0.810] n=100"
    assert Score(10, 10, 10).interval[1] == 1.0

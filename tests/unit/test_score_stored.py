"""Outcomes in the database: what is written is read again, and SQL gives the intervals that Python gives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from pydantic import ValidationError

from engine.controller.run_record import now
from engine.controller.run_state import RunState
from engine.domain.policy import RERANK_SEED, Policy, steering_prompts
from engine.domain.score import PromptSet, Score
from engine.run.rundir import RunDirectory
from engine.store.queries import load
from engine.store.writer import Writer
from engine.training.events import MOST_PROMPTS, Evaluation, EvaluationResult
from llmzero_tui.values.rows import node_of

SAMPLES = ("3" * 64, "0" * 64, "0123" * 16, "1" * 60 + "0" * 4, "3" * 63 + "2", "2" * 21 + "0" * 43)


def evaluation(outcomes: str) -> Evaluation:
    greedy, sampled = (sum(outcomes.count(digit) for digit in digits) for digits in ("13", "23"))
    return Evaluation(n=len(outcomes), greedy=greedy, sampled=sampled, seconds=1, outcomes=outcomes)


@pytest.fixture
def run_state(tmp_path: Path) -> Iterator[RunState]:
    """A base with a checkpoint for each of SAMPLES and a random one, and one of a worker that tells no outcomes."""
    writer = Writer(tmp_path / "run.duckdb")
    writer.insert(
        "runs", name=tmp_path.name, task="knights", model="base", strategy="llmzero", advisor="rules", state="starting",
        reason="", config="{}", space="[]", seed=0, engine_version="0", created=now(),
    )  # fmt: skip
    made = RunState.begin(writer, RunDirectory(tmp_path), "base", {})
    drawn = "".join(Random(0).choices("0123", (5, 1, 2, 4), k=256))
    for step, outcomes in enumerate((*SAMPLES, drawn)):
        made.score(0, step, tmp_path, evaluation(outcomes), 0)
    made.score(0, len(SAMPLES) + 1, tmp_path, Evaluation(n=64, greedy=20, sampled=10, seconds=1), 0)
    yield made
    made.close()


def test_a_tree_read_again_has_the_same_scores_outcome_for_outcome(run_state: RunState, tmp_path: Path) -> None:
    before = run_state.tree
    run_state.close()
    again = RunState.load(Writer(tmp_path / "run.duckdb"), run_state.directory, "base")
    assert again is not None
    assert list(again.tree) == list(before)
    first, *_, unknown = again.tree.root.checkpoints
    assert (first.score.outcomes, first.score.prompts) == (SAMPLES[0], (steering_prompts(64),))
    assert unknown.score.outcomes == ""
    scores = [c.score for c in again.tree.root.checkpoints if c.score.n == 64]
    assert [a.minus(scores[0]).paired for a in scores] == [True] * len(SAMPLES) + [False]
    again.close()


def as_python_has_it(rows: list[dict[str, Any]], run_state: RunState, low: str, high: str) -> None:
    scores = {c.step: c.score for c in run_state.tree.root.checkpoints}
    for row in rows:
        assert (row[low], row[high]) == pytest.approx(scores[row["step"]].interval, abs=1e-12)


def test_views_and_questions_give_the_intervals_of_python(run_state: RunState) -> None:
    run_state.flush()
    rows = run_state.rows
    found = rows("FROM scores ORDER BY step")
    assert len(found) == len(run_state.tree.root.checkpoints)
    as_python_has_it(found, run_state, "value_low", "value_high")
    as_python_has_it(rows(load("ui_scores"), ["[0]"]), run_state, "low", "high")
    as_python_has_it(rows(load("ui_places")), run_state, "low", "high")
    best = run_state.tree.root.best
    assert best is not None
    [node] = rows(load("cli_nodes"))
    assert (node["best_low"], node["best_high"]) == pytest.approx(best.score.interval, abs=1e-12)
    header = rows(load("run_header"))[0]
    assert (header["best_low"], header["best_high"]) == pytest.approx(best.score.interval, abs=1e-12)
    drawn = node_of(rows(load("ui_nodes"), ["[]"])[0]).best
    assert drawn is not None
    assert (drawn.low, drawn.high) == pytest.approx(best.score.interval, abs=1e-12)
    assert (drawn.value, drawn.n, drawn.step) == (best.score.value, best.score.n, best.step)


def test_rows_without_outcomes_have_the_conservative_interval(run_state: RunState) -> None:
    run_state._writer.update(
        "checkpoints", {"node_id": 0}, outcomes=None, effective_n=None
    )  # as older versions left them
    run_state.flush()
    rows = run_state.rows(
        "SELECT c.n, c.greedy, c.sampled, value_low, value_high FROM scores JOIN checkpoints c USING (node_id, step)"
    )
    for row in rows:
        unknown = Score(row["n"], row["greedy"], row["sampled"])
        assert (row["value_low"], row["value_high"]) == pytest.approx(unknown.interval, abs=1e-12)


def test_an_evaluation_is_written_with_the_prompts_it_names(run_state: RunState, tmp_path: Path) -> None:
    told = EvaluationResult(job="x", split="validation", seed=RERANK_SEED, evaluation=evaluation(SAMPLES[2]))
    score = run_state.evaluation(told, Policy(((0, 0),)), tmp_path, "reranking")
    assert score.prompts == (PromptSet("validation", RERANK_SEED, 64),)
    run_state.flush()
    [row] = run_state.rows("SELECT outcomes, effective_n FROM evaluations")
    assert (row["outcomes"], row["effective_n"]) == (SAMPLES[2], score.effective_n)


def test_what_differs_can_be_asked_in_sql_prompt_by_prompt(run_state: RunState) -> None:
    """The question of docs/sql.md against Python's paired difference."""
    run_state.flush()
    [row] = run_state.rows("""
        SELECT avg(CAST(a.outcomes[i] AS INTEGER) - CAST(b.outcomes[i] AS INTEGER)) / 3 AS value
        FROM checkpoints a, checkpoints b, range(1, a.n + 1) t(i) WHERE a.step = 2 AND b.step = 5
    """)
    scores = {c.step: c.score for c in run_state.tree.root.checkpoints}
    assert row["value"] == pytest.approx(scores[2].minus(scores[5]).value)


@pytest.mark.parametrize(
    "given",
    [
        {"n": 4, "greedy": 5, "sampled": 0},
        {"n": 4, "greedy": 1, "sampled": 1, "outcomes": "01"},
        {"n": 4, "greedy": 1, "sampled": 1, "outcomes": "0300\n"},
        {"n": 4, "greedy": 1, "sampled": 1, "outcomes": "0330"},
        {"n": 4, "greedy": 1, "sampled": 1, "outcomes": "03000"},
        {"n": 2, "greedy": 1, "sampled": 1, "outcomes": "3\u0660"},
        {"n": 10**9, "greedy": 1, "sampled": 1},
        {"n": 4, "greedy": 0, "sampled": 0, "outcomes": "0" * (MOST_PROMPTS + 1)},
    ],
)
def test_outcomes_of_a_worker_that_do_not_fit_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Evaluation(seconds=1, **given)

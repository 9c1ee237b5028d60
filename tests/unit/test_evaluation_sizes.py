"""Sizes of evaluations that a run file leaves open: what the share of the time pays for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.analysis.strategy import read_strategy
from engine.controller.job_builder import JobBuilder, steering
from engine.domain.space import Intent, Transition
from engine.run.config import EvaluationSection, RunConfig, parse
from engine.run.evaluation_sizes import ANSWER_COST, ANSWERS, of_ends, of_segment, settled
from engine.store.writer import Writer
from engine.training.events import SamplingSpec
from llmzero_tui.text.summary import sampling_line
from tests.engine.store_engine import node_row, run_row
from tests.unit.test_run_state import begin

FILE = """
[task]
name = "ladder"
[budget]
steps = {steps}
[training]
batch_size = {batch}
[evaluation]
"""


def asked(text: str = "", steps: int = 600, batch: int = 32) -> RunConfig:
    return settled(parse(FILE.format(steps=steps, batch=batch) + text, default_name="x"))


def share(config: RunConfig) -> float:
    """Of the time, at the cost of an answer that the sizes are made for."""
    segments = config.budget.steps / config.search.segment_steps
    scoring = ANSWERS * ANSWER_COST * (segments * of_segment(config.evaluation) + of_ends(config.evaluation))
    return scoring / (scoring + config.budget.steps * config.training.batch_size)


def sizes(config: RunConfig) -> tuple[int, int, int, int]:
    of = config.evaluation
    return of.validation_prompts, of.first_look, of.rerank_prompts, of.test_prompts


@pytest.mark.parametrize("steps", [600, 1200, 2000, 5000])
@pytest.mark.parametrize("batch", [32, 64, 128])
def test_evaluation_keeps_to_its_share_of_the_usual_budgets(steps: int, batch: int) -> None:
    assert share(asked(steps=steps, batch=batch)) <= 0.16


def test_a_budget_buys_more_prompts_until_they_are_enough() -> None:
    assert [sizes(asked(steps=steps)) for steps in (300, 600, 1200, 2000, 50_000)] == [
        (120, 32, 64, 256), (120, 32, 96, 256), (120, 32, 224, 448), (120, 32, 384, 768), (120, 32, 512, 1024),
    ]  # fmt: skip
    assert sizes(asked(steps=50_000, batch=256)) == (256, 64, 512, 1024)
    assert sizes(asked("share = 0.3"))[0] > 120


def test_the_least_prompts_are_asked_whatever_they_take() -> None:
    small = asked(steps=100, batch=8)
    assert sizes(small) == (64, 32, 64, 256)
    assert share(small) > small.evaluation.share


def test_a_number_that_is_given_is_asked_and_then_all_prompts_at_once() -> None:
    given = asked("validation_prompts = 512\nrerank_prompts = 8\ntest_prompts = 2000")
    assert sizes(given) == (512, 0, 8, 2000)
    assert of_segment(given.evaluation) == 2 * 512
    assert settled(given) == given


def test_a_first_look_is_at_part_of_the_prompts() -> None:
    with pytest.raises(ValueError, match="first_look = 500: must be at most validation_prompts, 100"):
        EvaluationSection(validation_prompts=100, first_look=500)
    assert sizes(asked("first_look = 200"))[:2] == (200, 200)


def test_settled_sizes_stay_when_the_budget_grows() -> None:
    begun = asked()
    raised = begun.model_copy(update={"budget": begun.budget.model_copy(update={"steps": 9000})})
    assert settled(raised).evaluation == begun.evaluation
    opened = raised.model_copy(update={"evaluation": EvaluationSection()})
    assert settled(opened).evaluation.test_prompts > begun.evaluation.test_prompts
    assert settled(opened, begun.evaluation.model_dump()).evaluation == begun.evaluation


def test_a_limit_in_time_alone_is_taken_for_a_thousand_steps() -> None:
    timed = settled(parse('[task]\nname = "ladder"\n[budget]\nsteps = 0\nminutes = 20\n', default_name="x"))
    assert sizes(timed) == sizes(asked(steps=1000))


def test_few_prompts_tell_nothing() -> None:
    with pytest.raises(ValueError, match="must be 0, or a whole number from 8 to 100000"):
        EvaluationSection(test_prompts=7)


def test_every_evaluation_of_a_run_samples_its_answers_alike(tmp_path: Path) -> None:
    config = settled(asked("temperature = 0.6\ntop_p = 0.95\ntop_k = 20"))
    run = begin(tmp_path / "run")
    builder = JobBuilder(config, config.build_space({}), run)
    transition = Transition(0, 0, Intent.ROOT, {}, label="x", rationale="why", expected="what")
    proposal = run.propose(
        transition, run.tree.root.configuration, steps=4, seed=1, advisor="rules", call_id=None, deadline=None
    )
    wanted = SamplingSpec(temperature=0.6, top_p=0.95, top_k=20)
    assert builder.segment(run.tree[proposal.node], 1).evaluation.sampling == wanted
    assert builder.evaluate("base", [tmp_path], steering(64)).evaluation.sampling == wanted
    assert SamplingSpec(**EvaluationSection().sampling) == SamplingSpec()
    run.close()


@pytest.mark.parametrize(
    ("drawn", "told"),
    [
        ({"temperature": 1.0, "top_p": 1.0, "top_k": 0}, ""),
        ({}, ""),  # a run of an older version
        ({"temperature": 0.9, "top_p": 1.0, "top_k": 20}, "scored answers were sampled at temperature 0.9, top_k 20"),
    ],
)
def test_results_say_how_answers_were_sampled_where_it_is_not_as_usual(
    tmp_path: Path, drawn: dict[str, float], told: str
) -> None:
    writer = Writer(tmp_path / "run.duckdb")
    run_row(writer)
    node_row(writer, 0)
    writer.flush()
    writer.update_run(config=json.dumps({"evaluation": drawn}))
    writer.flush()
    assert sampling_line(read_strategy(writer.rows)) == told
    writer.close()

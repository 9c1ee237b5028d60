"""How many completions a step has when a run searches its prompts per step, and who counts on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.advisors.applying import apply
from engine.advisors.moves import OUT_OF_MEMORY, REMEDIES
from engine.compare.collect import SCORES
from engine.controller.job_builder import JobBuilder
from engine.controller.run_state import RunState
from engine.domain.batch import micro_batch, most_completions, rollouts, step_completions
from engine.domain.space import Configuration, Intent, Space, Transition
from engine.domain.tree import NodeState
from engine.errors import UserError
from engine.host.model_files import read_model
from engine.run import memory_check
from engine.run.config import RunConfig, parse
from engine.run.evaluation_sizes import settled
from engine.training.events import Evaluation, SegmentSpec, StepMetrics
from tests.unit.cli_process import ROOT
from tests.unit.test_run_state import begin

BASE = str(ROOT / "assets" / "tiny" / "knights")
SEARCHED = "[space.prompts_per_step]\n"


def config(extra: str) -> RunConfig:
    return parse(f'[task]\nname = "knights"\n[model]\npath = "{BASE}"\n{extra}', default_name="one")


def space(extra: str) -> Space:
    return config(extra).build_space({})


@pytest.mark.parametrize(
    ("batch_size", "group", "prompts"), [(32, 8, 4), (64, 4, 16), (256, 4, 32), (8, 8, 2), (100, 16, 8)]
)
def test_without_a_default_the_search_begins_near_the_batch_of_the_run_file(
    batch_size: int, group: int, prompts: int
) -> None:
    built = Space.build(
        {"prompts_per_step": {}, "num_generations": {"choices": [4, 8, 16], "default": group}}, batch_size=batch_size
    )
    assert built["prompts_per_step"].default == prompts
    assert built["num_generations"].choices == (4, 8, 16), "no batch is given that they must divide"
    asked = Space.build({"prompts_per_step": {"choices": [3, 5], "default": 5}}, batch_size=batch_size)
    assert asked["prompts_per_step"].default == 5
    assert Space.build({"prompts_per_step": {"fixed": 7}}, batch_size=batch_size)["prompts_per_step"].default == 7


def test_a_batch_is_the_prompts_times_the_group() -> None:
    assert step_completions({"num_generations": 8}, 32) == 32
    assert step_completions({"num_generations": 8, "prompts_per_step": 3}, 32) == 24
    assert most_completions(space(SEARCHED), 32) == 32 * 32
    assert most_completions(space(""), 32) == 32


@pytest.mark.parametrize(
    ("configuration", "completions"),
    [
        ({}, 10 * 32),
        ({"num_iterations": 2}, 5 * 32),
        ({"num_iterations": 2, "steps_per_generation": 4}, 2 * 4 * 32),
        ({"prompts_per_step": 2, "num_generations": 4}, 10 * 8),
    ],
)
def test_rollouts_that_are_used_again_are_generated_once(configuration: Configuration, completions: int) -> None:
    assert rollouts(configuration, 10, 32) == completions


def test_memory_counts_the_largest_batch_and_a_pass_of_it_at_most() -> None:
    model = read_model(BASE)
    table = "[space.prompts_per_step]\nchoices = [2, 12]\n[space.num_generations]\nchoices = [4, 8]\n"
    for micro, of_a_pass in (("", 96), ("[training]\nmicro_batch = 16\n", 16)):
        asked = config(table + micro)
        sizes = memory_check.sizes(asked, model, asked.build_space({}), 20, gpu=False)
        assert (sizes.batch, sizes.micro_batch) == (96, of_a_pass)


@pytest.mark.parametrize(
    ("batch", "limit", "size"), [(24, 0, 24), (24, 16, 12), (24, 24, 24), (24, 7, 6), (24, 1, 1), (8, 32, 8)]
)
def test_a_forward_pass_has_the_largest_divisor_of_the_batch(batch: int, limit: int, size: int) -> None:
    assert micro_batch(batch, limit) == size


def jobs(tmp_path: Path, extra: str) -> tuple[RunState, JobBuilder]:
    run = begin(tmp_path / "run")
    asked = settled(config(SEARCHED + extra))
    return run, JobBuilder(asked, asked.build_space({}), run)


def segment(run: RunState, jobs: JobBuilder, **values: Any) -> SegmentSpec:
    transition = Transition(0, 0, Intent.ROOT, values, label="x", rationale="why", expected="what")
    before = run.tree.root.configuration
    proposal = run.propose(
        transition, {**before, **values}, steps=4, seed=1, advisor="rules", call_id=None, deadline=None
    )
    return jobs.segment(run.tree[proposal.node], 1)


def test_a_segment_has_the_batch_of_its_configuration_and_the_micro_batch_follows(tmp_path: Path) -> None:
    run, builder = jobs(tmp_path, "[training]\nmicro_batch = 16\n")
    small, large = segment(run, builder, prompts_per_step=2), segment(run, builder, prompts_per_step=6)
    assert (small.batch_size, small.micro_batch) == (16, 16)
    assert (large.batch_size, large.micro_batch) == (48, 16)
    run.set_state(int(small.job), NodeState.OUT_OF_MEMORY)
    again = segment(run, builder, prompts_per_step=6, num_generations=4)
    assert (again.batch_size, again.micro_batch) == (24, 8), "half of what ran out of memory, as far as it divides"
    run.close()


def test_out_of_memory_halves_what_the_failed_segment_had(tmp_path: Path) -> None:
    """A limit above the small batch of a segment that failed would give it the same pass again."""
    run, builder = jobs(tmp_path, "")
    failed = segment(run, builder, prompts_per_step=2)
    run.set_state(int(failed.job), NodeState.OUT_OF_MEMORY)
    assert segment(run, builder, prompts_per_step=2).micro_batch == failed.micro_batch // 2 == 8
    run.close()


def test_segments_that_ran_out_of_memory_beside_each_other_halve_it_once_after_a_resume_as_well(tmp_path: Path) -> None:
    run, builder = jobs(tmp_path, "[training]\nmicro_batch = 16\n")
    beside = [segment(run, builder, prompts_per_step=2) for _ in range(4)]
    for spec in beside:
        run.set_state(int(spec.job), NodeState.RUNNING)
    for spec in beside:
        run.set_state(int(spec.job), NodeState.OUT_OF_MEMORY)
    assert segment(run, builder, prompts_per_step=2).micro_batch == 8
    run.flush()
    again = JobBuilder(builder._config, builder._space, run)
    after = segment(run, again, prompts_per_step=2)
    assert after.micro_batch == 8
    run.set_state(int(after.job), NodeState.RUNNING)
    run.set_state(int(after.job), NodeState.OUT_OF_MEMORY)
    run.flush()
    assert segment(run, again, prompts_per_step=2).micro_batch == 4
    assert segment(run, JobBuilder(builder._config, builder._space, run), prompts_per_step=2).micro_batch == 4
    run.close()


def test_tokens_of_a_run_count_the_batch_of_every_node(tmp_path: Path) -> None:
    run, builder = jobs(tmp_path, "")
    plain = {"prompts_per_step": 4}  # 32 completions
    for values in (plain, {"prompts_per_step": 2, "num_generations": 4}, {**plain, "steps_per_generation": 2}):
        job = segment(run, builder, **values).job
        told = {"step_seconds": 1.0, "completions/mean_length": 10.0}
        run.metrics(StepMetrics(job=job, step=1, values=told), int(job))
    run.score(0, 0, tmp_path, Evaluation(n=10, greedy=1, sampled=1, seconds=1), size=0)
    run.flush()
    [row] = run.rows(SCORES, [32])
    assert row["all_tokens"] == row["tokens"] == 10 * (32 + 8 + 64)
    run.close()


def test_a_micro_batch_need_not_divide_a_batch_that_is_not_used() -> None:
    with pytest.raises(UserError, match=r"training.micro_batch = 24 does not divide training.batch_size = 32"):
        config("[training]\nmicro_batch = 24\n")
    assert config(SEARCHED + "[training]\nmicro_batch = 24\n").training.micro_batch == 24


def test_processes_of_a_worker_must_share_every_batch() -> None:
    text = "[executor]\ngpus_per_worker = 8\n[training]\nbatch_size = 64\n[space.prompts_per_step]\nchoices = [2, 3]\n"
    with pytest.raises(UserError, match=r"prompts_per_step\] 3: with num_generations 4 a batch has 12 completions"):
        space(text)
    assert "prompts_per_step" in space(text.replace("[2, 3]", "[2, 4]"))


def test_noise_is_answered_by_more_prompts_and_too_little_memory_by_fewer() -> None:
    built = space(SEARCHED)
    here = built.default()
    for pathology, choice in (("plateau", 1), ("gradient explosion", 0), ("dead groups", 0)):
        applied = apply(built, here, REMEDIES[pathology][choice])
        assert applied is not None
        assert applied.changes["prompts_per_step"] == 8
    fewer = apply(built, here, OUT_OF_MEMORY)
    assert fewer is not None
    assert fewer.changes["prompts_per_step"] == 2
    assert apply(space(""), here, REMEDIES["plateau"][1]) is None, "the batch is not searched"

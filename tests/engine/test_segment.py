"""A segment starts where and how it was told (weights, reference, Adam, learning rate, seed) and tells what it did."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from engine.errors import UserError
from engine.training import events, policy, settings
from engine.training.control import JobControl
from engine.training.events import SegmentEnd
from engine.training.rewards import clean
from tasks import registry
from tasks.base import Split
from tests.engine.conftest import Spec, score_of, spec_builder
from tests.engine.training_runs import HeldAnHour, Line, checkpoints, distance, ended, finished, metrics, run


def adam_steps(directory: str | Path) -> set[float]:
    state = torch.load(Path(directory) / "optimizer.pt", weights_only=True)["state"]
    return {float(entry["step"]) for entry in state.values()}


@pytest.fixture(scope="module")
def parent(tiny_base: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The checkpoint of a segment that has moved away from the base."""
    build = spec_builder(tiny_base, tmp_path_factory.mktemp("parent"))
    told = finished(run(build(steps=4, configuration={"learning_rate": 5e-3})))
    return checkpoints(told)[-1].directory


def test_a_segment_tells_what_happens_in_order(make_spec: Spec) -> None:
    told = finished(run(make_spec(steps=5, checkpoint_every=2, samples_every=2)))
    kinds = [line.kind for line in told if line.kind != "beat"]
    assert kinds == [
        "started",
        *("metrics", "samples"),
        *("metrics", "samples", "checkpoint"),
        "metrics",
        *("metrics", "samples", "checkpoint"),
        *("metrics", "checkpoint"),
        "ended",
    ]
    assert [line.step for line in told if isinstance(line, events.StepMetrics)] == [1, 2, 3, 4, 5]
    assert ended(told).steps == 5


def test_a_segment_that_was_cut_off_goes_on_from_its_checkpoint_to_its_planned_steps(make_spec: Spec) -> None:
    whole = make_spec(steps=5, checkpoint_every=2)
    first = checkpoints(finished(run(whole)))[0]
    assert first.step == 2
    cut_off = {"done": 2, "parent": first.directory, "optimizer": first.directory, "seed": 7}
    told = finished(run(whole.model_copy(update=cut_off)))
    assert [line.step for line in told if isinstance(line, events.StepMetrics)] == [3, 4, 5]
    assert [checkpoint.step for checkpoint in checkpoints(told)] == [4, 5]
    assert ended(told).steps == 5
    assert ended(told).trainer_seconds == pytest.approx(sum(values["step_seconds"] for values in metrics(told)))
    assert adam_steps(checkpoints(told)[-1].directory) == {5.0}
    assert distance(first.directory, checkpoints(told)[0].directory) > 0


def test_metrics_are_trls_with_the_time_of_each_step(make_spec: Spec) -> None:
    began = time.perf_counter()
    told = finished(run(make_spec(checkpoint_every=1, configuration={"beta": 0.01})))
    wall = time.perf_counter() - began
    for values in metrics(told):
        assert {"loss", "grad_norm", "reward", "kl", "entropy", "completions/clipped_ratio"} <= values.keys()
        assert {"rewards/total/mean", "rewards/letters/mean", "rewards/correct/mean"} <= values.keys()
        assert values["learning_rate"] == 1e-3
    seconds = sum(values["step_seconds"] for values in metrics(told))
    assert ended(told).trainer_seconds == pytest.approx(seconds)
    scoring = sum(checkpoint.evaluation.seconds for checkpoint in checkpoints(told))
    assert 0 < seconds < wall - scoring


def test_samples_are_a_best_a_worst_and_a_truncated_rollout(make_spec: Spec) -> None:
    told = finished(run(make_spec(steps=1, batch_size=32, micro_batch=32)))
    [line] = [line for line in told if isinstance(line, events.CompletionSamples)]
    rewards = [sample.reward for sample in line.samples]
    assert 2 <= len(rewards) <= 4
    assert rewards[0] == max(rewards) > min(rewards) == rewards[1]
    assert any(sample.truncated for sample in line.samples)
    assert all(sample.prompt.startswith("K ") and sample.answer == "a" for sample in line.samples)
    assert all(sample.components == {"letters": sample.reward} for sample in line.samples)


def test_training_raises_the_reward(make_spec: Spec) -> None:
    configuration = {"learning_rate": 3e-3, "num_generations": 8}
    told = finished(run(make_spec(steps=15, batch_size=32, micro_batch=32, configuration=configuration)))
    rewards = [values["reward"] for values in metrics(told)]
    assert sum(rewards[-3:]) / 3 > 1.5 * sum(rewards[:3]) / 3


def test_a_checkpoint_is_complete_and_described(make_spec: Spec, tiny_base: str) -> None:
    told = finished(run(make_spec(steps=2)))
    [checkpoint] = checkpoints(told)
    directory = Path(checkpoint.directory)
    manifest = json.loads((directory / "manifest.json").read_text())
    assert manifest["step"] == 2
    assert manifest["evaluation"] == checkpoint.evaluation.model_dump(exclude={"samples"})
    assert manifest["parent"] == tiny_base
    on_disk = {path.name: path.stat().st_size for path in directory.iterdir()}
    assert manifest["files"] == {name: size for name, size in on_disk.items() if name != "manifest.json"}
    assert checkpoint.bytes == sum(on_disk.values())
    assert {"model.safetensors", "optimizer.pt", "tokenizer.json", "config.json"} <= on_disk.keys()


def test_a_checkpoint_of_a_lost_attempt_is_replaced(make_spec: Spec) -> None:
    spec = make_spec(steps=1)
    left = Path(spec.directory) / "checkpoint-1"
    left.mkdir(parents=True)
    (left / "half a file").touch()
    finished(run(spec))
    assert (left / "manifest.json").exists()
    assert not (left / "half a file").exists()


def test_a_child_starts_from_its_parents_weights(make_spec: Spec, parent: str, tiny_base: str) -> None:
    told = finished(run(make_spec(steps=1, parent=parent, configuration={"learning_rate": 1e-7})))
    child = checkpoints(told)[-1].directory
    assert distance(child, parent) <= 1e-6
    assert distance(child, tiny_base) > 1e-3


def test_kl_is_measured_against_the_reference_that_was_chosen(make_spec: Spec, parent: str, tiny_base: str) -> None:
    def first_kl(reference: str) -> float:
        spec = make_spec(steps=1, parent=parent, reference=reference, configuration={"beta": 0.05})
        return metrics(finished(run(spec)))[0]["kl"]

    assert first_kl(parent) == pytest.approx(0.0, abs=1e-6)
    assert first_kl(tiny_base) > 1e-3


def test_without_kl_penalty_no_reference_is_needed(make_spec: Spec) -> None:
    told = finished(run(make_spec(steps=1, reference="/nowhere", configuration={"beta": 0.0})))
    assert "kl" not in metrics(told)[0]


def test_adam_goes_on_when_kept_and_starts_anew_when_reset(make_spec: Spec, parent: str) -> None:
    kept = checkpoints(finished(run(make_spec(job="k", steps=2, parent=parent, optimizer=parent))))[-1]
    reset = checkpoints(finished(run(make_spec(job="r", steps=2, parent=parent, optimizer=None))))[-1]
    assert adam_steps(parent) == {4.0}
    assert adam_steps(kept.directory) == {6.0}
    assert adam_steps(reset.directory) == {2.0}
    assert distance(kept.directory, reset.directory) > 1e-5


def test_a_kept_adam_takes_the_new_learning_rate(make_spec: Spec, parent: str) -> None:
    def moved(job: str, rate: float) -> float:
        spec = make_spec(job=job, steps=1, parent=parent, optimizer=parent, configuration={"learning_rate": rate})
        told = finished(run(spec))
        assert metrics(told)[0]["learning_rate"] == rate
        return distance(checkpoints(told)[-1].directory, parent)

    assert moved("high", 1e-3) / moved("low", 1e-4) == pytest.approx(10, rel=0.02)


def test_the_learning_rate_does_not_decay(make_spec: Spec) -> None:
    told = finished(run(make_spec(steps=4)))
    assert {values["learning_rate"] for values in metrics(told)} == {1e-3}


def untimed(told: Sequence[Line]) -> list[dict[str, float]]:
    timed = ("step_seconds", "step_time", "tokens_per_second", "device/utilization", "device/memory_gb")
    return [{k: v for k, v in values.items() if k not in timed} for values in metrics(told)]


def test_the_same_seed_gives_the_same_segment(make_spec: Spec) -> None:
    first = finished(run(make_spec(job="a", seed=3)))
    torch.rand(7)  # whatever the process did in between
    second = finished(run(make_spec(job="b", seed=3)))
    assert untimed(first) == untimed(second)
    assert distance(checkpoints(first)[-1].directory, checkpoints(second)[-1].directory) == 0
    assert score_of(checkpoints(first)[-1].evaluation) == score_of(checkpoints(second)[-1].evaluation)


def test_a_segment_from_the_base_is_what_a_bare_trl_script_does(make_spec: Spec, tmp_path: Path) -> None:
    spec = make_spec(steps=4, configuration={"beta": 0.02, "max_completion_length": 8})
    task = registry.get(spec.task)
    items = task.items(Split.TRAIN, spec.steps * 2, spec.seed)
    trainer = GRPOTrainer(
        model=spec.base,
        args=GRPOConfig(
            output_dir=str(tmp_path / "bare"),
            max_steps=spec.steps,
            seed=spec.seed,
            per_device_train_batch_size=spec.batch_size,
            lr_scheduler_type="constant",
            logging_steps=1,
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            **spec.configuration,
        ),
        train_dataset=Dataset.from_list([{"prompt": item.prompt} for item in items]),
        reward_funcs=lambda completions, **_: [task.score(text, items[0]).total for text in completions],
    )
    trainer.train()
    bare = [values for values in trainer.state.log_history if "loss" in values]
    told = metrics(finished(run(spec)))
    for name in ("reward", "loss", "grad_norm", "kl", "entropy", "completions/mean_length"):
        assert [values[name] for values in told] == [values[name] for values in bare], name


def test_another_seed_gives_other_prompts(make_spec: Spec) -> None:
    def prompts(seed: int) -> set[str]:
        told = finished(run(make_spec(steps=2, samples_every=1, seed=seed)))
        return {s.prompt for line in told if isinstance(line, events.CompletionSamples) for s in line.samples}

    assert prompts(1).isdisjoint(prompts(2))


def test_scoring_checkpoints_does_not_change_what_is_trained(make_spec: Spec) -> None:
    often = finished(run(make_spec(job="often", checkpoint_every=1)))
    once = finished(run(make_spec(job="once", checkpoint_every=100)))
    assert untimed(often) == untimed(once)
    assert distance(checkpoints(often)[-1].directory, checkpoints(once)[-1].directory) == 0


def test_micro_batches_give_the_same_training_at_less_memory(make_spec: Spec) -> None:
    configuration = {"num_generations": 4}
    whole = finished(run(make_spec(job="w", steps=1, configuration=configuration)))
    parts = finished(run(make_spec(job="p", steps=1, micro_batch=2, configuration=configuration)))
    assert metrics(parts)[0]["reward"] == metrics(whole)[0]["reward"]
    assert metrics(parts)[0]["grad_norm"] == pytest.approx(metrics(whole)[0]["grad_norm"], rel=1e-3)


def test_segments_of_different_precision_and_accumulation_share_a_process(make_spec: Spec) -> None:
    """accelerate holds such choices in state of the process; a warm worker must not carry them on."""
    first = finished(run(make_spec(job="1", steps=2)))
    finished(run(make_spec(job="2", steps=1, precision="bf16", micro_batch=4)))
    again = finished(run(make_spec(job="3", steps=2)))
    assert untimed(again) == untimed(first)


def test_steps_leave_no_hooks_behind_under_gradient_checkpointing(
    make_spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks: list[int] = []
    real = policy.drop_repeated_hooks

    def counting(model: Any) -> None:
        real(model)
        hooks.append(len(model.get_input_embeddings()._forward_hooks))

    monkeypatch.setattr(policy, "drop_repeated_hooks", counting)
    told = finished(run(make_spec(steps=4, trl={"gradient_checkpointing": True})))
    assert len(hooks) == 4
    assert set(hooks) == {1}
    plain = finished(run(make_spec(job="2", steps=4, trl={"gradient_checkpointing": False})))
    assert [each["loss"] for each in metrics(told)] == pytest.approx(
        [each["loss"] for each in metrics(plain)], abs=1e-5
    )


def test_rollouts_may_serve_several_steps(make_spec: Spec) -> None:
    told = finished(run(make_spec(steps=4, configuration={"num_iterations": 2})))
    assert ["reward" in values for values in metrics(told)] == [True, False, True, False]


@pytest.mark.parametrize("end", [SegmentEnd.STOPPED, SegmentEnd.EARLY_STOPPED])
def test_a_stop_ends_within_one_step_with_a_checkpoint(make_spec: Spec, end: SegmentEnd) -> None:
    control = JobControl()

    def stop(line: Line) -> None:
        if isinstance(line, events.StepMetrics) and line.step == 2:
            control.take(events.Stop.model_validate({"job": "1", "end": end}))

    told = run(make_spec(steps=50), control, stop)
    assert ended(told).end is end
    assert ended(told).steps == checkpoints(told)[-1].step == 2


def test_a_stop_of_another_job_is_none_of_our_business(make_spec: Spec) -> None:
    control = JobControl()
    control.take(events.Stop(job="2", end=SegmentEnd.STOPPED))
    finished(run(make_spec(), control))


def test_a_pause_holds_between_steps_and_costs_no_trainer_time(
    make_spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    control = HeldAnHour()
    monkeypatch.setattr("engine.training.segment.time", SimpleNamespace(perf_counter=lambda: control.now))

    def pause(line: Line) -> None:
        if isinstance(line, events.StepMetrics) and line.step == 2:
            control.take(events.Pause())

    told = finished(run(make_spec(steps=4), control, pause))
    assert control.held_for == [0, 0, 3600, 0], "before the first step, and between steps"
    assert [values["step_seconds"] for values in metrics(told)] == [0, 0, 0, 0]
    assert ended(told).trainer_seconds == 0


def test_a_paused_segment_can_be_stopped(make_spec: Spec) -> None:
    control = JobControl()

    def pause(line: Line) -> None:
        if isinstance(line, events.StepMetrics) and line.step == 1:
            control.take(events.Pause())
            threading.Timer(0.1, control.take, [events.Stop(job="1", end=SegmentEnd.STOPPED)]).start()

    told = run(make_spec(steps=50), control, pause)
    assert ended(told).end is SegmentEnd.STOPPED
    assert checkpoints(told)[-1].step == 1


def test_a_parameter_of_the_task_shapes_training_prompts_only(make_spec: Spec) -> None:
    spec = make_spec("Configurable", steps=1, configuration={"difficulty": 1})
    [samples] = [line for line in finished(run(spec)) if isinstance(line, events.CompletionSamples)]
    assert {sample.prompt for sample in samples.samples} == {"K AAAAAA>"}


def test_fields_of_trl_reach_trl(make_spec: Spec) -> None:
    configuration = {"epsilon_high": 0.28, "max_completion_length": 5.0, "max_grad_norm": 0.5}
    spec = make_spec(seed=77, micro_batch=2, configuration=configuration, trl={"loss_type": "dr_grpo"})
    chosen = settings.hyperparameters(registry.get(spec.task), spec)
    args = settings.grpo_config(spec, chosen, parameters=314_000, longest_prompt=9)
    assert (args.epsilon_high, args.max_completion_length, args.max_grad_norm) == (0.28, 5, 0.5)
    assert isinstance(args.max_completion_length, int)
    assert (args.loss_type, args.temperature, args.num_generations) == ("dr_grpo", 1.0, 4)
    assert (args.per_device_train_batch_size, args.gradient_accumulation_steps) == (2, 4)
    assert args.generation_batch_size == 8
    assert (args.seed, args.lr_scheduler_type) == (77, "constant")


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what is right on a CPU")
def test_harmful_defaults_of_trl_are_overridden_on_a_cpu(make_spec: Spec) -> None:
    args = settings.grpo_config(make_spec(), {"num_generations": 4}, parameters=314_000, longest_prompt=9)
    assert (args.bf16, args.gradient_checkpointing, args.use_cpu) == (False, False, True)
    assert (args.report_to, args.save_strategy, args.use_vllm) == ([], "no", False)


def test_vllm_gets_the_context_length_that_the_prompts_need(make_spec: Spec) -> None:
    chosen = {"num_generations": 4, "max_completion_length": 20}
    vllm = events.VllmSpec(memory_share=0.4, correction="token_mask", clip_max=2.0)
    args = settings.grpo_config(make_spec(vllm=vllm), chosen, parameters=314_000, longest_prompt=9)
    assert (args.use_vllm, args.vllm_mode, args.vllm_max_model_length) == (True, "colocate", 32)
    crowded = settings.grpo_config(make_spec(vllm=vllm), chosen, parameters=1, longest_prompt=9, positions=30)
    assert crowded.vllm_max_model_length == 30
    assert (args.vllm_gpu_memory_utilization, args.vllm_importance_sampling_mode) == (0.4, "token_mask")
    assert args.vllm_importance_sampling_clip_max == 2.0
    whole_run = settings.grpo_config(
        make_spec(vllm=events.VllmSpec(longest=100, correction="off")), chosen, parameters=1, longest_prompt=9
    )
    assert (whole_run.vllm_max_model_length, whole_run.vllm_importance_sampling_correction) == (128, False)
    too_short = make_spec(vllm=events.VllmSpec(length=28))
    with pytest.raises(UserError, match=r"max_model_length = 28.* have 29 tokens"):
        settings.grpo_config(too_short, chosen, parameters=1, longest_prompt=9)


def test_a_vllm_server_is_the_one_of_the_run_file(make_spec: Spec) -> None:
    vllm = events.VllmSpec(mode="server", host="10.0.0.7", port=8001, group_port=51_217, timeout=30)
    args = settings.grpo_config(make_spec(vllm=vllm), {"num_generations": 4}, parameters=1, longest_prompt=9)
    assert (args.vllm_mode, args.vllm_server_host, args.vllm_server_port) == ("server", "10.0.0.7", 8001)
    assert (args.vllm_group_port, args.vllm_server_timeout) == (51_217, 30)


def test_what_the_model_reads_is_told_where_it_is_not_the_prompt(
    make_spec: Spec, tiny_base: str, tmp_path: Path
) -> None:
    base = tmp_path / "templated"
    shutil.copytree(tiny_base, base)
    (base / "chat_template.jinja").write_text("{% for m in messages %}{{ m.content }}{% endfor %}>")
    spec = make_spec(steps=1, base=str(base), parent=str(base), reference=str(base))
    evaluation = spec.evaluation.model_copy(update={"samples": 1})
    told = finished(run(spec.model_copy(update={"evaluation": evaluation})))
    trained = [s for line in told if isinstance(line, events.CompletionSamples) for s in line.samples]
    [scored] = checkpoints(told)[-1].evaluation.samples
    for sample in (*trained, scored):
        assert sample.model_prompt == f"{sample.prompt}>"
    plain = [s for line in run(make_spec(steps=1)) if isinstance(line, events.CompletionSamples) for s in line.samples]
    assert {sample.model_prompt for sample in plain} == {None}


def test_a_long_text_is_told_with_head_and_tail() -> None:
    text = "a" * 3000 + "b" * 3000 + "#### 18"
    kept = clean(text)
    assert kept.startswith("a" * 2000 + "\n[… 2,007 characters left out …]\n")
    assert kept.endswith("b#### 18")
    assert clean("x" * 4000) == "x" * 4000

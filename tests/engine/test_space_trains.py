"""Every hyperparameter that a run file may name trains through TRL: each of its names, or both ends of its range."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from trl import GRPOConfig

from engine.domain.hyperparameters import NAMES, OPTIONAL, PROMPTS
from engine.domain.space import Value
from engine.domain.trl_fields import OWNED
from engine.testing.executors import Spec
from engine.training import settings, trl_table
from tasks import registry
from tests.engine.training_runs import checkpoints, finished, metrics, run

NUMERIC = [each for each in OPTIONAL.values() if not each.categorical and each.name != PROMPTS]  # that is the batch


def names() -> Iterator[tuple[str, Value]]:
    for name, parameter in OPTIONAL.items():
        if parameter.categorical:
            yield from ((name, value) for value in NAMES.get(name, parameter.choices)[1:])


@pytest.mark.parametrize(("name", "value"), names())
def test_a_segment_trains_with_every_name(make_spec: Spec, name: str, value: Value) -> None:
    told = metrics(finished(run(make_spec(steps=2, configuration={name: value, "beta": 0.04}))))
    assert len(told) == 2
    assert all("loss" in each for each in told)


@pytest.mark.parametrize("end", ["low", "high"])
def test_a_segment_trains_with_all_numbers_at_an_end_of_their_ranges(make_spec: Spec, end: str) -> None:
    configuration = {p.name: p.coerce(getattr(p, end)) for p in NUMERIC}
    configuration |= {"sync_ref_model": True, "use_adaptive_entropy": True, "beta": 0.04}
    told = metrics(finished(run(make_spec(steps=8, configuration=configuration))))
    assert len(told) == 8
    assert all("loss" in each for each in told)


def fields(make_spec: Spec, **configuration: Value) -> dict[str, Any]:
    spec = make_spec(configuration=configuration)
    return settings.hyperparameters(registry.get(spec.task), spec)


def test_cispo_caps_the_ratio_above_one_and_luspo_takes_sequences(make_spec: Spec) -> None:
    assert fields(make_spec, loss_type="cispo", epsilon_high=0.28)["epsilon_high"] == 5.0
    assert fields(make_spec, loss_type="luspo")["importance_sampling_level"] == "sequence"
    assert fields(make_spec, loss_type="dapo", epsilon_high=0.28)["epsilon_high"] == 0.28


def test_a_value_that_is_off_is_off_for_trl(make_spec: Spec) -> None:
    assert "delta" not in fields(make_spec, delta=0)
    assert fields(make_spec, delta=4)["delta"] == 4
    assert fields(make_spec, sync_ref_model=True, beta=0)["sync_ref_model"] is False
    assert fields(make_spec, sync_ref_model=True, beta=0.1)["ref_model_sync_steps"] == 16
    assert fields(make_spec, warmup_steps=4)["lr_scheduler_type"] == "constant_with_warmup"
    assert "lr_scheduler_type" not in fields(make_spec, warmup_steps=0)


def test_the_kl_gradient_does_not_depend_on_trls_default(make_spec: Spec) -> None:
    args = settings.grpo_config(make_spec(), {"num_generations": 4, "beta": 0.04}, parameters=1, longest_prompt=9)
    assert args.use_bias_correction_kl is True


def test_a_field_of_the_trl_table_reaches_the_optimizer(make_spec: Spec) -> None:
    spec = make_spec(steps=1, trl={"adam_beta2": 0.95})
    saved = checkpoints(finished(run(spec)))[-1].directory
    state = torch.load(Path(saved) / "optimizer.pt", weights_only=True)
    assert state["param_groups"][0]["betas"] == (0.9, 0.95)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"adam_beta2": 0.95, "optim": "adamw_torch", "repetition_penalty": 1}, ""),
        ({"adam_beta": 0.95}, "trl.adam_beta is no field of trl.GRPOConfig; nearest: adam_beta"),
        ({"adam_beta2": "fast"}, "trl.adam_beta2 = 'fast' is not allowed; TRL wants float"),
        ({"optim": "adamw_9bit"}, "trl: TRL refuses the table: adamw_9bit is not a valid OptimizerNames"),
    ],
)
def test_a_trl_table_is_held_against_trls_own_fields(table: dict[str, Any], words: str) -> None:
    found = trl_table.problem(table)
    assert found.startswith(words)
    assert bool(found) is bool(words)
    assert "\n" not in found


def test_every_field_that_the_engine_owns_is_one_of_trls() -> None:
    assert set(OWNED) - {field.name for field in dataclasses.fields(GRPOConfig)} == set()


def test_rollouts_of_one_generation_serve_several_steps(make_spec: Spec) -> None:
    """Two steps a generation and two passes over it: eight steps take two generations, and the ratio is clipped."""
    configuration = {"steps_per_generation": 2, "num_iterations": 2, "epsilon": 0.1, "learning_rate": 1e-2}
    spec = make_spec(steps=8, micro_batch=4, configuration=configuration)
    args = settings.grpo_config(spec, fields(make_spec, **configuration), parameters=1, longest_prompt=9)
    assert (args.gradient_accumulation_steps, args.steps_per_generation, args.generation_batch_size) == (2, 4, 16)
    told = metrics(finished(run(spec)))
    assert [number for number, each in enumerate(told, 1) if "reward" in each] == [1, 5]
    assert max(each["clip_ratio/region_mean"] for each in told) > 0


def test_prompts_per_step_are_the_batch_of_a_segment_and_no_matter_of_its_task(make_spec: Spec) -> None:
    configuration = {"prompts_per_step": 3, "num_generations": 4}
    spec = make_spec(steps=2, batch_size=12, micro_batch=6, configuration=configuration)
    args = settings.grpo_config(spec, fields(make_spec, **configuration), parameters=1, longest_prompt=9)
    assert (args.per_device_train_batch_size, args.gradient_accumulation_steps) == (6, 2)
    assert (args.generation_batch_size, args.num_generations) == (12, 4)
    assert len(metrics(finished(run(spec)))) == 2


def test_the_learning_rate_falls_to_the_end_of_a_segment_also_after_a_break(make_spec: Spec) -> None:
    configuration = {"lr_scheduler_type": "linear", "learning_rate": 1e-3}
    whole = make_spec(steps=4, checkpoint_every=2, configuration=configuration)
    told = finished(run(whole))
    rates = [each["learning_rate"] for each in metrics(told)]
    assert rates == pytest.approx([1e-3, 7.5e-4, 5e-4, 2.5e-4])
    half = checkpoints(told)[0].directory
    rest = make_spec(steps=4, done=2, parent=half, optimizer=half, configuration=configuration)
    assert [each["learning_rate"] for each in metrics(finished(run(rest)))] == pytest.approx(rates[2:])

"""Every hyperparameter that a run file may name trains through TRL: each of its names, or both ends of its range."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from engine.domain.hyperparameters import NAMES, OPTIONAL
from engine.domain.space import Value
from engine.testing.executors import Spec
from engine.training import settings
from tasks import registry
from tests.engine.training_runs import finished, metrics, run


def values() -> Iterator[tuple[str, Value]]:
    for name, parameter in OPTIONAL.items():
        if parameter.categorical:
            yield from ((name, value) for value in NAMES.get(name, parameter.choices))
        else:
            yield from ((name, value) for value in (parameter.low, parameter.high))


@pytest.mark.parametrize(("name", "value"), values())
def test_a_segment_trains_with_every_value(make_spec: Spec, name: str, value: Value) -> None:
    told = metrics(finished(run(make_spec(steps=2, configuration={name: value, "beta": 0.04}))))
    assert len(told) == 2
    assert all("loss" in each for each in told)


def fields(make_spec: Spec, **configuration: Value) -> dict[str, Value]:
    spec = make_spec(configuration=configuration)
    return settings.hyperparameters(registry.get(spec.task), spec)


def test_cispo_caps_the_ratio_above_one_and_luspo_takes_sequences(make_spec: Spec) -> None:
    assert fields(make_spec, loss_type="cispo", epsilon_high=0.28)["epsilon_high"] == 5.0
    assert fields(make_spec, loss_type="luspo")["importance_sampling_level"] == "sequence"
    assert fields(make_spec, loss_type="dapo", epsilon_high=0.28)["epsilon_high"] == 0.28


def test_the_kl_gradient_does_not_depend_on_trls_default(make_spec: Spec) -> None:
    args = settings.grpo_config(make_spec(), {"num_generations": 4, "beta": 0.04}, parameters=1, longest_prompt=9)
    assert args.use_bias_correction_kl is True

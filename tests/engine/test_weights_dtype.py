"""Weights are kept as the run file says: in training, in its reference, in checkpoints and in soups that are scored."""

from __future__ import annotations

import pytest
import torch

from engine.training import policy
from tests.engine.conftest import Spec
from tests.engine.training_runs import checkpoints, finished, metrics, run, weights


@pytest.mark.long
def test_bf16_weights_are_trained_saved_and_gone_on_from(make_spec: Spec) -> None:
    spec = make_spec(steps=2, checkpoint_every=2, dtype="bf16", configuration={"learning_rate": 5e-3, "beta": 0.1})
    [first] = checkpoints(finished(run(spec)))
    assert {tensor.dtype for tensor in weights(first.directory).values()} == {torch.bfloat16}
    child = spec.model_copy(
        update={"job": "2", "parent": first.directory, "optimizer": first.directory, "reference": first.directory}
    )
    told = finished(run(child.model_copy(update={"directory": f"{spec.directory}-child"})))
    assert metrics(told)[0]["kl"] < metrics(told)[1]["kl"]
    soup = policy.load_soup([first.directory, checkpoints(told)[0].directory], torch.bfloat16)
    assert soup.dtype is torch.bfloat16


def test_what_is_trained_is_float32_unless_asked_and_a_frozen_base_what_it_computes_in() -> None:
    kept = policy.weights_dtype
    assert kept("auto", "bf16", frozen=False) is torch.float32
    assert kept("auto", "bf16", frozen=True) is torch.bfloat16
    assert kept("fp32", "bf16", frozen=True) is torch.float32
    assert kept("bf16", "fp32", frozen=False) is torch.bfloat16

"""Adam with moments of 8 bits, by bitsandbytes: a segment trains, and the next goes on with its state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from engine.testing.executors import Spec, make_spec, tiny_base
from tests.engine.training_runs import checkpoints, distance, finished, metrics, run

__all__ = ["make_spec", "tiny_base"]

pytestmark = pytest.mark.real


def states(directory: str) -> list[dict[str, Any]]:
    """What the optimizer of a checkpoint keeps of each weight."""
    return list(torch.load(Path(directory) / "optimizer.pt", weights_only=True)["state"].values())


def test_moments_have_8_bits_and_are_kept_by_the_next_segment(make_spec: Spec, tiny_base: str) -> None:
    first = make_spec(steps=2, optim="adamw_8bit", configuration={"learning_rate": 1e-3})
    [saved] = checkpoints(finished(run(first)))[-1:]
    packed = [state.get("__bnb_optimizer_quant_state__", {}) for state in states(saved.directory)]
    assert any(each["state1"].dtype is torch.uint8 for each in packed if each)
    assert distance(saved.directory, tiny_base) > 0
    child = make_spec(
        job="2", steps=2, optim="adamw_8bit", parent=saved.directory, optimizer=saved.directory,
        configuration={"learning_rate": 5e-4},
    )  # fmt: skip
    told = finished(run(child))
    assert metrics(told)[0]["learning_rate"] == 5e-4
    assert {state["step"] for state in states(checkpoints(told)[-1].directory)} == {4}

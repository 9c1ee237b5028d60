"""One vLLM for all segments of a worker: with the weights of each, with an adapter, and what stays of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.nn.parallel import DistributedDataParallel

from engine.testing.executors import Spec
from engine.training import kept_vllm, vllm_generation
from engine.training.control import JobControl
from engine.training.events import LoraSpec
from engine.training.segment import SegmentTraining
from tests.engine.training_runs import Line, checkpoints, finished, metrics, run

LAUNCHER = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
DIFFERENCE = "sampling/sampling_logp_difference/mean"


@pytest.fixture(scope="module")
def built() -> Iterator[list[kept_vllm.InstanceSettings]]:
    """What was built while the tests of this module ran."""
    settings: list[kept_vllm.InstanceSettings] = []
    with pytest.MonkeyPatch.context() as patch:
        build = kept_vllm._build

        def noted(wanted: kept_vllm.InstanceSettings) -> Any:
            settings.append(wanted)
            return build(wanted)

        patch.setattr(kept_vllm, "_build", noted)
        yield settings


def differences(told: list[Line]) -> list[float]:
    return [values[DIFFERENCE] for values in metrics(told)]


def test_segments_share_one_instance_which_has_the_weights_of_each(vllm_spec: Spec, built: list[Any]) -> None:
    first = finished(run(vllm_spec(job="1", steps=4, configuration={"learning_rate": 5e-3})))
    parent = checkpoints(first)[-1].directory
    child = finished(run(vllm_spec(job="2", steps=3, parent=parent, optimizer=parent)))
    sibling = finished(run(vllm_spec(job="3", steps=3)))
    assert len(built) <= 1  # none where other tests of this process had one
    assert kept_vllm._kept is not None
    kept = kept_vllm._kept[0]
    assert (kept.base, kept.length, kept.dtype) == (vllm_spec().base, 32, torch.float32)
    assert max(differences(first) + differences(child) + differences(sibling)) < 1e-3
    assert all(values["entropy"] > 0 for values in metrics(child))


def test_weights_that_stay_behind_would_be_seen(vllm_spec: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    """The measure of the test above: it is the difference of log-probabilities that tells."""
    send, sent = vllm_generation.KeptGeneration.sync_weights, list[Any]()

    def once(generation: Any) -> None:
        if not sent:
            send(generation)
        sent.append(generation)

    monkeypatch.setattr(vllm_generation.KeptGeneration, "sync_weights", once)
    told = finished(run(vllm_spec(job="4", steps=4, configuration={"learning_rate": 5e-3})))
    assert differences(told)[0] < 1e-3 < 0.05 < differences(told)[-1]


def test_the_next_trainer_does_not_take_itself_for_one_of_several(vllm_spec: Spec) -> None:
    for job in ("5", "6"):
        segment = SegmentTraining(vllm_spec(job=job, steps=1), lambda line: None, JobControl())
        assert segment.train() == "finished"
        assert not isinstance(segment._trainer.model_wrapped, DistributedDataParallel)
        assert segment._trainer.accelerator.num_processes == 1
        segment.release()
    assert not [name for name in LAUNCHER if name in os.environ]


def test_an_adapter_is_sent_merged(vllm_spec: Spec, built: list[Any]) -> None:
    lora = LoraSpec(rank=4, scaling=2.0)
    before = len(built)
    first = finished(run(vllm_spec(job="7", steps=4, lora=lora, configuration={"learning_rate": 2e-2})))
    parent = checkpoints(first)[-1].directory
    child = finished(run(vllm_spec(job="8", steps=2, lora=lora, parent=parent, optimizer=parent)))
    assert len(built) <= max(1, before)
    assert max(differences(first) + differences(child)) < 1e-3

"""Which vLLM a segment gets, what of its faults means what, and how a start is given up: all that needs no vLLM."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

from engine.training import events, failures, kept_vllm, lora, policy, vllm_generation
from engine.training.control import JobControl
from engine.training.events import LoraSpec, SegmentEnd, VllmSpec
from engine.training.scoring import run_evaluation
from tests.engine.conftest import LETTERS, Spec
from tests.engine.training_runs import ended, run

WANTED = kept_vllm.InstanceSettings("org/model", torch.float32, 64, 32, 0.3, True)


class Instance:
    """Takes the place of a vllm.LLM."""

    def __init__(self, wanted: kept_vllm.InstanceSettings) -> None:
        self.wanted, self.slept = wanted, 0

    def sleep(self, level: int) -> None:
        self.slept = level


@pytest.fixture
def _pretended(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(kept_vllm, "_build", Instance)
    kept_vllm.forget()
    yield
    kept_vllm.forget()


@pytest.mark.usefixtures("_pretended")
def test_an_instance_is_kept_for_what_it_can_do() -> None:
    first = kept_vllm.instance(WANTED)
    assert kept_vllm.instance(WANTED) is kept_vllm.instance(replace(WANTED, length=48)) is first
    kept_vllm.forget()
    assert kept_vllm.instance(WANTED) is not first


@pytest.mark.usefixtures("_pretended")
@pytest.mark.parametrize("other", [{"length": 128}, {"base": "x"}, {"share": 0.4}, {"dtype": torch.bfloat16}])
def test_an_instance_for_other_settings_gives_its_memory_back_first(other: dict[str, Any]) -> None:
    first = kept_vllm.instance(WANTED)
    second = kept_vllm.instance(replace(WANTED, **other))
    assert (second.wanted, first.slept) == (replace(WANTED, **other), 2)
    assert kept_vllm.instance(replace(WANTED, **other)) is second


def test_vllm_is_told_that_it_is_alone_and_nobody_else_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER_PORT", "1")
    monkeypatch.delenv("RANK", raising=False)
    with kept_vllm._one_process():
        told = os.environ["MASTER_PORT"]
        assert (os.environ["RANK"], os.environ["WORLD_SIZE"]) == ("0", "1")
        with kept_vllm._one_process():
            assert os.environ["MASTER_PORT"] != told
    assert "RANK" not in os.environ
    assert os.environ["MASTER_PORT"] == "1"


def test_what_is_trained_does_not_depend_on_a_start_of_vllm() -> None:
    torch.manual_seed(1)
    expected, threads = torch.rand(1), torch.get_num_threads()
    torch.manual_seed(1)
    with kept_vllm._untouched():
        torch.manual_seed(7)
        torch.set_num_threads(threads + 1)
        torch.set_num_threads = lambda nthreads: None  # as vLLM does on a CPU
    assert torch.equal(torch.rand(1), expected)
    assert torch.get_num_threads() == threads
    torch.set_num_threads(threads)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(
    "words",
    [
        "Free memory on device cuda:0 (3.1/79.2 GiB) on startup is less than desired GPU memory utilization (0.3).",
        "No available memory for the cache blocks. Try increasing `gpu_memory_utilization`",
        "4.5 GiB KV cache is needed, which is larger than the available KV cache memory (2.1 GiB).",
    ],
)
def test_a_vllm_that_finds_too_little_memory_is_out_of_memory(words: str) -> None:
    assert failures.end_of(ValueError(words)) is SegmentEnd.OUT_OF_MEMORY
    assert failures.end_of(ValueError("a size of 3 is less than 4")) is SegmentEnd.CRASHED


def test_a_vllm_that_does_not_start_is_nothing_against_the_segment(
    make_spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(wanted: kept_vllm.InstanceSettings) -> None:
        raise RuntimeError("Engine core initialization failed.\nSee root cause above.")

    monkeypatch.setattr(kept_vllm, "_build", missing)
    told = run(make_spec(vllm=VllmSpec()))
    assert (ended(told).end, ended(told).unstarted, ended(told).steps) == (SegmentEnd.CRASHED, True, 0)
    assert ended(told).detail == (
        "vLLM did not start: RuntimeError: Engine core initialization failed. See root cause above."
    )
    assert "leaving" in [line.kind for line in told]


def test_too_little_memory_for_vllm_is_an_end_of_its_own(make_spec: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    def small(wanted: kept_vllm.InstanceSettings) -> None:
        raise ValueError("No available memory for the cache blocks.")

    monkeypatch.setattr(kept_vllm, "_build", small)
    told = run(make_spec(vllm=VllmSpec()))
    assert (ended(told).end, ended(told).unstarted) == (SegmentEnd.OUT_OF_MEMORY, False)


def test_a_stop_ends_what_cannot_be_interrupted_at_once_and_nothing_else() -> None:
    told: list[tuple[str, SegmentEnd, int]] = []
    control = JobControl(lambda *job: told.append(job))
    control.take(events.Stop(job="2", end=SegmentEnd.STOPPED))
    with control.abandonable("1", 3):
        control.take(events.Stop(job="other", end=SegmentEnd.STOPPED))
        assert not told
        control.take(events.Stop(job="1", end=SegmentEnd.EARLY_STOPPED))
        assert told == [("1", SegmentEnd.EARLY_STOPPED, 3)]
    told.clear()
    control.take(events.Stop(job="1", end=SegmentEnd.STOPPED))
    assert not told
    with control.abandonable("2", 0):  # it came before
        assert told == [("2", SegmentEnd.STOPPED, 0)]


def test_an_adapter_is_sent_merged_and_leaves_the_base_as_it_is(tiny_base: str) -> None:
    model = lora.load_policy(tiny_base, LoraSpec(rank=4, scaling=2.0), tiny_base, torch.bfloat16)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(1))
    generation = vllm_generation.KeptGeneration.__new__(vllm_generation.KeptGeneration)
    generation.model = model
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    sent = {name: weight.clone() for name, weight in generation._iter_named_params()}
    assert all(torch.equal(parameter, before[name]) for name, parameter in model.named_parameters())
    plain = policy.load_model(tiny_base).state_dict()
    assert sent.keys() == {name for name in plain if name != "lm_head.weight"}  # tied to the embedding
    name = "model.layers.0.mlp.up_proj"
    layer = model.get_submodule(f"base_model.model.{name}")
    update = 2.0 * layer.lora_B["default"].weight @ layer.lora_A["default"].weight
    expected = layer.base_layer.weight.float() + update.float()
    assert torch.equal(sent[f"{name}.weight"], expected.to(torch.bfloat16))
    assert not torch.equal(sent[f"{name}.weight"], before[f"base_model.model.{name}.base_layer.weight"])
    assert not any(weight.requires_grad for weight in sent.values())


def test_an_evaluation_whose_vllm_does_not_start_is_asked_of_another_worker(
    tiny_base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(wanted: kept_vllm.InstanceSettings) -> None:
        raise RuntimeError("no driver")

    monkeypatch.setattr(kept_vllm, "_build", missing)
    told: list[Any] = []
    request = events.Evaluate(
        job="e", task=f"{LETTERS}:Letters", base=tiny_base, directories=[tiny_base],
        evaluation=events.EvaluationSpec(n=8), vllm=VllmSpec(),
    )  # fmt: skip
    assert not run_evaluation(request, told.append)
    assert told[-1].unstarted
    assert told[-1].detail == "vLLM did not start: RuntimeError: no driver"
    assert "starting vLLM" in [line.phase for line in told if line.kind == "beat"]


@pytest.mark.parametrize(
    ("words", "told"),
    [("torch.distributed process group is initialized, but parallel_mode != …", False), ("bf16 is not there", True)],
)
def test_vllms_own_process_group_is_no_warning(words: str, told: bool) -> None:
    record = logging.LogRecord("transformers.training_args", logging.WARNING, "", 0, words, (), None)
    assert kept_vllm._QUIET.filter(record) is told

"""vLLM in the worker's process: one instance, kept over segments and evaluations, which TRL is given.

A process that deletes its vLLM does not get the memory of the GPU back, and a start takes tens of seconds, so an
instance is built once for a worker and sleeps between its uses where it can (on a GPU). Used by segments and
evaluations; what generates with which weights is TRL's: the policy's are sent before the first completion of each.
"""

from __future__ import annotations

import contextlib
import functools
import os
import random
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy
import torch
from trl.generation.vllm_generation import VLLMGeneration
from trl.trainer import grpo_trainer

from engine.errors import one_line
from engine.training import policy
from engine.training.events import Evaluate, SegmentSpec
from engine.training.failures import NotStarted, is_out_of_memory

TOKENS_AT_ONCE = 4096
"""Tokens of prompts that are read in one pass, as TRL has it."""
CPU_CACHE_GIB = 1
"""Memory for keys and values on a CPU, unless VLLM_CPU_KVCACHE_SPACE says otherwise."""


@dataclass(frozen=True, slots=True)
class InstanceSettings:
    """What an instance is built with.

    Attributes:
        base: model whose weights it starts with; those of the policy are sent over them.
        dtype: of its weights and of what it computes: as the trainer's, or their probabilities would differ.
        length: tokens of a sequence. sequences: that it generates at the same time.
        share: of the GPU's memory. sleep: whether it can give that back. implementation: TRL's vllm_model_impl.
    """

    base: str
    dtype: torch.dtype
    length: int
    sequences: int
    share: float
    sleep: bool
    implementation: str = "vllm"


def dtype(spec: SegmentSpec | Evaluate) -> torch.dtype:
    """What vLLM computes in for a job: as its forward passes do."""
    weights = policy.weights_dtype(spec.dtype, spec.precision, frozen=spec.lora is not None)
    return torch.bfloat16 if policy.use_bf16(spec.precision) else weights


_kept: tuple[InstanceSettings, Any] | None = None


def forget() -> None:
    """Drop the kept instance: it is in doubt. The process should end soon: not all of its memory comes back."""
    global _kept
    _kept = None


def instance(wanted: InstanceSettings) -> Any:
    """The kept instance, a vllm.LLM; a new one where there is none, or where it was built for other settings.

    One that was built for longer sequences is as good.

    Raises: what vLLM raises.
    """
    global _kept
    if _kept is not None:
        settings, kept = _kept
        if settings.length >= wanted.length and replace(settings, length=wanted.length) == wanted:
            return kept
        if settings.sleep:
            kept.sleep(level=2)
        del kept
        forget()
        policy.free_memory()
    built = _build(wanted)
    _kept = (wanted, built)
    return built


class KeptGeneration(VLLMGeneration):  # type: ignore[misc]  # TRL has no types
    """TRL's generation by vLLM, with the kept instance in colocate mode, and a start that fails as NotStarted."""

    def __init__(self, *arguments: Any, base: str, dtype: torch.dtype, sequences: int, **named: Any) -> None:
        self._base, self._dtype, self._sequences = base, dtype, sequences
        super().__init__(*arguments, **named)

    def _init_vllm(self) -> None:
        try:
            if self.mode == "server":
                super()._init_vllm()
                return
            self.llm = instance(self._wanted())
        except Exception as error:
            forget()
            if is_out_of_memory(error):
                raise
            what = "the vLLM server cannot be used" if self.mode == "server" else "vLLM did not start"
            raise NotStarted(f"{what}: {type(error).__name__}: {one_line(str(error))[:400]}") from error
        self._llm_weights_sleeping = self.enable_sleep_mode

    def _wanted(self) -> InstanceSettings:
        return InstanceSettings(
            base=self._base,
            dtype=self._dtype,
            length=self.max_model_length,
            sequences=self._sequences,
            share=self.gpu_memory_utilization,
            sleep=self.enable_sleep_mode,
            implementation=self.model_impl,
        )


@contextlib.contextmanager
def for_trainers(base: str, dtype: torch.dtype, sequences: int) -> Iterator[None]:
    """Trainers that TRL builds within this block generate with the kept instance."""
    theirs = grpo_trainer.VLLMGeneration
    grpo_trainer.VLLMGeneration = functools.partial(KeptGeneration, base=base, dtype=dtype, sequences=sequences)
    try:
        yield
    finally:
        grpo_trainer.VLLMGeneration = theirs


def _build(wanted: InstanceSettings) -> Any:
    from vllm import LLM

    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"  # weights are sent within the process
    if not torch.cuda.is_available():
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", str(CPU_CACHE_GIB))
        _leave_weights_unpacked()
    with _one_process(), _untouched():
        return LLM(
            model=policy.located(wanted.base),
            dtype=str(wanted.dtype).removeprefix("torch."),
            gpu_memory_utilization=wanted.share,
            max_model_len=wanted.length,
            max_num_seqs=wanted.sequences,
            max_num_batched_tokens=max(TOKENS_AT_ONCE, wanted.length),
            enable_sleep_mode=wanted.sleep,
            model_impl=wanted.implementation,
            distributed_executor_backend="external_launcher",
            logprobs_mode="processed_logprobs",
            seed=0,
        )


@contextlib.contextmanager
def _one_process() -> Iterator[None]:
    """Tell vLLM that it is alone, at a port that no other worker has; then take it back, or the next trainer would
    think that it is one of several and be wrapped in DDP."""
    told = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": _free_port()}
    before = {name: os.environ.get(name) for name in told}
    os.environ.update(told)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _free_port() -> str:
    with socket.socket() as any_port:
        any_port.bind(("127.0.0.1", 0))
        return str(any_port.getsockname()[1])


@contextlib.contextmanager
def _untouched() -> Iterator[None]:
    """Leave every random number generator and the number of threads as they were: what is trained must not depend on
    whether an instance was built for it. On a CPU vLLM seeds, and takes torch's function for threads away."""
    plain, numbers, set_threads = random.getstate(), numpy.random.get_state(), torch.set_num_threads
    threads = torch.get_num_threads()
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        torch.set_num_threads = set_threads
        torch.set_num_threads(threads)
        random.setstate(plain)
        numpy.random.set_state(numbers)


def _leave_weights_unpacked() -> None:
    """On a CPU vLLM packs the weights of linear layers for its kernels and drops them; none could then be sent."""
    from vllm.model_executor.layers import utils

    def plain(layer: Any, remove_weight: bool) -> None:
        layer.cpu_linear = lambda x, weight, bias: torch.nn.functional.linear(x, layer.weight, bias)

    utils.dispatch_cpu_unquantized_gemm = plain

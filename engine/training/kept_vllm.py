"""vLLM in the worker's process: one instance, built once for a worker and kept over its segments and evaluations.

A process that deletes its vLLM does not get the memory of the GPU back, and a start takes tens of seconds. Used by
`vllm_generation`, which sends it weights and asks it; it knows nothing of policies.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy
import torch

from engine.training import policy

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


_kept: tuple[InstanceSettings, Any] | None = None


def is_kept() -> bool:
    """Whether there is an instance."""
    return _kept is not None


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


class _NoWordOfTheGroup(logging.Filter):
    """Transformers warns that there is a process group and no DDP: it is vLLM's, of this process alone."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "process group is initialized" not in record.getMessage()


_QUIET = _NoWordOfTheGroup()


def _build(wanted: InstanceSettings) -> Any:
    from vllm import LLM

    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"  # weights are sent within the process
    if not torch.cuda.is_available():
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", str(CPU_CACHE_GIB))
        _leave_weights_unpacked()
    logging.getLogger("transformers.training_args").addFilter(_QUIET)
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

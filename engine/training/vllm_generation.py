"""Completions by vLLM: what TRL's trainers are given instead of their own, and what answers an evaluation's prompts.

A policy's weights are sent before it answers. In colocate mode the instance is the worker's (`kept_vllm`), in server
mode the connection is: a server takes weights over one group that is opened once.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from accelerate import Accelerator
from peft import PeftModel
from trl.generation.vllm_generation import VLLMGeneration
from trl.trainer import grpo_trainer

from engine.errors import one_line
from engine.training import kept_vllm, policy
from engine.training.events import Evaluate, SegmentSpec
from engine.training.failures import NotStarted, is_out_of_memory
from engine.training.settings import vllm_length

LORA_PREFIX = "lora_"
"""In the names of an adapter's weights."""
SERVER_REQUESTS = 64
"""Prompts of an evaluation that a server is asked at the same time."""

_connections: dict[tuple[str, int, int], Any] = {}
"""To servers, by host, port and group port."""


def dtype(job: SegmentSpec | Evaluate) -> torch.dtype:
    """What vLLM computes in for a job: as its forward passes do, or their probabilities would differ."""
    weights = policy.weights_dtype(job.dtype, job.precision, frozen=job.lora is not None)
    return torch.bfloat16 if policy.use_bf16(job.precision) else weights


class KeptGeneration(VLLMGeneration):  # type: ignore[misc]  # TRL has no types
    """TRL's generation by vLLM, with the kept instance or connection. A start that fails is a NotStarted.

    Args:
        base: model that the instance is built for. dtype: see `dtype`. sequences: see `InstanceSettings`.
    """

    def __init__(self, *arguments: Any, base: str, dtype: torch.dtype, sequences: int, **named: Any) -> None:
        self._base, self._dtype, self._sequences = base, dtype, sequences
        super().__init__(*arguments, **named)

    def _init_vllm(self) -> None:
        try:
            if self.mode == "server":
                self._connect()
            else:
                self.llm = kept_vllm.instance(self._wanted())
        except Exception as error:
            kept_vllm.forget()
            if is_out_of_memory(error):
                raise
            what = "the vLLM server cannot be used" if self.mode == "server" else "vLLM did not start"
            raise NotStarted(f"{what}: {type(error).__name__}: {one_line(str(error))[:400]}") from error
        self._llm_weights_sleeping = self.enable_sleep_mode

    def _connect(self) -> None:
        address = (self.server_host, self.server_port, self.group_port)
        if address in _connections:
            self.vllm_client = _connections[address]
            return
        super()._init_vllm()
        _connections[address] = self.vllm_client

    def _wanted(self) -> kept_vllm.InstanceSettings:
        return kept_vllm.InstanceSettings(
            base=self._base,
            dtype=self._dtype,
            length=self.max_model_length,
            sequences=self._sequences,
            share=self.gpu_memory_utilization,
            sleep=self.enable_sleep_mode,
            implementation=self.model_impl,
        )

    def _iter_named_params(self) -> Iterator[tuple[str, torch.Tensor]]:
        """The weights under vLLM's names. Those of an adapter are added to a copy: TRL merges them into the base and
        takes them out again, which leaves a bf16 base a little different each time."""
        if not isinstance(self.model, PeftModel):
            yield from super()._iter_named_params()
            return
        for name, parameter in self.model.named_parameters():
            if LORA_PREFIX in name:
                continue
            layer, adapted, _ = name.partition(".base_layer.weight")
            weight = _merged(self.model.get_submodule(layer), parameter.data) if adapted else parameter.data
            yield name.removeprefix("base_model.model.").replace(".base_layer", ""), weight

    # ---- evaluation ------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def awake(self) -> Iterator[None]:
        """Within this block vLLM has the policy's weights of now and answers."""
        self.sync_weights()
        asleep = self.mode == "colocate" and self.enable_sleep_mode
        if asleep:
            self.llm.wake_up(tags=["kv_cache"])
        try:
            yield
        finally:
            if asleep:
                self.llm.sleep(level=2)
                self._llm_weights_sleeping = True

    def answer(
        self, prompts: Sequence[list[int]], sampling: Sequence[dict[str, Any]], beat: Callable[[], None]
    ) -> list[list[int]]:
        """Tokens of an answer to each prompt, the one that ends it included.

        Args:
            sampling: for each prompt, vLLM's sampling parameters by name.
            beat: called between two tokens, or between two answers of a server; what it raises ends the answering.
        """
        if self.mode == "server":
            return self._ask_server(prompts, sampling, beat)
        from vllm import SamplingParams

        engine = self.llm.llm_engine
        settings = [SamplingParams(**each, detokenize=False) for each in sampling]
        asked = self.llm.enqueue([{"prompt_token_ids": ids} for ids in prompts], settings, use_tqdm=False)
        answers: dict[int, list[int]] = {}
        try:
            while engine.has_unfinished_requests():
                done = [output for output in engine.step() if output.finished]
                answers |= {int(output.request_id): list(output.outputs[0].token_ids) for output in done}
                beat()
        except BaseException:
            engine.abort_request(asked, internal=True)
            raise
        return [answers[number] for number in sorted(answers)]

    def _ask_server(
        self, prompts: Sequence[list[int]], sampling: Sequence[dict[str, Any]], beat: Callable[[], None]
    ) -> list[list[int]]:
        def ask(prompt: list[int], settings: dict[str, Any]) -> list[int]:
            reply = self.vllm_client.generate([prompt], logprobs=None, generation_kwargs=settings)
            return list(reply["completion_ids"][0])

        with ThreadPoolExecutor(SERVER_REQUESTS) as pool:
            asked = [pool.submit(ask, *each) for each in zip(prompts, sampling, strict=True)]
            try:
                answers = []
                for each in asked:
                    answers.append(each.result())
                    beat()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        return answers


@contextlib.contextmanager
def for_trainers(base: str, dtype: torch.dtype, sequences: int) -> Iterator[None]:
    """Trainers that TRL builds within this block generate with the kept instance."""
    theirs = grpo_trainer.VLLMGeneration
    grpo_trainer.VLLMGeneration = functools.partial(KeptGeneration, base=base, dtype=dtype, sequences=sequences)
    try:
        yield
    finally:
        grpo_trainer.VLLMGeneration = theirs


def for_evaluation(
    job: SegmentSpec | Evaluate, model: Any, tokenizer: Any, beat: Callable[[str], None]
) -> Callable[[int, int], KeptGeneration] | None:
    """What answers prompts with a policy that is not trained, for `engine.training.evaluate`; None for Transformers.

    `beat` is told before an instance is started.
    """
    vllm, gpu = job.vllm, torch.cuda.is_available()
    if vllm is None:
        return None

    def started(prompt: int, answer: int) -> KeptGeneration:
        if not kept_vllm.is_kept():
            beat("starting vLLM")
        return KeptGeneration(
            model,
            Accelerator(cpu=not gpu),
            tokenizer,
            base=job.base,
            dtype=dtype(job),
            sequences=vllm.sequences,
            mode=vllm.mode,
            server_host=vllm.host,
            server_port=vllm.port,
            server_timeout=vllm.timeout,
            group_port=vllm.group_port,
            gpu_memory_utilization=vllm.memory_share,
            max_model_length=vllm_length(vllm, prompt, answer, policy.positions_of(model)),
            enable_sleep_mode=vllm.sleep and gpu,
            model_impl="vllm",
        )

    return started


@torch.no_grad()
def _merged(layer: Any, weight: torch.Tensor) -> torch.Tensor:
    """A layer's weight with those of its active adapters added, rounded once."""
    whole = weight.float()
    for adapter in layer.active_adapters:
        if adapter in layer.lora_A:
            whole = whole + layer.get_delta_weight(adapter).float()
    return whole.to(weight.dtype)

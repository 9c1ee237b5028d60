"""[training] of the run file, with [training.lora] and [training.vllm], and [executor]: how and where segments are run.

Part of `engine.run.config`, which has the other tables. Knows the shape and the ranges of single keys only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from engine.domain.hyperparameters import LORA_RATE
from engine.run.section import RunFileSection


class LoraSection(RunFileSection):
    """[training.lora]: a low-rank adapter (LoRA, arXiv 2106.09685) is trained on the frozen base instead of all
    weights. A checkpoint is then megabytes, a change of segment less than a second."""

    rank: int = Field(default=0, ge=0, le=1024)
    """Rank of the adapter; 0 trains all weights. With an adapter the default learning rates are ten times as high."""
    alpha: float = Field(default=0, ge=0, allow_inf_nan=False)
    """The update is scaled by alpha / rank; 0 takes twice the rank."""
    dropout: float = Field(default=0, ge=0, lt=1)
    """Dropout before the adapter while it is trained; above 0 the KL penalty of the first step is not 0."""
    target: str | list[str] = "all-linear"
    """Modules that get an adapter: "all-linear" (all but the head), or a list of names such as ["q_proj", "v_proj"]."""
    base: Literal["whole", "nf4"] = "whole"
    """How the frozen base is kept: whole as training.dtype says, or its linear layers in 4 bits (QLoRA, arXiv
    2305.14314), by bitsandbytes (`make setup EXTRAS=8bit`) on a GPU only."""

    @property
    def scaling(self) -> float:
        """alpha / rank, 2 where alpha is 0."""
        return self.alpha / self.rank if self.alpha and self.rank else 2.0

    @property
    def rate_factor(self) -> float:
        """Factor on the default learning rates."""
        return LORA_RATE if self.rank else 1

    @field_validator("target", mode="before")
    @classmethod
    def _target_is_known(cls, value: Any) -> Any:
        if value == "all-linear":
            return value
        if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
            raise ValueError('allowed: "all-linear", or a list of module names')
        if not value or "lm_head" in value:
            raise ValueError("allowed: module names, at least one; the head (lm_head) cannot have an adapter in GRPO")
        return value


class VllmSection(RunFileSection):
    """[training.vllm]: vLLM generates the completions of training and of evaluations instead of Transformers."""

    mode: Literal["off", "colocate", "server"] = "off"
    """Who generates. "off": Transformers. "colocate": vLLM in the worker, kept over its segments. "server": a vLLM
    server."""
    memory_share: float = Field(default=0.3, gt=0, lt=1)
    """Share of a GPU's memory that vLLM takes in colocate mode, its copy of the weights included."""
    sleep: bool = True
    """Whether vLLM gives its memory back while the policy is trained (colocate, on a GPU only)."""
    max_model_length: int = Field(default=0, ge=0, le=1_048_576)
    """Tokens of prompt and answer together, the same all through a run; 0 takes a power of two that holds the longest
    prompt and the longest answer."""
    tensor_parallel_size: int = Field(default=1, ge=1, le=64)
    """GPUs of the server. Where it runs on this machine the last ones are left to it; a colocated vLLM has one."""
    importance_sampling_mode: Literal["off", "token_truncate", "token_mask", "sequence_truncate", "sequence_mask"] = (
        "sequence_mask"
    )
    """How the difference between vLLM's and the trainer's probabilities is corrected (TRL's names); "off" leaves it."""
    importance_sampling_clip_max: float = Field(default=3.0, gt=0)
    """Ratio above which a token or a completion is truncated or masked."""
    host: str = "127.0.0.1"
    """Host of the server: a name or an address."""
    port: int = Field(default=8000, ge=1, le=65_535)
    """Port of the server."""
    group_port: int = Field(default=51_216, ge=1, le=65_535)
    """Port over which weights are sent to the server."""
    timeout_seconds: float = Field(default=240, gt=0, le=3600)
    """Seconds to wait for the server to answer when a segment begins."""

    @field_validator("host")
    @classmethod
    def _host_is_one(cls, host: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9._:\[\]-]{1,253}", host):
            raise ValueError('allowed: a name or an address such as "10.0.0.7", without http:// and port')
        return host

    @model_validator(mode="after")
    def _fits_the_mode(self) -> Self:
        if self.mode == "colocate" and self.tensor_parallel_size > 1:
            raise ValueError(
                f'tensor_parallel_size = {self.tensor_parallel_size} needs mode = "server": a worker has one GPU'
            )
        return self

    @property
    def on_this_machine(self) -> bool:
        """Whether the server is one of this machine, by its address."""
        return self.host in ("127.0.0.1", "localhost", "0.0.0.0", "::1", "[::1]")

    @property
    def reserved_gpus(self) -> int:
        """GPUs of this machine, the last ones, that are left to the server."""
        return self.tensor_parallel_size if self.mode == "server" and self.on_this_machine else 0


class TrainingSection(RunFileSection):
    """[training]: how a segment is run on this machine."""

    batch_size: int = Field(default=32, ge=2, le=65_536)
    """Completions in one GRPO step; every group size of the space divides it. [space.prompts_per_step] searches it."""
    micro_batch: int = Field(default=0, ge=0)
    """Completions in one forward pass; divides batch_size; 0 takes the whole batch. Where prompts_per_step is searched,
    the largest divisor of a batch up to it is taken."""
    dynamic_sampling: int = Field(default=0, ge=0, le=16)
    """Times that groups of equal rewards are sampled anew, from other prompts, before a step (DAPO); 0 is off."""
    overlong_penalty: float = Field(default=0, ge=0, lt=1)
    """Share of max_completion_length at whose end a rollout's reward falls, by 1 at the limit (DAPO: 0.2); 0 is off."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Of the weights in the forward pass; "auto" is bf16 on a GPU that has it, else fp32."""
    dtype: Literal["auto", "fp32", "bf16"] = "auto"
    """How weights are kept. "auto": fp32 where they are trained, and for a base under an adapter what precision gives.
    bf16 halves weights, gradients and Adam's moments; updates below 1/256 of a weight are rounded away."""
    optimizer: Literal["adamw", "adamw-8bit", "paged-adamw-8bit"] = "adamw"
    """8 bits a moment instead of 32, by bitsandbytes (`make setup EXTRAS=8bit`); paged: moved to the CPU's memory where
    the GPU's is full."""
    fsdp: bool = False
    """Whether the GPUs of a worker (executor.gpus_per_worker) divide weights, gradients and Adam's moments among them
    (FSDP2), for full training of a model that does not fit on one."""
    hang_seconds: float = Field(default=900, gt=0)
    """A worker that is silent for this long is considered hung and replaced."""
    resume_when_free: bool = True
    """Whether a run that paused because the disk was full continues by itself once there is room."""
    stop_seconds: float = Field(default=60, gt=0, le=86_400)
    """Seconds a worker has, after a stop, to end its step and save; then it is killed, and a resume continues from its
    last checkpoint."""
    threads: int = Field(default=0, ge=0, le=1024)
    """CPU threads of one worker; 0 gives a model of less than 20M parameters one, and shares the cores among the
    workers for a larger one."""
    keep_checkpoints: int = Field(default=8, ge=1)
    """Scored checkpoints kept on disk, the best. Kept beside them: the incumbent's path, what is in flight, the last
    checkpoint of every unpruned leaf, and of up to four ends that only changes were tried from. Others are deleted."""
    lora: LoraSection = LoraSection()
    """An adapter instead of all weights; see [training.lora]."""
    vllm: VllmSection = VllmSection()
    """vLLM instead of Transformers; see [training.vllm]. A text is its mode: vllm = "colocate"."""

    @field_validator("vllm", mode="before")
    @classmethod
    def _mode_alone(cls, value: Any) -> Any:
        return {"mode": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _vllm_has_the_weights(self) -> Self:
        if self.lora.base == "nf4" and self.vllm.mode != "off":
            raise ValueError('lora.base = "nf4" needs vllm.mode = "off": adapters cannot be merged into 4 bits exactly')
        return self


class ExecutorSection(RunFileSection):
    """[executor]: where segments are trained. A worker trains one at a time, on a fixed share of the machine."""

    kind: Literal["local", "ray"] = "local"
    """local: on this machine; ray: on the machines of a Ray cluster (docs/clusters.md)."""
    workers: int = Field(default=1, ge=1, le=64)
    """Segments trained at the same time."""
    gpus_per_worker: int = Field(default=1, ge=0, le=64)
    """GPUs of one worker, with a process on each (DDP, or FSDP: training.fsdp); 0 trains on the CPU. On a machine
    without a GPU: processes."""
    cpus_per_worker: int = Field(default=0, ge=0, le=1024)
    """CPU cores of one worker, which Ray keeps free for it; 0: one a process, and local workers share all cores."""
    address: str = ""
    """Of the Ray cluster, e.g. "10.0.0.1:6379"; empty: the environment's RAY_ADDRESS, else the one on this machine."""

    @property
    def processes(self) -> int:
        """Processes of one worker."""
        return max(1, self.gpus_per_worker)


def with_todays_names(data: Mapping[str, Any]) -> dict[str, Any]:
    """A run file as a table, with search.workers of versions before [executor] where it stands now.

    Raises ValueError when it stands at both places.
    """
    search, executor = data.get("search"), data.get("executor", {})
    if not (isinstance(search, Mapping) and "workers" in search and isinstance(executor, Mapping)):
        return dict(data)
    if "workers" in executor:
        raise ValueError("search.workers is executor.workers now; leave the first out")
    rest = {name: value for name, value in search.items() if name != "workers"}
    return {**data, "search": rest, "executor": {"workers": search["workers"], **executor}}

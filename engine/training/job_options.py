"""Parts of a job that a run may have or not (an adapter, vLLM), and how answers are sampled. They go by the name of
`engine.training.events`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class WorkerMessage(BaseModel):
    """Base of everything that crosses the pipe. Unknown keys are errors: both ends are of one version."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LoraSpec(WorkerMessage):
    """A low-rank adapter: the update of a weight is `scaling` · B·A, with B and A of rank `rank`.

    Attributes:
        scaling: alpha / rank.
        target: "all-linear" (every linear layer but the head), or the names of modules.
        four_bit: whether the base's linear layers are kept as 4-bit NormalFloats (QLoRA).
        seed: of the adapter's start; one for the whole run.
    """

    rank: int = Field(ge=1)
    scaling: float = Field(gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    target: str | list[str] = "all-linear"
    four_bit: bool = False
    seed: int = 0


class SamplingSpec(WorkerMessage):
    """How an answer that is scored is sampled; `top_p` 1 and `top_k` 0 leave out no token."""

    temperature: float = Field(default=1.0, gt=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    top_k: int = Field(default=0, ge=0)


class VllmSpec(WorkerMessage):
    """vLLM, which generates completions instead of Transformers.

    Attributes:
        mode: "colocate" in the worker's process, "server" one that runs for itself.
        memory_share: of the GPU, in colocate mode. sleep: whether that is given back while the policy is trained.
        length: tokens of prompt and answer together, 0 takes what holds the longest prompt and `longest` tokens more.
        longest: tokens of the longest answer of the run.
        sequences: completions that are generated at the same time, at most.
        correction: TRL's vllm_importance_sampling_mode, "off" leaves the difference of probabilities uncorrected.
        clip_max: TRL's vllm_importance_sampling_clip_max.
        host, port, group_port, timeout: of the server; the last is seconds to wait for it.
    """

    mode: Literal["colocate", "server"] = "colocate"
    memory_share: float = Field(default=0.3, gt=0, lt=1)
    sleep: bool = True
    length: int = Field(default=0, ge=0)
    longest: int = Field(default=0, ge=0)
    sequences: int = Field(default=256, ge=1)
    correction: Literal["off", "token_truncate", "token_mask", "sequence_truncate", "sequence_mask"] = "sequence_mask"
    clip_max: float = Field(default=3.0, gt=0)
    host: str = "127.0.0.1"
    port: int = 8000
    group_port: int = 51_216
    timeout: float = Field(default=240.0, gt=0)

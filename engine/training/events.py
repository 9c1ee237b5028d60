"""What the engine asks of a trainer worker and what the worker says, as JSON lines.

One request or event a line; pydantic validates both directions. Imported by the executor (engine process), so it must
never import torch. Paths are absolute here; the store makes them relative to the run's directory.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, TypeAdapter, model_validator

from engine.chat import ChatFormat
from engine.domain.score import PromptSet, Score
from engine.training.job_options import LoraSpec as LoraSpec
from engine.training.job_options import SamplingSpec as SamplingSpec
from engine.training.job_options import VllmSpec as VllmSpec
from engine.training.job_options import WorkerMessage as WorkerMessage

LARGEST = 2**31 - 1
Count = Annotated[int, Field(ge=0, le=LARGEST)]
"""What the tables' INTEGER columns hold."""
Bytes = Annotated[int, Field(ge=0, le=2**63 - 1)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
MOST_PROMPTS = 100_000
"""The longest prompt set an evaluation may have, as in the run file."""


Precision = Literal["auto", "fp32", "bf16"]

MANIFEST = "manifest.json"
"""Written last into the directory of a checkpoint: one without it is not complete."""
OPTIMIZER = "optimizer.pt"
"""The optimizer's state in the directory of a checkpoint."""


class SegmentEnd(StrEnum):
    """How a segment ended. Only FINISHED, STOPPED and EARLY_STOPPED leave checkpoints worth a score."""

    FINISHED = "finished"
    STOPPED = "stopped"  # a human asked
    EARLY_STOPPED = "early-stopped"  # the comparator asked
    OUT_OF_MEMORY = "out-of-memory"
    NAN = "nan"
    CRASHED = "crashed"
    HUNG = "hung"


class CompletionSample(WorkerMessage):
    """One completion; of long texts both ends. `split`: a rollout of training, or an answer to a validation prompt that
    every checkpoint is asked. `components`: the parts of the reward before weighting. `model_prompt`: what the policy
    read, where that is not the prompt."""

    prompt: str
    completion: str
    answer: str
    reward: float
    correct: bool
    truncated: bool
    components: dict[str, float] = Field(default_factory=dict)
    split: Literal["train", "validation", "test"] = "train"
    model_prompt: str | None = None


class Evaluation(WorkerMessage):
    """One scored set of prompts: `greedy` and `sampled` are numbers of correct completions out of `n`.

    `outcomes` has a digit for each prompt, see `engine.domain.score.Score`; `samples` are the greedy completions of the
    first prompts, for a human to read. `errors`: completions that the task could not score and that count as wrong;
    `first_error` is one of them in one line.
    """

    n: int = Field(ge=1, le=MOST_PROMPTS)
    greedy: Count
    sampled: Count
    seconds: Seconds
    samples: list[CompletionSample] = Field(default_factory=list)
    outcomes: str = Field(default="", max_length=MOST_PROMPTS)
    errors: Count = 0
    first_error: str = ""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        self.score()
        return self

    def score(self, *prompts: PromptSet) -> Score:
        """As a score on the named prompts. Raises ValueError when counts and outcomes differ."""
        return Score(self.n, self.greedy, self.sampled, self.outcomes, prompts)

    def and_then(self, rest: Evaluation) -> Evaluation:
        """This and the evaluation of the prompts that follow, as one."""
        return Evaluation(
            n=self.n + rest.n, greedy=self.greedy + rest.greedy, sampled=self.sampled + rest.sampled,
            seconds=self.seconds + rest.seconds, samples=self.samples + rest.samples,
            outcomes=self.outcomes + rest.outcomes, errors=self.errors + rest.errors,
            first_error=self.first_error or rest.first_error,
        )  # fmt: skip


class EvaluationSpec(WorkerMessage):
    """How checkpoints are scored. The prompts are `task.items(split, n, seed)`; sampling uses `seed` too.

    `samples`: of how many prompts, the first, the greedy completion is told in full. `batch_size`: prompts answered at
    once, halved while memory runs out; 0 what it allows. `max_completion_length`: most tokens of an answer, 0 takes the
    task's. `chat`: how prompts reach the policy. `part`: from which of the n prompts up to which, None all."""

    split: Literal["validation", "test"] = "validation"
    n: int = Field(ge=1, le=MOST_PROMPTS)
    seed: int = 0
    batch_size: int = Field(default=0, ge=0)
    samples: int = Field(default=0, ge=0)
    max_completion_length: int = Field(default=0, ge=0)
    chat: ChatFormat = ChatFormat()
    part: tuple[int, int] | None = None
    sampling: SamplingSpec = SamplingSpec()

    def of_part(self, begin: int, end: int) -> EvaluationSpec:
        """Of the same prompts those from `begin` up to `end`; what is told in full is told of the first."""
        samples = max(0, min(self.samples - begin, end - begin))
        return self.model_copy(update={"part": (begin, end), "samples": samples})


class SegmentSpec(WorkerMessage):
    """One GRPO segment, complete: a worker needs nothing else.

    Attributes:
        job: names the segment in every event (the node id as text).
        done: steps that an earlier worker has trained; `parent` and `optimizer` are then the checkpoint of that step.
        task: name in the registry or "file.py:Class".
        base: model directory or hub id of the untrained policy (tokenizer too).
        parent: model directory to start from (equals `base` for a root).
        optimizer: directory that holds `optimizer.pt` of the parent checkpoint, or None to start Adam anew.
        reference: model directory whose policy the KL penalty is measured against (base, or the branch point).
        configuration: value of every hyperparameter by its name in `engine.domain.space`.
        trl: fields of trl.GRPOConfig that the run file sets in [trl] (TRL's name → value).
        steps: GRPO steps of this segment, those done among them. seed: of data order and sampling, one per segment.
        directory: where checkpoints are written: `checkpoint-<step>/` each with `manifest.json` written last.
        checkpoint_every: steps between checkpoints (each is scored); the last step always has one.
        first_look: prompts that a checkpoint is asked first (`engine.domain.first_look`); 0 asks all at once.
        begun: outcomes of the parent on these prompts, "" where they are not known.
        batch_size: completions per GRPO step. micro_batch: completions per forward pass; divides batch_size.
        precision: "auto" is bf16 on an accelerator that has it and fp32 on a CPU.
        dtype: how weights are kept; "auto" is fp32, and for a base under an adapter what `precision` gives.
        optim: TRL's name of the optimizer; "" is torch's AdamW.
        threads: CPU threads for torch, 0 leaves torch's default.
        samples_every: steps between Samples events; the first step has one too.
        on_error: what a completion that the task cannot score does: "zero" counts as 0, "fail" ends the segment.
        overlong_penalty: share of the longest length over whose end the reward falls, 0 is off.
        dynamic_sampling: rounds in which groups of equal rewards are sampled again, 0 is off.
        fsdp: whether a worker's processes divide weights, gradients and moments among them.
        vllm: what generates the completions, None for Transformers.
        lora: the adapter that is trained on the base, or None to train all weights. `parent` and `reference` are then
            adapters, or the base.
    """

    job: str
    task: str
    base: str
    parent: str
    optimizer: str | None
    reference: str
    configuration: dict[str, bool | int | float | str]
    trl: dict[str, JsonValue] = Field(default_factory=dict)
    steps: int = Field(ge=1)
    done: int = Field(default=0, ge=0, le=2**31 - 1)
    seed: int
    directory: str
    checkpoint_every: int = Field(ge=1)
    evaluation: EvaluationSpec
    first_look: int = Field(default=0, ge=0)
    begun: str = Field(default="", max_length=MOST_PROMPTS)
    batch_size: int = Field(ge=2)
    micro_batch: int = Field(ge=1)
    precision: Precision = "auto"
    dtype: Precision = "auto"
    optim: Literal["", "adamw_8bit", "paged_adamw_8bit"] = ""
    vllm: VllmSpec | None = None
    threads: int = Field(default=0, ge=0)
    samples_every: int = Field(default=5, ge=1)
    on_error: Literal["fail", "zero"] = "zero"
    lora: LoraSpec | None = None
    overlong_penalty: float = Field(default=0.0, ge=0, lt=1)
    dynamic_sampling: int = Field(default=0, ge=0)
    fsdp: bool = False

    @property
    def steps_left(self) -> int:
        """GRPO steps that are still to be trained."""
        return self.steps - self.done


# ---- requests: engine → worker -------------------------------------------------------------------------------------


class Train(WorkerMessage):
    """Train one segment: Started, Metrics…, Samples…, RewardErrors…, Checkpoint… and one Ended answer."""

    kind: Literal["train"] = "train"
    segment: SegmentSpec


class Evaluate(WorkerMessage):
    """Score a policy without training; answered by Evaluated, or by Ended with a failure. `vllm`: as in SegmentSpec.

    Several directories mean their *soup*: the policy whose weights are the mean of theirs, written to `save_to`.
    """

    kind: Literal["evaluate"] = "evaluate"
    job: str
    task: str
    base: str
    directories: list[str] = Field(min_length=1)
    evaluation: EvaluationSpec
    save_to: str | None = None
    precision: Precision = "auto"
    dtype: Precision = "auto"
    threads: int = Field(default=0, ge=0)
    on_error: Literal["fail", "zero"] = "zero"
    lora: LoraSpec | None = None
    vllm: VllmSpec | None = None


class Stop(WorkerMessage):
    """End the running segment after the step in progress, with a checkpoint; `end` says who asked.

    `unscored`: the checkpoint is saved and not scored, and a scoring under way is given up; a segment that goes on from
    it later scores it if that was its last.
    """

    kind: Literal["stop"] = "stop"
    job: str
    end: Literal[SegmentEnd.STOPPED, SegmentEnd.EARLY_STOPPED]
    unscored: bool = False


class Pause(WorkerMessage):
    """Hold before the next step until Continue; the process and its memory stay."""

    kind: Literal["pause"] = "pause"


class Continue(WorkerMessage):
    """Go on after Pause."""

    kind: Literal["continue"] = "continue"


Request = Annotated[Train | Evaluate | Stop | Pause | Continue, Field(discriminator="kind")]
REQUEST: TypeAdapter[Request] = TypeAdapter(Request)

# ---- events: worker → engine ---------------------------------------------------------------------------------------


class WorkerReady(WorkerMessage):
    """The worker has imported torch and TRL and waits for a request."""

    kind: Literal["ready"] = "ready"
    pid: int
    device: str
    versions: dict[str, str]


class SegmentStarted(WorkerMessage):
    """The first step is about to begin; `setup_seconds` from the request to here (load, trainer, optimizer state).
    `device` is what it trains on, with its machine."""

    kind: Literal["started"] = "started"
    job: str
    setup_seconds: Seconds
    device: str = ""


class StepMetrics(WorkerMessage):
    """One GRPO step's metrics by TRL's names, plus `step_seconds` (wall time of the step without evaluation)."""

    kind: Literal["metrics"] = "metrics"
    job: str
    step: Count
    values: dict[str, float]

    @property
    def step_seconds(self) -> float:
        """Wall time of the step; 0 where it was not told, or is no time."""
        told = self.values.get("step_seconds", 0.0)
        return told if math.isfinite(told) and told >= 0 else 0.0


class CompletionSamples(WorkerMessage):
    """A few rollouts of a step: best, worst, truncated."""

    kind: Literal["samples"] = "samples"
    job: str
    step: Count
    samples: list[CompletionSample]


class RewardErrors(WorkerMessage):
    """Rollouts of a segment that the task could not score: told at the first one and, when there are more, at the end.

    `failed` of `scored` rollouts so far; `first` is the first error in one line.
    """

    kind: Literal["reward-errors"] = "reward-errors"
    job: str
    failed: Count
    scored: Count
    first: str


class CheckpointSaved(WorkerMessage):
    """A checkpoint is complete on disk and scored on the validation set."""

    kind: Literal["checkpoint"] = "checkpoint"
    job: str
    step: Count
    directory: str
    bytes: Bytes
    evaluation: Evaluation


class EvaluationResult(WorkerMessage):
    """Answer to Evaluate."""

    kind: Literal["evaluated"] = "evaluated"
    job: str
    split: Literal["validation", "test"]
    seed: int
    evaluation: Evaluation


class SegmentEnded(WorkerMessage):
    """A segment, or an evaluation that failed, is over. `detail` is the cause in one line, `traceback` for the log.

    `worker_lost`: the executor says so, because the process died; nothing is known against the job itself.
    `unstarted`: no segment could have begun, because vLLM did not start; nothing is known against this one either.
    `gpu_bytes`: the most that torch has held of a GPU since the worker began; 0 without one.
    """

    kind: Literal["ended"] = "ended"
    job: str
    end: SegmentEnd
    steps: Count
    trainer_seconds: Seconds
    detail: str = ""
    traceback: str = ""
    worker_lost: bool = False
    unstarted: bool = False
    gpu_bytes: int = Field(default=0, ge=0, le=2**60)


class LibraryWarning(WorkerMessage):
    """A library warned: the first of its kind in this worker, whatever it works on. `source` is its package."""

    kind: Literal["warned"] = "warned"
    source: str
    text: str


class JobProgress(WorkerMessage):
    """What a job does between steps, in words ("loading the model"), and how far that is: `done` of `total`, 0 where
    it cannot be counted. Made by the executor of a worker's beats, at most two a second of one phase."""

    kind: Literal["progress"] = "progress"
    job: str
    phase: str
    done: int = 0
    total: int = 0


class Heartbeat(WorkerMessage):
    """Alive inside a long evaluation or load, and what that is; see Progress. Feeds the executor's watchdog."""

    kind: Literal["beat"] = "beat"
    phase: str = Field(default="", max_length=80)
    done: int = Field(default=0, ge=0, le=2**31 - 1)
    total: int = Field(default=0, ge=0, le=2**31 - 1)


class WorkerLeaving(WorkerMessage):
    """The worker exits after its next answer: its memory is in doubt. The executor keeps this to itself."""

    kind: Literal["leaving"] = "leaving"


Event = Annotated[
    WorkerReady | SegmentStarted | JobProgress | StepMetrics | CompletionSamples | RewardErrors | CheckpointSaved
    | EvaluationResult | SegmentEnded | LibraryWarning,
    Field(discriminator="kind"),
]  # fmt: skip

# What crosses the pipe: every Event but Progress, and what executors keep to themselves.
Line = Annotated[
    WorkerReady | SegmentStarted | StepMetrics | CompletionSamples | RewardErrors | CheckpointSaved | EvaluationResult
    | SegmentEnded | LibraryWarning | Heartbeat | WorkerLeaving,
    Field(discriminator="kind"),
]  # fmt: skip
LINE: TypeAdapter[Line] = TypeAdapter(Line)

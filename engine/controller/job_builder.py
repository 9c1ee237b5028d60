"""What a worker is told: a node of the tree as a SegmentSpec, a policy as an Evaluate. Reads only."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from engine.chat import ChatFormat
from engine.controller.run_state import RunState
from engine.domain.batch import micro_batch, most_completions, step_completions
from engine.domain.memory import EVALUATION_PROMPTS
from engine.domain.policy import STEERING_SEED
from engine.domain.space import Intent, OptimizerState, Space, Transition
from engine.domain.tree import Node, NodeState, Tree
from engine.host import machine, threads
from engine.host.model_files import parameters
from engine.run.config import RunConfig
from engine.training.events import Evaluate, EvaluationSpec, LoraSpec, SamplingSpec, SegmentSpec, VllmSpec

READ_PROMPTS = 8
"""So many of the validation prompts that steer are told with their greedy completion at every checkpoint: the same ones
all through a run, so that two checkpoints can be compared on one prompt."""

OPTIMIZERS: Mapping[str, Literal["", "adamw_8bit", "paged_adamw_8bit"]] = {
    "adamw": "", "adamw-8bit": "adamw_8bit", "paged-adamw-8bit": "paged_adamw_8bit",
}  # fmt: skip
"""TRL's name of each optimizer of the run file."""


def steering(prompts: int) -> EvaluationSpec:
    """How every checkpoint is scored."""
    return EvaluationSpec(split="validation", n=prompts, seed=STEERING_SEED, samples=min(READ_PROMPTS, prompts))


def segment_seed(run_seed: int, start_steps: int, attempt: int) -> int:
    """Seed of a segment's data order and sampling.

    Siblings share it, so that they see the same prompts and their difference is the configuration's (common random
    numbers); along a trajectory it changes, or prompts would repeat. A repair counts as another attempt, and so does a
    segment whose settings were trained from the same place before: it would only be the same again.
    """
    return zlib.crc32(f"{run_seed}/{start_steps}/{attempt}".encode()) & 0x7FFFFFFF


def attempt(tree: Tree, transition: Transition) -> int:
    """How many segments failed at this place before, or had the same settings there: 0 for the first try."""
    siblings = tree.children(transition.parent)
    if transition.intent is Intent.REPAIR:
        return sum(child.state.failed for child in siblings)
    begun = (child.transition for child in siblings if child.state is not NodeState.REJECTED)
    return sum(each is not None and each.repeats(transition) for each in begun)


def worker_threads(config: RunConfig, base: str) -> int:
    """CPU threads of one process: the run file's, else by the size of the base (an absolute path or a hub id)."""
    asked, processes = config.executor, config.executor.processes
    cores = asked.cpus_per_worker * asked.workers or machine.cores()
    return threads.of_worker(config.training.threads, asked.workers * processes, parameters(base), cores)


def spare_threads(config: RunConfig) -> int:
    """CPU threads that the training leaves to a language model, at least 1; on a GPU it needs one a worker."""
    taken = 1 if machine.gpus() else worker_threads(config, config.model.path)
    return max(1, machine.cores() - taken * config.executor.workers * config.executor.processes)


class JobBuilder:
    """Builds jobs for one run."""

    def __init__(self, config: RunConfig, space: Space, run: RunState) -> None:
        self._config = config
        self._space = space
        self._run = run
        self._threads = worker_threads(config, run.base)
        self._micro_batches = self._earlier_micro_batches()

    @property
    def checkpoints(self) -> int:
        """Checkpoints that a segment saves at most."""
        return self._config.evaluation.checkpoints

    def segment(self, node: Node, seed: int) -> SegmentSpec:
        """The segment of a queued node, from where it was left. Raises ValueError for the root, which has none."""
        transition = node.transition
        if transition is None:
            raise ValueError("the root has no segment")
        config, run = self._config, self._run
        parent = run.checkpoint_path(transition.parent, transition.step)
        if node.steps:  # taken up: it goes on from its own checkpoint, on other prompts than those of its first steps
            parent = run.checkpoint_path(node.id, node.steps)
            seed = zlib.crc32(f"{seed}/from {node.steps}".encode()) & 0x7FFFFFFF
        reference = run.tree.reference(node.id)
        self._micro_batches[node.id] = self.micro_batch(node)
        carries = transition.optimizer is OptimizerState.KEEP and transition.parent != run.tree.root.id
        return SegmentSpec(
            job=str(node.id),
            task=config.task.name,
            base=run.base,
            parent=str(parent),
            optimizer=str(parent) if carries or node.steps else None,
            reference=run.base if reference is None else str(run.checkpoint_path(*reference)),
            configuration=dict(node.configuration),
            trl=dict(config.trl),
            overlong_penalty=config.training.overlong_penalty,
            dynamic_sampling=config.training.dynamic_sampling,
            fsdp=config.training.fsdp and config.executor.processes > 1,
            steps=node.planned_steps,
            done=node.steps,
            seed=seed,
            directory=str(run.directory.segment(node.id)),
            checkpoint_every=max(1, -(-node.planned_steps // config.evaluation.checkpoints)),
            **self._scoring(transition),
            batch_size=step_completions(node.configuration, config.training.batch_size),
            micro_batch=self._micro_batches[node.id],
            precision=config.training.precision,
            dtype=config.training.dtype,
            optim=OPTIMIZERS[config.training.optimizer],
            vllm=self._vllm(),
            threads=self._threads,
            on_error=config.task.on_error,
            lora=self._lora(),
        )

    def _scoring(self, transition: Transition) -> dict[str, Any]:
        """Fields of a segment about how its checkpoints are scored."""
        sizes, begun = self._config.evaluation, self._run.tree[transition.parent].checkpoints
        return {
            "evaluation": self._as_long(steering(sizes.validation_prompts)), "first_look": sizes.first_look,
            "begun": next((c.score.outcomes for c in begun if c.step == transition.step), ""),
        }  # fmt: skip

    def _as_long(self, spec: EvaluationSpec) -> EvaluationSpec:
        """With what holds for the whole run: length of answers, how many at once, form of the prompts."""
        sizes = self._config.evaluation
        chat = ChatFormat.of(self._config.model)
        return spec.model_copy(update={
            "max_completion_length": self._config.evaluation_length(self._space), "batch_size": sizes.batch_size,
            "chat": chat, "sampling": SamplingSpec(**sizes.sampling),
        })  # fmt: skip

    def _vllm(self) -> VllmSpec | None:
        vllm = self._config.training.vllm
        if vllm.mode == "off":
            return None
        longest = max(self._space.longest_completion(0), self._config.evaluation_length(self._space))
        together = max(most_completions(self._space, self._config.training.batch_size), EVALUATION_PROMPTS)
        return VllmSpec(
            mode=vllm.mode, memory_share=vllm.memory_share, sleep=vllm.sleep, length=vllm.max_model_length,
            longest=longest, sequences=together,
            correction=vllm.importance_sampling_mode, clip_max=vllm.importance_sampling_clip_max, host=vllm.host,
            port=vllm.port, group_port=vllm.group_port, timeout=vllm.timeout_seconds,
        )  # fmt: skip

    def _lora(self) -> LoraSpec | None:
        lora = self._config.training.lora
        if not lora.rank:
            return None
        return LoraSpec(
            rank=lora.rank, scaling=lora.scaling, dropout=lora.dropout, target=lora.target,
            four_bit=lora.base == "nf4", seed=self._config.search.seed % 2**32,
        )  # fmt: skip

    def micro_batch(self, node: Node) -> int:
        """Completions in one forward pass: at most half of that of any segment that ran out of memory, at least 1.

        Gradients are accumulated to the same batch, so the training itself does not change.
        """
        failed = (each.id for each in self._run.tree if each.state is NodeState.OUT_OF_MEMORY)
        return self._fitting(node, [self._micro_batches[each] for each in failed if each in self._micro_batches])

    def _fitting(self, node: Node, failed: Iterable[int]) -> int:
        """What a segment of the node may have after segments with so many completions ran out of memory."""
        training = self._config.training
        limit = min((max(1, had // 2) for had in failed), default=training.micro_batch)
        return micro_batch(step_completions(node.configuration, training.batch_size), limit)

    def _earlier_micro_batches(self) -> dict[int, int]:
        """What the segments had that ran out of memory under an earlier engine: by what had failed when they began."""
        told = self._run.rows(
            "SELECT node_id, started, ended FROM nodes WHERE state = ? AND started IS NOT NULL ORDER BY started",
            (NodeState.OUT_OF_MEMORY.value,),
        )
        had: dict[int, int] = {}
        for row in told:
            before = [had[each["node_id"]] for each in told if each["ended"] and each["ended"] <= row["started"]]
            had[row["node_id"]] = self._fitting(self._run.tree[row["node_id"]], before)
        return had

    def evaluate(
        self, job: str, directories: Sequence[Path], spec: EvaluationSpec, save_to: Path | None = None
    ) -> Evaluate:
        """Score a policy; several directories mean the mean of their weights, saved to `save_to`."""
        return Evaluate(
            job=job,
            task=self._config.task.name,
            base=self._run.base,
            directories=[str(each) for each in directories],
            evaluation=self._as_long(spec),
            save_to=str(save_to) if save_to else None,
            precision=self._config.training.precision,
            dtype=self._config.training.dtype,
            threads=self._threads,
            on_error=self._config.task.on_error,
            lora=self._lora(),
            vllm=self._vllm(),
        )

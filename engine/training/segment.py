"""One GRPO segment by trl.GRPOTrainer: from a parent checkpoint, under a changed configuration, to scored checkpoints.

Called by the worker process (and by tests). What happens is told by events as it happens; every end is typed. It never
decides what to train next and never raises for what a segment did.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import PrinterCallback, TrainerCallback
from trl import GRPOTrainer

from engine.domain.first_look import enough
from engine.domain.score import PromptSet, Score, of_outcomes
from engine.errors import Fault
from engine.training import events, failures, kept_vllm, lora, policy, settings, sharding, vllm_generation
from engine.training.checkpoint import load_optimizer, write_checkpoint
from engine.training.control import JobControl
from engine.training.dynamic_sampling import RefillingTrainer, SparePrompts
from engine.training.evaluate import check_positions, encode, end_ids, evaluate, prompt_texts
from engine.training.events import SegmentEnd, SegmentSpec
from engine.training.failures import NotFinite
from engine.training.rewards import Grader, TaskReward, clean, pick_samples
from engine.training.usage import UsageMeter, device_name
from engine.words import counted
from tasks import registry
from tasks.base import Split, Task

Emit = Callable[[events.Event | events.Heartbeat | events.WorkerLeaving], None]

_log = logging.getLogger(__name__)


def run_segment(spec: SegmentSpec, emit: Emit, control: JobControl) -> bool:
    """Train a segment and tell its events, Ended last. Returns False when the process should be replaced afterwards.

    It should after an out-of-memory and after an exception that is nobody's known mistake.
    """
    segment = SegmentTraining(spec, emit, control)
    survives, unstarted = True, False
    detail = trace = ""
    try:
        end = segment.train()
    except Exception as error:  # noqa: BLE001  every failure of a segment is a typed end, told to the search
        end, detail, trace = failures.end_of(error), failures.detail_of(error), failures.traceback_of(error)
        control.failed()
        survives = failures.is_survivable(error) and not control.shared
        unstarted = isinstance(error, failures.NotStarted)
        _log.warning("segment %s: %s: %s\n%s", spec.job, end, detail, trace)
        lora.forget()
    segment.release()
    if not survives:
        emit(events.WorkerLeaving())
    emit(
        events.SegmentEnded(
            job=spec.job,
            end=end,
            steps=segment.steps,
            trainer_seconds=segment.seconds,
            detail=detail,
            traceback=trace,
            unstarted=unstarted,
            gpu_bytes=policy.gpu_bytes(),
        )
    )
    return survives


class _ScoringGivenUp(Exception):
    """The segment is to end without scoring what it has trained."""


class SegmentTraining:
    """The state of one segment while it trains.

    Attributes:
        steps: GRPO steps done. seconds: wall time of those done here, without loading, evaluating, saving and pauses.
    """

    def __init__(self, spec: SegmentSpec, emit: Emit, control: JobControl) -> None:
        self.spec = spec
        self.steps = spec.done
        self.seconds = 0.0
        self._emit = emit
        self._control = control
        self._began = self._mark = time.perf_counter()
        self._end = SegmentEnd.FINISHED
        self._trainer: Any = None
        self._tokenizer: Any = None
        self._task: Task | None = None
        self._rewards: TaskReward | None = None
        self._reward_errors = 0  # as last told
        self._doubted = False  # whether a first look was not enough
        self._usage = UsageMeter()

    def train(self) -> SegmentEnd:
        """Train until the last step or a stop. Raises whatever goes wrong; see `failures`."""
        policy.use_threads(self.spec.threads)
        policy.free_memory()
        if not self.spec.steps_left:
            return self._score_last()
        self._trainer = self._build()
        if self.spec.optimizer is not None:
            self._beat("loading the optimizer's state")
            self._trainer.create_optimizer()
            load_optimizer(self._trainer.optimizer, self.spec.optimizer)
        self._trainer.train()
        self._tell_reward_errors()
        if self.steps == self.spec.done:
            raise Fault(f"TRL trained 0 of {counted(self.spec.steps_left, 'step')}; its log says why")
        return self._end

    def release(self) -> None:
        """Let go of model and optimizer and give their memory back."""
        self._trainer = self._tokenizer = self._task = self._rewards = None
        policy.free_memory()

    def _build(self) -> Any:
        spec = self.spec
        self._task = registry.get(spec.task)
        practice = settings.task_for_training(self._task, spec)
        chosen = settings.hyperparameters(self._task, spec)
        self._beat("loading the tokenizer")
        self._tokenizer = policy.load_tokenizer(spec.base)
        self._beat("loading the model")
        model = self._load(fsdp=spec.fsdp)
        policy.check_tokens(model, self._tokenizer, spec.base)
        self._beat("reading the prompts")
        items = settings.training_items(practice, spec, chosen)
        texts = prompt_texts(self._tokenizer, practice, items, spec.evaluation.chat)
        longest, scored = self._check_prompts(model, practice, texts, int(chosen["max_completion_length"]))
        if spec.lora is None:
            if chosen.get("beta", 0.0):
                policy.check_source(spec.reference)
            # TRL loads the KL reference from this name. Left alone it would be the parent: an implicit reset.
            model.config._name_or_path = policy.located(spec.reference)
        grader, ends = Grader(practice, spec.on_error), frozenset(self._end_and_pad(model))
        self._rewards = TaskReward(grader, items, texts, ends, settings.overlong_penalty(spec, chosen))
        starts = spec.vllm is not None and not kept_vllm.is_kept()
        self._beat("starting vLLM" if starts else "building the trainer")
        arguments: dict[str, Any] = {
            "model": model,
            "args": settings.grpo_config(
                spec, chosen, model.num_parameters(), max(longest, scored), policy.positions_of(model)
            ),
            "train_dataset": Dataset.from_dict({"prompt": texts, "index": list(range(len(items)))}),
            "processing_class": self._tokenizer,
            "callbacks": [_EachStep(self)],
        }
        arguments |= self._rewarding(practice, longest)
        trainer = self._trainer_of(RefillingTrainer if spec.dynamic_sampling else GRPOTrainer, arguments)
        trainer.remove_callback(PrinterCallback)
        settings.schedule(trainer, spec)
        if spec.lora is not None:
            self._settle_adapter(model, four_bit=spec.lora.four_bit, penalized=bool(chosen.get("beta", 0.0)))
        return trainer

    def _settle_adapter(self, model: Any, *, four_bit: bool, penalized: bool) -> None:
        """The adapter as we train it, after TRL has had its way with it."""
        if four_bit:
            lora.keep_float32(model)
        if penalized:
            lora.set_reference(model, self.spec.reference, self.spec.base, self.spec.parent)

    def _rewarding(self, practice: Task, longest: int) -> dict[str, Any]:
        """The trainer's arguments about rewards."""
        spec = self.spec
        if not spec.dynamic_sampling:
            return {"reward_funcs": self._rewards}
        spare = SparePrompts(practice, self._tokenizer, spec.evaluation.chat, spec.seed, longest)
        return {"rewards": self._rewards, "spare": spare, "rounds": spec.dynamic_sampling}

    def _trainer_of(self, kind: type[GRPOTrainer], arguments: Mapping[str, Any]) -> Any:
        """A new trainer. vLLM takes long to start and cannot be asked to end: a stop then ends this process."""
        spec = self.spec
        if spec.vllm is None:
            return kind(**arguments)
        own_vllm = vllm_generation.for_trainers(spec.base, vllm_generation.dtype(spec), spec.vllm.sequences)
        starts = not kept_vllm.is_kept()
        with self._control.abandonable(spec.job, self.steps) if starts else nullcontext(), own_vllm:
            return kind(**arguments)

    def _load(self, *, fsdp: bool = False) -> Any:
        """The policy that the segment starts from; with `fsdp` the part of it that this process holds."""
        spec = self.spec
        dtype = policy.weights_dtype(spec.dtype, spec.precision, frozen=spec.lora is not None)
        if spec.lora is not None:
            return lora.load_policy(spec.base, spec.lora, spec.parent, dtype)
        if not fsdp:
            return policy.load_model(spec.parent, dtype)
        part = policy.load_model(spec.parent, dtype, options=sharding.loading(bf16=policy.use_bf16(spec.precision)))
        sharding.gather_to_generate(part)
        return part

    def _check_prompts(self, model: Any, practice: Task, texts: list[str], completion: int) -> tuple[int, int]:
        """Tokens of the longest training prompt and of the longest that is scored; both are checked before any step."""
        assert self._task is not None
        prompts = encode(self._tokenizer, texts, practice)
        check_positions(model, prompts, completion, f"max_completion_length = {completion}")
        scored = self.spec.evaluation
        held_out = self._task.items(Split(scored.split), scored.n, scored.seed)
        asked = encode(self._tokenizer, prompt_texts(self._tokenizer, self._task, held_out, scored.chat), self._task)
        length = scored.max_completion_length or self._task.max_completion_length
        check_positions(model, asked, length, "evaluation")
        return max(map(len, prompts)), max(map(len, asked))

    def _end_and_pad(self, model: Any) -> list[int]:
        return [*end_ids(model, self._tokenizer), self._tokenizer.pad_token_id]

    # ---- called by TRL between steps -------------------------------------------------------------------------------

    def begin(self) -> None:
        """The first step is about to begin."""
        setup = time.perf_counter() - self._began
        self._emit(events.SegmentStarted(job=self.spec.job, setup_seconds=setup, device=device_name()))
        self._control.hold(self.spec.job)
        self._mark = time.perf_counter()

    def step_done(self, step: int, logs: Mapping[str, Any]) -> bool:
        """Tell step `step`, checkpoint when due, hold while paused. Returns True when training is to end here."""
        now = time.perf_counter()
        self.steps = step
        self.seconds += now - self._mark
        self._tell(step, logs, now - self._mark)
        told = time.perf_counter()
        last = step == self.spec.steps
        asked = self._control.stop_of(self.spec.job)
        saved = last or asked is not None or step % self.spec.checkpoint_every == 0
        if saved:
            self._checkpoint(step, ends=last or asked is not None)
        if not last:
            self._control.hold(self.spec.job)
            asked = self._control.stop_of(self.spec.job)
            if asked is not None and not saved:
                self._checkpoint(step, ends=True)
        # Telling belongs to the next step's time; pauses and checkpoints do not.
        self._mark = now + (time.perf_counter() - told)
        if asked is not None and not last:
            self._end = asked
            return True
        return False

    def _tell(self, step: int, logs: Mapping[str, Any], seconds: float) -> None:
        for name in ("loss", "grad_norm"):
            value = logs.get(name)
            if value is not None and not math.isfinite(value):
                raise NotFinite(f"step {step}: {name} is {value}")
        values = {
            name: float(value)
            for name, value in logs.items()
            if isinstance(value, int | float) and math.isfinite(value)
        }
        values["step_seconds"] = seconds
        values |= self._usage.read(seconds, values.get("num_tokens"))
        self._emit(events.StepMetrics(job=self.spec.job, step=step, values=values))
        if not self._reward_errors:
            self._tell_reward_errors()
        if self._rewards is not None and (step == self.spec.done + 1 or step % self.spec.samples_every == 0):
            samples = pick_samples(self._rewards.rollouts)
            if samples:
                self._emit(events.CompletionSamples(job=self.spec.job, step=step, samples=samples))

    def _tell_reward_errors(self) -> None:
        """How many rollouts could not be scored so far, if that has changed since it was told."""
        if self._rewards is None or self._rewards.grader.failed == self._reward_errors:
            return
        grader = self._rewards.grader
        self._reward_errors = grader.failed
        self._emit(
            events.RewardErrors(
                job=self.spec.job, failed=grader.failed, scored=grader.scored, first=clean(grader.first)
            )
        )

    def _checkpoint(self, step: int, *, ends: bool) -> None:
        spec, trainer = self.spec, self._trainer
        assert self._task is not None
        policy.check_finite(trainer.model, f"step {step}")
        with sharding.gathered(trainer.model):
            evaluation = self._evaluation(trainer.model, ends=ends)
        if spec.fsdp:
            model, state = sharding.whole(trainer.model), sharding.whole_state(trainer.optimizer)
        else:
            model, state = trainer.model, trainer.optimizer.state_dict()
        if not self._control.leads:
            return
        self._beat("saving the checkpoint")
        directory = Path(spec.directory) / f"checkpoint-{step}"
        record = spec.model_dump(
            mode="json", include={"job", "task", "base", "parent", "reference", "configuration", "trl", "seed"}
        )
        scored = evaluation.model_dump(mode="json", exclude={"samples"}) if evaluation else None
        record |= {"step": step, "evaluation": scored}
        size = write_checkpoint(
            directory, model, self._tokenizer, state, record, lambda: self._beat("saving the checkpoint")
        )
        self._tell_checkpoint(step, str(directory), size, evaluation)

    def _evaluation(self, model: Any, *, ends: bool) -> events.Evaluation | None:
        """What a policy scores, in the middle of the segment or where it ends; None where the segment was asked to end
        without it, also while it is scored."""
        look, n = self.spec.first_look, self.spec.evaluation.n
        try:
            if not 0 < look < n or (ends and not self._doubted):
                return self._asked(model, 0, n)
            first = self._asked(model, 0, look)
            begun = self._score(self.spec.begun) if self.spec.begun else None
            if enough(self._score(first.outcomes), begun, ends=ends):
                return first
            self._doubted = True
            return first.and_then(self._asked(model, look, n))
        except _ScoringGivenUp:
            return None

    def _score(self, outcomes: str) -> Score:
        """Outcomes of the first prompts as a score."""
        asked = self.spec.evaluation
        return of_outcomes(outcomes, PromptSet(asked.split, asked.seed, len(outcomes)))

    def _asked(self, model: Any, begin: int, end: int) -> events.Evaluation:
        """What a policy answers to a part of the prompts."""
        spec = self.spec
        assert self._task is not None
        task = self._task

        def scored(first: int, last: int) -> events.Evaluation:
            return evaluate(
                model,
                self._tokenizer,
                task,
                spec.evaluation.of_part(first, last),
                bf16=policy.use_bf16(spec.precision),
                on_error=spec.on_error,
                beat=lambda done, total: self._scoring(first + done, last),
                vllm=self._vllm(model),
            )

        return self._control.divided(scored, begin, end)

    def _vllm(self, model: Any) -> Callable[[int, int], Any] | None:
        """What scores in place of Transformers: the trainer's own vLLM, where there is a trainer."""
        if self.spec.vllm is None or self._trainer is None:
            return vllm_generation.for_evaluation(self.spec, model, self._tokenizer, self._beat)
        return lambda prompt, answer: self._trainer.vllm_generation

    def _scoring(self, done: int, total: int) -> None:
        if self._control.gives_up_scoring(self.spec.job):
            raise _ScoringGivenUp
        self._beat("scoring", done, total)

    def _tell_checkpoint(self, step: int, directory: str, size: int, evaluation: events.Evaluation | None) -> None:
        """An unscored checkpoint is told to nobody: it lies there for whoever goes on with this segment."""
        if evaluation is None:
            self._end = SegmentEnd.STOPPED
            return
        self._emit(
            events.CheckpointSaved(job=self.spec.job, step=step, directory=directory, bytes=size, evaluation=evaluation)
        )

    def _score_last(self) -> SegmentEnd:
        """All steps were trained by an earlier worker, which was stopped before the last checkpoint was scored."""
        spec = self.spec
        self._task = registry.get(spec.task)
        self._tokenizer = policy.load_tokenizer(spec.base)
        self._beat("loading the model")
        model = self._load().to(policy.device())
        self.begin()
        size = sum(path.stat().st_size for path in Path(spec.parent).iterdir())
        self._tell_checkpoint(spec.steps, spec.parent, size, self._evaluation(model, ends=True))
        return self._end

    def _beat(self, phase: str, done: int = 0, total: int = 0) -> None:
        self._emit(events.Heartbeat(phase=phase, done=done, total=total))


class _EachStep(TrainerCallback):  # type: ignore[misc]  # transformers has no types
    def __init__(self, segment: SegmentTraining) -> None:
        self._segment = segment

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._segment.begin()

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        policy.drop_repeated_hooks(model)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        # The log after the last step (train_runtime …) has no loss of a step.
        if logs and "loss" in logs and self._segment.step_done(self._segment.spec.done + state.global_step, logs):
            control.should_training_stop = True

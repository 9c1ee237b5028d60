"""Evaluation without training: one checkpoint, or the soup of several, on a task's held-out prompts.

Called by the worker for `Evaluate`. It never trains and never raises for what an evaluation did.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from engine.training import events, failures, lora, policy, vllm_generation
from engine.training.checkpoint import write_checkpoint
from engine.training.evaluate import evaluate
from tasks import registry

_log = logging.getLogger(__name__)


class ProgressCallback(Protocol):
    """Says what goes on, and how far it is."""

    def __call__(self, phase: str, done: int = 0, total: int = 0) -> None: ...


def run_evaluation(
    request: events.Evaluate, emit: Callable[[events.Event | events.Heartbeat | events.WorkerLeaving], None]
) -> bool:
    """Answer with Evaluated, or with Ended and its cause. Returns False when the process should be replaced."""
    survives = True
    answer: events.EvaluationResult | events.SegmentEnded
    try:
        answer = _score(
            request, lambda phase, done=0, total=0: emit(events.Heartbeat(phase=phase, done=done, total=total))
        )
    except Exception as error:  # noqa: BLE001  every failure of an evaluation is a typed end, told to the search
        answer = events.SegmentEnded(
            job=request.job,
            end=failures.end_of(error),
            steps=0,
            trainer_seconds=0.0,
            detail=failures.detail_of(error),
            traceback=failures.traceback_of(error),
            unstarted=isinstance(error, failures.NotStarted),
        )
        survives = failures.is_survivable(error)
        lora.forget()
        _log.warning("evaluation %s: %s: %s\n%s", request.job, answer.end, answer.detail, answer.traceback)
    policy.free_memory()
    if not survives:
        emit(events.WorkerLeaving())
    emit(answer)
    return survives


def _load(request: events.Evaluate) -> Any:
    """The policy that is scored."""
    dtype = policy.weights_dtype(request.dtype, request.precision, frozen=request.lora is not None)
    if request.lora is None:
        return policy.load_soup(request.directories, dtype)
    return lora.load_soup(request.base, request.lora, request.directories, dtype)


def _score(request: events.Evaluate, beat: ProgressCallback) -> events.EvaluationResult:
    policy.use_threads(request.threads)
    policy.free_memory()
    task = registry.get(request.task)
    beat("loading the model")
    tokenizer = policy.load_tokenizer(request.base)
    model = _load(request)
    policy.check_tokens(model, tokenizer, request.base)
    evaluation = evaluate(
        model.to(policy.device()),
        tokenizer,
        task,
        request.evaluation,
        bf16=policy.use_bf16(request.precision),
        on_error=request.on_error,
        beat=lambda done, total: beat("scoring", done, total),
        vllm=vllm_generation.for_evaluation(request, model, tokenizer, beat),
    )
    if request.save_to is not None:
        record = {
            "job": request.job,
            "task": request.task,
            "base": request.base,
            "soup_of": request.directories,
            "evaluation": evaluation.model_dump(mode="json", exclude={"samples"}),
        }
        write_checkpoint(Path(request.save_to), model, tokenizer, None, record)
    return events.EvaluationResult(
        job=request.job,
        split=request.evaluation.split,
        seed=request.evaluation.seed,
        evaluation=evaluation,
    )

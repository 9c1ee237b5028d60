"""Scores policies on the workers: hands an evaluation over, waits for the answer, asks another worker when one dies.

Used by the loop for the base and by the closing evaluations. It writes nothing down but that a try was lost.
"""

from __future__ import annotations

import asyncio

from engine.controller.run_state import RunState
from engine.domain.memory import EVALUATION_PROMPTS
from engine.executors.base import Executor
from engine.training.events import Evaluate, EvaluationResult, Event, SegmentEnd, SegmentEnded
from engine.words import counted

MOST_WORKERS = 3
"""Workers that may die with one evaluation, or find no memory for it, before it counts as failed."""


class EvaluationRequests:
    """Of one run, in the controller's event loop."""

    def __init__(self, run: RunState, executor: Executor) -> None:
        self._run = run
        self._executor = executor
        self._free = asyncio.Semaphore(executor.capacity)
        self._answers: dict[str, asyncio.Future[EvaluationResult | SegmentEnded]] = {}

    async def ask(self, job: Evaluate) -> EvaluationResult | SegmentEnded:
        """The answer to an evaluation, once a worker is free. When the worker dies with it another one is asked,
        MOST_WORKERS in all: nothing is known against the policy. So it is when memory ran out, with fewer prompts at a
        time."""
        async with self._free:
            answer = await self._once(job)
            for _ in range(MOST_WORKERS - 1):
                if isinstance(answer, EvaluationResult):
                    break
                again = "it will be scored again"
                if answer.end is SegmentEnd.OUT_OF_MEMORY:
                    job = _with_fewer_prompts(job)
                    again += f", {counted(job.evaluation.batch_size, 'prompt')} at a time"
                elif not (answer.worker_lost or answer.unstarted):
                    break
                self._run.event("warning", "evaluation", f"{job.job}: {answer.detail}; {again}")
                answer = await self._once(job)
            return answer

    def take(self, event: Event) -> bool:
        """Whether an event is the answer to an evaluation; whoever waits for it has it then."""
        if not isinstance(event, EvaluationResult | SegmentEnded) or event.job not in self._answers:
            return False
        if not (asked := self._answers.pop(event.job)).cancelled():
            asked.set_result(event)
        return True

    async def _once(self, job: Evaluate) -> EvaluationResult | SegmentEnded:
        future: asyncio.Future[EvaluationResult | SegmentEnded] = asyncio.get_running_loop().create_future()
        self._answers[job.job] = future
        await self._executor.submit(job)
        return await future


def _with_fewer_prompts(job: Evaluate) -> Evaluate:
    """The same evaluation with an eighth of the prompts at a time."""
    at_once = max(1, min(job.evaluation.batch_size or EVALUATION_PROMPTS, job.evaluation.n) // 8)
    return job.model_copy(update={"evaluation": job.evaluation.model_copy(update={"batch_size": at_once})})

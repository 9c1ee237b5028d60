"""Scores policies on the workers: hands an evaluation over, waits for the answer, asks another worker when one dies;
and the evaluations that close a run.

Used by the loop. A request writes nothing down but that a try was lost.
"""

from __future__ import annotations

import asyncio
import shutil
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from engine.controller.job_builder import JobBuilder
from engine.controller.run_state import RunState
from engine.domain.memory import EVALUATION_PROMPTS
from engine.domain.policy import BASE, RERANK_SEED, STEERING_SEED, TEST_SEED, Policy
from engine.domain.score import Score, joined
from engine.errors import Fault
from engine.executors.base import Executor
from engine.run.config import EvaluationSection
from engine.run.evaluation_sizes import CHECKPOINTS
from engine.search.finalists import finalists, soup
from engine.training.events import MANIFEST, Evaluate, EvaluationResult, EvaluationSpec, Event, SegmentEnd, SegmentEnded
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


BEHIND_ERRORS = 2.0
"""Standard errors by which the best leads where the second set is not asked any more."""


class EvaluationFailed(Fault):
    """A policy could not be scored; the message says which and why."""


@dataclass(frozen=True, slots=True)
class PolicyCandidate:
    """A policy that may be reported, where its files are, and its score on the prompts that steer."""

    policy: Policy
    path: Path
    validation: Score


class ClosingEvaluations:
    """Runs the closing evaluations. `evaluate` hands a job to a worker and waits for its answer. What an earlier end of
    the run has measured, of the same policy on the same prompts, is taken from its row."""

    def __init__(
        self,
        run: RunState,
        jobs: JobBuilder,
        sizes: EvaluationSection,
        evaluate: Callable[[Evaluate], Awaitable[EvaluationResult | SegmentEnded]],
    ) -> None:
        self._run = run
        self._jobs = jobs
        self._sizes = sizes
        self._evaluate = evaluate

    async def run(self) -> Policy:
        """Pick the winner and measure it beside the base on the test split; every measurement is a row.

        Raises:
            EvaluationFailed: the base or the winner could not be scored.
        """
        winner = await self._pick()
        self._run.pick(winner.policy, winner.path)
        base = self._run.checkpoint_path(BASE.node, BASE.step)
        spec = EvaluationSpec(split="test", n=self._sizes.test_prompts, seed=TEST_SEED)
        measured = [self._score("baseline", BASE, base, spec)]
        if winner.policy != BASE:
            measured.append(self._score("final", winner.policy, winner.path, spec))
        await asyncio.gather(*measured)
        return winner.policy

    async def _pick(self) -> PolicyCandidate:
        """The best of the finalists by both validation sets together."""
        candidates = self._checkpoints()
        if (mixed := await self._soup()) is not None:
            candidates.append(mixed)
        candidates = self._in_question(candidates)
        if len(candidates) == 1:
            return candidates[0]
        spec = EvaluationSpec(split="validation", n=self._sizes.rerank_prompts, seed=RERANK_SEED)
        seconds = await asyncio.gather(*(self._score("reranking", c.policy, c.path, spec) for c in candidates))
        scored = [(joined(c.validation, second), c) for c, second in zip(candidates, seconds, strict=True)]
        best, winner = max(scored, key=lambda pair: pair[0].value)
        for score, candidate in scored:
            ahead = "picked" if candidate is winner else f"the selected policy leads by {best.minus(score)}"
            policy = candidate.policy
            self._run.event_of_this_end("reranking", f"{policy.name}: {score}; {ahead}", policy.node)
        return winner

    def _in_question(self, candidates: list[PolicyCandidate]) -> list[PolicyCandidate]:
        """Without those whom fresh prompts would hardly bring up with the best."""
        best = max(candidates, key=lambda c: (c.validation.n, c.validation.value))
        behind = [c for c in candidates if c.validation.trails(best.validation, BEHIND_ERRORS)]
        for each in behind:
            lead = best.validation.minus(each.validation)
            text = f"{each.policy.name}: {each.validation}; not scored again: {best.policy.name} leads by {lead}"
            self._run.event_of_this_end("reranking", text, each.policy.node)
        return [c for c in candidates if c not in behind]

    def _checkpoints(self) -> list[PolicyCandidate]:
        candidates = []
        for node, checkpoint in finalists(self._run.tree, CHECKPOINTS):
            path = self._run.checkpoint_path(node.id, checkpoint.step)
            candidates.append(PolicyCandidate(Policy(((node.id, checkpoint.step),)), path, checkpoint.score))
        return candidates

    async def _soup(self) -> PolicyCandidate | None:
        """The mean of the incumbent's branch, scored on the steering set; None when it is too short, or not wanted."""
        members = soup(self._run.tree, self._run.tree.best()[0].id) if self._sizes.soup else []
        if len(members) < 2:
            return None
        policy = Policy(tuple(members))
        segments = self._run.directory.segments
        target = segments / f"soup-{zlib.crc32(policy.key.encode()):08x}"  # each has its own: none is taken for another
        spec = EvaluationSpec(split="validation", n=self._sizes.validation_prompts, seed=STEERING_SEED)
        known = self._run.measured(policy, spec)
        if known is not None and (target / MANIFEST).is_file():
            return PolicyCandidate(policy, target, known)
        for old in segments.glob("soup*"):  # of earlier ends: no longer reported, and their scores stay
            shutil.rmtree(old, ignore_errors=True)
        paths = [self._run.checkpoint_path(node, step) for node, step in members]
        answer = await self._evaluate(self._jobs.evaluate("soup", paths, spec, save_to=target))
        if isinstance(answer, SegmentEnded):
            self._run.event("warning", "soup", f"no soup: {answer.end}: {answer.detail}", policy.node)
            return None
        score = known or self._run.evaluation(answer, policy, target, "soup")
        return PolicyCandidate(policy, target, score)

    async def _score(self, kind: str, policy: Policy, path: Path, spec: EvaluationSpec) -> Score:
        if (known := self._run.measured(policy, spec)) is not None:
            return known
        answer = await self._evaluate(self._jobs.evaluate(f"{kind}:{policy.key}", [path], spec))
        if isinstance(answer, SegmentEnded):
            raise EvaluationFailed(f"{kind} of {policy.name}: {answer.end}: {answer.detail}")
        return self._run.evaluation(answer, policy, path, kind)

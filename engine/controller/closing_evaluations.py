"""The end of the budget: the finalists on fresh validation prompts, the winner and the base on the test split.

Validation steers and picks, test is measured once for what is reported. The soup (mean of the weights along the best
branch) is one more finalist, free of training, never trained on from.
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
from engine.domain.policy import BASE, RERANK_SEED, STEERING_SEED, TEST_SEED, Policy
from engine.domain.score import Score, joined
from engine.errors import Fault
from engine.run.config import EvaluationSection
from engine.search.finalists import finalists, soup
from engine.training.events import MANIFEST, Evaluate, EvaluationResult, EvaluationSpec, SegmentEnded

FINALISTS = 3
"""Checkpoints compared on the second validation set."""


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

    def _checkpoints(self) -> list[PolicyCandidate]:
        candidates = []
        for node, checkpoint in finalists(self._run.tree, FINALISTS):
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

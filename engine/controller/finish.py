"""The end of the budget: the finalists on fresh validation prompts, the winner and the base on the test split.

Validation steers and picks, test is measured once for what is reported. The soup (mean of the weights along the best
line) is one more finalist, free of training, never trained on from.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from engine.config import EvaluationSection
from engine.controller.jobs import Jobs
from engine.controller.ledger import Ledger
from engine.controller.prompt_sets import RERANK_SEED, STEERING_SEED, TEST_SEED
from engine.errors import Fault
from engine.score import Score, joined
from engine.search.finalists import finalists, soup
from engine.training.events import Ended, Evaluate, Evaluated, EvaluationSpec

FINALISTS = 3
"""Checkpoints compared on the second validation set."""


class EvaluationFailed(Fault):
    """A policy could not be scored; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A policy that may be reported: a checkpoint, or a soup (`members` more than one)."""

    node: int
    step: int
    path: Path
    validation: Score
    kind: str = "checkpoint"


class Finish:
    """Runs the closing evaluations. `evaluate` hands a job to a worker and waits for its answer."""

    def __init__(
        self,
        ledger: Ledger,
        jobs: Jobs,
        sizes: EvaluationSection,
        evaluate: Callable[[Evaluate], Awaitable[Evaluated | Ended]],
    ) -> None:
        self._ledger = ledger
        self._jobs = jobs
        self._sizes = sizes
        self._evaluate = evaluate

    async def run(self) -> Candidate:
        """Pick the winner and measure it beside the base on the test split; every measurement is a row.

        Raises:
            EvaluationFailed: the base or the winner could not be scored.
        """
        winner = await self._pick()
        self._ledger.writer.update_run(
            best_node=winner.node, best_step=winner.step, best_path=self._ledger.relative(winner.path)
        )
        base = self._ledger.checkpoint_path(self._ledger.tree.root.id, 0)
        spec = EvaluationSpec(split="test", n=self._sizes.test_prompts, seed=TEST_SEED)
        measured = [self._score("baseline", 0, 0, base, spec)]
        if winner.path != base:
            measured.append(self._score("final", winner.node, winner.step, winner.path, spec))
        await asyncio.gather(*measured)
        return winner

    async def _pick(self) -> Candidate:
        """The best of the finalists by both validation sets together."""
        candidates = self._checkpoints()
        if (mixed := await self._soup()) is not None:
            candidates.append(mixed)
        if len(candidates) == 1:
            return candidates[0]
        spec = EvaluationSpec(split="validation", n=self._sizes.rerank_prompts, seed=RERANK_SEED)
        seconds = await asyncio.gather(*(self._score("reranking", c.node, c.step, c.path, spec) for c in candidates))
        scored = [(joined(c.validation, second), c) for c, second in zip(candidates, seconds, strict=True)]
        best, winner = max(scored, key=lambda pair: pair[0].value)
        for score, candidate in scored:
            ahead = "picked" if candidate is winner else f"the picked one leads by {best.minus(score)}"
            self._ledger.event("info", "reranking", f"{_title(candidate)}: {score}; {ahead}", candidate.node)
        return winner

    def _checkpoints(self) -> list[Candidate]:
        found = []
        for node, checkpoint in finalists(self._ledger.tree, FINALISTS):
            path = self._ledger.checkpoint_path(node.id, checkpoint.step)
            found.append(Candidate(node.id, checkpoint.step, path, checkpoint.score))
        return found

    async def _soup(self) -> Candidate | None:
        """The mean of the incumbent's line, scored on the steering set; None when the line is too short for one."""
        members = soup(self._ledger.tree, self._ledger.tree.best()[0].id)
        if len(members) < 2:
            return None
        last_node, last_step = members[0]
        target = self._ledger.directory.segments / "soup"
        spec = EvaluationSpec(split="validation", n=self._sizes.validation_prompts, seed=STEERING_SEED)
        paths = [self._ledger.checkpoint_path(node, step) for node, step in members]
        answer = await self._evaluate(self._jobs.evaluate("soup", paths, spec, save_to=target))
        if isinstance(answer, Ended):
            self._ledger.event("warning", "soup", f"no soup: {answer.end}: {answer.detail}", last_node)
            return None
        score = self._ledger.evaluation(answer, last_node, last_step, target, "soup")
        return Candidate(last_node, last_step, target, score, "soup")

    async def _score(self, kind: str, node: int, step: int, path: Path, spec: EvaluationSpec) -> Score:
        answer = await self._evaluate(self._jobs.evaluate(f"{kind}:{node}:{step}:{path.name}", [path], spec))
        if isinstance(answer, Ended):
            raise EvaluationFailed(f"{kind} of #{node} step {step}: {answer.end}: {answer.detail}")
        return self._ledger.evaluation(answer, node, step, path, kind)


def _title(candidate: Candidate) -> str:
    place = f"#{candidate.node} step {candidate.step}"
    return f"soup ending at {place}" if candidate.kind == "soup" else place

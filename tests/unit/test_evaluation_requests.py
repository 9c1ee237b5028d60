"""Evaluations that find no memory are asked for again with fewer prompts at a time; other failures are not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.controller.evaluations import MOST_WORKERS, EvaluationRequests
from engine.training.events import Evaluate, EvaluationSpec, SegmentEnd, SegmentEnded, SegmentSpec
from tests.engine.simulated import SimulatedExecutor
from tests.unit.test_run_state import begin


class Failing(SimulatedExecutor):
    """Answers every evaluation with the same failure."""

    def __init__(self, end: SegmentEnd) -> None:
        super().__init__(0.0)
        self.end = end
        self.asked: list[Evaluate] = []
        self.requests: EvaluationRequests

    async def submit(self, job: SegmentSpec | Evaluate) -> None:
        assert isinstance(job, Evaluate)
        self.asked.append(job)
        ended = SegmentEnded(job=job.job, end=self.end, steps=0, trainer_seconds=0, detail="it did not work")
        asyncio.get_running_loop().call_soon(self.requests.take, ended)


async def asked(where: Path, end: SegmentEnd) -> tuple[list[int], list[str]]:
    """The batch sizes that were tried, and the events that were written."""
    run = begin(where)
    executor = Failing(end)
    executor.requests = EvaluationRequests(run, executor)
    job = Evaluate(job="base", task="knights", base="b", directories=["b"], evaluation=EvaluationSpec(n=1000))
    answer = await executor.requests.ask(job)
    assert isinstance(answer, SegmentEnded)
    assert answer.end is end
    run.flush()
    told = [row["message"] for row in run.rows("SELECT message FROM events WHERE kind = 'evaluation'")]
    run.close()
    return [each.evaluation.batch_size for each in executor.asked], told


async def test_memory_that_ran_out_is_tried_with_an_eighth_of_the_prompts(tmp_path: Path) -> None:
    sizes, told = await asked(tmp_path / "run", SegmentEnd.OUT_OF_MEMORY)
    assert sizes == [0, 32, 4]
    assert len(sizes) == MOST_WORKERS
    assert told[0] == "base: it did not work; it will be scored again, 32 prompts at a time"


@pytest.mark.parametrize("end", [SegmentEnd.CRASHED, SegmentEnd.NAN])
async def test_what_more_memory_would_not_mend_is_asked_once(tmp_path: Path, end: SegmentEnd) -> None:
    assert await asked(tmp_path / "run", end) == ([0], [])

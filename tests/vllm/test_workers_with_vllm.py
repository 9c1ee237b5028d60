"""Workers that generate with vLLM: two of them start at the same time, and one that still starts can be stopped."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from engine.executors.local import LocalExecutor
from engine.testing.executors import Spec
from engine.training.events import SegmentEnd

PATIENCE = 240.0
"""Seconds for a start of vLLM without its compile cache, on a busy machine."""


async def until(executor: LocalExecutor, found: Any) -> Any:
    while True:
        event = await asyncio.wait_for(executor.next_event(), PATIENCE)
        if found(event):
            return event


async def test_two_workers_start_their_vllm_at_the_same_time(vllm_spec: Spec, tmp_path: Path) -> None:
    executor = LocalExecutor(2, tmp_path / "logs", env={"OMP_NUM_THREADS": "1"})
    try:
        await executor.start()
        for job in ("a", "b"):
            await executor.submit(vllm_spec(job=job, steps=2))
        ends: dict[str, tuple[SegmentEnd, str]] = {}
        while len(ends) < 2:
            ended = await until(executor, lambda event: event.kind == "ended")
            ends[ended.job] = (ended.end, ended.detail)
        assert ends == {"a": (SegmentEnd.FINISHED, ""), "b": (SegmentEnd.FINISHED, "")}
    finally:
        await executor.close()


async def test_a_vllm_that_starts_can_be_stopped_and_the_next_segment_trains(vllm_spec: Spec, tmp_path: Path) -> None:
    executor = LocalExecutor(1, tmp_path / "logs", env={"OMP_NUM_THREADS": "1"})
    try:
        await executor.start()
        await executor.submit(vllm_spec(job="a", steps=1000))
        await until(executor, lambda event: getattr(event, "phase", "") == "starting vLLM")
        await executor.stop("a", SegmentEnd.STOPPED)
        ended = await until(executor, lambda event: event.kind in ("started", "ended"))
        assert (ended.kind, ended.job, ended.end, ended.steps) == ("ended", "a", SegmentEnd.STOPPED, 0)
        await executor.submit(vllm_spec(job="b", steps=1))
        ended = await until(executor, lambda event: event.kind == "ended")
        assert (ended.job, ended.end) == ("b", SegmentEnd.FINISHED)
    finally:
        await executor.close()

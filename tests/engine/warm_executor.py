"""An executor whose worker has come up, kept over the tests of a file: torch is imported once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from engine.executors.local import LocalExecutor
from engine.testing.executors import next_event
from engine.training.events import WorkerReady


@asynccontextmanager
async def warm_executor(logs: Path, *, device: str = "", gpus: int = 1) -> AsyncIterator[LocalExecutor]:
    """One worker of `gpus` processes; `device`: what it trains on, where the test knows."""
    executor = LocalExecutor(1, logs, gpus=gpus, env={"OMP_NUM_THREADS": "1"})
    await executor.start()
    ready = await next_event(executor)
    assert isinstance(ready, WorkerReady)
    assert device in ("", ready.device)
    yield executor
    await executor.close()


def idle(executor: LocalExecutor) -> LocalExecutor:
    """The same executor, for the next test."""
    assert executor.idle == 1, "the test before this one left its job behind"
    return executor

"""The executor of docs/extending.md keeps the promises of every executor, on real workers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from engine.executors.local import LocalExecutor
from engine.host.priority import AUTOGROUP
from engine.testing.executors import ExecutorConformance, next_event
from tests.unit.test_own_parts import example

NICENESS = 1
"""Little, or a busy machine would keep them waiting beyond what the tests wait."""

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def executor(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalExecutor]:
    made: LocalExecutor = example("my_executor").NiceExecutor(
        1, tmp_path_factory.mktemp("logs"), niceness=NICENESS, env={"OMP_NUM_THREADS": "1"}
    )
    await made.start()
    assert (await next_event(made)).kind == "ready"
    yield made
    await made.close()


async def test_its_workers_yield_to_others(executor: LocalExecutor) -> None:
    """To other sessions, too, where the kernel weighs those."""
    nice = psutil.Process().nice() + NICENESS
    assert [psutil.Process(pid).nice() for pid in executor.pids] == [nice]
    if AUTOGROUP.exists():
        weights = [Path(f"/proc/{pid}/autogroup").read_text(encoding="ascii") for pid in executor.pids]
        assert [weight.split()[-1] for weight in weights] == [str(nice)]


class TestMyExecutor(ExecutorConformance):
    """Every promise, with workers that are nice."""

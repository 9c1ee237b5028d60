"""Real trainer workers under the local executor: the promises of every executor, and what only processes can suffer."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import pytest_asyncio

from engine.executors import local, slot
from engine.executors.local import LocalExecutor
from engine.testing.executors import LONG, ExecutorConformance, events_of_job, events_until
from engine.training.events import SegmentEnd
from tests.engine.conftest import Spec
from tests.engine.warm_executor import idle, warm_executor

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def warm(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalExecutor]:
    async with warm_executor(tmp_path_factory.mktemp("logs")) as executor:
        yield executor


@pytest_asyncio.fixture(loop_scope="module")
async def executor(warm: LocalExecutor) -> LocalExecutor:
    return idle(warm)


class TestLocalExecutor(ExecutorConformance):
    """LocalExecutor keeps the promises of every executor."""


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def frozen(executor: LocalExecutor, make_spec: Spec) -> int:
    """A worker that was stopped in the middle of segment "h"; its process id."""
    await executor.submit(make_spec(job="h", steps=LONG))
    await events_until(executor, "metrics", step=2)
    [pid] = executor.pids
    os.kill(pid, signal.SIGSTOP)
    return pid


def cpu_seconds(pid: int) -> float:
    used = psutil.Process(pid).cpu_times()
    return used.user + used.system


async def test_a_warm_worker_changes_segments_for_less_than_a_cpu_second(
    executor: LocalExecutor, make_spec: Spec
) -> None:
    await executor.submit(make_spec(job="0", steps=1))
    await events_of_job(executor)
    pids, costs = executor.pids, []
    for job in ("1", "2", "3"):
        before = cpu_seconds(pids[0])
        await executor.submit(make_spec(job=job, steps=1))
        await events_until(executor, "metrics")
        costs.append(cpu_seconds(pids[0]) - before)
        await events_of_job(executor)
    assert executor.pids == pids
    assert min(costs) < 1.0  # the best of three: other processes share these cores


async def test_a_killed_worker_is_a_crashed_segment_and_the_next_runs(executor: LocalExecutor, make_spec: Spec) -> None:
    await executor.submit(make_spec(job="k", steps=LONG))
    await events_until(executor, "metrics", step=2)
    [pid] = executor.pids
    os.kill(pid, signal.SIGKILL)
    ended = (await events_of_job(executor))[-1]
    assert (ended.job, ended.end) == ("k", SegmentEnd.CRASHED)
    assert ended.steps >= 2
    assert ended.trainer_seconds > 0
    assert "SIGKILL" in ended.detail
    await executor.submit(make_spec(job="l", steps=1))
    assert (await events_of_job(executor))[-1].end is SegmentEnd.FINISHED
    assert executor.pids != [pid]


async def test_a_stopped_worker_is_a_hung_segment_and_the_next_runs(
    executor: LocalExecutor, make_spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = await frozen(executor, make_spec)
    monkeypatch.setattr(executor, "hang_seconds", 1.0)
    ended = (await events_of_job(executor))[-1]
    monkeypatch.undo()
    assert (ended.job, ended.end) == ("h", SegmentEnd.HUNG)
    assert "no sign of life for" in ended.detail
    assert not psutil.pid_exists(pid)
    await executor.submit(make_spec(job="i", steps=1))
    assert (await events_of_job(executor))[-1].end is SegmentEnd.FINISHED


async def test_who_was_not_run_himself_kills_no_worker(
    executor: LocalExecutor, make_spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine, or all of its processes, that stood still for an hour: the workers are no more to blame than we."""
    pid = await frozen(executor, make_spec)
    stood_still = [0.0]
    monkeypatch.setattr(local, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + stood_still[0]))
    monkeypatch.setattr(slot, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + stood_still[0]))
    stood_still[0] = 3600.0
    looked: list[None] = []
    monkeypatch.setattr(slot.WorkerSlot, "end_orphans", lambda _: looked.append(None))
    await until(lambda: len(looked) > 1)  # the watch has
    monkeypatch.undo()
    os.kill(pid, signal.SIGCONT)
    await executor.stop("h", SegmentEnd.STOPPED)
    assert (await events_of_job(executor))[-1].end is SegmentEnd.STOPPED


@pytest.mark.parametrize("long_ago", [True, False])
async def test_a_kill_for_lack_of_memory_is_the_cause_of_a_death_that_follows_at_once(
    executor: LocalExecutor, make_spec: Spec, monkeypatch: pytest.MonkeyPatch, long_ago: bool
) -> None:
    kills = [5]
    monkeypatch.setattr(slot, "oom_kills", lambda: kills[0])
    [its] = executor._slots
    for _ in range(slot.OOM_LOOKS):
        its.look_at_memory()
    await executor.submit(make_spec(job="m", steps=LONG))
    await events_until(executor, "metrics", step=1)
    kills[0] = 6  # some process of the control group
    for _ in range(slot.OOM_LOOKS if long_ago else 1):
        its.look_at_memory()
    os.kill(executor.pids[0], signal.SIGKILL)
    ended = (await events_of_job(executor))[-1]
    assert ended.end is (SegmentEnd.CRASHED if long_ago else SegmentEnd.OUT_OF_MEMORY)


async def test_a_score_that_never_returns_is_a_hung_segment(
    executor: LocalExecutor, make_spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    await executor.submit(make_spec("Hangs", job="h"))
    await events_until(executor, "started")
    monkeypatch.setattr(executor, "hang_seconds", 1.0)
    assert (await events_of_job(executor))[-1].end is SegmentEnd.HUNG


async def test_control_c_in_the_terminal_does_not_end_a_worker(executor: LocalExecutor, make_spec: Spec) -> None:
    await executor.submit(make_spec(job="c", steps=LONG))
    await events_until(executor, "metrics", step=1)
    os.kill(executor.pids[0], signal.SIGINT)
    await events_until(executor, "metrics", step=3)
    await executor.stop("c", SegmentEnd.STOPPED)
    assert (await events_of_job(executor))[-1].end is SegmentEnd.STOPPED


ENGINE = """
import asyncio, sys
from pathlib import Path
from engine.executors.local import LocalExecutor
from engine.training.events import SegmentSpec

async def main():
    executor = LocalExecutor(1, Path(sys.argv[1]), env={"OMP_NUM_THREADS": "1"})
    await executor.start()
    await executor.submit(SegmentSpec.model_validate_json(sys.argv[2]))
    while True:
        event = await executor.next_event()
        if event.kind == "metrics":
            print(executor.pids[0], flush=True)

asyncio.run(main())
"""


async def test_no_worker_outlives_an_engine_that_is_killed(make_spec: Spec, tmp_path: Path) -> None:
    """Not even one that trains and is stopped by SIGSTOP, which cannot hear that its stdin ended; test_worker.py has
    the others."""
    spec = make_spec(job="x", steps=LONG).model_dump_json()
    engine = subprocess.Popen([sys.executable, "-c", ENGINE, str(tmp_path / "logs"), spec], stdout=subprocess.PIPE)
    assert engine.stdout is not None
    worker = psutil.Process(int(await asyncio.to_thread(engine.stdout.readline)))
    assert "engine.training.worker" in worker.cmdline()
    worker.suspend()
    engine.kill()
    engine.wait()
    engine.stdout.close()
    await until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)

"""The executor of local processes answers every job once, whatever its worker does. The worker here needs no torch."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from engine.executors import slot
from engine.executors.local import LocalExecutor
from engine.training import events
from engine.training.events import EvaluationSpec, SegmentEnd, SegmentSpec

FAKE = (sys.executable, "-S", str(Path(__file__).with_name("fake_worker.py")))


def segment(task: str, job: str = "1") -> SegmentSpec:
    return SegmentSpec(
        job=job,
        task=task,
        base="b",
        parent="b",
        optimizer=None,
        reference="b",
        configuration={},
        steps=1,
        seed=0,
        directory="d",
        checkpoint_every=1,
        evaluation=EvaluationSpec(n=1),
        batch_size=2,
        micro_batch=1,
    )


@asynccontextmanager
async def workers(tmp_path: Path, capacity: int = 1, **options: Any) -> AsyncIterator[LocalExecutor]:
    """A started executor whose processes are gone afterwards."""
    mode = options.pop("mode", "")
    settings = {"command": FAKE, "env": {"FAKE_WORKER": mode}} | options
    executor = LocalExecutor(capacity, tmp_path / "logs", **settings)
    await executor.start()
    try:
        yield executor
    finally:
        await executor.close()
        assert executor.pids == []


async def event(executor: LocalExecutor, kind: str) -> Any:
    """The next event of that kind; others are passed over."""
    while True:
        found = await asyncio.wait_for(executor.next_event(), 20)
        if found.kind == kind:
            return found


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_jobs_go_to_free_workers_and_come_back(tmp_path: Path) -> None:
    async with workers(tmp_path, capacity=2) as executor:
        assert executor.capacity == executor.idle == 2
        await executor.submit(segment("tells requests", "a"))
        assert executor.idle == 1
        await executor.submit(segment("tells requests", "b"))
        assert executor.idle == 0
        with pytest.raises(RuntimeError, match="all 2 workers are busy"):
            await executor.submit(segment("fine", "c"))
        await executor.stop("b", SegmentEnd.STOPPED)
        assert (await event(executor, "ended")).job == "b"
        assert executor.idle == 1
        await executor.stop("a", SegmentEnd.EARLY_STOPPED)
        assert (await event(executor, "ended")).job == "a"


async def test_a_job_may_be_submitted_and_stopped_before_the_worker_is_there(tmp_path: Path) -> None:
    async with workers(tmp_path, mode="slow start") as executor:
        await executor.submit(segment("tells requests"))
        await executor.stop("1", SegmentEnd.STOPPED)
        ended = await event(executor, "ended")
        assert (ended.end, ended.detail) == (SegmentEnd.STOPPED, "stop")


async def test_a_stop_that_is_too_late_or_of_nobody_has_no_effect(tmp_path: Path) -> None:
    async with workers(tmp_path) as executor:
        await executor.submit(segment("fine"))
        await event(executor, "ended")
        await executor.stop("1", SegmentEnd.STOPPED)
        await executor.stop("nobody", SegmentEnd.STOPPED)
        await executor.submit(segment("fine"))
        assert (await event(executor, "ended")).end is SegmentEnd.FINISHED
        with pytest.raises(ValueError, match="not as finished"):
            await executor.stop("1", SegmentEnd.FINISHED)


async def test_a_pause_reaches_every_worker_those_started_later_too(tmp_path: Path) -> None:
    async with workers(tmp_path, mode="slow start") as executor:
        await executor.pause()
        await event(executor, "ready")
        await executor.submit(segment("tells requests"))
        await executor.unpause()
        await executor.pause()
        await executor.stop("1", SegmentEnd.STOPPED)
        assert (await event(executor, "ended")).detail == "continue pause stop"


async def test_a_dead_worker_is_a_crash_with_its_exit_code_and_last_words(tmp_path: Path) -> None:
    async with workers(tmp_path) as executor:
        await executor.submit(segment("dies"))
        ended = await event(executor, "ended")
        assert (ended.job, ended.end, ended.steps, ended.trainer_seconds) == ("1", SegmentEnd.CRASHED, 2, 1.0)
        assert ended.detail == ("the worker exited with code 3; last line of worker-0.log: RuntimeError: ·[1mno luck")
        await executor.submit(segment("fine", "2"))
        assert (await event(executor, "ended")).end is SegmentEnd.FINISHED


async def test_a_killed_worker_is_a_crash_that_names_the_signal(tmp_path: Path) -> None:
    async with workers(tmp_path) as executor:
        await executor.submit(segment("stalls"))
        await event(executor, "metrics")
        os.kill(executor.pids[0], signal.SIGKILL)
        ended = await event(executor, "ended")
        assert ended.end is SegmentEnd.CRASHED
        assert ended.detail.startswith("the worker was killed by SIGKILL")
        assert executor.idle == 1


@pytest.mark.parametrize(
    ("task", "says"),
    [
        ("garbage", "a line that is not an event: 'Downloading ·[31mshards: 100%'"),
        ("other job", 'reported job "someone else\'s", which it does not have'),
    ],
)
async def test_a_worker_that_talks_nonsense_is_killed(tmp_path: Path, task: str, says: str) -> None:
    async with workers(tmp_path) as executor:
        ready = await event(executor, "ready")
        await executor.submit(segment(task))
        ended = await event(executor, "ended")
        assert ended.end is SegmentEnd.CRASHED
        assert says in ended.detail
        assert not psutil.pid_exists(ready.pid)
        assert (await event(executor, "ready")).pid != ready.pid


async def test_large_lines_pass_and_endless_ones_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slot, "LONGEST_LINE", 2**20)
    async with workers(tmp_path) as executor:
        await executor.submit(segment("large"))
        assert len((await event(executor, "samples")).samples[0].prompt) == 200_000
        await event(executor, "ended")
        await executor.submit(segment("endless line"))
        ended = await event(executor, "ended")
        assert ended.end is SegmentEnd.CRASHED
        assert "a line longer than 1048576 bytes" in ended.detail


@pytest.mark.parametrize("task", ["leaves", "lingers"])
async def test_a_worker_that_leaves_is_replaced_and_loses_no_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    monkeypatch.setattr(slot, "_GOODBYE_SECONDS", 0.2)
    async with workers(tmp_path) as executor:
        first = await event(executor, "ready")
        await executor.submit(segment(task))
        assert (await event(executor, "ended")).end is SegmentEnd.FINISHED
        await executor.submit(segment("fine", "2"))
        assert (await event(executor, "ready")).pid != first.pid
        ended = await event(executor, "ended")
        assert (ended.job, ended.end) == ("2", SegmentEnd.FINISHED)


async def test_a_worker_that_cannot_start_crashes_the_job_and_is_tried_less_and_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str | float] = []

    async def pause(seconds: float) -> None:
        tried.append(seconds)
        await asyncio.sleep(0)

    class Counted(LocalExecutor):
        def spawn(self, slot: Any) -> Any:
            tried.append("spawn")
            return super().spawn(slot)

    monkeypatch.setattr(slot, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": pause}))
    monkeypatch.setattr(slot, "_FIRST_PAUSE", 0.5)
    monkeypatch.setattr(slot, "_LONGEST_PAUSE", 3.0)
    monkeypatch.setattr(sys.modules[__name__], "LocalExecutor", Counted)
    async with workers(tmp_path, mode="dies at start") as executor:
        await executor.submit(segment("fine"))
        ended = await event(executor, "ended")
        assert ended.end is SegmentEnd.CRASHED
        assert ended.detail == (
            "the worker exited with code 1 before it was ready;"
            " last line of worker-0.log: ModuleNotFoundError: No module named 'trl'"
        )
        await until(lambda: len(tried) >= 10)
    assert tried[:10] == ["spawn", 0.5, "spawn", 1.0, "spawn", 2.0, "spawn", 3.0, "spawn", 3.0]


async def test_a_program_that_does_not_exist_crashes_the_job(tmp_path: Path) -> None:
    async with workers(tmp_path, command=["/no/such/python"]) as executor:
        await executor.submit(segment("fine"))
        ended = await event(executor, "ended")
        assert ended.end is SegmentEnd.CRASHED
        assert ended.detail.startswith("no worker could be started: ")


async def test_silence_while_a_job_runs_is_a_hang(tmp_path: Path) -> None:
    async with workers(tmp_path, hang_seconds=0.3) as executor:
        ready = await event(executor, "ready")
        await executor.submit(segment("stalls"))
        ended = await event(executor, "ended")
        assert (ended.end, ended.steps) == (SegmentEnd.HUNG, 1)
        assert ended.detail.endswith(" s after step 1; the worker was killed")
        assert not psutil.pid_exists(ready.pid)
        await executor.submit(segment("fine", "2"))
        assert (await event(executor, "ended")).end is SegmentEnd.FINISHED


async def test_a_stopped_process_is_a_hang_too(tmp_path: Path) -> None:
    async with workers(tmp_path, hang_seconds=0.3) as executor:
        await executor.submit(segment("beats"))
        await event(executor, "metrics")
        os.kill(executor.pids[0], signal.SIGSTOP)
        assert (await event(executor, "ended")).end is SegmentEnd.HUNG


async def test_the_set_up_of_a_job_may_take_longer_than_a_step(tmp_path: Path) -> None:
    async with workers(tmp_path, hang_seconds=0.1, setup_seconds=0.6) as executor:
        await event(executor, "ready")
        began = time.monotonic()
        await executor.submit(segment("silent"))
        ended = await event(executor, "ended")
        assert ended.end is SegmentEnd.HUNG
        assert "while it was set up" in ended.detail
        assert time.monotonic() - began > 0.6


async def test_signs_of_life_without_words_are_no_hang_and_nobodys_event(tmp_path: Path) -> None:
    async with workers(tmp_path, hang_seconds=0.6) as executor:
        await executor.submit(segment("beats"))
        kinds = [(await asyncio.wait_for(executor.next_event(), 20)).kind for _ in range(4)]
        assert kinds == ["progress", "ready", "metrics", "ended"]


async def test_a_paused_or_an_idle_worker_does_not_hang(tmp_path: Path) -> None:
    async with workers(tmp_path, hang_seconds=0.1, setup_seconds=0.1) as executor:
        ready = await event(executor, "ready")
        await asyncio.sleep(0.5)
        await executor.pause()
        await executor.submit(segment("silent"))
        await asyncio.sleep(0.5)
        assert executor.pids == [ready.pid]
        await executor.unpause()
        assert (await event(executor, "ended")).end is SegmentEnd.HUNG


async def test_what_a_worker_started_dies_with_it(tmp_path: Path) -> None:
    async with workers(tmp_path, hang_seconds=0.2) as executor:
        await executor.submit(segment("has a child"))
        child = (await event(executor, "samples")).step
        assert psutil.pid_exists(child)
        await event(executor, "ended")
        await until(lambda: not _runs(child))


async def test_a_death_is_noticed_though_a_child_keeps_the_pipe_open(tmp_path: Path) -> None:
    async with workers(tmp_path) as executor:
        await executor.submit(segment("dies and leaves a child"))
        child = (await event(executor, "samples")).step
        assert (await event(executor, "ended")).detail.startswith("the worker exited with code 4")
        await until(lambda: not _runs(child))


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_an_evaluation_is_a_job_like_any_other(tmp_path: Path) -> None:
    async with workers(tmp_path) as executor:
        request = events.Evaluate(job="e", task="dies", base="b", directories=["b"], evaluation=EvaluationSpec(n=1))
        await executor.submit(request)
        await executor.stop("e", SegmentEnd.STOPPED)
        ended = await event(executor, "ended")
        assert (ended.job, ended.end) == ("e", SegmentEnd.CRASHED)


async def test_closing_ends_busy_workers_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for grace in ("_GOODBYE_SECONDS", "_LAST_MOMENTS"):  # longer than the job: waited for, it would end by itself
        monkeypatch.setattr(slot, grace, 3600.0)
    async with workers(tmp_path, capacity=2) as executor:
        await executor.submit(segment("silent"))
        await event(executor, "ready")
        processes = [each.process for each in executor._slots]
        await executor.close()
        assert [each and each.returncode for each in processes] == [-signal.SIGKILL] * 2
        assert not any(psutil.pid_exists(each.pid) for each in processes if each)


async def test_waiting_with_a_timeout_loses_no_event(tmp_path: Path) -> None:
    async with workers(tmp_path, mode="slow start") as executor:
        await executor.submit(segment("fine"))
        kinds: list[str] = []
        while len(kinds) < 4:
            waiting: Awaitable[Any] = asyncio.wait_for(executor.next_event(), 0.001)
            try:
                kinds.append((await waiting).kind)
            except TimeoutError:
                continue
        assert kinds == ["progress", "ready", "metrics", "ended"]


async def test_what_a_worker_does_is_told_for_its_job_and_not_too_often(tmp_path: Path) -> None:
    async with workers(tmp_path) as executor:
        await executor.submit(segment("scores"))
        told: list[Any] = []
        while not told or told[-1].kind != "ended":
            told.append(await asyncio.wait_for(executor.next_event(), 20))
    phases = [(e.job, e.phase, e.done, e.total) for e in told if e.kind == "progress"]
    job = told[-1].job
    assert phases[0] == (job, "starting a worker", 0, 0)
    assert phases[1] == (job, "scoring", 0, 1000)
    assert phases[-1] == (job, "scoring", 1000, 1000)
    assert len(phases) < 20


async def test_a_bug_in_a_supervisor_is_not_waited_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Bugged(LocalExecutor):
        def spawn(self, slot: Any) -> Any:
            raise ZeroDivisionError("a bug")

    monkeypatch.setattr(sys.modules[__name__], "LocalExecutor", Bugged)
    async with workers(tmp_path) as executor:
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(executor.next_event(), 20)


CARELESS = """
import asyncio, sys
from pathlib import Path
from engine.executors.local import LocalExecutor

async def main():
    executor = LocalExecutor(2, Path(sys.argv[1]), command=sys.argv[2:])
    await executor.start()
    await asyncio.sleep(float(sys.stdin.readline()))
    raise SystemExit(5)

asyncio.run(main())
"""


@pytest.mark.parametrize("seconds", ["0", "0.3"])
def test_an_engine_that_crashes_without_closing_still_ends(tmp_path: Path, seconds: str) -> None:
    command = [sys.executable, "-c", CARELESS, str(tmp_path), *FAKE]
    done = subprocess.run(command, input=seconds, text=True, capture_output=True, timeout=30)
    assert done.returncode == 5, done.stderr
    assert "Traceback" not in done.stderr


async def test_closing_while_workers_start_leaves_none(tmp_path: Path) -> None:
    for _ in range(5):
        async with workers(tmp_path, capacity=3):
            await asyncio.sleep(0)


@pytest.mark.parametrize("options", [{"capacity": 0}, {"hang_seconds": 0}, {"setup_seconds": -1}])
def test_limits_must_be_positive(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"got (0|-1)|got 0 and|and -1"):
        LocalExecutor(options.pop("capacity", 1), tmp_path, **options)

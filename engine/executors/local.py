"""Worker processes on this machine: each takes one job after another and is replaced when it dies or hangs.

Built by the daemon, used by the controller, in the event loop of the engine's main thread (the kernel's parent-death
signal follows the thread that started the worker). It never imports torch and never reads a checkpoint.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine import own_packages
from engine.executors.base import Executor
from engine.executors.processes import Process, without_launcher
from engine.executors.slot import WorkerJob, WorkerSlot
from engine.host import devices, machine, threads
from engine.training import events
from engine.training.events import Evaluate, Event, SegmentEnd, SegmentSpec

LATE_SECONDS = 2.0
"""Who wakes up so much later than asked was not run: the machine, or all of its processes, stood still."""


class LocalExecutor(Executor):
    """Runs jobs on `capacity` worker processes of this machine.

    Args:
        capacity: number of workers, at least 1.
        logs: directory for the stderr of the workers, `worker-<n>.log`; created when missing.
        hang_seconds: a running job that says nothing for so long is killed and ends HUNG. Not counted while paused.
        setup_seconds: the same for the time before a job's first event, when models are loaded and vLLM starts.
        reserved_gpus: the last visible GPUs, which no worker takes: a vLLM server has them.
        gpus: GPUs of each worker, its own as long as there are enough, with a process on each; 0 trains on the CPU. On
            a machine without a GPU: processes of each worker.
        first: number of the first worker, by which its log is called.
        env: environment variables set for the workers besides this process's own; what a launcher of several
            processes told this one is left out, and a bound on spinning is set where it says nothing of it.
        command: what to start instead of the trainer worker (for tests).

    Raises:
        ValueError: capacity or a limit is not positive.
        UserError: this machine has GPUs, and fewer than one worker needs.
    """

    def __init__(
        self,
        capacity: int,
        logs: Path,
        *,
        hang_seconds: float = 900.0,
        setup_seconds: float = 1800.0,
        reserved_gpus: int = 0,
        gpus: int = 1,
        first: int = 0,
        env: Mapping[str, str] | None = None,
        command: Sequence[str] | None = None,
    ) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, got {capacity}")
        if hang_seconds <= 0 or setup_seconds <= 0:
            raise ValueError(f"limits must be positive, got {hang_seconds} and {setup_seconds}")
        self.capacity = capacity
        self.hang_seconds = hang_seconds
        self.setup_seconds = setup_seconds
        self.paused = False
        self._events: asyncio.Queue[Event | asyncio.Task[None]] = asyncio.Queue()
        inherited = without_launcher(os.environ)
        self._environment = {**inherited, **threads.waiting(inherited), **(env or {})}
        self._processes = max(1, gpus)
        here = devices.visible(machine.gpus(), inherited)
        here = here[: max(0, len(here) - reserved_gpus)]
        self._shares = devices.shares(here, capacity, gpus) if here else []
        self._command = tuple(command or own_packages.command("engine.training.worker"))
        self._slots = [WorkerSlot(self, number, logs / f"worker-{first + number}.log") for number in range(capacity)]
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def idle(self) -> int:
        return sum(slot.job is None for slot in self._slots)

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers that are alive now, for `doctor` and the log."""
        return [slot.process.pid for slot in self._slots if slot.process and slot.process.poll() is None]

    async def start(self) -> None:
        for slot in self._slots:
            slot.log.parent.mkdir(parents=True, exist_ok=True)
            self._supervise(slot.serve())
        self._supervise(self._watch())

    def _supervise(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        task.add_done_callback(lambda task: None if task.cancelled() else self._events.put_nowait(task))
        self._tasks.append(task)

    async def submit(self, job: SegmentSpec | Evaluate) -> None:
        free = [slot for slot in self._slots if slot.job is None]
        if not free:
            raise RuntimeError(f"job {job.job}: all {self.capacity} workers are busy")
        request = events.Train(segment=job) if isinstance(job, SegmentSpec) else job
        slot = min(free, key=lambda slot: not slot.accepting)
        slot.job = WorkerJob(
            job.job, request.model_dump_json(), isinstance(job, SegmentSpec), steps=getattr(job, "done", 0)
        )
        slot.tell_phase()
        slot.send_job()

    async def next_event(self) -> Event:
        item = await self._events.get()
        if isinstance(item, asyncio.Task):  # a supervisor ended: a bug of ours, which must not be waited out
            item.result()
            raise RuntimeError("a supervisor of the executor ended by itself")
        return item

    async def stop(self, job: str, end: SegmentEnd, within: float | None = None) -> None:
        if end not in (SegmentEnd.STOPPED, SegmentEnd.EARLY_STOPPED):
            raise ValueError(
                f"a segment is stopped as {SegmentEnd.STOPPED} or {SegmentEnd.EARLY_STOPPED}, not as {end}"
            )
        request = events.Stop.model_validate({"job": job, "end": end, "unscored": within is not None})
        for slot in self._slots:
            if slot.job is not None and slot.job.name == job and slot.job.is_segment:
                slot.stop = request
                if slot.job.sent:
                    slot.send(request.model_dump_json())
                if within is not None:
                    slot.end_within(within)

    async def pause(self) -> None:
        self.paused = True
        for slot in self._slots:
            slot.send(events.Pause().model_dump_json())

    async def unpause(self) -> None:
        self.paused = False
        for slot in self._slots:
            if slot.job is not None:
                slot.job.heard = time.monotonic()
            slot.send(events.Continue().model_dump_json())

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for slot in self._slots:
            await slot.bury()

    def put(self, event: Event) -> None:
        """Hand an event to whoever waits for it. For the slots."""
        self._events.put_nowait(event)

    def spawn(self, slot: WorkerSlot) -> Process:
        """Start a worker in a session of its own, so that a ^C in the terminal does not reach it. For the slots.

        Plain Popen: a start of asyncio's that is cancelled half-way waits for ever (CPython 3.11).
        """
        arguments = [*self._command, "--processes", str(self._processes), "--parent", str(os.getpid())]
        share = devices.environment(self._shares[slot.number], self._environment) if self._shares else {}
        with slot.log.open("ab") as log:
            return subprocess.Popen(
                arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**self._environment, **share},
                start_new_session=True,
            )

    async def _watch(self) -> None:
        while True:
            pause, before = min(1.0, self.hang_seconds / 4), time.monotonic()
            await asyncio.sleep(pause)
            late = time.monotonic() - before - pause
            for slot in self._slots:
                if late > LATE_SECONDS:
                    slot.forgive(late)
                slot.look_at_memory()
                slot.end_orphans()
                slot.kill_if_overdue()
                if not self.paused:
                    slot.kill_if_hung()

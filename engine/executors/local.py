"""Worker processes on this machine: each takes one job after another and is replaced when it dies or hangs.

Built by the daemon, used by the controller, in the event loop of the engine's main thread (the kernel's parent-death
signal follows the thread that started the worker). It never imports torch and never reads a checkpoint.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from engine.executors.base import Executor
from engine.executors.processes import (
    Process,
    close_pipe,
    describe_exit,
    kill_group,
    kill_if_alive,
    last_line,
    printable,
)
from engine.training import events
from engine.training.events import End, Evaluate, Event, SegmentSpec

LONGEST_LINE = 64 * 2**20
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 60.0
_GOODBYE_SECONDS = 10.0


@dataclass
class _Job:
    """A job in the hands of a worker."""

    name: str
    request: str
    is_segment: bool
    sent: bool = False
    under_way: bool = False  # its first event came; until then it loads, which may take long
    steps: int = 0
    seconds: float = 0.0
    heard: float = field(default_factory=time.monotonic)


class LocalExecutor(Executor):
    """Runs jobs on `capacity` worker processes of this machine.

    Args:
        capacity: number of workers, at least 1. With several GPUs visible each worker takes one of them, in turn.
        logs: directory for the stderr of the workers, `worker-<n>.log`; created when missing.
        hang_seconds: a running job that says nothing for so long is killed and ends HUNG. Not counted while paused.
        setup_seconds: the same for the time before a job's first event, when models are loaded and vLLM starts.
        env: environment variables set for the workers besides this process's own.
        command: what to start instead of the trainer worker (for tests).

    Raises:
        ValueError: capacity or a limit is not positive.
    """

    def __init__(
        self,
        capacity: int,
        logs: Path,
        *,
        hang_seconds: float = 900.0,
        setup_seconds: float = 1800.0,
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
        self._environment = {**os.environ, **(env or {})}
        # -P: a directory of the user's that happens to be called "datasets" must not shadow a library
        self._command = tuple(command or (sys.executable, "-P", "-m", "engine.training.worker"))
        self._slots = [_Slot(self, number, logs / f"worker-{number}.log") for number in range(capacity)]
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
        slot.job = _Job(job.job, request.model_dump_json(), isinstance(job, SegmentSpec))
        slot.send_job()

    async def next_event(self) -> Event:
        item = await self._events.get()
        if isinstance(item, asyncio.Task):  # a supervisor ended: a bug of ours, which must not be waited out
            item.result()
            raise RuntimeError("a supervisor of the executor ended by itself")
        return item

    async def stop(self, job: str, end: End) -> None:
        if end not in (End.STOPPED, End.EARLY_STOPPED):
            raise ValueError(f"a segment is stopped as {End.STOPPED} or {End.EARLY_STOPPED}, not as {end}")
        request = events.Stop.model_validate({"job": job, "end": end})
        for slot in self._slots:
            if slot.job is not None and slot.job.name == job and slot.job.is_segment:
                slot.stop = request
                if slot.job.sent:
                    slot.send(request.model_dump_json())

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

    def spawn(self, slot: _Slot) -> Process:
        """Start a worker in a session of its own, so that a ^C in the terminal does not reach it. For the slots.

        Plain Popen: a start of asyncio's that is cancelled half-way waits for ever (CPython 3.11).
        """
        arguments = [*self._command, "--slot", str(slot.number), "--parent", str(os.getpid())]
        with slot.log.open("ab") as log:
            return subprocess.Popen(
                arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(min(1.0, self.hang_seconds / 4))
            for slot in self._slots:
                slot.end_orphans()
                if not self.paused:
                    slot.kill_if_hung()


class _Slot:
    """One place for a worker: the process, its job, and the supervisor that replaces the process."""

    def __init__(self, executor: LocalExecutor, number: int, log: Path) -> None:
        self.number = number
        self.log = log
        self.job: _Job | None = None
        self.stop: events.Stop | None = None
        self.process: Process | None = None
        self._requests: asyncio.WriteTransport | None = None
        self._lines: asyncio.BaseTransport | None = None
        self.accepting = False  # the process takes requests now
        self._executor = executor
        self._ready = False  # it said so since it was started
        self._hung_after = 0.0

    async def serve(self) -> None:
        """Keep a worker alive until cancelled. Deaths before Ready are answered by longer and longer pauses."""
        failures = 0
        while True:
            self._ready = False
            self._hung_after = 0.0
            log_start = self.log.stat().st_size if self.log.exists() else 0
            try:
                self.process = self._executor.spawn(self)
            except OSError as error:
                self._end_job(End.CRASHED, f"no worker could be started: {error}")
            else:
                broken = await self._listen()
                status = await self.bury()
                self._tell_death(broken, status, log_start)
            failures = 0 if self._ready else failures + 1
            if failures:
                await asyncio.sleep(min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (failures - 1)))

    async def _listen(self) -> str:
        """Pass on what the worker says until it ends. Returns what was wrong with its last line, or ''."""
        lines = await self._connect()
        self.accepting = True
        if self._executor.paused:
            self.send(events.Pause().model_dump_json())
        self.send_job()
        while True:
            try:
                raw = await lines.readline()
            except ValueError:
                return f"the worker wrote a line longer than {LONGEST_LINE} bytes"
            if not raw:
                return ""
            try:
                line = events.LINE.validate_json(raw)
            except ValidationError:
                return f"the worker wrote a line that is no event: {printable(raw)!r}"
            wrong = self._take(line)
            if wrong:
                return wrong

    async def _connect(self) -> asyncio.StreamReader:
        """Join the worker's pipes to the event loop."""
        assert self.process is not None
        loop = asyncio.get_running_loop()
        lines = asyncio.StreamReader(limit=LONGEST_LINE)
        self._lines, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), self.process.stdout)
        self._requests, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, self.process.stdin)
        return lines

    def _take(self, line: events.Line) -> str:
        """Act on one line. Returns what is wrong with it, or ''."""
        job = self.job
        if job is not None:
            job.heard = time.monotonic()
        if isinstance(line, events.Ready):
            self._ready = True
            self._executor.put(line)
            return ""
        if isinstance(line, events.Beat):
            return ""
        if isinstance(line, events.Leaving):
            self.accepting = False
            return ""
        if job is None or not job.sent or line.job != job.name:
            return f"the worker told of job {line.job!r}, which it does not have"
        job.under_way = True
        if isinstance(line, events.Metrics):
            job.steps = line.step
            job.seconds += line.step_seconds
        if isinstance(line, events.Ended | events.Evaluated):
            self.job = self.stop = None
            if not self.accepting:
                self._say_goodbye()
        self._executor.put(line)
        return ""

    def _say_goodbye(self) -> None:
        """The worker said that it leaves. If it does not within some seconds it is killed."""
        assert self.process is not None
        assert self._requests is not None
        self._requests.close()
        asyncio.get_running_loop().call_later(_GOODBYE_SECONDS, kill_if_alive, self.process)

    def send_job(self) -> None:
        """Send the job that waits here, once, with the stop that came before it was sent."""
        if self.job is None or self.job.sent or not self.accepting:
            return
        self.job.sent = True
        self.job.heard = time.monotonic()
        self.send(self.job.request)
        if self.stop is not None:
            self.send(self.stop.model_dump_json())

    def send(self, request: str) -> None:
        """Write one line to the worker. A worker that is dying is no error here: its supervisor tells."""
        if self._requests is not None and self.accepting:
            self._requests.write(request.encode() + b"\n")

    def kill_if_hung(self) -> None:
        """Kill the worker when its job has been silent for too long."""
        job, executor = self.job, self._executor
        if job is None or not job.sent or self.process is None or self._hung_after:
            return
        silent = time.monotonic() - job.heard
        if silent > (executor.hang_seconds if job.under_way else executor.setup_seconds):
            self._hung_after = silent
            kill_group(self.process)

    def end_orphans(self) -> None:
        """A dead worker's children keep its pipe open, and its death would go unheard: kill them."""
        if self.process is not None and self.process.poll() is not None:
            kill_group(self.process)

    async def bury(self) -> int:
        """Kill the process with its children, if there is one, and wait until it is gone. Returns its exit status."""
        self.accepting = False
        process = self.process
        if process is None:
            return 0
        kill_group(process)
        self._disconnect(process)
        status = await asyncio.to_thread(process.wait)
        self.process = None
        return status

    def _disconnect(self, process: Process) -> None:
        """Close both pipes: their transports, or what _connect, cancelled half-way, gave no transport."""
        if self._requests is None:
            close_pipe(process.stdin)
        elif not self._requests.is_closing():
            self._requests.abort()
        if self._lines is None:
            close_pipe(process.stdout)
        else:
            self._lines.close()
        self._requests = self._lines = None

    def _tell_death(self, broken: str, status: int, log_start: int) -> None:
        """The worker is gone: end the job it had."""
        if self.job is None or not self.job.sent:
            return  # nobody's loss; a job that was not sent yet waits for the next worker
        if self._hung_after:
            where = f"after step {self.job.steps}" if self.job.under_way else "while it was set up"
            detail = f"no sign of life for {self._hung_after:.1f} s {where}; the worker was killed"
            self._end_job(End.HUNG, detail)
            return
        cause = broken or f"the worker {describe_exit(status)}"
        if not self._ready and not broken:
            cause += " before it was ready"
        last = last_line(self.log, log_start) if status > 0 else ""
        self._end_job(End.CRASHED, f"{cause}; last line of {self.log.name}: {last}" if last else cause)

    def _end_job(self, end: End, detail: str) -> None:
        job = self.job
        if job is None:
            return
        self.job = self.stop = None
        self._executor.put(
            events.Ended(job=job.name, end=end, steps=job.steps, trainer_seconds=job.seconds, detail=detail)
        )

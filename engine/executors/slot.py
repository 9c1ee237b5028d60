"""One place for a worker process of this machine: the process, its job, and the supervisor that replaces the process.

Owned by the local executor and run in its event loop. It turns whatever a worker does, its death too, into events; it
never decides what is trained.
"""

from __future__ import annotations

import asyncio
import logging
import math
import signal
import subprocess
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from engine.executors.processes import (
    Process,
    close_pipe,
    describe_exit,
    exited_by_itself,
    kill_group,
    kill_if_alive,
    last_line,
    oom_kills,
    printable,
)
from engine.training import events
from engine.training.events import SegmentEnd

if TYPE_CHECKING:
    from engine.executors.local import LocalExecutor

LONGEST_LINE = 64 * 2**20
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 60.0
_GOODBYE_SECONDS = 10.0
_TELL_SECONDS = 0.5
_LAST_MOMENTS = 5.0
_UNKILLABLE_SECONDS = 15.0
OOM_LOOKS = 5
"""The kernel's count of kills for lack of memory is read about once a second; a worker's death is held against as many
counts, so that what it killed long before is not taken for the cause."""

_log = logging.getLogger(__name__)


@dataclass
class WorkerJob:
    """A job in the hands of a worker."""

    name: str
    request: str
    is_segment: bool
    sent: bool = False
    under_way: bool = False  # its first event came; until then it loads, which may take long
    steps: int = 0
    seconds: float = 0.0
    heard: float = field(default_factory=time.monotonic)


class WorkerSlot:
    """One place for a worker: the process, its job, and the supervisor that replaces the process."""

    def __init__(self, executor: LocalExecutor, number: int, log: Path) -> None:
        self.number = number
        self.log = log
        self.job: WorkerJob | None = None
        self.stop: events.Stop | None = None
        self.process: Process | None = None
        self._requests: asyncio.WriteTransport | None = None
        self._lines: asyncio.BaseTransport | None = None
        self.accepting = False  # the process takes requests now
        self._executor = executor
        self._ready = False  # it said so since it was started
        self._phase, self._told = "", 0.0  # what it does between steps, and when that was passed on
        self._hung_after = 0.0
        self._stop_by = math.inf  # monotonic second by which the job is to be over
        self._stop_asked = 0.0
        self._overdue = False
        self._oom_kills: deque[int | None] = deque([None], maxlen=OOM_LOOKS)

    async def serve(self) -> None:
        """Keep a worker alive until cancelled. Deaths before Ready are answered by longer and longer pauses."""
        failures = 0
        while True:
            self._ready, self._phase = False, "starting a worker"
            self._hung_after = 0.0
            self.tell_phase()
            self._oom_kills.clear()
            self.look_at_memory()
            log_start = self.log.stat().st_size if self.log.exists() else 0
            try:
                self.process = self._executor.spawn(self)
            except OSError as error:
                self._end_job(SegmentEnd.CRASHED, f"no worker could be started: {error}")
            else:
                broken = await self._listen()
                if not broken and not await asyncio.to_thread(exited_by_itself, self.process, _LAST_MOMENTS):
                    broken = f"the worker closed its pipe and had not ended {_LAST_MOMENTS:g} s later; it was killed"
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
                return f"the worker wrote a line that is not an event: {printable(raw)!r}"
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
        if isinstance(line, events.WorkerReady):
            self._ready, self._phase = True, ""
            self._executor.put(line)
            return ""
        if isinstance(line, events.LibraryWarning):
            self._executor.put(line)
            return ""
        if isinstance(line, events.Heartbeat):
            self._tell(line)
            return ""
        if isinstance(line, events.WorkerLeaving):
            self.accepting = False
            return ""
        if job is None or not job.sent or line.job != job.name:
            return f"the worker reported job {line.job!r}, which it does not have"
        job.under_way = True
        if isinstance(line, events.StepMetrics):
            job.steps = line.step
            job.seconds += line.step_seconds
        if isinstance(line, events.SegmentEnded | events.EvaluationResult):
            self._forget_job()
            if not self.accepting:
                self._say_goodbye()
        self._executor.put(line)
        return ""

    def _tell(self, beat: events.Heartbeat) -> None:
        """Pass on what the worker does, for the job it has; of one phase at most two a second."""
        changed, at = beat.phase != self._phase, time.monotonic()
        self._phase = beat.phase
        due = changed or beat.done == beat.total or at - self._told >= _TELL_SECONDS
        if self.job is None or not beat.phase or not due:
            return
        self._told = at
        self._executor.put(events.JobProgress(job=self.job.name, phase=beat.phase, done=beat.done, total=beat.total))

    def tell_phase(self) -> None:
        """A job came before the process was ready for it: say what it waits for."""
        if self.job is not None and self._phase and not self._ready:
            self._executor.put(events.JobProgress(job=self.job.name, phase=self._phase))

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

    def end_within(self, seconds: float) -> None:
        """From now on the job has so many seconds to be over; one that is still being set up has none."""
        if self.job is None:
            return
        self._stop_asked = time.monotonic()
        self._stop_by = self._stop_asked + (seconds if self.job.under_way else 0.0)
        self.kill_if_overdue()

    def kill_if_overdue(self) -> None:
        """Kill the worker when its job was to be over by now; a job that waits for a worker ends without one."""
        if self.job is None or self._overdue or time.monotonic() < self._stop_by:
            return
        self._overdue = True
        if self.process is not None and self.job.sent:
            kill_group(self.process)
        else:
            self._end_overdue()

    def _end_overdue(self) -> None:
        assert self.job is not None
        assert self.stop is not None
        waited = time.monotonic() - self._stop_asked
        where = f"had not ended its step {waited:.0f} s later" if self.job.under_way else "was still being set up"
        self._end_job(self.stop.end, f"asked to stop, it {where}; the worker was killed", worker_lost=True)

    def _forget_job(self) -> None:
        self.job = self.stop = None
        self._stop_by, self._overdue = math.inf, False

    def look_at_memory(self) -> None:
        """Remember how often the kernel has killed for lack of memory by now."""
        self._oom_kills.append(oom_kills())

    def forgive(self, seconds: float) -> None:
        """So many seconds nobody could run, this process neither: the job is not to blame for them."""
        self._stop_by += seconds
        if self.job is not None:
            self.job.heard += seconds

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
        try:
            status = await asyncio.to_thread(process.wait, _UNKILLABLE_SECONDS)
        except subprocess.TimeoutExpired:  # it waits in the kernel, for a disk or a driver that does not answer
            _log.error("worker %d was killed and is not gone after %g s", process.pid, _UNKILLABLE_SECONDS)
            status = -signal.SIGKILL
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
        if self._overdue:
            self._end_overdue()
            return
        if self._hung_after:
            where = f"after step {self.job.steps}" if self.job.under_way else "while it was set up"
            detail = f"no sign of life for {self._hung_after:.1f} s {where}; the worker was killed"
            self._end_job(SegmentEnd.HUNG, detail, worker_lost=True)
            return
        for_memory = self._killed_for_memory()
        cause = broken or f"the worker {describe_exit(status, for_memory=for_memory)}"
        if not self._ready and not broken:
            cause += " before it was ready"
        last = last_line(self.log, log_start) if status > 0 else ""
        end = SegmentEnd.OUT_OF_MEMORY if for_memory and not broken else SegmentEnd.CRASHED
        self._end_job(end, f"{cause}; last line of {self.log.name}: {last}" if last else cause, worker_lost=True)

    def _killed_for_memory(self) -> bool:
        """Whether the kernel has killed in this control group for lack of memory within the last looks."""
        before, now = self._oom_kills[0], oom_kills()
        return now is not None and before is not None and now > before

    def _end_job(self, end: SegmentEnd, detail: str, *, worker_lost: bool = False) -> None:
        job = self.job
        if job is None:
            return
        self._forget_job()
        self._executor.put(
            events.SegmentEnded(
                job=job.name, end=end, steps=job.steps, trainer_seconds=job.seconds, detail=detail,
                worker_lost=worker_lost,
            )
        )  # fmt: skip

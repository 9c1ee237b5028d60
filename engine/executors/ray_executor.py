"""Workers on the machines of a Ray cluster: one actor a worker, in a placement group of its own.

A job waits here until a worker has a machine and is free; a worker whose machine is lost ends its job as crashed, once
it can write nothing any more, and is placed again, wherever there is room. The actors end with the engine: a resumed
one makes others. No torch here.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections import deque
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any

import ray
from pydantic import TypeAdapter
from ray.exceptions import ActorDiedError, RayError, RayTaskError
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from engine.errors import Fault, UserError, one_line
from engine.executors.base import Executor
from engine.executors.lease import LEASE_SECONDS, RENEW_SECONDS, HeldLease
from engine.executors.ray_files import Carrier
from engine.executors.ray_worker import RayWorker
from engine.executors.slot import WorkerJob
from engine.training import events
from engine.training.events import Evaluate, Event, SegmentEnd, SegmentSpec

WAITS = "waiting for a machine of the cluster"
_START_SECONDS = 300.0
_CLOSE_SECONDS = 20.0
_KNOCK_SECONDS = 10.0

_EVENT: TypeAdapter[Event] = TypeAdapter(Event)
_log = logging.getLogger(__name__)


def connect(address: str) -> None:
    """Join a running cluster, the one on this machine without an address.

    Raises:
        UserError: none answers, or one of another version.
    """
    if ray.is_initialized():
        return
    if address:
        _knock(address)  # Ray ends the process where nobody answers
    try:
        ray.init(address=address or "auto", log_to_driver=False, configure_logging=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UserError(
            f"executor.address = {json.dumps(address)}: no Ray cluster that can be joined ("
            f"{one_line(str(error))[:160]}); `ray start --head` starts one (docs/clusters.md)"
        ) from error


def _knock(address: str) -> None:
    host, _, port = address.rpartition(":")
    given = f"executor.address = {json.dumps(address)}"
    if not host or not port.isdecimal():
        raise UserError(f"{given}: give host:port as `ray start --head` prints it, such as 10.0.0.1:6379")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _KNOCK_SECONDS).close()
    except OSError as error:
        why = error.strerror or str(error)
        raise UserError(f"{given}: no Ray cluster answers there ({why}); `ray start --head` starts one") from error


class RayExecutor(Executor):
    """Runs jobs on `capacity` workers of the cluster that this process has joined.

    Args:
        capacity: number of workers. They need not all find a machine: those that do take the jobs.
        logs: the run's directory. Where a machine has it too, nothing is copied and the workers' logs lie there.
        gpus: GPUs of each worker, with a process on each; where no machine of the cluster has any, processes.
        cpus: cores that Ray keeps for each worker; 0: one for each process.
        hang_seconds, setup_seconds, env: as the local executor has them.
    """

    def __init__(
        self,
        capacity: int,
        logs: Path,
        *,
        gpus: int = 1,
        cpus: int = 0,
        hang_seconds: float = 900.0,
        setup_seconds: float = 1800.0,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.capacity = capacity
        self.logs = logs
        self.paused = False
        limits = {"hang_seconds": hang_seconds, "setup_seconds": setup_seconds}
        self.options = {**limits, "gpus": gpus, "env": dict(env or {})}
        self.bundle: dict[str, float] = {"CPU": float(cpus or max(1, gpus))}
        if gpus and ray.cluster_resources().get("GPU"):
            self.bundle["GPU"] = float(gpus)
        self._events: asyncio.Queue[Event | asyncio.Task[None]] = asyncio.Queue()
        self._waiting: deque[WorkerJob] = deque()
        self.stops: dict[str, tuple[SegmentEnd, float | None]] = {}  # asked of a job that has no worker yet
        self._places = [RayPlace(self, number) for number in range(capacity)]
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def idle(self) -> int:
        return self.capacity - len(self._waiting) - sum(place.job is not None for place in self._places)

    async def start(self) -> None:
        for place in self._places:
            task = asyncio.create_task(place.serve())
            task.add_done_callback(lambda task: None if task.cancelled() else self._events.put_nowait(task))
            self._tasks.append(task)

    async def submit(self, job: SegmentSpec | Evaluate) -> None:
        if not self.idle:
            raise RuntimeError(f"job {job.job}: all {self.capacity} workers are busy")
        request = events.Train(segment=job) if isinstance(job, SegmentSpec) else job
        is_segment = isinstance(job, SegmentSpec)
        waiting = WorkerJob(job.job, request.model_dump_json(), is_segment, steps=getattr(job, "done", 0))
        self._waiting.append(waiting)
        self.hand_out()
        if waiting in self._waiting:
            self.put(events.JobProgress(job=job.job, phase=WAITS))

    def hand_out(self) -> None:
        """Give the jobs that wait to the workers that are free. For the places."""
        for place in self._places:
            if self._waiting and place.ready and place.job is None:
                place.take(self._waiting.popleft())

    async def next_event(self) -> Event:
        item = await self._events.get()
        if isinstance(item, asyncio.Task):  # a supervisor ended: a bug of ours, which must not be waited out
            item.result()
            raise RuntimeError("a supervisor of the executor ended by itself")
        return item

    def put(self, event: Event) -> None:
        """Hand an event to whoever waits for it. For the places."""
        self._events.put_nowait(event)

    async def stop(self, job: str, end: SegmentEnd, within: float | None = None) -> None:
        if end not in (SegmentEnd.STOPPED, SegmentEnd.EARLY_STOPPED):
            raise ValueError(
                f"a segment is stopped as {SegmentEnd.STOPPED} or {SegmentEnd.EARLY_STOPPED}, not as {end}"
            )
        for waiting in [each for each in self._waiting if each.name == job and each.is_segment]:
            if within is None:
                self.stops[job] = (end, None)
                continue
            self._waiting.remove(waiting)
            detail = f"asked to stop, it was still {WAITS}"
            self.put(
                events.SegmentEnded(
                    job=job, end=end, steps=waiting.steps, trainer_seconds=0, detail=detail, worker_lost=True
                )
            )
        for place in self._places:
            if place.job is not None and place.job.name == job and place.job.is_segment:
                await place.stop(end, within)

    async def pause(self) -> None:
        self.paused = True
        for place in self._places:
            place.tell("pause")

    async def unpause(self) -> None:
        self.paused = False
        for place in self._places:
            place.tell("unpause")

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(place.close() for place in self._places))


class RayPlace:
    """The place of one worker in the cluster: its actor, its job, and the supervisor that places it anew."""

    def __init__(self, executor: RayExecutor, number: int) -> None:
        self.number = number
        self.job: WorkerJob | None = None
        self.ready = False
        self._executor = executor
        self._actor: Any = None
        self._group: PlacementGroup | None = None
        self._carrier: Carrier | None = None
        self._lease = HeldLease()
        self._stop_end: SegmentEnd | None = None  # of a stop within a time
        self.machine, self._node = "", ""
        self._feeding: asyncio.Task[None] | None = None

    async def serve(self) -> None:
        """Keep an actor alive until cancelled."""
        while True:
            try:
                await self._settle()
                await _both(self._listen(), self._renew())
            except RayTaskError as bug:
                raise bug.as_instanceof_cause() from bug
            except (RayError, Fault) as lost:
                _log.warning("worker %d on %s: %s", self.number, self.machine or "no machine yet", lost)
                self.ready = False
                await self._until_gone()
                self._give_back()  # first: an actor that was stopped, its lease with it, is killed where Ray reaches it
                self._lose(one_line(str(lost)) if isinstance(lost, Fault) else f"{self.machine} or its actor was lost")

    async def _settle(self) -> None:
        """Have Ray find a machine, and start the worker there."""
        executor = self._executor
        self._group = placement_group([executor.bundle], strategy="STRICT_PACK")
        await self._group.ready()
        remote: Any = ray.remote(RayWorker)
        self._actor = remote.options(
            num_cpus=executor.bundle["CPU"], num_gpus=executor.bundle.get("GPU", 0), max_restarts=0,
            scheduling_strategy=PlacementGroupSchedulingStrategy(self._group, 0),
        ).remote()  # fmt: skip
        started = self._actor.start.remote(str(executor.logs), self.number, executor.options)
        self.machine, self._node = await _within(_START_SECONDS, started, "its machine does not start it")
        self._lease.answered()
        self._carrier = Carrier(self._actor)
        if executor.paused:
            await self._actor.pause.remote()
        self.ready = True
        executor.hand_out()

    async def _listen(self) -> None:
        """Pass on what the worker tells. Raises RayError when it is lost."""
        assert self._carrier is not None
        seen = 0
        while True:
            for number, line in await self._actor.events.remote(seen):
                await self._take(await self._carrier.fetched(_EVENT.validate_json(line)))
                seen = number

    async def _renew(self) -> None:
        """Keep the lease. Raises Fault once it has run out, whatever Ray thinks of the machine then."""
        silence = f"{self.machine} has not answered for {LEASE_SECONDS:g} s"
        while True:
            await _within(self._lease.seconds_left, self._actor.renew.remote(), silence)
            self._lease.answered()
            await asyncio.sleep(RENEW_SECONDS)

    async def _until_gone(self) -> None:
        """Until the worker that was lost writes nothing any more: it said so, Ray saw it die, or its lease is over."""
        if self._actor is None:
            return
        try:
            await _within(self._lease.seconds_left, self._actor.close.remote(), "no goodbye")
        except (RayError, Fault) as silent:
            if isinstance(silent, ActorDiedError) and self._node in await asyncio.to_thread(_machines):
                return  # its machine lives, and told
            await asyncio.sleep(self._lease.seconds_left)

    async def _take(self, event: Event) -> None:
        job = self.job
        if job is not None and getattr(event, "job", None) == job.name:
            job.under_way = True
            if isinstance(event, events.StepMetrics):
                job.steps = event.step
                job.seconds += event.step_seconds
            if isinstance(event, events.SegmentEnded | events.EvaluationResult):
                self.job = None
        self._executor.put(event)
        self._executor.hand_out()

    def take(self, job: WorkerJob) -> None:
        """Have the worker do a job; its files go first."""
        self.job, self._stop_end = job, None
        self._feeding = asyncio.create_task(self._feed(job))

    async def _feed(self, job: WorkerJob) -> None:
        assert self._carrier is not None
        try:
            await self._carrier.send(job.request)
            await self._actor.submit.remote(job.request)
            job.sent = True
            if (asked := self._executor.stops.pop(job.name, None)) is not None:
                await self.stop(*asked)
        except RayTaskError as bug:
            self._lose(f"its worker could not take it: {one_line(str(bug.cause))}")
        except RayError:
            pass  # the supervisor hears it too, and ends the job
        except (Fault, OSError) as fault:
            self._lose(f"its files could not be sent to {self.machine}: {one_line(str(fault))}")

    async def stop(self, end: SegmentEnd, within: float | None) -> None:
        """Ask the worker to end its job."""
        assert self.job is not None
        self._stop_end = end if within is not None else self._stop_end
        if not self.job.sent:
            self._executor.stops[self.job.name] = (end, within)
            return
        self._actor.stop.remote(self.job.name, end.value, within)

    def tell(self, method: str) -> None:
        """Call a method of the actor that answers nothing, if there is one."""
        if self.ready:
            getattr(self._actor, method).remote()

    def _lose(self, cause: str) -> None:
        job, self.job = self.job, None
        if job is None:
            return
        self._executor.stops.pop(job.name, None)
        self._executor.put(
            events.SegmentEnded(
                job=job.name, end=self._stop_end or SegmentEnd.CRASHED, steps=job.steps, trainer_seconds=job.seconds,
                detail=cause, worker_lost=True,
            )
        )  # fmt: skip

    async def close(self) -> None:
        """End the actor and give its place back."""
        if self._actor is not None:
            try:
                await _within(_CLOSE_SECONDS, self._actor.close.remote(), "no goodbye")
            except (RayError, Fault) as gone:
                _log.info("worker %d: %s", self.number, one_line(str(gone)))
        self._give_back()

    def _give_back(self) -> None:
        if self._feeding is not None:
            self._feeding.cancel()
        actor, group, self._actor, self._group = self._actor, self._group, None, None
        if actor is not None:
            ray.kill(actor)
        if group is not None:
            remove_placement_group(group)


def _machines() -> set[str]:
    """Ray's names of the machines that it takes to be alive."""
    return {node["NodeID"] for node in ray.nodes() if node["Alive"]}


async def _both(*works: Coroutine[Any, Any, None]) -> None:
    """Do several things at once until one fails; the others are cancelled."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


async def _within(seconds: float, answer: Any, otherwise: str) -> Any:
    """The answer of an actor. Raises Fault when it does not come in time."""

    async def answered() -> Any:
        return await answer

    try:
        return await asyncio.wait_for(answered(), seconds)
    except TimeoutError as late:
        raise Fault(otherwise) from late

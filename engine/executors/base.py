"""Where segments run: the interface every executor keeps. The controller is the only caller.

An executor turns a dead, hung or OOM-killed worker into an Ended event; it never raises for what a worker did.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from engine.training.events import Evaluate, Event, SegmentEnd, SegmentSpec


class Executor(ABC):
    """Runs segments and evaluations on `capacity` workers at a time (asyncio; one event loop).

    Conformance (`engine.testing.executors`): for every submitted job exactly one Ended (segment) or one Evaluated/Ended
    (evaluation) comes out of `next_event`, whatever happens to the worker; events of one job keep their order.
    """

    capacity: int

    @property
    @abstractmethod
    def idle(self) -> int:
        """Workers free to take a job now (a worker still starting counts as free)."""

    @abstractmethod
    async def start(self) -> None:
        """Start the workers; returns before they are ready (Ready events tell)."""

    @abstractmethod
    async def submit(self, job: SegmentSpec | Evaluate) -> None:
        """Hand a job to a free worker. Raises RuntimeError when `idle` is 0."""

    @abstractmethod
    async def next_event(self) -> Event:
        """The next event of any worker; waits for one."""

    @abstractmethod
    async def stop(self, job: str, end: SegmentEnd, within: float | None = None) -> None:
        """Ask a running segment to end after its step in progress. No effect on a job that is over.

        Args:
            within: seconds after which the worker is killed if it has not come to the end of its step; a segment that
                is still being set up is ended at once, and a checkpoint is saved without being scored. Its end is
                `end` all the same. None waits as long as it takes.
        """

    @abstractmethod
    async def pause(self) -> None:
        """Hold every worker before its next step."""

    @abstractmethod
    async def unpause(self) -> None:
        """Let the workers go on."""

    @abstractmethod
    async def close(self) -> None:
        """End every worker process and wait until they are gone. Jobs in flight are lost without an event."""

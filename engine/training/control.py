"""What a human or the comparator asked of the running segment: stop or pause, handed from the reader thread of the
worker to the thread that trains. It never interrupts a step and must not import torch.
"""

from __future__ import annotations

import threading
import time

from engine.training.events import Continue, Pause, SegmentEnd, Stop


class JobControl:
    """Stop and pause requests, by job. One thread gives them (`take`), another asks between steps.

    Attributes:
        leads: whether this process scores and saves. shared: whether others train the same job with it.
    """

    leads = True
    shared = False

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._stops: dict[str, SegmentEnd] = {}
        self._unscored: set[str] = set()
        self._paused = False

    def take(self, request: Stop | Pause | Continue) -> None:
        """Note a request. The first stop of a job wins: a human's stop is not relabelled by the comparator."""
        with self._changed:
            if isinstance(request, Stop):
                self._stops.setdefault(request.job, request.end)
                if request.unscored:
                    self._unscored.add(request.job)
            else:
                self._paused = isinstance(request, Pause)
            self._changed.notify_all()

    def stop_of(self, job: str) -> SegmentEnd | None:
        """How `job` was asked to end, or None when nobody asked."""
        with self._changed:
            return self._stops.get(job)

    def gives_up_scoring(self, job: str) -> bool:
        """Whether `job` was asked to end without scoring what it has trained."""
        with self._changed:
            return job in self._unscored

    def failed(self) -> None:
        """The job failed in this process; it is about to be told."""

    def forget(self, job: str) -> None:
        """Drop a stop that came too late for an earlier job of this name. Called when a job is received."""
        with self._changed:
            self._stops.pop(job, None)
            self._unscored.discard(job)

    def hold(self, job: str) -> float:
        """Wait while paused, unless `job` is asked to stop. Returns the seconds waited."""
        began = time.perf_counter()
        with self._changed:
            if not self._paused:
                return 0.0
            self._changed.wait_for(lambda: not self._paused or job in self._stops)
        return time.perf_counter() - began

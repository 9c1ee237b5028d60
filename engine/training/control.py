"""What a human or the comparator asked of the running segment: stop or pause, handed from the reader thread of the
worker to the thread that trains. It never interrupts a step and must not import torch.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from engine.training.events import Continue, Evaluation, Pause, SegmentEnd, Stop


class JobControl:
    """Stop and pause requests, by job. One thread gives them (`take`), another asks between steps.

    Args:
        abandon: ends the process for a job (its name, how it ends, its steps so far), see `abandonable`.

    Attributes:
        leads: whether this process saves. shared: whether others train the same job with it.
    """

    leads = True
    shared = False

    def __init__(self, abandon: Callable[[str, SegmentEnd, int], None] = lambda job, end, steps: None) -> None:
        self._abandon = abandon
        self._abandonable: tuple[str, int] | None = None
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
        self._abandon_if_asked()

    @contextlib.contextmanager
    def abandonable(self, job: str, steps: int) -> Iterator[None]:
        """Within this block a stop ends `job` at once, and the process with it: what goes on cannot be interrupted.
        `steps`: that it has trained so far."""
        with self._changed:
            self._abandonable = (job, steps)
        self._abandon_if_asked()
        try:
            yield
        finally:
            with self._changed:
                self._abandonable = None

    def _abandon_if_asked(self) -> None:
        with self._changed:
            job, steps = self._abandonable or ("", 0)
            end = self._stops.get(job)
        if end is not None:
            self._abandon(job, end, steps)

    def stop_of(self, job: str) -> SegmentEnd | None:
        """How `job` was asked to end, or None when nobody asked."""
        with self._changed:
            return self._stops.get(job)

    def gives_up_scoring(self, job: str) -> bool:
        """Whether `job` was asked to end without scoring what it has trained."""
        with self._changed:
            return job in self._unscored

    def divided(self, score: Callable[[int, int], Evaluation], begin: int, end: int) -> Evaluation:
        """What `score` says of the prompts from `begin` up to `end`; processes that train together divide them."""
        return score(begin, end)

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

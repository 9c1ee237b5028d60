"""How a worker that is cut off from the engine comes to its end, and how the engine knows that it has.

The engine holds a lease on each actor of the cluster and renews it. Both ends count the same seconds, the actor from
when it gave its last answer but one, the engine from when it had the last: the actor's run out first. Neither asks Ray.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

LEASE_SECONDS = 30.0
"""An actor that hears nothing of the engine for so long ends itself and its worker."""
RENEW_SECONDS = 5.0
"""Between an answer and the next renewal."""
_LOOK_SECONDS = 0.5


class HeldLease:
    """The engine's end."""

    def __init__(self) -> None:
        self.answered()

    def answered(self) -> None:
        """An answer of the actor came."""
        self._until = time.monotonic() + LEASE_SECONDS + 2 * _LOOK_SECONDS

    @property
    def seconds_left(self) -> float:
        """How long the actor's worker may still live if no other answer comes."""
        return max(0.0, self._until - time.monotonic())


class GrantedLease:
    """The actor's end: a thread, which no call that blocks can hold up.

    Args:
        workers: the process ids of what must end when nobody renews the lease, each the leader of its group.
    """

    def __init__(self, workers: Callable[[], Iterable[int]]) -> None:
        self._workers = workers
        self._answered = time.monotonic()
        self._until = self._answered + LEASE_SECONDS
        threading.Thread(target=self._watch, name="lease", daemon=True).start()

    def renew(self) -> None:
        """The engine asks again, so it has had the last answer; this one is on its way."""
        self._until = self._answered + LEASE_SECONDS
        self._answered = time.monotonic()

    def _watch(self) -> None:
        while time.monotonic() < self._until:
            time.sleep(_LOOK_SECONDS)
        for pid in self._workers():
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        os._exit(1)  # and with this process what it has started meanwhile

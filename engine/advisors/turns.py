"""One thing at a time, the most urgent first: how threads share a server that answers one request after the other.

Used by the Ollama client. Nothing is timed here: who waits in this queue has not asked yet.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class TurnsClosed(Exception):
    """Nobody gets a turn any more."""


class Turns:
    """Hands out one turn at a time; of those that wait, the lowest urgency first, then who came first."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._numbers = itertools.count()
        self._waiting: list[tuple[int, int]] = []
        self._taken = False
        self._closed = False

    @contextmanager
    def turn(self, urgency: int) -> Iterator[None]:
        """Wait for a turn and hold it. Raises TurnsClosed when there will be none."""
        with self._changed:
            me = (urgency, next(self._numbers))
            self._waiting.append(me)
            self._changed.wait_for(lambda: self._closed or (not self._taken and min(self._waiting) == me))
            self._waiting.remove(me)
            if self._closed:
                raise TurnsClosed
            self._taken = True
        try:
            yield
        finally:
            with self._changed:
                self._taken = False
                self._changed.notify_all()

    @property
    def waiting(self) -> int:
        """How many wait for a turn."""
        with self._changed:
            return len(self._waiting)

    def close(self) -> None:
        """End all waiting, now and later; a turn that is held is not touched."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

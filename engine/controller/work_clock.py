"""The clock by which the work of a run is measured: a pause does not count, whatever the machine's clock does."""

from __future__ import annotations

import time


class WorkClock:
    """Seconds since the engine began, pauses left out."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._held: float | None = None

    def read(self) -> float:
        """The seconds until now."""
        now = time.monotonic() if self._held is None else self._held
        return now - self._begun

    def hold(self) -> None:
        """A pause begins, or goes on."""
        if self._held is None:
            self._held = time.monotonic()

    def release(self) -> None:
        """The pause, if there is one, is over."""
        if self._held is not None:
            self._begun += time.monotonic() - self._held
            self._held = None

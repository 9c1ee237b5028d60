"""Looks at a run again and again until it is over: through its engine, through the file once it is gone.

Used where a run is told as text. The run does not notice whether anybody follows it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from engine.analysis.rows import WorkerActivity
from engine.analysis.summary import FINAL_STATES
from engine.errors import Fault, UserError
from engine.run.rundir import RunDirectory
from engine.store.errors import EngineUnreachable
from engine.store.reader import Reader, open_run

LOOK_SECONDS = 0.5
ENDING_SECONDS = 60.0
"""For an engine to leave once its run is over: it writes the strategy and lets its workers go."""

LONG_SECONDS = 2.0
"""What takes longer between two steps is told where lines stay."""
Look = Callable[[Reader], str]
"""Reads and tells what is new; returns the run's stored state."""


@dataclass
class LongPhases:
    """Tells each phase between two steps (loading, scoring) once, when it has lasted for a while."""

    _since: dict[tuple[int | None, str], float] = field(default_factory=dict)
    _told: set[tuple[int | None, str]] = field(default_factory=set)

    def new(self, activity: Iterable[WorkerActivity]) -> list[WorkerActivity]:
        """Those to be told now."""
        now = time.monotonic()
        phases = {(each.node, each.what): each for each in activity}
        self._since = {key: self._since.get(key, now) for key in phases}
        self._told &= phases.keys()
        due = [key for key, since in self._since.items() if now - since >= LONG_SECONDS and key not in self._told]
        self._told.update(due)
        return [phases[key] for key in due]


@dataclass
class RunWatch:
    """One run, seen by `look`."""

    directory: RunDirectory
    look: Look
    _reader: Reader | None = None
    _leaving: float | None = None

    def until_over(self) -> str:
        """Returns the run's last state: finished, stopped or failed. Raises Fault when its engine is gone before."""
        try:
            while (state := self._again()) is None:
                time.sleep(LOOK_SECONDS if self._leaving is None else 0.1)
        finally:
            self._let_go()
        return state

    def _again(self) -> str | None:
        """One look; the final state once the run has one and its engine has left."""
        try:
            reader = self._reader = self._reader or open_run(self.directory.path)
            state = self.look(reader)
        except EngineUnreachable:
            raise
        except (Fault, UserError):
            self._let_go()
            if self.directory.holder():
                return None  # it is starting, ending, or busy: look again
            reader = self._reader = open_run(self.directory.path)
            state = self.look(reader)
        if state in FINAL_STATES:
            return None if reader.live and not self._overdue() else state
        if not reader.live and self.directory.holder() is None:
            name = self.directory.name
            raise Fault(f"the engine of {name} is gone ({self.directory.log}); `llmzero resume {name}` continues it")
        return None

    def _overdue(self) -> bool:
        """Whether the engine of a run that is over has had its time to leave."""
        self._leaving = self._leaving or time.monotonic()
        return time.monotonic() - self._leaving > ENDING_SECONDS

    def _let_go(self) -> None:
        if self._reader is not None:
            self._reader.close()
        self._reader = None

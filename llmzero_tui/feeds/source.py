"""A run's database as every feed reads it: kept open while an engine serves it, let go after every look otherwise.

`ViewFeed` is the base of the feeds of one run's screens (decision, trajectory, samples, agents). Used by the feeds from
one worker thread at a time. While a viewer held the file of a run, no engine could take the run up again; so a file is
never kept. Never writes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

from engine.store.reader import OpenRun, Reader, open_run

Stamp = tuple[int, int]


@dataclass
class Source:
    """`with source.reader() as reader:` gives the reader of now. `opener` is what tests replace."""

    path: Path
    opener: OpenRun = open_run
    _reader: Reader | None = None
    _rest: Stamp | None = None

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """Raises Fault when the engine went away (the next look opens the run anew), UserError when there is no such
        run; both let go of the reader."""
        try:
            if self._reader is None:
                self._reader = self.opener(self.path)
            yield self._reader
        except BaseException:
            self.close()
            raise
        if self._reader is not None and not self._reader.live:
            self._reader.close()
            self._reader, self._rest = None, stamp(self.path)
        else:
            self._rest = None

    @property
    def resting(self) -> bool:
        """Whether nothing can have happened since the last look: no engine, and the file as it was."""
        return self._rest is not None and self._rest == stamp(self.path) and not held(self.path)

    @property
    def fresh(self) -> bool:
        """Whether the next look opens the run anew: what was read before may not hold any more."""
        return self._reader is None

    @property
    def live(self) -> bool:
        """Whether an engine answered the last look."""
        return self._rest is None

    def close(self) -> None:
        """Let go; the next look opens the run anew."""
        if self._reader is not None:
            self._reader.close()
        self._reader, self._rest = None, None


def held(path: Path) -> bool:
    """Whether an engine may hold the run: the database itself is asked only then."""
    return (path / "engine.sock").exists()


def stamp(path: Path) -> Stamp:
    """What changes when the run's file does: time and size; (0, 0) where there is none."""
    try:
        status = (path / "run.duckdb").stat()
    except OSError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_size)


ViewT = TypeVar("ViewT")
SnapshotT = TypeVar("SnapshotT", bound=Any)
"""A frozen dataclass with `taken`, the time of the look."""


@dataclass
class ViewFeed(ABC, Generic[ViewT, SnapshotT]):
    """Snapshots of a run for one screen; `clock` and `opener` are what tests replace."""

    path: Path
    clock: Callable[[], datetime]
    opener: OpenRun = open_run

    def __post_init__(self) -> None:
        self._source = Source(self.path, self.opener)
        self._last: SnapshotT | None = None
        self._view: ViewT | None = None

    def read(self, view: ViewT, *, quick: bool = False) -> SnapshotT:
        """One look. Raises Fault when the engine went away under it, UserError when there is no such run; the look
        after it takes nothing of what was read before for granted."""
        last = self._last
        if last is not None and self._view == view and self._source.resting:
            return replace(last, taken=self.clock())
        self._last = None
        with self._source.reader() as reader:
            snapshot = self._look(reader, view, last)
        self._last, self._view = snapshot, view
        return snapshot

    def close(self) -> None:
        """Let go of the reader."""
        self._source.close()

    @abstractmethod
    def _look(self, reader: Reader, view: ViewT, last: SnapshotT | None) -> SnapshotT:
        """Read what `view` asks for; what is as in `last` need not be read again."""

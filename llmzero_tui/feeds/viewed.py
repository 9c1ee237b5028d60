"""What the feeds of one run's screens have in common: looks at a view, and none where nothing can have changed.

Base of the feeds of the decision, trajectory, samples and agents screens. Used by one worker thread at a time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

from engine.store.reader import OpenRun, Reader, open_run
from llmzero_tui.feeds.source import Source

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

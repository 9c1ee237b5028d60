"""A run's database as every feed reads it: kept open while an engine serves it, let go after every look otherwise.

Used by the feeds from one worker thread at a time. While a viewer held the file of a run, no engine could take the run
up again; so a file is never kept. Never writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

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

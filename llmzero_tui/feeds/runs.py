"""Reads the headers of all runs of a directory, for the list of runs.

Used by one worker thread at a time (the app's tick). Runs that cannot change are read once per change of their file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from engine.errors import Fault, UserError
from engine.store.reader import Reader, open_run
from llmzero_tui.data import Run, RunsSnapshot, View, run_of
from llmzero_tui.feeds.run import header
from llmzero_tui.feeds.source import OpenRun, Stamp, held, stamp


@dataclass
class RunsFeed:
    """Snapshots of all runs of a directory. Runs that cannot change are read once per change of their file."""

    directory: Path
    clock: Callable[[], datetime]
    opener: OpenRun = open_run
    _cache: dict[Path, tuple[Stamp, Run]] = field(default_factory=dict)
    _readers: dict[Path, Reader] = field(default_factory=dict)

    def read(self, _view: View | None = None, *, quick: bool = False) -> RunsSnapshot:
        """One look. A run that cannot be read is listed with the reason."""
        runs = [self._run(path) for path in self._paths()]
        runs.sort(key=lambda r: (r.created or datetime.min, r.name), reverse=True)
        return RunsSnapshot(self.clock(), tuple(runs))

    def close(self) -> None:
        """Let go of all readers."""
        for reader in self._readers.values():
            reader.close()
        self._readers.clear()

    def _paths(self) -> list[Path]:
        if not self.directory.is_dir():
            return []
        return [path for path in self.directory.iterdir() if (path / "run.duckdb").exists()]

    def _run(self, path: Path) -> Run:
        now = stamp(path)
        cached = self._cache.get(path)
        if cached and cached[0] == now and not held(path):
            return cached[1]
        try:
            reader = self._readers.pop(path, None) or self.opener(path)
            run = run_of(path, header(reader, path), live=reader.live)
        except (Fault, UserError) as error:
            return Run(path=path, name=path.name, state="lost", reason=str(error))
        if run.live:
            self._readers[path] = reader
        else:
            reader.close()
            self._cache[path] = (now, run)
        return run

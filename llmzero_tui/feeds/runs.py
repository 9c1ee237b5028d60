"""Reads the headers of all runs of a directory, for the list of runs: what is on the screen first, a little at a time.

Used by one worker thread at a time (the app's tick). A run that cannot change is read once per change of its file;
hundreds of them are read over several looks, so that none takes long. Headers of runs at rest are remembered from one
start to the next; one counts only for the very file it was read from (time and size), and a file of headers that is
missing, broken or of another version is forgotten without a word, because everything in it can be read again.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.errors import Fault, UserError
from engine.run.rundir import RunDirectory
from engine.store.errors import DamagedDatabase
from engine.store.reader import OpenRun, Reader, open_run
from llmzero_tui.user.places import state_dir, write_private
from llmzero_tui.values.nodes import ShownScore
from llmzero_tui.values.rows import run_of
from llmzero_tui.values.snapshot import UNREAD, RunRow, RunsSnapshot

READ_SECONDS = 0.12
"""How long one look may open runs at rest; at least one of them is opened."""


@dataclass
class RunsFeed:
    """Snapshots of all runs of a directory."""

    directory: Path
    clock: Callable[[], datetime]
    opener: OpenRun = open_run
    _cache: Headers = field(default_factory=dict)
    _failed: dict[Path, RunRow] = field(default_factory=dict)
    _readers: dict[Path, Reader] = field(default_factory=dict)
    _paths: dict[str, Path] = field(default_factory=dict)
    _recalled: bool = False
    _fresh: bool = False

    def read(self, view: Iterable[Path] | None = None, *, quick: bool = False) -> RunsSnapshot:
        """One look. A run that cannot be read is listed with the reason, one that was not yet with its name.

        Args:
            view: the runs on the screen, which are read first.
        """
        if not self._recalled:
            self._recalled = True
            self._cache = {self.directory / path.name: known for path, known in recall(self.directory).items()}
        prints = self._prints()
        for gone in self._cache.keys() - prints.keys():
            del self._cache[gone]
        headers = {path: self._run(path, prints[path]) for path in self._due(prints, list(view or ()))}
        runs = [headers.get(path) or self._known(path) for path in prints]
        if self._fresh and not any(run.state == UNREAD for run in runs):
            self._fresh = False
            remember(self.directory, self._cache)
        runs.sort(key=lambda r: (r.created or datetime.min, r.name), reverse=True)
        return RunsSnapshot(self.clock(), tuple(runs))

    def close(self) -> None:
        """Let go of all readers."""
        for reader in self._readers.values():
            reader.close()
        self._readers.clear()

    def _prints(self) -> dict[Path, Print]:
        """The runs there are, each with what tells whether it must be read again: two glances at the disk for each."""
        try:
            names = [entry.name for entry in os.scandir(self.directory)]
        except OSError:
            return {}
        prints = {}
        for name in names:
            now = _print(f"{self.directory}/{name}") if not name.startswith(".") else None
            if now is not None:
                path = self._paths.get(name) or self._paths.setdefault(name, self.directory / name)
                prints[path] = now
        return prints

    def _due(self, prints: dict[Path, Print], visible: list[Path]) -> Iterable[Path]:
        """What to read now: live runs, what is on the screen, then the newest, until the time is over; what could not
        be read comes last. However long the live ones take, one of the others is read."""
        stale = [p for p, now in prints.items() if p not in self._cache or self._cache[p][0] != now]
        place = {path: i for i, path in enumerate(visible)}
        stale.sort(key=lambda p: (p in self._failed, place.get(p, len(place)), -prints[p][0]))
        live = [p for p in stale if p in self._readers]
        others = [p for p in stale if p not in self._readers]
        yield from live
        begun = time.monotonic()
        for path in others:
            yield path
            if time.monotonic() - begun > READ_SECONDS:
                return

    def _known(self, path: Path) -> RunRow:
        """What is known of a run that was not read this time."""
        if path in self._failed:
            return self._failed[path]
        if path in self._cache:
            return self._cache[path][1]
        return RunRow(path=path, name=path.name, state=UNREAD, created=_begun(path))

    def _run(self, path: Path, now: Print) -> RunRow:
        from engine.analysis.reported import read_header

        try:
            reader = self._readers.pop(path, None) or self.opener(path)
            try:
                run = run_of(path, read_header(reader.rows), live=reader.live)
            except (Fault, UserError):
                reader.close()
                raise
        except (Fault, UserError) as error:
            state, why = (
                ("damaged", f"damaged: {error.why}") if isinstance(error, DamagedDatabase) else ("lost", f"{error}")
            )
            self._failed[path] = RunRow(path=path, name=path.name, state=state, reason=why, created=_begun(path))
            return self._failed[path]
        self._failed.pop(path, None)
        if run.live:
            self._readers[path] = reader
        else:
            reader.close()
            self._cache[path] = (now, run)
            self._fresh = True
        return run


def _print(path: str) -> Print | None:
    """What changes when a run at rest does, or gets an engine: its file, and the socket, which a dead engine leaves.
    None where there is no run."""
    try:
        file = os.stat(f"{path}/run.duckdb")  # noqa: PTH116 - hundreds of them a second: a Path costs more than the stat
    except OSError:
        return _print_without_file(Path(path))
    try:
        socket = os.stat(f"{path}/engine.sock").st_ino  # noqa: PTH116
    except OSError:
        socket = 0
    return (file.st_mtime_ns, file.st_size, socket)


def _print_without_file(path: Path) -> Print | None:
    """The same where no database can be seen: a link to nothing, or what is left of a run; a run that starts has none
    yet."""
    run = RunDirectory(path)
    with suppress(OSError):
        since = run.since()
        return None if since is None or run.holder() else (since, 0, 0)
    return None


def _begun(path: Path) -> datetime | None:
    """About when a run was created, without opening it: its run file is written first and seldom after."""
    try:
        return datetime.fromtimestamp((path / "run.toml").stat().st_mtime, UTC).replace(tzinfo=None)
    except OSError:
        return None


Print = tuple[int, ...]
Headers = dict[Path, tuple[Print, RunRow]]
TIMES, SCORES = (
    tuple(f.name for f in fields(RunRow) if f.type == f"{kind.__name__} | None") for kind in (datetime, ShownScore)
)
"""What JSON has no value for."""
SHAPE = [f"{f.name}: {f.type}" for kind in (RunRow, ShownScore) for f in fields(kind)]
"""What a header is made of: headers of another shape are of another version."""
MOST_HEADERS = 5000


def _headers_file() -> Path:
    return state_dir() / "runs.json"


def recall(directory: Path) -> Headers:
    """The headers of the runs of a directory, as far as they are remembered."""
    try:
        known = json.loads(_headers_file().read_text(encoding="utf-8"))
        if known["shape"] != SHAPE:
            return {}
        headers = {Path(path): (tuple(map(int, stamp)), _run(Path(path), row)) for path, stamp, row in known["runs"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return {path: header for path, header in headers.items() if path.parent == directory.absolute()}


def remember(directory: Path, headers: Mapping[Path, tuple[Print, RunRow]]) -> None:
    """Keep the headers of a directory, in place of what was known of it; a place that cannot be written is none."""
    rows = [[str(path.absolute()), stamp, _row(run)] for path, (stamp, run) in headers.items()]
    try:
        known = json.loads(_headers_file().read_text(encoding="utf-8"))
        others = known["runs"] if known["shape"] == SHAPE else []
        rows += [row for row in others if Path(row[0]).parent != directory.absolute()]
    except (OSError, ValueError, KeyError, TypeError):
        pass  # the first time, or one to be forgotten
    try:
        write_private(_headers_file(), json.dumps({"shape": SHAPE, "runs": rows[:MOST_HEADERS]}))
    except UserError:
        return


def _row(run: RunRow) -> dict[str, Any]:
    row = asdict(run)
    del row["path"]
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}


def _run(path: Path, row: dict[str, Any]) -> RunRow:
    times = {name: datetime.fromisoformat(row[name]) for name in TIMES if row[name]}
    scores = {name: ShownScore(**row[name]) for name in SCORES if row[name]}
    return RunRow(**{**row, **times, **scores, "path": path, "live": False, "activity": ()})

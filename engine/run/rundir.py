"""A run's directory: the names of its files, and the lock that says whether an engine holds it.

The lock is an advisory `flock` on engine.lock, so the kernel frees it however the engine dies; engine.json only says
who holds it. Used by the daemon, the launcher and the face; never makes or deletes anything but these two files.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
import time
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from engine.errors import UserError, short_path

OWN_NAMES = (
    "run.toml",
    "run.duckdb*",
    "engine.*",
    "strategy.toml",
    "segments",
    "base",
    "tracking",
    "worker-*.log",
    "cell.json",
)
"""What a run's directory holds that is not the user's: files, and the directory of checkpoints with all in it."""

NO_LOCKS = "its file system has no locks, which a run needs: choose a --runs-dir on another one"


@dataclass(frozen=True, slots=True)
class Holder:
    """The engine that holds a run: process id, package version, UTC start time (ISO 8601)."""

    pid: int
    version: str
    started: str


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """Paths inside one run's directory."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def config(self) -> Path:
        return self.path / "run.toml"

    @property
    def database(self) -> Path:
        return self.path / "run.duckdb"

    @property
    def socket(self) -> Path:
        return self.path / "engine.sock"

    @property
    def holder_file(self) -> Path:
        return self.path / "engine.json"

    @property
    def lock_file(self) -> Path:
        return self.path / "engine.lock"

    @property
    def log(self) -> Path:
        return self.path / "engine.log"

    @property
    def segments(self) -> Path:
        return self.path / "segments"

    @property
    def base(self) -> Path:
        """Holds the base where that was copied from another run."""
        return self.path / "base"

    @property
    def strategy(self) -> Path:
        return self.path / "strategy.toml"

    def segment(self, node_id: int) -> Path:
        """Directory of one node's checkpoints."""
        return self.segments / str(node_id)

    def owns(self, path: Path) -> bool:
        """Whether a file is one that the engine, its workers or `llmzero compare` write here, be it there yet or not.

        `path`: absolute, without links.
        """
        inside = path.relative_to(self.path).parts if path.is_relative_to(self.path) else ()
        first = inside[0] if inside else ""
        return any(fnmatchcase(first, name) for name in OWN_NAMES) and self._began()

    def _began(self) -> bool:
        """Whether this is a run for sure; a run.toml alone may be a run file that a user wrote."""
        return os.path.lexists(self.database) or (self.config.is_file() and self.segments.is_dir())

    def since(self) -> int | None:
        """About when this run began, in nanoseconds of the file system; None where there is no run.

        One of its two files is enough, whatever has become of the other, so that no damage hides a run.

        Raises:
            OSError: the directory cannot be looked into.
        """
        for file in (self.config, self.database):
            try:
                return file.lstat().st_mtime_ns
            except (FileNotFoundError, NotADirectoryError):
                continue
        return None

    def holder(self) -> Holder | None:
        """The living engine of this run, or None. A leftover engine.json of a dead engine does not count."""
        try:
            handle = os.open(self.lock_file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except PermissionError:
            return self._living_holder()
        except OSError:
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return self._read_holder()
        except OSError:
            return self._living_holder()  # no locks here: no engine could have started, but it may have been moved
        finally:
            os.close(handle)
        return None

    def _living_holder(self) -> Holder | None:
        """Who says to hold the run, where the lock cannot be asked: another user's, or a file system without locks."""
        holder = self._read_holder()
        if not holder.pid:
            return None
        try:
            os.kill(holder.pid, 0)
        except PermissionError:
            return holder
        except OSError:
            return None
        return holder

    def _read_holder(self) -> Holder:
        """Who holds the lock; an engine that has the lock but has not written its name yet is pid 0."""
        try:
            fields = json.loads(self.holder_file.read_text(encoding="utf-8"))
            return Holder(pid=int(fields["pid"]), version=str(fields["version"]), started=str(fields["started"]))
        except (OSError, ValueError, KeyError, TypeError):
            return Holder(pid=0, version="", started="")


def refuse_files_of_runs(output: Path) -> None:
    """What a user has written out never replaces, nor joins, what a run consists of; links are followed.

    Raises:
        UserError: one line that names the run.
    """
    real = Path(os.path.realpath(output))
    if owner := next((run for run in map(RunDirectory, real.parents) if run.owns(real)), None):
        raise UserError(f"{short_path(output)} belongs to run {owner.name} and is not overwritten; choose another name")


def lacks_locks(directory: Path) -> str:
    """Why no file in this directory can be locked; "" when it can. Leaves nothing there."""
    try:
        with tempfile.TemporaryFile(dir=directory) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # what DuckDB asks for
    except OSError as error:
        return f"{NO_LOCKS} ({error.strerror})"
    return ""


class RunLock:
    """The exclusive hold of an engine on its run, for as long as the object is open."""

    def __init__(self, directory: RunDirectory, holder: Holder) -> None:
        """Take the lock and write engine.json.

        Raises:
            UserError: one line that names the engine holding the run, or why the directory cannot be written.
        """
        self._directory = directory
        try:
            self._handle = os.open(directory.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise UserError(f"{directory.path}: not writable: {error.strerror}") from error
        if not self._take():
            os.close(self._handle)
            raise UserError(held_line(directory.name, directory.holder() or Holder(0, "", "")))
        directory.holder_file.write_text(json.dumps(asdict(holder)), encoding="utf-8")

    def _take(self) -> bool:
        """Several tries: a viewer that asks `holder` has the lock, shared, for an instant."""
        for attempt in range(20):
            if attempt:
                time.sleep(0.01)
            try:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            except OSError as error:
                os.close(self._handle)
                raise UserError(f"{self._directory.path}: {NO_LOCKS} ({error.strerror})") from error
            return True
        return False

    def in_place(self) -> bool:
        """Whether the run is still where it was when the lock was taken: not moved, not deleted."""
        try:
            now = self._directory.lock_file.stat()
        except OSError:
            return False
        held = os.fstat(self._handle)
        return (now.st_dev, now.st_ino) == (held.st_dev, held.st_ino)

    def release(self) -> None:
        """Give the run back: engine.json goes first, so nobody reads a name without a lock."""
        self._directory.holder_file.unlink(missing_ok=True)
        os.close(self._handle)


def held_line(name: str, holder: Holder) -> str:
    """One line: who holds the run, and what to do."""
    who = f"engine {holder.pid} since {holder.started}" if holder.pid else "an engine that is just starting"
    return f"run {name} is held by {who}; `llmzero attach {name}` shows it, `llmzero stop {name}` ends it"

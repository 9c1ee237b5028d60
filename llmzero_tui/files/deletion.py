"""Deletes a run: its whole directory, and nothing else.

Called by the list of runs, in a worker, after its name was typed. Refuses what an engine holds, what is a link, and
what is no run of that directory; follows no link.
"""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from engine.errors import UserError
from engine.run.rundir import Holder, RunDirectory, RunLock
from engine.store.reader import EngineGone, SocketReader


def delete_run(path: Path, runs_dir: Path) -> None:
    """Delete the run in `path`, a directory directly below `runs_dir`. It disappears from the list at once, then from
    the disk.

    Raises:
        UserError: it is refused, or could not be deleted (all of it); one line.
    """
    _check(path, runs_dir)
    lock = RunLock(RunDirectory(path), Holder(os.getpid(), version("llmzero-tui"), f"{datetime.now(UTC):%FT%TZ}"))
    grave = path.with_name(f".deleted-{path.name}-{os.getpid()}")
    try:
        path.rename(grave)
    except OSError as error:
        raise UserError(f"{path}: cannot be deleted: {error.strerror}") from error
    finally:
        lock.release()
    try:
        shutil.rmtree(grave)  # removes links, not what they point to
    except OSError as error:
        raise UserError(f"{path.name} is deleted except for what is left in {grave}: {error.strerror}") from error


def _check(path: Path, runs_dir: Path) -> None:
    database = path / "run.duckdb"
    if path.is_symlink():
        raise UserError(f"{path.name} is a link to {path.readlink()}: not deleted; remove the link yourself")
    if path.parent.resolve() != runs_dir.resolve():
        raise UserError(f"{path} is not in {runs_dir}: not deleted")
    if database.is_symlink() or not database.is_file():
        raise UserError(f"{path} has no run.duckdb: not a run, not deleted")
    try:
        SocketReader(path / "engine.sock").close()
    except EngineGone:
        return
    holder = RunDirectory(path).holder()
    who = f"engine {holder.pid}" if holder else "an engine"
    raise UserError(f"run {path.name} is held by {who}; stop it first: `llmzero stop {path.name}`")

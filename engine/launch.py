"""Start an engine in the background: create the run's directory, spawn the daemon in its own session, wait for its word.

Called by the command line (`run`, `resume`, `demo`). The engine outlives its caller; the pipe between them carries one
line only: "ready", or why not.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from engine.config import RunConfig
from engine.errors import UserError
from engine.rundir import RunDirectory, held_line


def default_name(task: str) -> str:
    """Name of a run whose file gives none: the task and the local time, e.g. "knights-1122-0915"."""
    stem = Path(task.partition(":")[0]).stem
    return f"{stem}-{time.strftime('%m%d-%H%M%S')}"


def create_run(config: RunConfig, runs_dir: Path) -> RunDirectory:
    """Make the directory of a new run and write its run.toml, every default written out.

    Raises:
        UserError: the name is taken, or the directory cannot be written; one line. Nothing is left behind.
    """
    directory = RunDirectory(runs_dir / config.name)
    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
        directory.path.mkdir()
        directory.segments.mkdir()
        directory.config.write_text(config.to_toml())
    except FileExistsError as error:
        raise UserError(
            f"run {config.name} exists in {runs_dir}; `llmzero resume {config.name}` goes on, or choose another name"
        ) from error
    except OSError as error:
        raise UserError(f"{runs_dir}: not writable: {error.strerror}; choose another --runs-dir") from error
    return directory


def start_engine(directory: RunDirectory) -> int:
    """Start the daemon of a run and wait until it serves (or says why not). Returns its process id.

    Raises:
        UserError: what the daemon said, e.g. that another engine holds the run.
    """
    if holder := directory.holder():
        raise UserError(held_line(directory.name, holder))
    read_end, write_end = os.pipe()
    command = [sys.executable, "-m", "engine.daemon", str(directory.path.resolve()), "--ready-fd", str(write_end)]
    try:
        with directory.log.open("ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[write_end], start_new_session=True
            )
    finally:
        os.close(write_end)
    with os.fdopen(read_end, encoding="utf-8", errors="replace") as pipe:
        word = pipe.readline().strip()
    if word == "ready":
        return process.pid
    raise UserError(word or f"the engine ended before it was ready; its last lines are in {directory.log}")


def find_run(runs_dir: Path, run: str) -> RunDirectory:
    """The run a user means: a name, a unique prefix of one, or a path.

    Raises:
        UserError: nothing or several match; one line naming what there is.
    """
    if not run:
        raise UserError("which run? give a name, a unique prefix or a path")
    for exact in (runs_dir / run, Path(run)):
        if (exact / "run.toml").is_file():
            return RunDirectory(exact.resolve())
    names = [each.name for each in list_runs(runs_dir)]
    matching = [name for name in names if name.startswith(run)]
    if len(matching) == 1:
        return RunDirectory((runs_dir / matching[0]).resolve())
    if matching:
        raise UserError(f"run {run} is not unique: {', '.join(sorted(matching))}")
    known = ", ".join(names[:8]) + (" …" if len(names) > 8 else "") if names else "none yet"
    raise UserError(f"no run {run} in {runs_dir}; there: {known}")


def list_runs(runs_dir: Path) -> list[RunDirectory]:
    """All runs below a directory, newest first by their run.toml."""
    if not runs_dir.is_dir():
        return []
    found = [RunDirectory(each) for each in runs_dir.iterdir() if (each / "run.toml").is_file()]
    return sorted(found, key=lambda run: run.config.stat().st_mtime, reverse=True)

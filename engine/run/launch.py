"""Start an engine in the background: create the run's directory, spawn the daemon in its own session, hear its word.

Called by the command line (`run`, `resume`, `demo`). The engine outlives its caller; the pipe between them carries one
line only: "ready", or why not.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from engine import own_packages
from engine.errors import Fault, UserError, one_line, short_path
from engine.run.rundir import RunDirectory, held_line

if TYPE_CHECKING:
    from engine.run.config import RunConfig

IDLE_SECONDS = 60.0
"""An engine that does not serve yet hangs when it uses no CPU time for so long; on a busy machine it gets a little."""
CPU_SECONDS = 300.0
"""Of a start, at most. An engine imports no torch before it serves: it is ready after a second or two of CPU time."""
LOOK_SECONDS = 0.5
"""Between two looks at the CPU time of an engine that starts."""

LEAVE_SECONDS = 10.0
"""For a daemon that does not serve to end by itself."""

BY_A_BUG = "the engine ended because of a bug"
"""How the word of a daemon begins whose log says more."""

MISTAKE = 2
"""Exit code of a daemon that was asked for what cannot be."""


def default_name(task: str) -> str:
    """Name of a run whose file gives none: the task and the local time, e.g. "knights-1122-091530"."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(task.partition(":")[0]).stem).strip("._-")[:40] or "run"
    return f"{stem}-{time.strftime('%m%d-%H%M%S')}"


def create_run(config: RunConfig, runs_dir: Path) -> RunDirectory:
    """Make the directory of a new run and write its run.toml, every default and the sizes of evaluations written out.

    Raises:
        UserError: the name is taken, or the directory cannot be written; one line. Nothing is left behind.
    """
    from engine.run.evaluation_sizes import settled

    directory = RunDirectory(runs_dir / config.name)
    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:  # FileExistsError too: a file stands where the directory should be
        raise _not_writable(runs_dir, error) from error
    try:
        directory.path.mkdir()
    except FileExistsError as error:
        raise UserError(
            f"run {config.name} exists in {runs_dir}; "
            f"`llmzero resume {config.name}` continues it, or choose another name"
        ) from error
    except OSError as error:
        raise _not_writable(runs_dir, error) from error
    try:
        directory.segments.mkdir()
        directory.config.write_text(settled(config).to_toml(), encoding="utf-8")
    except OSError as error:
        remove_run(directory)
        raise _not_writable(runs_dir, error) from error
    return directory


def remove_run(directory: RunDirectory) -> None:
    """Delete a run that never began, e.g. because its engine did not start. Its log is lost too."""
    shutil.rmtree(directory.path, ignore_errors=True)


def _not_writable(runs_dir: Path, error: OSError) -> UserError:
    return UserError(f"{runs_dir}: not writable: {error.strerror}; choose another --runs-dir")


def start_engine(directory: RunDirectory) -> int:
    """Start the daemon of a run and wait until it serves (or says why not). Returns its process id.

    Raises:
        UserError: what the daemon said, e.g. that another engine holds the run.
        Fault: it died, or hung, before it could serve; the line quotes its last words.
    """
    if holder := directory.holder():
        raise UserError(held_line(directory.name, holder))
    process, read_end, before = _spawn(directory)
    begun = time.monotonic()
    try:
        word = _read_word(read_end, process)
    except BaseException as error:  # Ctrl+C while it starts, or it hangs: nothing is left running
        process.kill()
        process.wait()
        if isinstance(error, Fault):
            raise Fault(f"the engine did not start: {error}{_quoted(_last_line(directory.log, before))}") from error
        raise
    if word == "ready":
        return process.pid
    code = _wait(process)
    if code == MISTAKE and word:
        raise UserError(word)
    last = _last_line(directory.log, before)
    if code is not None and code < 0 and not word:
        raise Fault(f"the engine did not start: {_by_signal(-code, time.monotonic() - begun)}{_quoted(last)}")
    why = word if word and BY_A_BUG not in word else last or word
    raise Fault(
        f"the engine did not start: {why or (f'it ended with {code}' if code is not None else 'it hung as it ended')}"
    )


def _spawn(directory: RunDirectory) -> tuple[subprocess.Popen[bytes], int, int]:
    """The daemon, the end of the pipe on which it says its word, and where its log begins, in bytes."""
    try:
        log = directory.log.open("ab")
        before = log.tell()
    except OSError as error:
        raise UserError(f"{directory.path}: not writable: {error.strerror}") from error
    read_end, write_end = os.pipe()
    command = own_packages.command("engine.run.daemon")
    command += [str(directory.path.resolve()), "--ready-fd", str(write_end)]
    try:
        with log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[write_end], start_new_session=True
            )
    finally:
        os.close(write_end)
    return process, read_end, before


def _by_signal(number: int, seconds: float) -> str:
    """Who ended an engine that starts, where it was not this program."""
    name = signal.Signals(number).name
    who = "the kernel where memory runs out, or another program" if number == signal.SIGKILL else "another program"
    return f"{name} ended it after {seconds:.0f} s, not llmzero but {who}; start it again"


def _quoted(words: str) -> str:
    return f"; its last words: {words}" if words else ""


def _wait(process: subprocess.Popen[bytes]) -> int | None:
    """The exit code of a daemon that does not serve: it is on its way out, or hangs and is killed (None)."""
    try:
        return process.wait(LEAVE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return None


def _read_word(read_end: int, process: subprocess.Popen[bytes]) -> str:
    """The line the daemon writes when it serves, or why it does not; "" when it died. A start takes as long as it gets
    on: the daemon of a busy machine, at low priority, may need minutes for its second of CPU time.

    Raises:
        Fault: it hangs, or computes without end; the line says for how long.
    """
    begun = moved = time.monotonic()
    used = 0.0
    with os.fdopen(read_end, encoding="utf-8", errors="replace") as pipe:
        while not select.select([pipe], [], [], LOOK_SECONDS)[0]:
            now, spent = time.monotonic(), _cpu_seconds(process.pid)
            if spent > used:
                used, moved = spent, now
            idle = now - moved > IDLE_SECONDS
            if idle or used > CPU_SECONDS:
                why = f"it had used no CPU time for {IDLE_SECONDS:g} s" if idle else "it was not ready yet"
                times = f"{now - begun:.0f} s, {used:.1f} s of them on a CPU"
                raise Fault(f"llmzero ended it after {times}, because {why}; start it again")
        return pipe.readline().strip()


def _cpu_seconds(pid: int) -> float:
    """CPU time that a process of ours has used."""
    import psutil

    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def _last_line(log: Path, before: int) -> str:
    """The last line that says something of a log, behind so many bytes of earlier engines, printable and at most 300
    characters."""
    lines = log.read_bytes()[before:].decode(errors="replace").splitlines() if log.is_file() else []
    return next((one_line(line)[:300] for line in reversed(lines) if line.strip()), "")


def find_run(runs_dir: Path, run: str) -> RunDirectory:
    """The run a user means: a name, a unique prefix of one, or a path.

    Raises:
        UserError: nothing or several match; one line naming what there is.
    """
    if not run:
        raise UserError("which run? give a name, a unique prefix or a path")
    for exact in (runs_dir / run, Path(run)):
        try:
            if RunDirectory(exact).since() is not None:
                return RunDirectory(exact.resolve())
        except OSError as error:  # another user's, or a name too long for a file
            raise UserError(f"{short_path(exact)}: {error.strerror}") from error
    names = [each.name for each in list_runs(runs_dir)]
    matching = [name for name in names if name.startswith(run)]
    if len(matching) == 1:
        return RunDirectory((runs_dir / matching[0]).resolve())
    if matching:
        raise UserError(f"run {run} is not unique: {', '.join(sorted(matching))}")
    known = ", ".join(names[:8]) + (" …" if len(names) > 8 else "") if names else "none yet"
    raise UserError(f"no run {run} in {runs_dir}; there: {known}")


def list_runs(runs_dir: Path) -> list[RunDirectory]:
    """All runs below a directory, damaged ones too, newest first by their run.toml."""
    if not runs_dir.is_dir():
        return []
    dated = []
    try:
        entries = list(runs_dir.iterdir())
    except OSError as error:
        raise UserError(f"{runs_dir}: {error.strerror}") from error
    for each in entries:
        run = RunDirectory(each)
        with suppress(OSError):  # another user's, or one that is being deleted
            if not run.name.startswith(".") and (since := run.since()) is not None:
                dated.append((since, run.name, run))
    return [run for _, _, run in sorted(dated, key=lambda entry: entry[:2], reverse=True)]

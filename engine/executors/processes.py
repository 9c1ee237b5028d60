"""Small things about worker processes: killing a process group, exit statuses and log lines in words.

Used by the local executor. Nothing here knows what a worker does.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path
from typing import IO

Process = subprocess.Popen[bytes]


def kill_group(process: Process) -> None:
    """SIGKILL to the worker's process group: it works on a stopped process too."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def close_pipe(pipe: IO[bytes] | None) -> None:
    """Close a pipe of a process that was started with it."""
    if pipe is not None:
        pipe.close()


def kill_if_alive(process: Process) -> None:
    """SIGKILL to the group of a process that has not ended; nothing otherwise."""
    if process.poll() is None:
        kill_group(process)


def describe_exit(status: int) -> str:
    """An exit status of subprocess in words: "exited with code 3", "was killed by SIGSEGV"."""
    if status >= 0:
        return f"exited with code {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    hint = " (by someone, or by the kernel for lack of memory)" if name == "SIGKILL" else ""
    return f"was killed by {name}{hint}"


def printable(raw: bytes) -> str:
    """The first 200 bytes as one line of text without control characters."""
    return "".join(c if c.isprintable() else "·" for c in raw[:200].decode("utf-8", "replace").rstrip("\n"))


def last_line(log: Path, start: int) -> str:
    """The last line that this worker wrote to its log, or ''. A log that cannot be read is no news."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(start, size - 4096))
            lines = file.read().splitlines()
    except OSError:
        return ""
    return printable(next((line for line in reversed(lines) if line.strip()), b""))

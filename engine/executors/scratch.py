"""A temporary directory that one process has while it lives, and the removal of those whose process is gone.

Used by the Ray actor. The process holds an advisory lock on the directory, which the kernel frees however it dies; so
no process id is asked, and nothing is ever removed but a directory of this user's with a name of ours and no holder.
"""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path

from engine.executors import moving


class Scratch:
    """Made empty, after what dead processes left on this machine was removed.

    Args:
        run: twelve hexadecimal digits, the same for all of a run.
        number: of the worker.
    """

    def __init__(self, run: str, number: int) -> None:
        ours = f"llmzero-{os.getuid()}-"
        _remove_left(re.compile(re.escape(ours) + r"[0-9a-f]{12}-\d+-[a-z0-9_]{8}"))
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=f"{ours}{run}-{number}-"))
            with suppress(FileNotFoundError):  # another process saw it before it was locked
                self._handle = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
                with suppress(OSError):  # no locks here: then nobody can take it for left
                    fcntl.flock(self._handle, fcntl.LOCK_EX)
                if self.path.is_dir():
                    return
                os.close(self._handle)

    def remove(self) -> None:
        """Remove it; the process ends then."""
        moving.remove(self.path)


def _remove_left(name: re.Pattern[str]) -> None:
    for path in Path(tempfile.gettempdir()).iterdir():
        if not name.fullmatch(path.name):
            continue
        with suppress(OSError):  # another user's, a link, held, or removed meanwhile
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                if os.fstat(handle).st_uid == os.getuid():
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    moving.remove(path)
            finally:
                os.close(handle)

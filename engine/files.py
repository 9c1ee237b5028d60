"""Files that are written whole or not at all: the one way in which the engine and the face write a file of the user's.

Used for exports, settings and the strategy. A regular file is replaced in one step; what a link points to is written,
never the link; a FIFO or a device is written into and stays what it is.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

OWN_DESCRIPTORS = ("/dev/std", "/dev/fd/", "/proc/")
"""Names of what is open already (`-o /dev/stdout`): written into, even where a regular file is behind them."""


@contextmanager
def whole(output: Path, mode: int | None = None) -> Iterator[BinaryIO]:
    """A file whose content is at `output` once the block has ended well; before that nothing of it is.

    Args:
        mode: permissions of a file that is made; by default what the umask leaves. An existing file keeps its own.

    Raises:
        OSError: it cannot be written.
    """
    status = _status(output)
    if status is not None and stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(21, "it is a directory", str(output))
    special = status is not None and not stat.S_ISREG(status.st_mode)
    if special or str(output).startswith(OWN_DESCRIPTORS):
        with tempfile.TemporaryFile() as file:
            yield file
            file.seek(0)
            # Neither made nor cut: whoever has opened it may have written before.
            with os.fdopen(os.open(output, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC), "wb") as there:
                shutil.copyfileobj(file, there)
        return
    target = Path(os.path.realpath(output))
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:80]}.")
    partial = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        _permissions(partial, status, mode)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _status(output: Path) -> os.stat_result | None:
    """What is at the end of all links; None where nothing is yet."""
    try:
        return output.stat()
    except FileNotFoundError:
        return None


def _permissions(partial: Path, replaced: os.stat_result | None, mode: int | None) -> None:
    if replaced is not None:
        with suppress(PermissionError):
            os.chown(partial, replaced.st_uid, replaced.st_gid)
        partial.chmod(stat.S_IMODE(replaced.st_mode))
    else:
        partial.chmod(0o666 & ~_umask() if mode is None else mode)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask

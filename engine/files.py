"""Files that are written whole or not at all: the one way in which the engine and the face write a file of the user's.

Used for exports, settings and the strategy. A regular file is replaced in one step; what a link points to is written,
never the link; a FIFO or a device is written into and stays what it is.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
import time
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
            with os.fdopen(_reach(output, status), "wb") as there:
                shutil.copyfileobj(file, there)
        return
    target = Path(os.path.realpath(output))
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:80]}.")
    partial = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # or after a loss of power the new name may stand for an empty file
        _permissions(partial, status, mode)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


READER_SECONDS = 10.0
"""How long a FIFO may be without a reader: `llmzero sql … -o F & cat F` begins in either order."""


def _reach(output: Path, status: os.stat_result | None) -> int:
    """A descriptor to write with. Raises OSError, for a FIFO that nobody reads after some seconds too."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
    if status is None or not stat.S_ISFIFO(status.st_mode):
        return os.open(output, flags)
    deadline = time.monotonic() + READER_SECONDS
    while True:
        try:
            descriptor = os.open(output, flags | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            if time.monotonic() > deadline:
                raise OSError(errno.ENXIO, "it is a FIFO and nobody reads from it", str(output)) from error
            time.sleep(0.05)
        else:
            os.set_blocking(descriptor, True)
            return descriptor


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

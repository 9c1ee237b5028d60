"""The standard streams of a command: open whatever the caller left closed, and given up when they cannot be written.

Used by the command line alone. A closed descriptor is dangerous: the next file that is opened would take its number,
and what is meant for the terminal would be written into it.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from contextlib import suppress
from typing import TextIO

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)


def prepare() -> None:
    """Fill descriptors 0 to 2 where they are closed; what is written to such an output fails when it is flushed."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_WRONLY if name == "stderr" else os.O_RDONLY)  # takes the lowest free number
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, os.fdopen(descriptor, mode, encoding="utf-8", closefd=False))
    codecs.register_error("glyphs", _without_glyphs)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="glyphs")  # a locale without the glyphs is no reason to fail


def only_ascii() -> None:
    """From now on what is written has ASCII characters only: known glyphs replaced, the rest a question mark."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="ascii", errors="glyphs")


def _without_glyphs(error: UnicodeError) -> tuple[str, int]:
    from llmzero_tui.format import to_ascii  # most streams take everything

    if not isinstance(error, UnicodeEncodeError):
        raise error
    return to_ascii(error.object[error.start : error.end]), error.end


def is_output_error(error: OSError) -> bool:
    """Whether an error is about a stream and not about a file: that has a name."""
    return error.filename is None and error.errno in UNWRITABLE


def give_up(stream: TextIO) -> None:
    """Throw away what could not be written, or the interpreter would try again at its end and complain."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def complain(line: str) -> None:
    """One line on stderr, where there is room for it."""
    try:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
    except OSError:
        give_up(sys.stderr)

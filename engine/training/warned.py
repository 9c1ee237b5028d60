"""Warnings of the libraries that train: all of them go to the worker's log, the first of each kind becomes an event.

Set up once by the worker. Deprecations stay in the log: they are no sign of a fault in a run.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from engine.errors import one_line
from engine.training import events

MOST = 20
"""Kinds of warnings that one worker tells; the log has all."""
LONGEST = 500
QUIET = ("engine", "tasks", "py.warnings", "asyncio")
"""What a run tells in its own way."""
_DEPRECATIONS = (DeprecationWarning, PendingDeprecationWarning, FutureWarning)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_VARYING = re.compile(r"0x[0-9a-f]+|[0-9]+|(['\"]).*?\1")


def kind_of(source: str, text: str) -> tuple[str, str]:
    """What two warnings have in common that differ in numbers and names only."""
    return source, _VARYING.sub("#", text)[:200]


class WarningCollector(logging.Handler):
    """A handler for the loggers of libraries, and for Python's own warnings."""

    def __init__(self, tell: Callable[[events.LibraryWarning], None]) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell
        self._told: set[tuple[str, str]] = set()
        self._one = threading.Lock()

    def listen(self, *own_handlers: str) -> None:
        """Begin. `own_handlers` are loggers of libraries that do not pass their records on to the root."""
        logging.getLogger().addHandler(self)
        for name in own_handlers:
            if not (logger := logging.getLogger(name)).propagate:
                logger.addHandler(self)
        warnings.showwarning = self.show

    def emit(self, record: logging.LogRecord) -> None:
        """One record of a library's logger."""
        source = record.name.partition(".")[0]
        if source not in QUIET and record.name not in QUIET:
            self.tell(source, record.getMessage())

    def show(
        self, message: Warning | str, category: type[Warning], filename: str, lineno: int,
        file: TextIO | None = None, line: str | None = None,
    ) -> None:  # fmt: skip
        """In the place of warnings.showwarning."""
        with suppress(OSError):  # the log's disk is full
            sys.stderr.write(warnings.formatwarning(message, category, filename, lineno, line))
        if not issubclass(category, _DEPRECATIONS):
            self.tell(_package(filename), str(message))

    def tell(self, source: str, text: str) -> None:
        """One event for the first of a kind, as long as there are not too many kinds."""
        line = one_line(_COLOUR.sub("", text))[:LONGEST]
        with self._one:
            if not line or len(self._told) >= MOST or (kind := kind_of(source, line)) in self._told:
                return
            self._told.add(kind)
        self._tell(events.LibraryWarning(source=source, text=line.encode("utf-8", "replace").decode()))


def _package(filename: str) -> str:
    """The package that a file belongs to, else the file's name."""
    parts = Path(filename).parts
    for place in ("site-packages", "dist-packages"):
        if place in parts[:-1]:
            return parts[parts.index(place) + 1].removesuffix(".py")
    return Path(filename).stem

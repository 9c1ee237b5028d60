"""What every process of a worker has: pipes of its own, and an end together with whoever started it."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import BinaryIO, NoReturn

import psutil

from engine.training import events

_PR_SET_PDEATHSIG = 1


def world_size() -> int:
    """Processes of this worker."""
    return int(os.environ.get("WORLD_SIZE", "1"))


class Channel:
    """The private copies of stdin and stdout. Libraries that print or read see stderr and an empty input instead."""

    def __init__(self) -> None:
        self.requests: BinaryIO = os.fdopen(os.dup(0), "rb")
        self._events: BinaryIO = os.fdopen(os.dup(1), "wb", buffering=0)
        self._lock = threading.Lock()
        with open(os.devnull, "rb") as nothing:  # noqa: PTH123  a descriptor is wanted
            os.dup2(nothing.fileno(), 0)
        sys.stdout.flush()
        os.dup2(2, 1)

    def emit(self, message: events.Event | events.Heartbeat | events.WorkerLeaving) -> None:
        """Write one line. When nobody reads any more the process ends: the engine is gone."""
        line = message.model_dump_json().encode() + b"\n"
        with self._lock:
            try:
                while line:
                    line = line[self._events.write(line) :]
            except BrokenPipeError:
                die(0)


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """While the libraries are imported: hardly any of what that makes is garbage, and it stays for good. To sweep it
    meanwhile costs a seventh of the time, to sweep it again 0.15 s at each change of segment."""
    gc.disable()
    yield
    gc.freeze()
    gc.enable()


def die(status: int) -> NoReturn:
    """End this process at once, with the processes it started (vLLM's). From any thread."""
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            child.kill()
    os._exit(status)


def die_with(parent: int) -> None:
    """Ask the kernel for SIGKILL when the engine dies; the end of stdin says the same wherever this is not Linux."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the call
        die(0)

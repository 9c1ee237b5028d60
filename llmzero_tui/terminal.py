"""Ends the app when its terminal is gone, or the server of its browser, or when a signal asks for it.

Interrupted anywhere (`llmzero_tui.cli` does so with other commands), Textual would wait for the widget that was
interrupted, and leave the terminal as the app had set it. A lost terminal leaves Textual reading an end of file in a
loop at full speed when SIGHUP is ignored (nohup, some terminals). A thread asks the kernel whether the line was hung
up, and leaves within two seconds. Nothing is lost: the app holds no state.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from textual.app import App

HANGUP_CODE = 129
GRACE_SECONDS = 1.0
POLL_MILLISECONDS = 500
GONE = select.POLLHUP | select.POLLERR | select.POLLNVAL


def in_browser() -> bool:
    """Whether textual-serve started this process, and shows in a browser what it draws."""
    return os.environ.get("TEXTUAL_DRIVER", "").endswith(":WebDriver")


@contextmanager
def watch_terminal(app: App[int]) -> Iterator[None]:
    """Watch standard input while the app runs: a terminal, or what textual-serve writes to."""
    over = threading.Event()
    try:
        descriptor = sys.__stdin__.fileno() if sys.__stdin__ is not None else -1
    except (OSError, ValueError):
        descriptor = -1
    if descriptor >= 0 and (os.isatty(descriptor) or in_browser()):
        threading.Thread(target=_watch, args=(app, descriptor, over), name="terminal", daemon=True).start()
    try:
        yield
    finally:
        over.set()


@contextmanager
def leave_on_signals(app: App[int]) -> Iterator[None]:
    """SIGTERM, and SIGHUP unless it is ignored, end the app as `q` does; the second one ends the process at once."""

    def leave(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        # Said by another thread, Textual wakes its loop up.
        threading.Thread(target=app.call_later, args=(app.exit, 128 + number), daemon=True).start()

    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP)}
    heard = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}
    for number in heard:
        signal.signal(number, leave)
    try:
        yield
    finally:
        for number, handler in heard.items():
            signal.signal(number, handler)


def _watch(app: App[int], descriptor: int, over: threading.Event) -> None:
    poller = select.poll()
    poller.register(descriptor, 0)  # a hang-up and an error are always reported
    while not over.is_set():
        if any(event & GONE for _, event in poller.poll(POLL_MILLISECONDS)):
            break
    else:
        return
    app.call_later(app.exit, HANGUP_CODE)
    if not over.wait(GRACE_SECONDS):
        os._exit(HANGUP_CODE)

"""What a module of ours answers in a process of its own: torch and advisors stay out of the one that asks."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import Any

from engine import own_packages
from engine.errors import Fault, last_line

END_SECONDS = 10.0
"""How long a process may take to end that is interrupted."""


def child_answer(module: str, *arguments: str, seconds: float | None = None) -> Any:
    """The JSON value that `python -m module` prints.

    Raises:
        TimeoutError: it said nothing in so many seconds.
        Fault: its last words, where it printed no JSON.
    """
    process = subprocess.Popen(
        [*own_packages.command(module), *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, encoding="utf-8", errors="replace",
    )  # fmt: skip
    with process:
        try:
            said, complaints = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired as error:
            process.kill()
            raise TimeoutError(f"no answer in {seconds:g} s") from error
        except BaseException:
            _interrupt(process)
            raise
    try:
        return json.loads(said)
    except ValueError as error:
        raise Fault(last_line(complaints)[-300:] or f"it ended with {process.returncode}") from error


def _interrupt(process: subprocess.Popen[str]) -> None:
    """End a process that nobody waits for any more; what it has made and started, it takes away itself."""
    try:
        process.send_signal(signal.SIGINT)
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    finally:
        process.kill()
        process.wait()

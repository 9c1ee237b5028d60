"""What a module of ours answers in a process of its own: torch and advisors stay out of the one that asks."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from engine import own_packages
from engine.errors import Fault, last_line


def child_answer(module: str, *arguments: str, seconds: float | None = None) -> Any:
    """The JSON value that `python -m module` prints.

    Raises:
        TimeoutError: it said nothing in so many seconds.
        Fault: its last words, where it printed no JSON.
    """
    try:
        done = subprocess.run(
            [*own_packages.command(module), *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
            encoding="utf-8", errors="replace", timeout=seconds, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(f"no answer in {seconds:g} s") from error
    try:
        return json.loads(done.stdout)
    except ValueError as error:
        raise Fault(last_line(done.stderr)[-300:] or f"it ended with {done.returncode}") from error

"""Starts the processes that tell trackers what a run stores, and says when one has failed; waits for none of them.

Called by the daemon.
"""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable

from engine import own_packages
from engine.errors import one_line
from engine.run.rundir import RunDirectory
from engine.run.tracking_section import TrackingSection

WATCH_SECONDS = 1.0


async def watch(section: TrackingSection, directory: RunDirectory, say: Callable[[str], None]) -> None:
    """Start one for each tracker, and `say` in one line which of them ended by a fault; until cancelled.

    They are sessions of their own: one that still tells the last rows when the engine ends goes on.
    """
    running: dict[str, subprocess.Popen[bytes]] = {}
    for asked in dict.fromkeys(section.to):
        try:
            running[asked] = _start(asked, directory)
        except OSError as error:
            say(f"{asked} cannot be started: {error.strerror}; the run goes on without it")
    while running:
        for name, process in list(running.items()):
            if (code := process.poll()) is not None:
                del running[name]
                if code:
                    why = _last_line(name, directory)
                    say(f"{name} ended with {code}{f': {why}' if why else ''}; the run goes on without it")
        await asyncio.sleep(WATCH_SECONDS)


def _log(name: str, directory: RunDirectory) -> str:
    return str(directory.path / f"engine.{name}.log")


def _start(name: str, directory: RunDirectory) -> subprocess.Popen[bytes]:
    with open(_log(name, directory), "ab") as log:  # noqa: PTH123 - bytes of a process
        return subprocess.Popen(
            [*own_packages.command("engine.tracking.follow"), str(directory.path), name],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip


def _last_line(name: str, directory: RunDirectory) -> str:
    try:
        with open(_log(name, directory), "rb") as log:  # noqa: PTH123 - its end alone
            log.seek(0, 2)
            log.seek(max(0, log.tell() - 4096))
            lines = [line for line in log.read().decode("utf-8", "replace").splitlines() if line.strip()]
    except OSError:
        return ""
    return one_line(lines[-1])[:200] if lines else ""

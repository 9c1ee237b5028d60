"""A real run for tests: the real daemon, real workers, the shipped tiny model, small numbers; conditions awaited."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil

from engine.errors import Fault, UserError
from engine.run import launch
from engine.run.config import parse
from engine.run.rundir import RunDirectory
from engine.store.reader import Reader, open_run

SMALL = """
[task]
name = "knights"
[budget]
steps = 0
nodes = {nodes}
[search]
segment_steps = {segment_steps}
comparator = "{comparator}"
[executor]
kind = "{kind}"
workers = {workers}
address = "{address}"
[evaluation]
validation_prompts = 32
rerank_prompts = 32
test_prompts = 64
[space.max_completion_length]
low = 24
high = 32
default = 24
[gate]
mode = "{gate}"
[training]
batch_size = 16
hang_seconds = {hang_seconds}
threads = 1
"""
DEFAULTS: Mapping[str, Any] = {
    "nodes": 5,
    "segment_steps": 6,
    "kind": "local",
    "workers": 1,
    "address": "",
    "comparator": "off",
    "gate": "auto",
    "hang_seconds": 120,
}


def create(where: Path, name: str = "run", **settings: Any) -> RunDirectory:
    """A new run below `where`, not yet started."""
    config = parse(SMALL.format(**{**DEFAULTS, **settings}), default_name=name)
    return launch.create_run(config, where)


def start(directory: RunDirectory) -> int:
    """Start its engine; the process id."""
    return launch.start_engine(directory)


def rows(directory: RunDirectory, sql: str, *params: object) -> list[dict[str, Any]]:
    """One query over whatever serves the run now."""
    reader = open_run(directory.path)
    try:
        return reader.rows(sql, params)
    finally:
        reader.close()


def wait_for(what: str, condition: Callable[[], Any], seconds: float = 120) -> Any:
    """The first truthy answer of `condition`; fails loudly after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := condition():
            return answer
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds} s in vain for {what}")


def wait_for_rows(directory: RunDirectory, sql: str, *params: object, seconds: float = 120) -> list[dict[str, Any]]:
    """Until a query over the run gives rows."""

    def ask() -> list[dict[str, Any]]:
        try:
            return rows(directory, sql, *params)
        except (UserError, Fault, OSError):
            return []  # the engine is between two lives, or went while it was asked; the deadline decides

    found: list[dict[str, Any]] = wait_for(sql, ask, seconds)
    return found


def wait_for_end(directory: RunDirectory, seconds: float = 240) -> str:
    """Until no engine holds the run; its last state."""
    wait_for("the engine to end", lambda: directory.holder() is None, seconds)
    return str(rows(directory, "SELECT state FROM runs")[0]["state"])


def command(directory: RunDirectory, kind: str, **fields: Any) -> tuple[str, str]:
    """Send a command and wait for its outcome: ("done" | "refused", message)."""
    reader: Reader = open_run(directory.path)
    try:
        command_id = reader.command(kind, **fields)
    finally:
        reader.close()
    sql = "SELECT state, message FROM command_results WHERE command_id = ? AND state <> 'taken'"
    found = wait_for_rows(directory, sql, command_id, seconds=60)
    return found[0]["state"], found[0]["message"]


def workers_of(engine: int) -> list[psutil.Process]:
    """The worker processes of an engine."""
    return [child for child in psutil.Process(engine).children() if "engine.training.worker" in child.cmdline()]


def workers_in(directory: RunDirectory) -> list[psutil.Process]:
    """Worker processes, of whatever parent, that write their log into a run's directory."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if "engine.training.worker" in (process.info["cmdline"] or []):
            try:
                log = str(Path(f"/proc/{process.pid}/fd/2").readlink())
            except OSError:
                continue
            if log.startswith(str(directory.path)):
                found.append(process)
    return found


def kill(directory: RunDirectory) -> None:
    """End whatever engine still holds the run, for the end of a test."""
    if holder := directory.holder():
        os.kill(holder.pid, signal.SIGKILL)
        wait_for("the killed engine to be gone", lambda: directory.holder() is None)

"""The real engine process over workers that only pretend to train; it can kill itself when it writes a certain row.

`start` is for tests; as a program it is the daemon. PRETENDED_KILL is a name of KILLS: the process ends by SIGKILL when
that row is put in, and with PRETENDED_COMMITTED once it is committed. PRETENDED_LATE
is the kind of a command that comes when the run is over, just before the engine stops to listen.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from engine.executors import factory
from engine.executors.local import LocalExecutor
from engine.run import daemon
from engine.run.rundir import RunDirectory
from engine.store.server import StoreServer
from engine.store.writer import Writer

ROOT = Path(__file__).parent.parent.parent
WORKER = Path(__file__).with_name("pretended_worker.py")

Row = Mapping[str, Any]
KILLS: dict[str, tuple[str, str, Callable[[Row], bool]]] = {
    "the run begins": ("insert", "runs", lambda _: True),
    "the root is written": ("insert", "nodes", lambda row: row["node_id"] == 0),
    "the base is scored": ("insert", "checkpoints", lambda row: row["node_id"] == 0),
    "a segment is proposed": ("insert", "proposals", lambda row: row["node_id"] == 1),
    "it is approved": ("update", "proposals", lambda row: row.get("state") == "approved"),
    "it is handed to a worker": ("update", "nodes", lambda row: row.get("state") == "running"),
    "a step is told": ("insert", "metrics", lambda row: row["step"] == 2),
    "a checkpoint is scored": ("insert", "checkpoints", lambda row: row["node_id"] == 1),
    "the last checkpoint is scored": ("insert", "checkpoints", lambda row: (row["node_id"], row["step"]) == (1, 6)),
    "a segment ends": ("update", "nodes", lambda row: row.get("state") == "finished"),
    "a branch is proposed": ("insert", "nodes", lambda row: (row["parent_id"] or 0) > 0),
    "a checkpoint is deleted": ("update", "checkpoints", lambda row: row.get("kept") is False),
    "the finish begins": ("update", "runs", lambda row: row.get("state") == "finishing"),
    "the soup is scored": ("insert", "evaluations", lambda row: row["kind"] == "soup"),
    "a finalist is scored": ("insert", "evaluations", lambda row: row["kind"] == "reranking"),
    "the base is measured": ("insert", "evaluations", lambda row: row["kind"] == "baseline"),
    "the winner is measured": ("insert", "evaluations", lambda row: row["kind"] == "final"),
    "the winner is told": ("insert", "events", lambda row: row["kind"] == "winner"),
    "the run ends": ("update", "runs", lambda row: row.get("state") == "finished"),
}
"""Name → what is done, to which table, and with which values."""


def start(directory: RunDirectory, largest_file: int = resource.RLIM_INFINITY, /, **environment: str) -> int:
    """Start this engine on a run and wait until it serves, or is gone. Returns its process id.

    Args:
        largest_file: bytes beyond which none of its files can grow, as on a disk that is full.
    """
    read_end, write_end = os.pipe()
    command = [sys.executable, __file__, str(directory.path), "--ready-fd", str(write_end)]
    with directory.log.open("ab") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[write_end], start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment},
        )  # fmt: skip
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (largest_file, resource.RLIM_INFINITY))
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        word = pipe.readline().strip()
    if word != "ready":
        process.wait(30)
    _children.append(process)
    return process.pid


_children: list[subprocess.Popen[bytes]] = []


def wait(pid: int, seconds: float = 60) -> int:
    """The exit status of an engine that was started here."""
    process = next(each for each in _children if each.pid == pid)
    return process.wait(seconds)


def main() -> int:
    vars(factory)["LocalExecutor"] = _Pretending
    if name := os.environ.get("PRETENDED_KILL"):
        _die_at(*KILLS[name], committed="PRETENDED_COMMITTED" in os.environ)
    if kind := os.environ.get("PRETENDED_LATE"):
        _ask_late(kind)
    return daemon.main()


class _Pretending(LocalExecutor):
    """Executor of the workers here."""

    def __init__(self, capacity: int, logs: Path, **settings: Any) -> None:
        super().__init__(capacity, logs, command=[sys.executable, str(WORKER)], **settings)


def _ask_late(kind: str) -> None:
    close = StoreServer.close

    def closes(self: StoreServer) -> None:
        self._answers._command([kind, None, None, None, "{}", "a viewer"])
        close(self)

    StoreServer.close = closes  # type: ignore[method-assign]


def _die_at(what: str, table: str, fits: Callable[[Row], bool], *, committed: bool) -> None:
    insert, update = Writer.insert, Writer._update

    def check(writer: Writer, done: str, where: str, values: Row) -> None:
        if (done, where) == (what, table) and fits(values):
            if committed:
                writer.flush()
            os.kill(os.getpid(), signal.SIGKILL)

    def inserts(self: Writer, table: str, /, **row: object) -> int:
        seq = insert(self, table, **row)
        check(self, "insert", table, row)
        return seq

    def updates(self: Writer, table: str, key: Row, values: Row) -> None:
        update(self, table, key, values)
        check(self, "update", table, values)

    Writer.insert, Writer._update = inserts, updates  # type: ignore[method-assign]


if __name__ == "__main__":
    raise SystemExit(main())

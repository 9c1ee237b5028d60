"""A live engine over a sample run, without any training: the real writer and the real server, answers on demand.

In tests it runs inside the process (`live`); `python -m tests.tui.live_engine RUN` stands alone, appends metrics twice
a second and answers every command, for looking by hand and for the benchmark.
"""

from __future__ import annotations

import json
import math
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.controller import commands
from engine.store.server import StoreServer
from engine.store.writer import Writer

RUNNING = 13


@dataclass
class Engine:
    """The writer of a run, and the commands that came."""

    writer: Writer
    commands: list[int] = field(default_factory=list)
    arrived: threading.Condition = field(default_factory=threading.Condition)
    on_command: Callable[[Engine, int], None] | None = None

    def take(self, command_id: int) -> None:
        """Called by the server once a command is safe."""
        with self.arrived:
            self.commands.append(command_id)
            self.arrived.notify_all()
        if self.on_command is not None:
            self.on_command(self, command_id)

    def command(self, command_id: int) -> dict[str, Any]:
        """The row of a command, its payload parsed. Raises UserError for one the real engine would not understand."""
        row = self.writer.rows("SELECT * FROM commands WHERE command_id = ?", [command_id])[0]
        commands.parse(row)
        return {**row, "payload": json.loads(row["payload"])}

    def answer(self, command_id: int, state: str, message: str = "") -> None:
        """Say what became of a command."""
        self.writer.insert("command_results", command_id=command_id, state=state, message=message)
        self.writer.flush()

    def step(self, step: int) -> None:
        """One more GRPO step of the running node."""
        for name, value in (
            ("reward", 0.62 + 0.05 * math.sin(step / 7)), ("kl", 0.004), ("entropy", 0.9), ("grad_norm", 0.5),
        ):  # fmt: skip
            self.writer.insert("metrics", node_id=RUNNING, step=step, name=name, value=value)
        self.writer.update("nodes", {"node_id": RUNNING}, trained_steps=step)
        self.writer.flush()


@contextmanager
def live(run: Path, on_command: Callable[[Engine, int], None] | None = None) -> Iterator[Engine]:
    """Hold the run as its engine does: the only writer, a socket for viewers."""
    writer = Writer(run / "run.duckdb")
    engine = Engine(writer, on_command=on_command)
    server = StoreServer(writer, run / "engine.sock", engine.take)
    server.start()
    try:
        yield engine
    finally:
        server.close()
        writer.close()


def obey(engine: Engine, command_id: int) -> None:
    """Do the little that makes an answer visible."""
    row = engine.command(command_id)
    engine.answer(command_id, "taken")
    states = {"pause": "paused", "resume": "training"}
    if row["kind"] in states:
        name = engine.writer.rows("SELECT name FROM runs")[0]["name"]
        engine.writer.update("runs", {"name": name}, state=states[row["kind"]])
    if row["kind"] == "annotate":
        engine.writer.update("nodes", {"node_id": row["node_id"]}, note=row["payload"]["text"] or None)
    if row["kind"] == "budget":
        run = engine.writer.rows("SELECT name, budget FROM runs")[0]
        limits = {**json.loads(run["budget"]), **row["payload"]}
        engine.writer.update("runs", {"name": run["name"]}, budget=json.dumps(limits))
    if row["kind"] == "gate":
        name = engine.writer.rows("SELECT name FROM runs")[0]["name"]
        engine.writer.update("runs", {"name": name}, gate=row["payload"]["mode"])
    if row["kind"] in ("approve", "reject", "edit"):
        found = engine.writer.rows("SELECT revision FROM proposals WHERE proposal_id = ?", [row["proposal_id"]])
        if found[0]["revision"] != row["revision"]:
            engine.answer(command_id, "refused", f"revision {row['revision']} is stale, it is {found[0]['revision']}")
            return
        state = {"approve": "approved", "reject": "rejected", "edit": "edited"}[row["kind"]]
        engine.writer.update("proposals", {"proposal_id": row["proposal_id"]}, state=state)
        node = "rejected" if state == "rejected" else "queued"
        proposal = engine.writer.rows("SELECT node_id FROM proposals WHERE proposal_id = ?", [row["proposal_id"]])
        engine.writer.update("nodes", {"node_id": proposal[0]["node_id"]}, state=node)
    engine.answer(command_id, "done")


def main(run: Path) -> None:
    """Append a step twice a second until killed."""
    pause = threading.Event()
    with live(run, obey) as engine:
        step = 31
        while not pause.wait(0.5):
            step = step + 1 if step < 50 else 32
            engine.step(step)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

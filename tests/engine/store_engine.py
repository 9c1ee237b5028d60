"""A small engine for tests of the store: a real process with a writer and a server on a run's directory.

`python -m tests.engine.store_engine DIRECTORY` says "ready", then takes one word a line from stdin: "write" starts
writing metrics for ever, printing the number of rows that are safe; the end of stdin closes it in order.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from engine.store.server import Server
from engine.store.writer import Writer

ROOT = Path(__file__).parents[2]


def run_row(writer: Writer, name: str = "run", state: str = "training") -> None:
    """The one row of runs."""
    writer.insert(
        "runs", name=name, task="knights", model="base", strategy="llmzero", advisor="rules", state=state, reason="",
        config="{}", space="[]", seed=0, engine_version="0.1.0", created=datetime.now(UTC),
    )  # fmt: skip


def node_row(writer: Writer, node_id: int, parent: int | None = None, step: int | None = None, **more: object) -> None:
    """A node with defaults."""
    row: dict[str, object] = {
        "node_id": node_id, "parent_id": parent, "branch_step": step, "depth": 0 if parent is None else 1,
        "state": "finished", "reason": "", "intent": "base" if parent is None else "change", "label": "",
        "configuration": {}, "changes": {}, "optimizer": "reset", "reference": "base", "rationale": "", "expected": "",
        "advisor": "rules", "seed": 0, "planned_steps": 0 if parent is None else 50,
        "trained_steps": 0 if parent is None else 50, "start_steps": 0, "trainer_seconds": 1.0, "pruned": False,
        "created": datetime.now(UTC),
    }  # fmt: skip
    writer.insert("nodes", **{**row, **more})


def checkpoint_row(writer: Writer, node_id: int, step: int, greedy: int, sampled: int, n: int = 100) -> None:
    """A scored checkpoint."""
    writer.insert(
        "checkpoints", node_id=node_id, step=step, path=f"segments/{node_id}/checkpoint-{step}", bytes=1, n=n,
        greedy=greedy, sampled=sampled, value=(greedy + 2 * sampled) / (3 * n), kept=True,
    )  # fmt: skip


def metric_rows(writer: Writer, count: int, node_id: int = 1, name: str = "reward") -> None:
    """A curve of `count` steps."""
    for step in range(1, count + 1):
        writer.insert("metrics", node_id=node_id, step=step, name=name, value=float(step))


@contextmanager
def engine_process(directory: Path) -> Iterator[subprocess.Popen[str]]:
    """The engine as a process of its own, ready; killed at the end if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.engine.store_engine", str(directory)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def write_for_ever(writer: Writer) -> None:
    """Rows in batches, saying how many are on disk."""
    safe = 0
    while True:
        for _ in range(37):
            writer.insert("metrics", node_id=1, step=safe, name="reward", value=float(safe))
            safe += 1
        writer.flush()
        sys.stdout.write(f"{safe}\n")
        sys.stdout.flush()


def main() -> None:
    directory = Path(sys.argv[1])
    writer = Writer(directory / "run.duckdb")
    if not writer.rows("SELECT name FROM runs"):
        run_row(writer)
        writer.flush()
    server = Server(writer, directory / "engine.sock", lambda command_id: None)
    server.start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        if line.strip() == "write":
            threading.Thread(target=write_for_ever, args=(writer,), daemon=True).start()
    server.close()
    writer.close()


if __name__ == "__main__":
    main()

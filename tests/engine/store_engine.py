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
from datetime import UTC, datetime, timedelta
from pathlib import Path

from engine.store.server import StoreServer
from engine.store.writer import Writer

ROOT = Path(__file__).parents[2]


def run_row(writer: Writer, name: str = "", state: str = "training") -> None:
    """The one row of runs, called as its directory is where nothing else is said."""
    writer.insert(
        "runs", name=name or writer.path.parent.name, task="knights", model="base", strategy="llmzero",
        advisor="rules", state=state, reason="", config="{}", space="[]", seed=0, engine_version="0.1.0",
        created=datetime.now(UTC),
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


def small_search(writer: Writer) -> None:
    """A finished search: 0 → 1 → 3 is the best line (1 is left at step 30), 2 failed and was repaired by 4, 5 waits."""
    run_row(writer, state="finished")
    low, high = {"learning_rate": 1e-5, "beta": 0.04}, {"learning_rate": 1e-4, "beta": 0.04}
    node_row(writer, 0, configuration=low)
    node_row(writer, 1, 0, 0, configuration=high, changes={"learning_rate": 1e-4}, label="lr↑", rationale="flat reward")
    node_row(writer, 2, 0, 0, state="nan", reason="loss is NaN", configuration=high, trained_steps=7)
    node_row(
        writer, 3, 1, 30, configuration={**high, "beta": 0.0}, changes={"beta": 0.0}, start_steps=30, label="kl 0",
        optimizer="keep", reference="branch point", rationale='KL "high"\nat step 20', proposal_id=1,
    )  # fmt: skip
    node_row(writer, 4, 0, 0, intent="repair", configuration=low)
    node_row(writer, 5, 3, 50, state="proposed", start_steps=80, trained_steps=0)
    for node, step, greedy, sampled in (
        (0, 0, 10, 20),
        (1, 30, 30, 40),
        (1, 50, 35, 35),
        (3, 50, 80, 70),
        (4, 50, 20, 20),
    ):
        checkpoint_row(writer, node, step, greedy, sampled)
    metric_rows(writer, 50)
    writer.insert("metrics", node_id=1, step=51, name="reward", value=float("nan"))
    for kind, node, greedy in (("baseline", 0, 120), ("final", 3, 790)):
        writer.insert(
            "evaluations", node_id=node, step=50 if node else 0, path="x", kind=kind, split="test", seed=1, n=1000,
            greedy=greedy, sampled=greedy, seconds=1.5,
        )  # fmt: skip
    for role, error in (("proposal", ""), ("proposal", "timeout"), ("diagnosis", "")):
        writer.insert(
            "agent_calls", call_id=writer.next_id("agent_calls"), node_id=1, advisor="ollama", role=role, model="m",
            prompt_version="1", request="", response="", rationale="", images=[], prompt_tokens=10,
            completion_tokens=5, milliseconds=500.0, error=error,
        )  # fmt: skip
    writer.insert(
        "diagnoses", node_id=1, call_id=1, pathology="KL spike", severity=0.7, evidence="kl .1 at 20", signals=[]
    )
    for number, state, node in ((1, "approved", 3), (2, "pending", 5)):
        writer.insert(
            "proposals", proposal_id=number, revision=1, node_id=node, parent_id=1, branch_step=30, intent="change",
            label="", changes={}, optimizer="keep", reference="base", rationale="", expected="", advisor="ollama",
            call_id=1, state=state, reason="", deadline=datetime.now(UTC) + timedelta(seconds=120), decided_by="",
            created=datetime.now(UTC),
        )  # fmt: skip
    for kind in ("pause", "resume"):
        writer.insert("commands", command_id=writer.next_id("commands"), kind=kind, payload={}, author="human")
    for state in ("taken", "done"):
        writer.insert("command_results", command_id=1, state=state, message=f"{state} it")
    writer.insert(
        "completions",
        node_id=1,
        step=1,
        prompt="p",
        completion="c",
        answer="a",
        reward=1.0,
        correct=True,
        truncated=False,
    )
    writer.insert("events", level="info", kind="state", message="finished", detail={})
    writer.insert("budget", steps=150, nodes=4, trainer_seconds=3.0, wall_seconds=9.0, fraction=0.5)
    writer.update_run(best_node=3, best_step=50, best_path="segments/3/checkpoint-50")
    writer.flush()


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
    server = StoreServer(writer, directory / "engine.sock", lambda command_id: None)
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

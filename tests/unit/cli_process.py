"""The command line as its users meet it: a process of its own, its output, its exit code; and small finished runs."""

from __future__ import annotations

import atexit
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import chdir, redirect_stderr, redirect_stdout
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from unittest.mock import patch

from engine.run.config import parse
from engine.run.launch import create_run
from engine.run.rundir import RunDirectory
from engine.store.writer import Writer
from llmzero_tui.cli import main

ROOT = Path(__file__).resolve().parents[2]
START = datetime(2026, 3, 2, 9, 0, 0)
HOSTILE = "[b]x[/b] \x1b[31mred\x1b[0m \u202eevil"

RUN_FILE = """
[task]
name = "knights"
[budget]
steps = 0
nodes = 2
[search]
segment_steps = 4
[evaluation]
checkpoints = 1
validation_prompts = 16
rerank_prompts = 16
test_prompts = 16
[training]
batch_size = 16
threads = 1
"""


def llmzero(*arguments: str | Path, cwd: Path, timeout: float = 60, **extra: str) -> subprocess.CompletedProcess[str]:
    """Run one command without a terminal, in a directory, with a small environment; `extra` is added to it."""
    command = [sys.executable, "-m", "llmzero_tui", *map(str, arguments)]
    return subprocess.run(
        command, cwd=cwd, env=environment(**extra), capture_output=True, text=True, timeout=timeout, check=False,
        stdin=subprocess.DEVNULL, encoding="utf-8",
    )  # fmt: skip


def called(*arguments: str | Path, cwd: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    """The same in this process, at a fraction of the cost: for what is claimed of a command and not of its process."""
    out, err = io.BytesIO(), io.BytesIO()
    with (
        patch.dict(os.environ, environment(**extra), clear=True), Path(os.devnull).open(encoding="utf-8") as nothing,
        patch.object(sys, "stdin", nothing), chdir(cwd),
        redirect_stdout(io.TextIOWrapper(out, encoding="utf-8", write_through=True)),
        redirect_stderr(io.TextIOWrapper(err, encoding="utf-8", write_through=True)),
    ):  # fmt: skip
        code = main([str(each) for each in arguments])
        return subprocess.CompletedProcess(arguments, code, out.getvalue().decode(), err.getvalue().decode())


def environment(**extra: str) -> dict[str, str]:
    """What the command line may know of its surroundings: none of the user's settings, and no first start."""
    known = ("PATH", "PYTHONPATH", "HOME", "TMPDIR", "XDG_STATE_HOME")
    kept = {name: os.environ[name] for name in known if name in os.environ}
    places = {**dict.fromkeys(("XDG_CONFIG_HOME", "XDG_STATE_HOME"), _home()), **extra}
    toured = Path(places["XDG_STATE_HOME"]) / "llmzero" / "tour-shown"
    if not toured.parent.exists():  # a test of the first start makes it, empty
        toured.parent.mkdir(parents=True)
        toured.touch()
    return {**kept, "LC_ALL": "C.UTF-8", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", **places}


@cache
def _home() -> str:
    """A directory for settings and state; deleted at the end of the tests."""
    home = tempfile.mkdtemp(prefix="llmzero-home-")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    return home


def run_file(directory: Path, text: str = RUN_FILE) -> Path:
    """A run file on disk."""
    path = directory / "run-file.toml"
    path.write_text(text, encoding="utf-8")
    return path


def finished_run(runs_dir: Path, name: str, *, state: str = "finished", label: str = "lr↑") -> RunDirectory:
    """A run at rest with a base and one trained node, written by the engine's own writer."""
    config = parse(RUN_FILE, default_name=name)
    directory = create_run(config, runs_dir)
    writer = Writer(directory.database)
    try:
        writer.insert(
            "runs", name=name, task="knights", model="assets/tiny/knights", strategy="llmzero", advisor="rules",
            state=state, reason="", config=config.model_dump_json(), space="[]", seed=0, engine_version="0",
            created=START, started=START, ended=START + timedelta(minutes=4), best_node=1, best_step=4,
            best_path="segments/1/checkpoint-4",
        )  # fmt: skip
        _node(writer, 0, None, "base", 0)
        _node(writer, 1, 0, label, 4)
        for node, greedy in ((0, 4), (1, 12)):
            writer.insert(
                "checkpoints", node_id=node, step=4 * node, path=f"segments/{node}/checkpoint-{4 * node}", bytes=0,
                n=16, greedy=greedy,
                sampled=greedy, value=greedy / 16, kept=True, ts=START,
            )  # fmt: skip
        for kind, node, greedy in (("baseline", 0, 4), ("final", 1, 12)):
            writer.insert(
                "evaluations", node_id=node, step=4 * node, path=f"segments/{node}", kind=kind, split="test", seed=1,
                n=16, greedy=greedy, sampled=greedy, seconds=0.1, ts=START,
            )  # fmt: skip
        writer.insert("budget", steps=4, nodes=1, trainer_seconds=2.0, wall_seconds=3.0, fraction=1.0, ts=START)
    finally:
        writer.close()
    policy = directory.segment(1) / "checkpoint-4"
    policy.mkdir(parents=True)
    for file in ("config.json", "model.safetensors", "optimizer.pt", "manifest.json"):
        (policy / file).write_text(file)
    return directory


def _node(writer: Writer, number: int, parent: int | None, label: str, steps: int) -> None:
    configuration = json.dumps({"learning_rate": 1e-4 * (number + 1)})
    writer.insert(
        "nodes", node_id=number, parent_id=parent, branch_step=0 if parent is not None else None, depth=number,
        state="finished", reason="", intent="root" if number else "base", label=label, configuration=configuration,
        changes=json.dumps({"learning_rate": 2e-4}) if number else "{}", optimizer="reset", reference="base",
        rationale=HOSTILE, expected="", advisor="rules", proposal_id=None, seed=0, planned_steps=steps,
        trained_steps=steps, start_steps=0, trainer_seconds=2.0, pruned=False, created=START, started=START,
        ended=START,
    )  # fmt: skip

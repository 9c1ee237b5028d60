"""A whole session by keys alone, in tmux: start, watch, edit a proposal, prune, ask, export, leave, come back, stop."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.run.rundir import RunDirectory
from tests.engine import live
from tests.terminal.terminals import Tmux
from tests.unit.cli_process import RUN_FILE, run_file

SESSION = 'name = "session"\n[gate]\nmode = "manual"\n' + RUN_FILE.replace("nodes = 2", "nodes = 40").replace(
    "segment_steps = 4", "segment_steps = 200"
)


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    """A shell in tmux; neither it nor an engine outlives the test."""
    shell = Tmux(tmp_path)
    yield shell
    shell.close()
    live.kill(RunDirectory(tmp_path / "runs" / "session"))


@pytest.mark.long
@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
def test_a_whole_session_by_keys_alone(tmux: Tmux, tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "runs" / "session")
    run_file(tmp_path, SESSION)
    tmux.llmzero("run", "run-file.toml")
    tmux.wait_for("Inbox 1")

    _edit_the_proposal(tmux, directory)
    _watch_it_train(tmux, directory)
    _prune_what_trains(tmux, directory)
    _ask_and_export(tmux, tmp_path)

    tmux.keys("q")
    tmux.wait_for("llmzero attach session")
    assert directory.holder() is not None, "leaving the screens leaves the engine"
    tmux.type("clear")
    tmux.keys("Enter")
    tmux.llmzero("attach", "session")
    tmux.wait_for("#0 base")
    tmux.resize(80, 24)
    tmux.wait_for("Tree")
    tmux.resize(120, 40)

    _stop_the_run(tmux)
    assert live.wait_for_end(directory) == "stopped"
    asked = live.rows(directory, "SELECT kind, author FROM commands ORDER BY command_id")
    assert [row["kind"] for row in asked] == ["edit", "prune", "stop"]
    assert all(row["author"] for row in asked)


def _edit_the_proposal(tmux: Tmux, directory: RunDirectory) -> None:
    """What is typed into a field replaces its value."""
    tmux.keys("i")
    tmux.keys("d")
    tmux.wait_for("allowed")
    tmux.keys("e")
    tmux.wait_for("enter Send")
    tmux.wait_for("tokens a rollout may have")
    tmux.keys("Down", "Down", "Down")
    tmux.wait_for("step size of Adam")
    tmux.type("7e-5")
    tmux.wait_for("sends  learning_rate 7e-5")
    tmux.keys("Enter")
    done = (
        "SELECT 1 FROM command_results r JOIN commands c USING (command_id) WHERE c.kind = 'edit' AND r.state = 'done'"
    )
    live.wait_for_rows(directory, done)
    node = live.rows(directory, "SELECT configuration, advisor FROM nodes WHERE node_id = 1")[0]
    assert json.loads(node["configuration"])["learning_rate"] == 7e-5
    if "Search tree" not in tmux.text:
        tmux.keys("Escape")
    tmux.wait_for("Search tree")


def _watch_it_train(tmux: Tmux, directory: RunDirectory) -> None:
    tmux.wait_for("node 1 step")
    tmux.keys("t")
    tmux.wait_for("#1 · reward")
    live.wait_for_rows(directory, "SELECT 1 FROM metrics WHERE node_id = 1 AND step >= 3")
    tmux.wait_for("running")
    shown = re.search(r"step (\d+)/200", tmux.text)
    assert shown is not None, tmux.text
    tmux.until(lambda: f"step {shown[1]}/200" not in tmux.text, "the next steps")


def _prune_what_trains(tmux: Tmux, directory: RunDirectory) -> None:
    tmux.keys("x")
    tmux.wait_for("what is pruned")
    tmux.type("it was only a test")
    tmux.keys("Enter")
    live.wait_for_rows(directory, "SELECT 1 FROM nodes WHERE node_id = 1 AND pruned AND state = 'stopped'")
    asked = live.rows(directory, "SELECT payload FROM commands WHERE kind = 'prune'")
    assert json.loads(asked[0]["payload"])["reason"] == "it was only a test"
    tmux.wait_for("stopped")


def _ask_and_export(tmux: Tmux, tmp_path: Path) -> None:
    tmux.keys(":")
    tmux.wait_for("Query")
    tmux.keys("F5")
    tmux.wait_for("rows 1")
    tmux.wait_for("f9 Export")
    tmux.keys("F9")
    tmux.wait_for("session.csv")
    target = tmp_path / "nodes.csv"
    tmux.keys("C-u")
    tmux.wait_for("no file name")
    tmux.type(str(target))
    tmux.wait_for("nodes.csv")
    tmux.keys("Enter")
    tmux.until(target.exists, "the exported file")
    assert target.read_text().splitlines()[0].startswith("node_id,")
    tmux.wait_for("✓ wrote")
    tmux.keys("Escape")
    tmux.wait_for("e Edit")
    tmux.keys("q")
    tmux.wait_for("Search tree")


def _stop_the_run(tmux: Tmux) -> None:
    tmux.wait_for("#0 base")
    tmux.keys("C-p")
    tmux.wait_for("Search for commands")
    tmux.type("stop the run")
    tmux.wait_for("asks for its name")
    tmux.keys("Enter")
    tmux.wait_for("Type session")
    tmux.type("session")
    tmux.keys("Enter")

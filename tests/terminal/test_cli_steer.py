"""A script as the human: proposals decided, branches, budget, gate and notes by commands on a live run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.run.rundir import RunDirectory
from tests.engine import live
from tests.unit.cli_process import finished_run, llmzero

PENDING = "SELECT node_id, proposal_id FROM proposals WHERE state = 'pending' ORDER BY node_id"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunDirectory]:
    """A run whose every proposal waits for a human; what is refused changes nothing of it, so tests share it."""
    directory = live.create(tmp_path_factory.mktemp("steered") / "runs", gate="manual", nodes=50)
    live.start(directory)
    yield directory
    live.kill(directory)


def said(run: RunDirectory, *words: str) -> dict[str, Any]:
    done = llmzero(*words[:1], "run", *words[1:], "--json", cwd=run.path.parents[1])
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def refused(run: RunDirectory, *words: str) -> str:
    done = llmzero(*words[:1], "run", *words[1:], cwd=run.path.parents[1])
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert len(done.stderr.splitlines()) == 1
    return done.stderr


@pytest.mark.long
@pytest.mark.timeout(600)
def test_what_does_not_fit_is_refused_in_one_line(run: RunDirectory) -> None:
    waiting = live.wait_for_rows(run, PENDING)
    assert "no proposal waits at #99" in refused(run, "approve", "99")
    assert "NAME=VALUE" in refused(run, "edit", str(waiting[0]["node_id"]), "learning_rate")
    assert "no checkpoint" in refused(run, "branch", "#44")
    assert "give at least one" in refused(run, "budget")
    assert "did you mean timeout?" in refused(run, "gate", "sometimes")
    assert "a whole number" in refused(run, "prune", "two")


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_script_decides_proposals_and_branches_as_a_human_on_the_screen_does(run: RunDirectory) -> None:
    first = live.wait_for_rows(run, PENDING)[0]["node_id"]
    assert "learning_rat" in refused(run, "edit", f"#{first}", "learning_rat=1")
    assert said(run, "edit", str(first), "learning_rate=7e-5", "--reason", "slower")["command"] == "edit"
    node = live.wait_for_rows(run, "SELECT * FROM nodes WHERE state = 'running'")[0]
    assert json.loads(node["configuration"])["learning_rate"] == 7e-5
    assert (node["node_id"], node["advisor"]) == (first, "human")

    second = live.wait_for_rows(run, PENDING)[0]["node_id"]
    said(run, "reject", "--reason", "not now")
    rejected = live.wait_for_rows(run, "SELECT * FROM nodes WHERE state = 'rejected'")
    assert (rejected[0]["node_id"], rejected[0]["reason"]) == (second, "not now")

    said(run, "note", str(first), "looked at by a script")
    assert live.rows(run, "SELECT note FROM nodes WHERE node_id = ?", first) == [{"note": "looked at by a script"}]
    assert said(run, "space")["temperature"]["range"] != "0.5..1.9"
    assert said(run, "space", "temperature=0.5..1.9")["answer"].startswith("space temperature ")
    assert said(run, "space")["temperature"]["range"] == "0.5..1.9"
    assert "give NAME=RANGE" in refused(run, "space", "temperature")
    assert "is no range" in refused(run, "space", "temperature=hot..cold")
    said(run, "budget", "--nodes", "7")
    assert json.loads(live.rows(run, "SELECT budget FROM runs")[0]["budget"])["nodes"] == 7

    said(run, "branch", "0", "temperature=1.1", "--reason", "warmer")
    own = live.wait_for_rows(
        run, "SELECT * FROM nodes WHERE advisor = 'human' AND parent_id = 0 AND node_id > ?", second
    )
    assert json.loads(own[0]["configuration"])["temperature"] == 1.1
    said(run, "prune", str(own[0]["node_id"]), "--reason", "enough")
    live.wait_for_rows(run, "SELECT 1 FROM nodes WHERE pruned AND node_id = ?", own[0]["node_id"])

    said(run, "gate", "auto")
    live.wait_for_rows(run, "SELECT 1 FROM runs WHERE gate = 'auto'")
    live.wait_for_rows(run, "SELECT 1 FROM proposals WHERE state = 'approved' AND decided_by = 'auto'")


@pytest.mark.long
def test_a_run_at_rest_takes_no_command(tmp_path: Path) -> None:
    finished_run(tmp_path / "runs", "old")
    for words in (("approve",), ("prune", "1"), ("gate", "auto"), ("budget", "--steps", "9"), ("note", "1", "x")):
        done = llmzero(words[0], "old", *words[1:], cwd=tmp_path)
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1
        assert "not running" in done.stderr or "no proposal waits" in done.stderr

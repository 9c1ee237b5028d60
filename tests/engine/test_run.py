"""A whole search with real parts, and what it survives: killed workers, killed engines, a human's hands."""

from __future__ import annotations

import json
import os
import signal
import tomllib
from collections.abc import Iterator
from pathlib import Path
from statistics import mode

import psutil
import pytest

from engine.errors import UserError
from engine.run import launch
from engine.run.rundir import RunDirectory
from tests.engine import live
from tests.engine.surfaces import told_by_all


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Path]:
    """A directory for runs; no engine of it outlives the test."""
    yield tmp_path
    for directory in launch.list_runs(tmp_path):
        live.kill(directory)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """One small search from its start to its strategy, two workers."""
    directory = live.create(tmp_path_factory.mktemp("runs"), "whole", nodes=8, workers=2)
    live.start(directory)
    assert live.wait_for_end(directory) == "finished", directory.log.read_text()
    return directory


def test_a_search_spends_its_budget_on_a_tree(finished: RunDirectory) -> None:
    nodes = live.rows(finished, "SELECT * FROM nodes WHERE state <> 'rejected' ORDER BY node_id")
    assert sum(node["state"] == "finished" for node in nodes) == 8 + 1
    assert max(node["depth"] for node in nodes) >= 2
    assert {node["intent"] for node in nodes} >= {"base", "root", "keep"}
    assert all(node["rationale"] and node["advisor"] == "rules" for node in nodes[1:])


def test_every_segment_streams_metrics_samples_and_scored_checkpoints(finished: RunDirectory) -> None:
    ended = live.rows(finished, "SELECT * FROM nodes WHERE state = 'finished' AND node_id > 0")
    assert mode(node["planned_steps"] for node in ended) == 6  # the annealed end and what it leaves may differ
    for node in ended:
        number, planned = node["node_id"], node["planned_steps"]
        assert node["trained_steps"] == planned
        names = live.rows(finished, "SELECT DISTINCT name FROM metrics WHERE node_id = ?", number)
        assert {"reward", "grad_norm", "entropy", "step_seconds"} <= {row["name"] for row in names}
        steps = live.rows(finished, "SELECT step FROM checkpoints WHERE node_id = ? ORDER BY step", number)
        assert [row["step"] for row in steps] == [-(-planned // 2), planned]
        samples = live.rows(finished, "SELECT reward, components FROM completions WHERE node_id = ?", number)
        assert samples
        assert all(json.loads(row["components"]) == {"answer": row["reward"]} for row in samples)


def test_the_base_and_the_winner_are_measured_once_on_the_test_split(finished: RunDirectory) -> None:
    found = live.rows(finished, "SELECT kind, n FROM evaluations WHERE split = 'test' ORDER BY kind")
    assert found == [{"kind": "baseline", "n": 64}, {"kind": "final", "n": 64}]
    again = live.rows(finished, "SELECT DISTINCT seed FROM evaluations WHERE kind = 'reranking'")
    assert [row["seed"] for row in again] == [1]


def test_the_strategy_is_written_and_its_policy_is_on_disk(finished: RunDirectory) -> None:
    strategy = tomllib.loads(finished.strategy.read_text())
    assert strategy["stage"]
    best = live.rows(finished, "SELECT best_path FROM runs")[0]["best_path"]
    assert (finished.path / best / "model.safetensors").is_file()


def test_every_surface_tells_the_same_policy_with_its_own_scores(
    finished: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    told = told_by_all(finished, capsys)
    assert len(set(told.values())) == 1, told
    assert told["show"].test is not None


def test_proposals_are_made_while_segments_train(finished: RunDirectory) -> None:
    early = live.rows(
        finished,
        "SELECT p.node_id FROM proposals p JOIN nodes running ON running.started < p.created "
        "AND p.created < running.ended AND running.node_id < p.node_id",
    )
    assert early


def test_a_finished_run_leaves_no_lock_no_socket_and_no_process(finished: RunDirectory) -> None:
    assert finished.holder() is None
    assert not finished.socket.exists()
    assert not finished.holder_file.exists()
    left = [p for p in psutil.process_iter(["cmdline"]) if str(finished.path) in (p.info["cmdline"] or [])]
    assert not psutil.wait_procs(left, timeout=60)[1]  # one that has let go of the run may not quite have ended


@pytest.mark.long
def test_a_killed_engine_leaves_no_orphan_and_resume_continues_the_same_tree_on_its_raised_budget(runs: Path) -> None:
    directory = live.create(runs, nodes=1, segment_steps=20)
    engine = live.start(directory)
    live.wait_for_rows(directory, "SELECT 1 FROM metrics WHERE step >= 2")
    state, said = live.command(directory, "budget", payload={"nodes": 2})
    assert (state, said.partition(";")[0]) == ("done", "budget nodes 1 → 2")
    assert 5 <= int(said.split()[-5].rstrip("%")) < 50, "a segment counts as far as it has trained"
    live.wait_for_rows(directory, "SELECT 1 FROM nodes WHERE node_id > 0 AND state = 'finished'")
    live.wait_for_rows(directory, "SELECT 1 FROM nodes WHERE state = 'running' AND trained_steps > 0")
    workers = live.workers_of(engine)
    os.kill(engine, signal.SIGKILL)
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert not alive
    live.wait_for("the lock to be free", lambda: directory.holder() is None)
    before = live.rows(directory, "SELECT node_id, state, changes, seed FROM nodes ORDER BY node_id")
    live.start(directory)
    assert live.wait_for_end(directory) == "finished", directory.log.read_text()
    after = live.rows(directory, "SELECT node_id, state, changes, seed FROM nodes ORDER BY node_id")
    done = [row for row in before if row["state"] == "finished"]
    assert [row for row in after if row["node_id"] in {r["node_id"] for r in done}] == done
    assert sum(row["state"] == "finished" for row in after) == 2 + 1
    assert json.loads(live.rows(directory, "SELECT budget FROM runs")[0]["budget"])["nodes"] == 2
    assert live.rows(directory, "SELECT 1 FROM events WHERE kind = 'requeued'")
    doubled = "SELECT node_id, step, name FROM metrics GROUP BY ALL HAVING count(*) > 1"
    assert live.rows(directory, doubled) == []


def test_an_engine_whose_task_is_gone_says_so_in_one_line(runs: Path) -> None:
    directory = live.create(runs)
    text = directory.config.read_text().replace('name = "knights"', f'name = "{runs}/gone.py:Gone"')
    directory.config.write_text(text)
    with pytest.raises(UserError, match=r"gone\.py"):
        live.start(directory)
    assert directory.holder() is None


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunDirectory]:
    """One long run under the manual gate, for all that happens to a live run; its tests leave it serving."""
    directory = live.create(tmp_path_factory.mktemp("runs"), "kept", gate="manual", nodes=200, segment_steps=30)
    live.start(directory)
    yield directory
    live.kill(directory)


@pytest.fixture
def training(kept: RunDirectory) -> RunDirectory:
    """The kept run, which trains by itself."""
    assert live.command(kept, "gate", payload={"mode": "auto"})[0] == "done"
    return kept


def young_segment(directory: RunDirectory) -> int:
    """The node of a segment that trains and has most of its steps before it."""
    sql = "SELECT node_id FROM nodes WHERE state = 'running' AND trained_steps BETWEEN 2 AND 10"
    return int(live.wait_for_rows(directory, sql)[0]["node_id"])


def worker_of(directory: RunDirectory) -> psutil.Process:
    """The one worker of a live run."""
    holder = directory.holder()
    assert holder is not None
    [worker] = live.workers_of(holder.pid)
    return worker


@pytest.mark.long
def test_the_manual_gate_waits_for_the_human(kept: RunDirectory) -> None:
    pending = "SELECT proposal_id, revision, node_id FROM proposals WHERE state = 'pending' ORDER BY proposal_id"
    first = live.wait_for_rows(kept, pending)[0]
    seen = {"proposal_id": first["proposal_id"], "revision": first["revision"]}
    stale = live.command(kept, "approve", proposal_id=first["proposal_id"], revision=7)
    assert stale[0] == "refused"
    assert "revision" in stale[1]
    wrong = live.command(kept, "edit", **seen, payload={"changes": {"learning_rate": 5.0}})
    assert wrong[0] == "refused"
    assert "learning_rate" in wrong[1]
    edited = live.command(kept, "edit", **seen, payload={"changes": {"learning_rate": 3e-5}})
    assert edited[0] == "done"
    node = live.wait_for_rows(kept, "SELECT configuration FROM nodes WHERE state = 'finished' AND node_id > 0")
    assert '"learning_rate": 3e-05' in node[0]["configuration"]
    second = live.wait_for_rows(kept, pending)[0]
    seen = {"proposal_id": second["proposal_id"], "revision": second["revision"]}
    assert live.command(kept, "reject", **seen, payload={"reason": "no"})[0] == "done"
    third = live.wait_for_rows(kept, pending)[0]
    assert third["node_id"] > second["node_id"]
    assert live.command(kept, "gate", payload={"mode": "auto"})[0] == "done"
    trains = "SELECT 1 FROM nodes WHERE node_id = ? AND state IN ('running', 'finished')"
    live.wait_for_rows(kept, trains, third["node_id"])


def test_a_second_engine_is_told_who_holds_the_run(training: RunDirectory) -> None:
    holder = training.holder()
    assert holder is not None
    with pytest.raises(UserError) as refused:
        live.start(training)
    assert str(holder.pid) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.long
def test_a_segment_with_which_two_workers_were_killed_is_a_crashed_node_and_the_search_goes_on(
    training: RunDirectory,
) -> None:
    node = young_segment(training)
    worker_of(training).kill()
    queued = live.wait_for_rows(training, "SELECT seq FROM events WHERE kind = 'requeued' AND node_id = ?", node)
    live.wait_for_rows(training, "SELECT 1 FROM metrics WHERE seq > ?", queued[0]["seq"])
    worker_of(training).kill()
    crashed = live.wait_for_rows(training, "SELECT node_id, reason FROM nodes WHERE state = 'crashed'")
    assert crashed[0]["node_id"] == node
    assert "SIGKILL" in crashed[0]["reason"]
    live.wait_for_rows(training, "SELECT 1 FROM metrics WHERE node_id > ?", node)


def test_a_human_prunes_stops_and_expands(training: RunDirectory) -> None:
    directory, node = training, young_segment(training)
    assert live.command(directory, "prune", node_id=0)[0] == "refused"
    assert live.command(directory, "stop-node", node_id=node)[0] == "done"
    live.wait_for_rows(directory, "SELECT 1 FROM nodes WHERE node_id = ? AND state = 'stopped'", node)
    step = live.wait_for_rows(directory, "SELECT max(step) AS step FROM checkpoints WHERE node_id = ?", node)[0]["step"]
    wish = {"parent": node, "step": step, "changes": {"beta": 0.05}, "reference": "branch point"}
    assert live.command(directory, "expand", payload=wish)[0] == "done"
    mine = live.wait_for_rows(
        directory, "SELECT * FROM nodes WHERE parent_id = ? AND advisor = 'human' AND state = 'running'", node
    )[0]
    assert (mine["branch_step"], mine["reference"], mine["advisor"]) == (step, "branch point", "human")
    assert live.command(directory, "prune", node_id=node)[0] == "done"
    live.wait_for_rows(directory, "SELECT 1 FROM nodes WHERE node_id = ? AND state = 'stopped'", mine["node_id"])
    pruned = {row["node_id"] for row in live.rows(directory, "SELECT node_id FROM nodes WHERE pruned")}
    assert {node, mine["node_id"]} <= pruned
    assert live.command(directory, "expand", payload=wish) == (
        "refused", f"#{node} is pruned: nothing is trained from it any more",
    )  # fmt: skip
    live.wait_for_rows(directory, "SELECT 1 FROM events WHERE kind = 'optimizer state deleted' AND node_id = ?", node)
    later = live.wait_for_rows(directory, "SELECT parent_id FROM nodes WHERE node_id > ?", max(pruned))
    assert all(row["parent_id"] not in pruned for row in later)


def test_pause_holds_after_the_step_and_stop_can_be_resumed(training: RunDirectory) -> None:
    directory, node = training, young_segment(training)
    assert live.command(directory, "pause")[0] == "done"
    assert live.command(directory, "pause")[0] == "refused"
    assert live.rows(directory, "SELECT state FROM runs") == [{"state": "paused"}]
    steps = "SELECT max(seq) AS seq FROM metrics"
    held = live.wait_for("two equal looks", lambda: _settled(directory, steps))
    assert live.command(directory, "resume")[0] == "done"
    live.wait_for_rows(directory, "SELECT 1 FROM metrics WHERE seq > ?", held)
    state, message = live.command(directory, "stop")
    assert (state, "resume" in message) == ("done", True)
    assert live.wait_for_end(directory) == "stopped"
    [stopped] = live.rows(directory, "SELECT state, trained_steps FROM nodes WHERE node_id = ?", node)
    assert stopped["state"] == "stopped"
    assert stopped["trained_steps"] < 30
    live.start(directory)
    more = "SELECT 1 FROM nodes WHERE state = 'running' AND trained_steps > 0"
    live.wait_for_rows(directory, more)


def _settled(directory: RunDirectory, sql: str) -> int:
    """The highest seq once nothing is written for longer than ten steps take."""
    first = live.rows(directory, sql)[0]["seq"]
    try:
        live.wait_for_rows(directory, "SELECT 1 FROM metrics WHERE seq > ?", first, seconds=3)
    except AssertionError:
        return int(first)
    return 0

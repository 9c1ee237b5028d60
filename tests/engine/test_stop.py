"""A stop comes to an end: frozen workers, workers that wait for others, a process that is asked once and twice."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from engine.run import launch
from engine.run.rundir import RunDirectory
from tests.engine import live, pretended_engine

STEPS = "SELECT 1 FROM metrics WHERE step >= 2"


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Path]:
    """A directory for runs; no engine of it outlives the test."""
    yield tmp_path
    for directory in launch.list_runs(tmp_path):
        live.kill(directory)


def allow_to_stop(directory: RunDirectory, seconds: float) -> None:
    """Set the seconds that a segment has to end its step once the run is stopped."""
    text = directory.config.read_text()
    assert "stop_seconds = 60.0" in text
    directory.config.write_text(text.replace("stop_seconds = 60.0", f"stop_seconds = {seconds}"))


def training(runs: Path, stop_seconds: float = 1.0, **settings: str) -> tuple[RunDirectory, int, psutil.Process]:
    """A run in the middle of its first segment, its engine and its worker."""
    directory = live.create(runs, nodes=2, segment_steps=60)
    allow_to_stop(directory, stop_seconds)
    engine = pretended_engine.start(directory, PRETENDED_STEP="0.05", **settings)
    live.wait_for_rows(directory, STEPS)
    [worker] = psutil.Process(engine).children()
    return directory, engine, worker


@pytest.mark.long
def test_a_frozen_worker_is_killed_some_seconds_after_a_stop_and_its_segment_taken_up(runs: Path) -> None:
    directory, engine, worker = training(runs)
    live.wait_for_rows(directory, "SELECT 1 FROM checkpoints WHERE step = 30")
    worker.send_signal(signal.SIGSTOP)
    assert live.command(directory, "stop")[0] == "done"
    assert pretended_engine.wait(engine, 20) == 0
    assert not worker.is_running()
    [node] = live.rows(directory, "SELECT state, reason FROM nodes WHERE trained_steps > 0")
    assert node["state"] == "stopped"
    assert "the run was stopped; asked to stop, it had not ended its step" in node["reason"]
    pretended_engine.start(directory)
    assert live.wait_for_end(directory) == "finished"
    assert live.rows(directory, "SELECT 1 FROM events WHERE kind = 'requeued' AND message LIKE '%from step 30 of 60'")
    assert live.rows(directory, "SELECT node_id, step FROM metrics GROUP BY ALL HAVING count(*) > 2") == []


def test_a_command_that_comes_when_the_run_is_over_is_refused(runs: Path) -> None:
    directory, engine, _ = training(runs, PRETENDED_LATE="pause")
    os.kill(engine, signal.SIGTERM)
    assert pretended_engine.wait(engine, 20) == 0
    [answer] = live.rows(directory, "SELECT state, message FROM commands JOIN command_results USING (command_id)")
    assert answer["state"] == "refused"
    assert answer["message"] == "the run stopped before the command was carried out"


def test_a_worker_that_is_lost_while_the_run_stops_costs_the_steps_since_its_checkpoint(
    runs: Path,
) -> None:
    directory, engine, worker = training(runs, stop_seconds=600)
    live.wait_for_rows(directory, "SELECT 1 FROM checkpoints WHERE step = 30")
    worker.send_signal(signal.SIGSTOP)
    os.kill(engine, signal.SIGTERM)
    live.wait_for_rows(directory, "SELECT 1 FROM runs WHERE state = 'stopping'")
    worker.kill()
    assert pretended_engine.wait(engine, 20) == 0
    [node] = live.rows(directory, "SELECT state, reason FROM nodes WHERE trained_steps > 0")
    assert node["state"] == "stopped"
    assert node["reason"].startswith("the run was stopped; the worker was killed by SIGKILL")
    pretended_engine.start(directory)
    assert live.wait_for_end(directory) == "finished"
    assert live.rows(directory, "SELECT 1 FROM events WHERE kind = 'requeued' AND message LIKE '%from step 30 of 60'")
    assert live.rows(directory, "SELECT 1 FROM nodes WHERE intent = 'repair'") == []


def test_a_worker_that_is_still_being_set_up_is_not_waited_for(runs: Path) -> None:
    directory = live.create(runs, nodes=1)
    allow_to_stop(directory, 86_400)
    engine = pretended_engine.start(directory, PRETENDED_FREEZE="loading")
    live.wait_for_rows(directory, "SELECT 1 FROM nodes WHERE state = 'running'")
    assert live.command(directory, "stop")[0] == "done"
    assert pretended_engine.wait(engine) == 0
    [node] = live.rows(directory, "SELECT state, reason FROM nodes WHERE node_id = 1")
    assert node["state"] == "stopped"
    assert "asked to stop, it was still being set up; the worker was killed" in node["reason"]


def test_a_stop_while_the_base_is_scored_does_not_wait_for_it(runs: Path) -> None:
    directory = live.create(runs, nodes=1)
    engine = pretended_engine.start(directory, PRETENDED_FREEZE="evaluating")
    assert live.command(directory, "stop")[0] == "done"
    assert pretended_engine.wait(engine, 30) == 0


def test_one_sigterm_ends_cleanly_with_a_checkpoint(runs: Path) -> None:
    directory, engine, _ = training(runs, stop_seconds=60)
    os.kill(engine, signal.SIGTERM)
    assert pretended_engine.wait(engine, 30) == 0
    [node] = live.rows(directory, "SELECT node_id, state, trained_steps FROM nodes WHERE trained_steps > 0")
    assert node["state"] == "stopped"
    last = live.rows(directory, "SELECT max(step) AS step FROM checkpoints WHERE node_id = ?", node["node_id"])
    assert last == [{"step": node["trained_steps"]}]


def test_sigterm_has_a_deadline_and_a_second_one_has_none(runs: Path) -> None:
    directory, engine, worker = training(runs, stop_seconds=600)
    worker.send_signal(signal.SIGSTOP)
    os.kill(engine, signal.SIGTERM)
    live.wait_for_rows(directory, "SELECT 1 FROM runs WHERE state = 'stopping'")
    os.kill(engine, signal.SIGTERM)
    assert pretended_engine.wait(engine, 20) == 0
    assert not worker.is_running()
    assert live.rows(directory, "SELECT state FROM runs") == [{"state": "stopped"}]


def test_what_a_launcher_told_the_engine_does_not_reach_its_workers(runs: Path) -> None:
    told = {
        "WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29511",
        "ACCELERATE_USE_FSDP": "true", "TORCHELASTIC_RUN_ID": "x", "SLURM_NTASKS": "2", "PMI_RANK": "1",
    }  # fmt: skip
    directory, _, worker = training(runs, 1.0, KEPT="yes", **told)
    environment = worker.environ()
    assert environment["KEPT"] == "yes"
    assert not set(told) & set(environment)
    assert live.command(directory, "stop")[0] == "done"

"""A disk that is full at the very end of a run: the engine waits for room, loses nothing, and can be ended then."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import launch
from engine.rundir import RunDirectory
from tests.engine import live


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Path]:
    """A directory for runs; no engine of it outlives the test."""
    yield tmp_path
    for directory in launch.list_runs(tmp_path):
        live.kill(directory)


def fill(engine: int, directory: RunDirectory) -> None:
    """From now on the engine's database cannot grow."""
    log = directory.database.with_name(directory.database.name + ".wal")
    size = live.wait_for("rows in the database's log", lambda: log.exists() and log.stat().st_size)
    resource.prlimit(engine, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def free(engine: int) -> None:
    """There is room again."""
    resource.prlimit(engine, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@pytest.fixture
def stuck(runs: Path) -> tuple[int, RunDirectory]:
    """An engine that is through with its run and finds no room to say so."""
    directory = live.create(runs, nodes=1)
    engine = live.start(directory)
    live.wait_for_rows(directory, "SELECT 1 FROM runs WHERE state = 'finishing'")
    fill(engine, directory)
    live.wait_for("the engine to wait", lambda: "cannot be written, it waits" in directory.log.read_text())
    return engine, directory


def test_the_end_of_a_run_waits_for_room_and_is_written_then(stuck: tuple[int, RunDirectory]) -> None:
    engine, directory = stuck
    assert directory.holder() is not None
    assert not directory.strategy.exists()
    free(engine)
    assert live.wait_for_end(directory) == "finished"
    assert directory.strategy.exists()
    assert len(live.rows(directory, "SELECT 1 FROM evaluations WHERE split = 'test'")) == 2
    assert "Traceback" not in directory.log.read_text()


def test_an_engine_that_waits_for_room_can_be_ended_and_the_run_resumed(stuck: tuple[int, RunDirectory]) -> None:
    engine, directory = stuck
    os.kill(engine, signal.SIGTERM)
    live.wait_for("the engine to end", lambda: directory.holder() is None)
    log = directory.log.read_text()
    assert "was not written" in log
    assert "Traceback" not in log
    live.start(directory)
    assert live.wait_for_end(directory) == "finished"
    assert directory.strategy.exists()

"""A disk that is full at the very end of a run: the engine waits for room, loses nothing, and can be ended then."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from engine.controller import retention
from engine.run import launch
from engine.run.rundir import RunDirectory
from tests.engine import live, pretended_engine
from tests.engine.steered import Hand, config, steer


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
    live.wait_for("the engine to wait", lambda: "cannot be written yet, retrying" in directory.log.read_text())
    return engine, directory


@pytest.mark.long
def test_the_end_of_a_run_waits_for_room_and_is_written_then(stuck: tuple[int, RunDirectory]) -> None:
    engine, directory = stuck
    assert directory.holder() is not None
    assert not directory.strategy.exists()
    free(engine)
    assert live.wait_for_end(directory) == "finished"
    assert directory.strategy.exists()
    assert len(live.rows(directory, "SELECT 1 FROM evaluations WHERE split = 'test'")) == 2
    assert "Traceback" not in directory.log.read_text()


@pytest.mark.long
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


def forget_views(directory: RunDirectory) -> None:
    """As if another version had written the run: the next opening creates the views again, so it writes by itself."""
    with closing(duckdb.connect(str(directory.database))) as connection:
        connection.execute("DELETE FROM meta WHERE key = 'views'")


@pytest.mark.parametrize("opening_writes", [False, True])
def test_a_resume_on_a_full_disk_ends_with_one_line(runs: Path, opening_writes: bool) -> None:
    directory = live.create(runs, nodes=2)
    engine = pretended_engine.start(directory)
    live.wait_for_rows(directory, "SELECT 1 FROM metrics")
    os.kill(engine, signal.SIGKILL)
    live.wait_for("the lock to be free", lambda: directory.holder() is None)
    if opening_writes:
        forget_views(directory)
    before = directory.log.stat().st_size
    log = directory.database.with_name(directory.database.name + ".wal")
    full = log.stat().st_size if log.exists() else 0
    again = pretended_engine.start(directory, max(full, before + 4000))
    assert pretended_engine.wait(again) == 1
    said = directory.log.read_text()[before:]
    assert ("run.duckdb cannot be written: " in said) is opening_writes
    assert ("run.duckdb cannot be written, " in said) is not opening_writes
    assert "free some space there, then resume" in said
    assert "Traceback" not in said
    pretended_engine.start(directory)
    assert live.wait_for_end(directory) == "finished"


def without_room(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The bytes that lack for the next checkpoints, to be changed while the run goes on."""
    lack = [0]
    monkeypatch.setattr(retention, "missing_bytes", lambda *_: lack[0])
    return lack


@pytest.mark.long
def test_a_run_that_paused_for_room_goes_on_by_itself_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lack = without_room(monkeypatch)

    async def fills_and_frees(hand: Hand) -> None:
        await hand.until("SELECT 1 FROM metrics")
        lack[0] = 20 * 2**20
        [run] = await hand.until("SELECT reason FROM runs WHERE state = 'paused'")
        assert (
            run["reason"]
            == "20 MiB of disk space are missing for the next checkpoints: the run continues once they are free"
        )
        lack[0] = 0
        await hand.until("SELECT 1 FROM runs WHERE state = 'training'")

    assert steer(config("nodes = 40"), tmp_path, fills_and_frees) == "finished"
    told = live.rows(RunDirectory(tmp_path), "SELECT level FROM events WHERE kind = 'disk' ORDER BY seq LIMIT 2")
    assert told == [{"level": "warning"}, {"level": "info"}]


def test_a_human_makes_the_pause_for_room_a_lasting_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lack = without_room(monkeypatch)

    async def fills_and_pauses(hand: Hand) -> None:
        await hand.until("SELECT 1 FROM metrics")
        lack[0] = 2**20
        await hand.until("SELECT 1 FROM runs WHERE state = 'paused'")
        assert (await hand.ask("pause"))[0] == "done"
        lack[0] = 0
        assert (await hand.ask("pause"))[0] == "refused"
        assert hand.rows("SELECT state, reason FROM runs") == [{"state": "paused", "reason": "paused by ada"}]
        assert (await hand.ask("stop"))[0] == "done"

    assert steer(config("nodes = 40"), tmp_path, fills_and_pauses) == "stopped"

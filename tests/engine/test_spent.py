"""What a run says it has spent is what it has spent by then: in the middle of a segment, and while it is finishing."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest

from engine.controller import work_clock
from engine.run.config import BudgetSection
from engine.run.rundir import RunDirectory
from llmzero_tui.feeds.run import RunFeed
from llmzero_tui.values.snapshot import RunView
from tests.engine import live
from tests.engine.simulated import SimulatedExecutor
from tests.engine.steered import Hand, Held, config, steer
from tests.engine.surfaces import NOW

FIRST_HALF_WAY = "SELECT 1 FROM nodes WHERE node_id = 1 AND state = 'running' AND trained_steps BETWEEN 2 AND 4"


def test_the_steps_of_a_running_segment_are_spent_as_they_are_trained(tmp_path: Path) -> None:
    async def watches(hand: Hand) -> None:
        await hand.until(FIRST_HALF_WAY)
        seen = await hand.until("SELECT steps, trainer_seconds, budget_fraction FROM run_header WHERE steps > 0")
        assert hand.rows("SELECT state FROM nodes WHERE node_id = 1") == [{"state": "running"}]
        assert 0 < seen[0]["budget_fraction"] < 0.5
        assert seen[0]["trainer_seconds"] > 0

    twelve = config().model_copy(update={"budget": BudgetSection(steps=12)})
    assert steer(twelve, tmp_path, watches, SimulatedExecutor(3.0)) == "finished"
    last = live.rows(RunDirectory(tmp_path), "SELECT steps, budget_fraction FROM run_header")
    assert last == [{"steps": 12, "budget_fraction": 1.0}]


def test_the_clock_goes_on_while_the_closing_evaluations_run(tmp_path: Path) -> None:
    executor = Held("test")

    async def watches(hand: Hand) -> None:
        await hand.until("SELECT 1 FROM runs WHERE state = 'finishing'")
        before = hand.rows("SELECT wall_seconds FROM run_header")[0]["wall_seconds"]
        await hand.until("SELECT 1 FROM run_header WHERE state = 'finishing' AND wall_seconds > ? + 0.5", before)
        executor.free.set()
        await hand.until("SELECT 1 FROM runs WHERE state = 'finished'")

    assert steer(config("nodes = 1"), tmp_path, watches, executor) == "finished"
    run = RunDirectory(tmp_path)
    rows = live.rows(run, "SELECT wall_seconds, seq FROM budget ORDER BY seq")
    assert len(rows) < 5  # the last row is kept up to date: no row for each second
    begun, ended = (row["ts"] for row in live.rows(run, "SELECT ts FROM events WHERE kind = 'state' ORDER BY seq")[::2])
    assert rows[-1]["wall_seconds"] <= (ended - begun).total_seconds() + 1
    feed = RunFeed(run.path, lambda: NOW)
    assert feed.read(RunView()).run.eta is None
    feed.close()


def test_a_pause_is_not_counted_and_stands_between_two_rows(tmp_path: Path) -> None:
    async def pauses(hand: Hand) -> None:
        await hand.until("SELECT 1 FROM nodes WHERE node_id = 1 AND state = 'running' AND trained_steps > 0")
        assert (await hand.ask("pause"))[0] == "done"
        await hand.until("SELECT 1 FROM nodes WHERE node_id = 1 AND state = 'finished'")  # simulated: it does not hold
        before = hand.rows("SELECT count(*) AS n FROM budget")[0]["n"]
        assert (await hand.ask("resume"))[0] == "done"
        await hand.until("SELECT 1 FROM budget HAVING count(*) > ?", before)

    assert steer(config("nodes = 2"), tmp_path, pauses, SimulatedExecutor(0.6)) == "finished"


def test_a_long_pause_does_not_make_steps_look_slow_neither_live_nor_after_a_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shift = [0.0]
    monkeypatch.setattr(work_clock, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + shift[0]))

    async def pauses(hand: Hand) -> None:
        await hand.until("SELECT 1 FROM nodes WHERE node_id = 1 AND state = 'running' AND trained_steps > 0")
        assert (await hand.ask("pause"))[0] == "done"
        shift[0] += 3600  # a weekend
        assert hand.rows("SELECT state FROM nodes WHERE node_id = 1") == [{"state": "running"}]
        assert (await hand.ask("resume"))[0] == "done"

    limits = "minutes = 2\nnodes = {}"
    assert steer(config(limits.format(3)), tmp_path, pauses, SimulatedExecutor(2.0)) == "finished"
    ended = "SELECT count(*) AS n FROM nodes WHERE state = 'finished' AND parent_id IS NOT NULL"
    assert live.rows(RunDirectory(tmp_path), ended) == [{"n": 3}]
    with duckdb.connect(str(RunDirectory(tmp_path).database)) as connection:  # as the rows of such a segment are
        connection.execute("UPDATE nodes SET started = started - INTERVAL 1 HOUR WHERE node_id = 1")

    async def goes_on(hand: Hand) -> None:
        await hand.until("SELECT 1 FROM runs WHERE state = 'finished'")

    assert steer(config(limits.format(5)), tmp_path, goes_on, SimulatedExecutor(2.0)) == "finished"
    assert live.rows(RunDirectory(tmp_path), ended) == [{"n": 5}]

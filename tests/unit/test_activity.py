"""What workers do between steps: one column of the run's row, words for it, and a pace that leaves waiting out."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.analysis.rows import WorkerActivity, doings
from engine.analysis.summary import eta
from engine.controller.activity import ActivityRecorder
from engine.controller.run_state import RunState
from engine.training import events
from tests.unit.test_run_state import begin


def words(run_state: RunState) -> list[tuple[int | None, str]]:
    run_state.flush()
    return [(doing.node, doing.words) for doing in doings(run_state.rows("SELECT activity FROM runs")[0]["activity"])]


@pytest.fixture
def run_state(tmp_path: Path) -> RunState:
    return begin(tmp_path / "run")


def test_each_worker_is_told_of_until_its_next_step_or_end(run_state: RunState) -> None:
    activity = ActivityRecorder(run_state)
    activity.hear(events.JobProgress(job="base", phase="scoring", done=120, total=256))
    activity.hear(events.JobProgress(job="3", phase="loading the model"))
    assert words(run_state) == [(None, "scoring the base model 120/256"), (3, "loading the model")]
    activity.hear(events.JobProgress(job="3", phase="scoring", done=0, total=64))
    activity.hear(events.StepMetrics(job="base", step=1, values={}))
    assert words(run_state) == [(3, "scoring the checkpoint 0/64")]
    activity.hear(events.SegmentEnded(job="3", end=events.SegmentEnd.FINISHED, steps=1, trainer_seconds=1.0))
    assert words(run_state) == []
    activity.hear(events.JobProgress(job="final:3:1:x", phase="scoring", done=1, total=2))
    assert words(run_state) == [(None, "scoring the best policy on the test set 1/2")]
    activity.over()
    assert words(run_state) == []
    run_state.close()


@pytest.mark.parametrize("text", [None, "", "[", "{}", "[1]", '[{"node": "x"}]', '[{"node": 1}]'])
def test_what_another_version_wrote_is_nothing(text: str | None) -> None:
    assert doings(text) == ()
    assert WorkerActivity(None, "loading").words == "loading"


def test_the_pace_leaves_out_waiting_for_the_human() -> None:
    """Half of the budget took 100 s of training and 500 s at the gate: another 100 s are to come."""
    assert eta(0.5, 600, running=True, waiting_seconds=500) == 100
    assert eta(0.5, 600, running=False, waiting_seconds=500) is None


def test_a_limit_in_minutes_goes_on_while_the_human_is_waited_for() -> None:
    assert eta(0.5, 600, running=True, waiting_seconds=500, minutes=20) == 600  # it is the nearest limit
    assert eta(0.5, 600, running=True, waiting_seconds=0, minutes=15) == 300  # steps would take longer
    assert eta(0.8, 600, running=True, waiting_seconds=0, minutes=100) == pytest.approx(150)

"""A stop of the run does not wait for a scoring: the checkpoint is saved without, and scored by whoever goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.training import events
from engine.training.control import JobControl
from engine.training.events import SegmentEnd, Stop
from tests.engine.conftest import Spec, score_of
from tests.engine.training_runs import Line, checkpoints, ended, finished, run


def stop_while_scoring(spec: events.SegmentSpec) -> list[Line]:
    """The segment's events when it is asked to end as soon as half of a scoring's answers are there."""
    control = JobControl()

    def hear(line: Line) -> None:
        if isinstance(line, events.Heartbeat) and line.phase == "scoring" and line.done:
            control.take(Stop(job=spec.job, end=SegmentEnd.STOPPED, unscored=True))

    return run(spec, control, hear)


@pytest.mark.long
@pytest.mark.parametrize("rank", [0, 4])
def test_the_last_checkpoint_is_saved_and_scored_by_the_next_worker(make_spec: Spec, rank: int) -> None:
    lora = {"lora": events.LoraSpec(rank=rank, scaling=2.0)} if rank else {}
    evaluation = events.EvaluationSpec(n=16, batch_size=4)
    spec = make_spec(steps=2, checkpoint_every=2, evaluation=evaluation, **lora)
    [whole] = checkpoints(finished(run(spec)))
    told = stop_while_scoring(spec)
    assert (ended(told).end, ended(told).steps, checkpoints(told)) == (SegmentEnd.STOPPED, 2, [])
    beats = [line.done for line in told if isinstance(line, events.Heartbeat) and line.phase == "scoring"]
    assert max(beats) < evaluation.n
    saved = Path(spec.directory) / "checkpoint-2"
    assert json.loads((saved / events.MANIFEST).read_text())["evaluation"] is None

    rest = spec.model_copy(update={"done": 2, "parent": str(saved), "optimizer": str(saved)})
    [scored] = checkpoints(finished(run(rest)))
    assert (scored.step, scored.directory) == (2, str(saved))
    assert score_of(scored.evaluation) == score_of(whole.evaluation)
    assert scored.bytes == sum(path.stat().st_size for path in saved.iterdir())


def test_a_stop_of_the_node_alone_waits_for_its_score(make_spec: Spec) -> None:
    control = JobControl()
    spec = make_spec(steps=2, checkpoint_every=2)

    def hear(line: Line) -> None:
        if isinstance(line, events.Heartbeat) and line.phase == "scoring":
            control.take(Stop(job=spec.job, end=SegmentEnd.STOPPED))

    assert [saved.step for saved in checkpoints(run(spec, control, hear))] == [2]

"""The optimizer's state of a checkpoint from which nothing is trained any more goes; the policy stays whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.controller.retention import drop_optimizer
from engine.training.events import MANIFEST, OPTIMIZER
from tests.engine.conftest import Spec
from tests.engine.training_runs import checkpoints, finished, run


def size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.iterdir())


@pytest.mark.long
def test_a_policy_alone_is_smaller_and_trained_from_anew_and_others_keep_their_moments(make_spec: Spec) -> None:
    closed, open_ = (
        Path(each.directory) for each in checkpoints(finished(run(make_spec(steps=2, checkpoint_every=1))))
    )
    state, before = (closed / OPTIMIZER).stat().st_size, size(closed)
    assert drop_optimizer(closed) == state
    assert drop_optimizer(closed) == 0
    assert size(closed) < before - 0.9 * state
    files = json.loads((closed / MANIFEST).read_text())["files"]
    assert files == {path.name: path.stat().st_size for path in closed.iterdir() if path.name != MANIFEST}

    reset = make_spec(steps=1, parent=str(closed))
    keep = make_spec(steps=1, parent=str(open_), optimizer=str(open_))
    for spec in (reset, keep):
        assert len(checkpoints(finished(run(spec)))) == 1

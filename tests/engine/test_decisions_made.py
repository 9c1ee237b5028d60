"""The bank of decisions is made by real training, and goes on after a kill with what is missing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks import decisions_plan
from benchmarks.decisions import BankMaker, Sizes
from benchmarks.decisions_plan import PlannedPoint
from engine.compare.records import lines
from engine.decisions import bank, record
from engine.decisions.bank import CONTINUE
from engine.domain.tree import NodeState

SMALL = Sizes(validation=16, test=16, shorter=10, horizons=(1, 2))
POINT = PlannedPoint(0, "ladder", "young")


class Killed(BaseException):
    """In the place of a kill."""


def measured(file: Path) -> list[tuple[int, int]]:
    return [(line["branch"], line["seed"]) for line in lines(file) if line["kind"] == record.BRANCH]


@pytest.mark.slow
def test_a_point_is_trained_and_a_killed_making_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decisions_plan, "RULES", 0)
    monkeypatch.setattr(decisions_plan, "PROBED", 0)
    file, work, said = tmp_path / "bank.jsonl", tmp_path / "work", []

    def until_the_first_branch(line: str) -> None:
        said.append(line)
        if "seed 1" in line:
            raise Killed

    with pytest.raises(Killed):
        BankMaker(file, work, SMALL, tell=until_the_first_branch).make(iter([POINT]))
    assert measured(file) == [(0, 1)]

    shutil.rmtree(work)  # the checkpoints are trained again, to the same policy
    BankMaker(file, work, SMALL, tell=lambda _: None).make(iter([POINT]))
    assert measured(file) == [(0, 1), (1, 1), (0, 2), (1, 2)]
    assert not any(work.iterdir())

    (point,) = bank.load(file)
    assert point.whole
    assert [m.origin for m in point.measured] == [CONTINUE, "bad: highest rate"]
    assert point.gain(point.measured[1], 2) is not None
    given = point.evidence
    assert given.parent.state is NodeState.FINISHED
    assert (given.step, len(given.metrics["reward"])) == (5, 5)
    assert given.completions
    assert given.candidates == ((1, 3),)
    assert given.tree.root.checkpoints[0].score.n == 16

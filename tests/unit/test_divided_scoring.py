"""How the ranks of a worker put the scores of their parts together; what the other rank says is given."""

from __future__ import annotations

from typing import Any

import pytest
import torch.distributed as dist

from engine.training.control import JobControl
from engine.training.events import Evaluation
from engine.training.ranks import SharedControl
from tasks.base import TaskError


def scored(begin: int, end: int, seconds: float = 1.0) -> Evaluation:
    """Every prompt with an even number solved greedily."""
    outcomes = "".join("10"[n % 2] for n in range(begin, end))
    return Evaluation(n=len(outcomes), greedy=outcomes.count("1"), sampled=0, seconds=seconds, outcomes=outcomes)


@pytest.fixture
def control(monkeypatch: pytest.MonkeyPatch) -> SharedControl:
    """Rank 0 of two."""
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)
    monkeypatch.setattr(dist, "get_rank", lambda: 0)
    return SharedControl(JobControl())


def other_says(monkeypatch: pytest.MonkeyPatch, said: Any) -> list[Any]:
    """What rank 1 sends; the list gets what rank 0 sends."""
    sent: list[Any] = []

    def gather(parts: list[Any], mine: Any) -> None:
        sent.append(mine)
        parts[:] = [mine, said]

    monkeypatch.setattr(dist, "all_gather_object", gather)
    return sent


def test_parts_become_one_evaluation_that_took_as_long_as_the_longest(
    control: SharedControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = other_says(monkeypatch, scored(5, 11, seconds=3.0))
    whole = control.divided(scored, 0, 11)
    assert sent == [scored(0, 5)]
    assert whole == scored(0, 11, seconds=3.0)


def test_one_prompt_is_scored_by_one_rank(control: SharedControl, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = other_says(monkeypatch, scored(4, 5))
    assert control.divided(scored, 4, 5) == scored(4, 5)
    assert sent == [None]


def test_what_the_other_rank_raised_is_raised_here(control: SharedControl, monkeypatch: pytest.MonkeyPatch) -> None:
    other_says(monkeypatch, TaskError("most completions cannot be scored"))
    with pytest.raises(TaskError, match="most completions cannot be scored"):
        control.divided(scored, 0, 4)


def test_an_exception_that_cannot_be_sent_is_told_in_words(
    control: SharedControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Own(Exception):
        """Of a function: no other process can make it."""

    def fails(begin: int, end: int) -> Evaluation:
        raise Own("the judge is gone")

    sent = other_says(monkeypatch, scored(2, 4))
    with pytest.raises(RuntimeError, match="Own: the judge is gone"):
        control.divided(fails, 0, 4)
    assert isinstance(sent[0], RuntimeError)

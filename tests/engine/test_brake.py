"""A run without a learning signal stops or asks, and a slow starter is never taken for one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.advisors.rules import RulesAdvisor
from engine.run.config import parse
from engine.run.rundir import RunDirectory
from engine.training.events import SegmentSpec
from tests.engine import live
from tests.engine.simulated import SimulatedExecutor, search
from tests.engine.steered import Hand, steer

RUN_FILE = """
name = "vain"
[task]
name = "knights"
[budget]
steps = 0
nodes = {nodes}
[search]
segment_steps = 10
{search}
[evaluation]
validation_prompts = 64
"""
Rewards = Callable[[SegmentSpec, int], float | None]
"""The reward of all completions of a step, or None where they differ."""


class Rewarded(SimulatedExecutor):
    """Gives the rewards of a step, and no other metrics."""

    def __init__(self, rewards: Rewards) -> None:
        super().__init__(0.0)
        self._rewards = rewards

    def _metrics(self, skill: Any, job: SegmentSpec, step: int) -> dict[str, float]:
        alike = self._rewards(job, step)
        return {
            "reward": 0.5 if alike is None else alike, "reward_std": 0.1 if alike is None else 0.0,
            "frac_reward_zero_std": 0.75 if alike is None else 1.0, "step_seconds": 0.1,
        }  # fmt: skip


def trained(directory: RunDirectory) -> int:
    return len(live.rows(directory, "SELECT 1 FROM nodes WHERE trained_steps > 0"))


def run(where: Path, rewards: Rewards, more: str = "", nodes: int = 12) -> tuple[str, RunDirectory, str]:
    file = RUN_FILE.format(search=more, nodes=nodes)
    state, directory = search(parse(file), where, Rewarded(rewards), RulesAdvisor())
    return state, directory, live.rows(directory, "SELECT reason FROM runs")[0]["reason"]


@pytest.mark.parametrize("reward", [0.0, 1.0])
def test_a_run_without_a_signal_stops_after_its_first_segments(reward: float, tmp_path: Path) -> None:
    state, directory, reason = run(tmp_path / "vain", lambda *_: reward)
    assert state == "failed"
    assert trained(directory) == 2  # of 12
    assert f"no learning signal: every completion of every segment got reward {reward:g}" in reason
    assert "2 segments, 640 completions; the base answers " in reason
    assert 'search.no_signal = "go-on"' in reason


def test_nothing_waits_or_trains_in_a_run_that_the_brake_has_ended(tmp_path: Path) -> None:
    _, directory, _ = run(tmp_path / "vain", lambda *_: 0.0, nodes=28)  # a third root run waits
    assert live.rows(directory, "SELECT 1 FROM proposals WHERE state = 'pending'") == []
    assert live.rows(directory, "SELECT node_id, state FROM nodes WHERE state IN ('proposed', 'running')") == []
    withdrawn = live.rows(directory, "SELECT DISTINCT reason FROM proposals WHERE state = 'superseded'")
    assert withdrawn == [{"reason": "the run failed"}]
    lost = live.rows(directory, "SELECT node_id FROM proposals WHERE state = 'superseded' ORDER BY node_id")
    told = "SELECT node_id FROM events WHERE kind = 'withdrawn' AND message LIKE '%was withdrawn: the run failed'"
    assert live.rows(directory, f"{told} ORDER BY node_id") == lost, "each stands in the log"


def test_a_resume_trains_some_more_before_it_stops_again(tmp_path: Path) -> None:
    for segments in (2, 4):
        state, directory, _ = run(tmp_path / "vain", lambda *_: 0.0)
        assert (state, trained(directory)) == ("failed", segments)


def test_one_group_that_differs_releases_the_brake(tmp_path: Path) -> None:
    seen: list[str] = []

    def once(job: SegmentSpec, step: int) -> float | None:
        seen.append(job.job)
        return None if len(seen) == 9 else 0.0

    state, directory, _ = run(tmp_path / "slow", once)
    assert (state, trained(directory)) == ("finished", 12)


def test_prompts_that_earn_the_same_whatever_is_written_are_no_signal(tmp_path: Path) -> None:
    state, _, reason = run(tmp_path / "vain", lambda job, step: step / 10)
    assert state == "failed"
    assert "all completions of one prompt got the same reward" in reason


def test_too_few_completions_are_no_reason(tmp_path: Path) -> None:
    state, directory, _ = run(tmp_path / "few", lambda *_: 0.0, "[training]\nbatch_size = 8\n")
    assert (state, trained(directory)) == ("failed", 7)  # 560 completions


def test_a_run_may_go_on_without_a_signal(tmp_path: Path) -> None:
    state, directory, _ = run(tmp_path / "on", lambda *_: 0.0, 'no_signal = "go-on"')
    assert (state, trained(directory)) == ("finished", 12)


@pytest.mark.long
@pytest.mark.parametrize("more", ['no_signal = "pause"', '[gate]\nmode = "timeout"\nseconds = 0.1'])
def test_where_a_human_decides_it_pauses_and_goes_on_when_told(more: str, tmp_path: Path) -> None:
    reasons: list[str] = []

    async def play(hand: Hand) -> None:
        row = (await hand.until("SELECT reason FROM runs WHERE state = 'paused'"))[0]
        reasons.append(row["reason"])
        assert (await hand.ask("resume"))[0] == "done"
        await hand.until("SELECT 1 FROM runs WHERE state = 'finished'")

    config = parse(RUN_FILE.format(search=more, nodes=12))
    assert steer(config, tmp_path / "asks", play, Rewarded(lambda *_: 0.0)) == "finished"
    assert trained(RunDirectory(tmp_path / "asks")) == 12
    assert reasons[0].startswith("no learning signal: ")
    assert "resume to train anyway" in reasons[0]

"""A score belongs to the policy it was measured on, in runs whose winner is not the best by validation and that go on
after their end: simulated segments, the real controller, store and every surface."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from engine.domain.score import Score
from engine.domain.space import Configuration
from engine.run.config import RunConfig, parse
from engine.run.rundir import RunDirectory
from engine.training import events
from engine.training.events import Evaluate, Evaluation
from llmzero_tui import cli
from llmzero_tui.format import score
from tests.engine import live
from tests.engine.simulated import SimulatedExecutor
from tests.engine.steered import Hand, steer
from tests.engine.surfaces import card_of, told_by_all

RUN_FILE = """
name = "run"
[task]
name = "knights"
[budget]
steps = 0
nodes = {nodes}
[search]
segment_steps = 6
roots = 1
[evaluation]
validation_prompts = 64
rerank_prompts = 256
test_prompts = 128
"""
TESTS = "SELECT kind, policy, n FROM evaluations WHERE split = 'test' ORDER BY kind, seq"
WORDS = "the test prompts have been measured"


class Scripted(SimulatedExecutor):
    """Every checkpoint scores a little better than the one before. On the second validation set the best by validation
    has nothing right and the others all, but for a soup, which has nothing right (or all, where `soups`)."""

    def __init__(self, *, soups: bool = False, start: int = 20, flat: bool = False) -> None:
        super().__init__(0.05)
        self._soups = soups
        self._flat = flat
        self._count = start
        self.best = ""
        self.asked: list[str] = []

    def _tell(self, event: events.Event) -> None:
        if isinstance(event, events.CheckpointSaved) and not self._flat:
            self.best = event.directory
        super()._tell(event)

    def _score(self, skill: Any, configuration: Configuration) -> Evaluation:
        if not self._flat:
            self._count += 1
        return _evaluation(64, self._count)

    async def _evaluate(self, job: Evaluate) -> None:
        spec = job.evaluation
        if job.job == "base":
            right = 0.25
        elif len(job.directories) > 1 or "soup" in job.directories[0]:
            right = float(self._soups)
        elif spec.split == "test":
            right = 0.25 if job.job.startswith("baseline") else 0.75
        else:
            right = float(job.directories[0] != self.best)
        self.asked.append(job.job)
        answer = _evaluation(spec.n, round(right * spec.n))
        self._tell(events.EvaluationResult(job=job.job, split=spec.split, seed=spec.seed, evaluation=answer))


def _evaluation(n: int, right: int) -> Evaluation:
    return Evaluation(n=n, greedy=right, sampled=right, seconds=0.0, outcomes="3" * right + "0" * (n - right))


def config(nodes: int) -> RunConfig:
    return parse(RUN_FILE.format(nodes=nodes))


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """A run's directory with its run file, not yet started."""
    directory = RunDirectory(tmp_path / "runs" / "run")
    directory.path.mkdir(parents=True)
    directory.config.write_text(config(3).to_toml(), encoding="utf-8")
    return directory


async def nothing(hand: Hand) -> None:
    """A human who only looks on."""


def trained(nodes: int) -> Any:
    """A human who stops the run once so many segments are finished."""

    async def stop(hand: Hand) -> None:
        await hand.until("SELECT 1 FROM nodes WHERE state = 'finished' AND node_id > 0 HAVING count(*) >= ?", nodes)
        assert (await hand.ask("stop"))[0] == "done"

    return stop


def reported(run: RunDirectory) -> dict[str, Any]:
    """The view's row; the files of the policy are there from now on, as an export wants them."""
    row = live.rows(run, "FROM reported_policy")[0]
    place = run.path / row["path"]
    place.mkdir(parents=True, exist_ok=True)
    if not (place / "config.json").exists():  # the base has one, which lies in this repository
        (place / "config.json").write_text("{}")
    return row


def incumbent(run: RunDirectory) -> tuple[int, int]:
    """The best checkpoint by validation."""
    row = live.rows(run, "SELECT node_id, step FROM checkpoints ORDER BY value DESC, node_id, step DESC LIMIT 1")[0]
    return row["node_id"], row["step"]


def test_whom_the_best_leads_clearly_on_the_steering_prompts_is_not_asked_fresh_ones(run: RunDirectory) -> None:
    """The soup has everything right, the checkpoints a third: nothing is left to compare."""
    scripted = Scripted(soups=True)
    assert steer(config(3), run.path, nothing, scripted) == "finished"
    assert reported(run)["kind"] == "soup"
    assert not [job for job in scripted.asked if job.startswith("reranking")]
    told = live.rows(run, "SELECT message FROM events WHERE kind = 'reranking'")
    assert len(told) == 3
    assert all("not scored again: soup of #" in each["message"] for each in told)


def test_a_winner_that_is_not_the_best_by_validation_is_the_same_everywhere(
    run: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    assert steer(config(3), run.path, nothing, Scripted()) == "finished"
    row = reported(run)
    assert (row["node_id"], row["step"]) != incumbent(run)
    assert row["picked"]
    told = told_by_all(run, capsys)
    assert len(set(told.values())) == 1, told
    assert (told["show"].policy, told["show"].test) == (f"#{row['node_id']} step {row['step']}", (0.75, 128))
    card = card_of(run.path.parent.with_name("exported"))
    assert f"{WORDS} once in this run: {row['policy']} at 20" in card


def test_the_scores_that_decided_are_told_where_the_picked_policy_is_not_the_first_by_validation(
    run: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    assert steer(config(3), run.path, nothing, Scripted()) == "finished"
    row = reported(run)
    node, step = incumbent(run)
    right = row["greedy"]
    decided = Score(320, 256 + right, 256 + right, "3" * right + "0" * (64 - right) + "3" * 256)
    short = score(decided.value, *decided.interval)
    sentence = f"{row['policy']} was selected with {short} (n 320) on steering and fresh validation prompts together; "
    sentence += f"#{node} step {step}, the best on the steering prompts, has "
    capsys.readouterr()
    assert cli.main(["show", str(run.path)]) == 0
    told = capsys.readouterr().out
    assert sentence in told
    assert f"selected {short} ({row['policy']}, n 320)" in told
    assert cli.main(["show", str(run.path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["best_reranked"] == decided.as_dict()
    assert cli.main(["ls", "--runs-dir", str(run.path.parent)]) == 0
    assert short in capsys.readouterr().out
    told_by_all(run, capsys)
    place = run.path.parent.with_name("exported")
    assert sentence in card_of(place)
    strategy = tomllib.loads((place / "strategy.toml").read_text(encoding="utf-8"))
    assert strategy["scores"]["reranked"] == decided.as_dict()


def test_a_policy_that_nothing_was_compared_with_has_no_such_score(run: RunDirectory) -> None:
    assert steer(config(3), run.path, trained(2), Scripted()) == "stopped"
    row = live.rows(run, "SELECT reranked_n, leader_policy, best_picked FROM run_header")
    assert row == [{"reranked_n": None, "leader_policy": None, "best_picked": False}]


def test_a_run_that_goes_on_reports_its_best_by_validation_without_a_test_score(
    run: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    """Reranking picked another node and tested it; the budget is raised, one more segment, a stop, an export."""
    assert steer(config(3), run.path, nothing, Scripted()) == "finished"
    first = reported(run)
    assert steer(config(90), run.path, trained(4), Scripted(start=30)) == "stopped"
    row = reported(run)
    assert (row["node_id"], row["step"], row["picked"], row["test_n"]) == (*incumbent(run), False, None)
    told = told_by_all(run, capsys)
    assert len(set(told.values())) == 1, told
    assert told["show"].test is None
    card = card_of(run.path.parent.with_name("exported"))
    assert "0.750" not in card
    assert f"{row['policy']} has no test score" in card
    assert f"{WORDS} once in this run: {first['policy']} at 20" in card
    assert cli.main(["show", str(run.path)]) == 0
    assert f"{WORDS} once in this run: {first['policy']} at 20" in capsys.readouterr().out


def test_the_next_end_measures_the_new_winner_and_says_how_often_the_test_split_was_seen(
    run: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    assert steer(config(3), run.path, nothing, Scripted()) == "finished"
    first = reported(run)["policy"]
    assert steer(config(5), run.path, nothing, Scripted(start=30)) == "finished"
    second = reported(run)["policy"]
    assert second != first
    assert live.rows(run, TESTS) == [
        {"kind": "baseline", "policy": "base", "n": 128},
        {"kind": "final", "policy": first, "n": 128},
        {"kind": "final", "policy": second, "n": 128},
    ]
    told = told_by_all(run, capsys)
    assert len(set(told.values())) == 1, told
    assert cli.main(["show", str(run.path)]) == 0
    assert f"{WORDS} 2 times in this run: {first} at 20" in capsys.readouterr().out
    assert cli.main(["show", str(run.path), "--json"]) == 0
    assert f'"policy": "{second}"' in capsys.readouterr().out


def test_what_was_measured_is_not_measured_again(run: RunDirectory) -> None:
    """A finished run that is resumed with nothing left to spend ends as it was, at no cost."""
    assert steer(config(3), run.path, nothing, Scripted()) == "finished"
    before, rows = reported(run), live.rows(run, "FROM evaluations ORDER BY seq")
    again = Scripted()
    assert steer(config(3), run.path, nothing, again) == "finished"
    assert [job for job in again.asked if "soup" not in job] == []
    assert live.rows(run, "FROM evaluations ORDER BY seq") == rows
    assert reported(run) == before


def test_a_soup_has_a_name_and_its_own_scores(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    assert steer(config(4), run.path, nothing, Scripted(soups=True)) == "finished"
    row = reported(run)
    assert row["kind"] == "soup"
    assert row["policy"].startswith("soup of #")
    assert (row["greedy"], row["n"], row["test_greedy"]) == (64, 64, 128)
    told = told_by_all(run, capsys)
    assert len(set(told.values())) == 1, told
    assert cli.main(["show", str(run.path)]) == 0
    assert f"{row['policy']}: the mean of the weights" in capsys.readouterr().out


def test_a_policy_whose_files_are_gone_is_refused_in_one_line(
    run: RunDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert steer(config(3), run.path, nothing, Scripted()) == "finished"
    assert cli.main(["export", str(run.path), "--to", str(tmp_path / "best")]) == 2
    error = capsys.readouterr().err.strip()
    assert live.rows(run, "SELECT policy FROM reported_policy")[0]["policy"] in error
    assert "are gone" in error
    assert "\n" not in error


def test_a_run_without_gain_says_what_was_learnt_and_has_no_strategy(
    run: RunDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert steer(config(2), run.path, nothing, Scripted(start=8, flat=True)) == "finished"
    assert reported(run)["kind"] == "base"
    reason = live.rows(run, "SELECT reason FROM runs")[0]["reason"]
    assert reason.startswith("2 segments, best 0.125 [")
    assert "against base 0.250 [" in reason
    assert cli.main(["show", str(run.path)]) == 0
    assert f"no strategy: {reason}" in capsys.readouterr().out
    assert cli.main(["export", str(run.path), "--to", str(tmp_path / "best")]) == 2
    assert not (tmp_path / "best").exists()


@pytest.mark.parametrize(("reward", "words"), [(0.0, "reward 0"), (1.0, "reward 1: nothing is left to learn")])
def test_a_run_without_a_learning_signal_says_so(
    run: RunDirectory, reward: float, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    class Constant(Scripted):
        def _metrics(self, *_: Any) -> dict[str, float]:
            return {"reward": reward, "reward_std": 0.0, "frac_reward_zero_std": 1.0, "step_seconds": 0.01}

    assert steer(config(2), run.path, nothing, Constant(start=8, flat=True)) == "finished"
    assert cli.main(["show", str(run.path)]) == 0
    told = capsys.readouterr().out
    assert told.count(f"no learning signal: every completion of every segment got {words}") == 2

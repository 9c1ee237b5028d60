"""Dynamic sampling and the soft overlong punishment, through TRL: what is trained on, what it earns, what is logged."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from engine.testing.executors import Spec
from engine.testing.letters import Letters
from engine.training import events
from engine.training.rewards import OverlongPenalty
from tasks.base import Item, Reward
from tests.engine.training_runs import Line, finished, metrics, run


class Lottery(Letters):
    """Half of the prompts earn the same whatever is written, the others by chance."""

    def score(self, completion: str, item: Item) -> Reward:
        if item.prompt[2] in "AB":
            return Reward(False, 0.0)
        return Reward(False, random.Random(completion).random())


def samples(told: list[Line]) -> list[events.CompletionSample]:
    return [each for line in told if isinstance(line, events.CompletionSamples) for each in line.samples]


@pytest.mark.parametrize(
    ("length", "penalty"), [(0, 0.0), (80, 0.0), (81, -0.05), (90, -0.5), (100, -1.0), (120, -1.0)]
)
def test_the_reward_falls_over_the_last_tokens(length: int, penalty: float) -> None:
    found = OverlongPenalty(limit=100, margin=20).of(Reward(True, 1.0, {"answer": 1.0}), length)
    assert found.total == pytest.approx(1 + penalty)
    assert found.components == {"answer": 1.0, "overlong": pytest.approx(penalty)}
    assert found.correct


def test_rollouts_that_fill_their_length_lose_reward_and_evaluations_do_not(make_spec: Spec) -> None:
    plain = metrics(finished(run(make_spec(steps=1, seed=3))))[0]
    told = finished(run(make_spec(steps=1, seed=3, overlong_penalty=0.5)))
    [step] = metrics(told)
    assert step["completions/max_length"] == plain["completions/max_length"], "the same rollouts"
    assert step["rewards/overlong/mean"] < 0
    assert step["reward"] == pytest.approx(plain["reward"] + step["rewards/overlong/mean"], abs=1e-5)
    assert all("overlong" in sample.components for sample in samples(told))


class Hopeless(Letters):
    """Earns nothing whatever is written."""

    def score(self, completion: str, item: Item) -> Reward:
        return Reward(False, 0.0)


def trained(spec: events.SegmentSpec, task: type[Letters]) -> list[dict[str, float]]:
    return metrics(finished(run(spec.model_copy(update={"task": f"{Path(__file__)}:{task.__name__}"}))))


def test_groups_of_equal_rewards_make_room_for_other_prompts(make_spec: Spec) -> None:
    plain = trained(make_spec(steps=4, seed=5, batch_size=16), Lottery)
    steps = trained(make_spec(steps=4, seed=5, batch_size=16, dynamic_sampling=8), Lottery)
    assert max(each["frac_reward_zero_std"] for each in plain) > 0
    assert steps[0]["dynamic_sampling/zero_std"] == plain[0]["frac_reward_zero_std"], "the first draw is the same"
    assert {each["frac_reward_zero_std"] for each in steps} == {0.0}
    assert any(each["dynamic_sampling/rounds"] > 0 for each in steps)
    assert steps[0]["completions/mean_length"] == plain[0]["completions/mean_length"]


def test_where_no_prompt_gives_a_signal_training_goes_on(make_spec: Spec) -> None:
    [step] = trained(make_spec(steps=1, dynamic_sampling=2), Hopeless)
    assert (step["dynamic_sampling/rounds"], step["frac_reward_zero_std"]) == (2.0, 1.0)

"""What every shipped task must satisfy: one set of tests, run for each name in the registry.

A new task is tested by being registered.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.testing.tasks import TaskConformance, gold_of
from tasks import registry
from tasks.base import Split, Task
from tasks.reasoning_gym import installed
from tasks.reasoning_gym_tiny import COMPACT
from tasks.tiny import CHARACTERS, VOCABULARY, TinyTask

NAMES = [*registry.names(), *(COMPACT if installed() else ())]
every_task = pytest.mark.parametrize("name", NAMES)
hostile_text = st.one_of(
    st.text(max_size=300),
    st.text(alphabet="0123456789+-*/()#=;:!<>a</yn ", max_size=80),
    st.sampled_from(
        ["(" * 5000, "9" * 5000, "#" * 5000, "-" * 5000 + "1", "#9**9**9**9", "[red]#[/red]", "\x1b[2J#\x00"]
    ),
)


class TestShippedTasks(TaskConformance):
    """Each keeps the promises of every task."""

    @pytest.fixture(params=NAMES)
    def make_task(self, request: pytest.FixtureRequest) -> Callable[[], Task]:
        return partial(registry.get, request.param)

    @pytest.mark.parametrize("space", [" ", "\n"])
    def test_space_after_the_answer_is_not_correct(self, make_task: Callable[[], Task], space: str) -> None:
        task = make_task()
        for item in task.items(Split.VALIDATION, 100):
            assert not task.score(gold_of(task, item) + space, item).correct

    def test_suggested_space_is_well_formed(self, make_task: Callable[[], Task]) -> None:
        task = make_task()
        space = task.suggested_space()
        assert {"learning_rate", "beta", "temperature", "max_completion_length", "num_generations"} <= set(space)
        for parameter, entry in space.items():
            default = entry["default"]
            assert isinstance(default, int | float), parameter
            if "choices" in entry:
                choices = entry["choices"]
                assert isinstance(choices, list)
                assert default in choices
            else:
                low, high = entry["low"], entry["high"]
                assert isinstance(low, int | float)
                assert isinstance(high, int | float)
                assert low <= default <= high
        assert space["max_completion_length"]["high"] == task.max_completion_length


@every_task
@settings(max_examples=150, deadline=None)
@given(text=hostile_text, seed=st.integers(0, 20))
def test_any_text_scores_finite_bounded_and_repeatable(name: str, text: str, seed: int) -> None:
    task = registry.get(name)
    item = task.items(Split.TRAIN, 1, seed=seed)[0]
    reward = task.score(text, item)
    assert math.isfinite(reward.total)
    assert 0.0 <= reward.total <= 1.0
    assert all(math.isfinite(value) for value in reward.components.values())
    assert reward == task.score(text, item)


@every_task
def test_prompts_and_demonstrations_fit_the_tiny_model(name: str) -> None:
    task = registry.get(name)
    if not isinstance(task, TinyTask):
        pytest.skip("not a tiny task")
    rng = random.Random(0)
    for item in task.items(Split.TRAIN, 300):
        for text in (task.gold(item), task.demonstrate(rng, item, 0.0), task.demonstrate(rng, item, 1.0)):
            assert set(item.prompt + text) <= set(CHARACTERS) <= set(VOCABULARY)
            assert len(text) < task.max_completion_length, "no room for the end token"
            assert len(item.prompt) + task.max_completion_length <= 256


@every_task
def test_guesses_are_mostly_wrong_and_worked_answers_always_right(name: str) -> None:
    task = registry.get(name)
    if not isinstance(task, TinyTask):
        pytest.skip("not a tiny task")
    rng = random.Random(1)
    items = task.items(Split.TRAIN, 400)
    guessed = sum(task.score(task.demonstrate(rng, item, 0.0), item).correct for item in items)
    assert guessed < 0.2 * len(items)
    assert all(task.score(task.gold(item), item).correct for item in items)

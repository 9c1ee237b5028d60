"""What every shipped task must satisfy: one set of tests, run for each name in the registry.

A new task is tested by being registered.
"""

from __future__ import annotations

import itertools
import json
import math
import random
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.domain.space import ParameterKind, Space
from tasks import registry
from tasks.base import Item, Split, Task, TaskError, split_of
from tasks.reasoning_gym import installed
from tasks.reasoning_gym_tiny import COMPACT
from tasks.tiny import CHARACTERS, VOCABULARY, TinyTask

every_task = pytest.mark.parametrize("name", [*registry.names(), *(COMPACT if installed() else ())])
hostile_text = st.one_of(
    st.text(max_size=300),
    st.text(alphabet="0123456789+-*/()#=;:!<>a</yn ", max_size=80),
    st.sampled_from(
        ["(" * 5000, "9" * 5000, "#" * 5000, "-" * 5000 + "1", "#9**9**9**9", "[red]#[/red]", "\x1b[2J#\x00"]
    ),
)


def gold_of(task: Task, item: Item) -> str:
    gold = task.gold(item)
    assert gold is not None, f"shipped task {task.name} has no gold completion"
    return gold


@every_task
def test_same_seed_gives_the_same_items_and_another_seed_gives_others(name: str) -> None:
    task, again = registry.get(name), registry.get(name)
    assert task.items(Split.TRAIN, 40, seed=3) == again.items(Split.TRAIN, 40, seed=3)
    assert task.items(Split.TRAIN, 40, seed=3) != task.items(Split.TRAIN, 40, seed=4)


@every_task
def test_a_longer_list_begins_with_the_shorter_one(name: str) -> None:
    task = registry.get(name)
    assert task.items(Split.TEST, 30)[:10] == task.items(Split.TEST, 10)


@every_task
def test_splits_share_no_prompt(name: str) -> None:
    task = registry.get(name)
    prompts = {
        split: {item.prompt for item in task.items(split, 600, seed=split_seed)}
        for split_seed, split in enumerate(Split)
    }
    for split, found in prompts.items():
        assert {split_of(prompt) for prompt in found} == {split}
    assert not prompts[Split.TRAIN] & prompts[Split.VALIDATION]
    assert not prompts[Split.TRAIN] & prompts[Split.TEST]
    assert not prompts[Split.VALIDATION] & prompts[Split.TEST]


@every_task
def test_a_measurement_of_512_prompts_is_not_a_few_prompts_repeated(name: str) -> None:
    items = registry.get(name).items(Split.VALIDATION, 512)
    assert len({item.prompt for item in items}) > 256


@every_task
def test_the_same_prompt_always_has_the_same_answer_check(name: str) -> None:
    task = registry.get(name)
    first: dict[str, Item] = {}
    for item in task.items(Split.TRAIN, 600):
        known = first.setdefault(item.prompt, item)
        assert task.score(gold_of(task, item), known).correct


@every_task
def test_items_cross_processes_as_json(name: str) -> None:
    for item in registry.get(name).items(Split.TRAIN, 20):
        assert json.loads(json.dumps(dict(item.data))) == dict(item.data)


@every_task
def test_gold_scores_one(name: str) -> None:
    task = registry.get(name)
    for item in task.items(Split.VALIDATION, 200):
        reward = task.score(gold_of(task, item), item)
        assert reward.correct
        assert reward.total == 1.0


@every_task
@pytest.mark.parametrize("junk", ["", " ", "#", "\n#\n", "</a>", "<a></a>", "0", "#0", "yes", "\x00", "NaN", "🙂" * 50])
def test_junk_scores_zero(name: str, junk: str) -> None:
    task = registry.get(name)
    for item in task.items(Split.VALIDATION, 50):
        if junk == "#" + item.answer:
            continue  # a bare answer is not junk: "#0" is right for a sum of 0
        reward = task.score(junk, item)
        assert not reward.correct
        assert reward.total <= 0.1


NEAR_MISSES: dict[str, Callable[[str], str]] = {
    "truncated": lambda gold: gold[:-1],
    "something after the answer": lambda gold: gold + "x",
    "a space after the answer": lambda gold: gold + " ",
    "a newline after the answer": lambda gold: gold + "\n",
    "said twice": lambda gold: gold + gold,
    "reversed": lambda gold: gold[::-1],
    "the answer hedged": lambda gold: gold + "#" + gold,
}


@every_task
@pytest.mark.parametrize("kind", NEAR_MISSES)
def test_near_misses_are_not_correct(name: str, kind: str) -> None:
    task = registry.get(name)
    for item in task.items(Split.VALIDATION, 100):
        gold = gold_of(task, item)
        reward = task.score(NEAR_MISSES[kind](gold), item)
        assert not reward.correct
        assert reward.total < 1.0


@every_task
def test_gold_of_another_item_with_another_answer_is_not_correct(name: str) -> None:
    task = registry.get(name)
    items = task.items(Split.VALIDATION, 60)
    for item, other in itertools.pairwise(items):
        if item.answer != other.answer:
            assert not task.score(gold_of(task, other), item).correct


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
def test_suggested_space_is_well_formed(name: str) -> None:
    task = registry.get(name)
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
def test_training_items_stay_within_the_difficulty_and_held_out_items_do_not_notice_it(name: str) -> None:
    task = registry.get(name)
    if task.levels is None:
        pytest.skip("no difficulty")
    levels = task.levels
    assert levels.lowest < levels.default <= levels.highest
    found = {task.level(item) for item in task.items(Split.TRAIN, 600)}
    assert found == set(range(levels.lowest, levels.highest + 1)), "untouched, every level occurs"
    for difficulty in (levels.lowest, levels.default):
        easier = task.configured({"difficulty": difficulty})
        assert {task.level(item) for item in easier.items(Split.TRAIN, 400)} == set(
            range(levels.lowest, difficulty + 1)
        )
        for split in (Split.VALIDATION, Split.TEST):
            assert easier.items(split, 100) == task.items(split, 100)
    assert task.difficulty is None, "configured() leaves the task alone"


@every_task
def test_a_difficulty_that_is_no_level_or_an_unknown_parameter_is_one_line(name: str) -> None:
    task = registry.get(name)
    with pytest.raises(TaskError, match=r"has no parameter 'hardness'") as caught:
        task.configured({"hardness": 1})
    assert "\n" not in str(caught.value)
    for value in () if task.levels is None else (task.levels.lowest - 1, task.levels.highest + 1, 6.5):
        with pytest.raises(TaskError, match=rf"difficulty = {value} is not allowed; allowed: a whole number"):
            task.configured({"difficulty": value})


@every_task
def test_the_tasks_own_parameters_join_the_space_of_a_run(name: str) -> None:
    task = registry.get(name)
    space = Space.build({}, task.space(), batch_size=32)
    own = [parameter for parameter in space if parameter.trl is None]
    assert [parameter.name for parameter in own] == list(task.parameters())
    if task.levels is not None:
        [difficulty] = own
        assert (difficulty.kind, difficulty.integer, difficulty.rising) == (ParameterKind.CAPACITY, True, True)
        assert (difficulty.low, difficulty.high) == (task.levels.lowest, task.levels.highest)
        assert task.configured({"difficulty": space.default()["difficulty"]}).difficulty == task.levels.default


@every_task
def test_a_cpu_second_is_enough_for_2000_scores(name: str, record_property: Callable[[str, object], None]) -> None:
    """The best of five, in CPU time: some hundred times faster than asked for, so that a busy machine passes."""
    task = registry.get(name)
    items = task.items(Split.TRAIN, 250)
    pairs = [(gold_of(task, item), item) for item in items] + [("#" + "9" * 5000, item) for item in items]

    def seconds() -> float:
        start = time.process_time()
        for completion, item in pairs:
            task.score(completion, item)
        return time.process_time() - start

    best = min(seconds() for _ in range(5))
    record_property("scores_per_second", len(pairs) / max(best, 1e-9))
    assert best < len(pairs) / 2000


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

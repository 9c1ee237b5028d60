"""What every task must satisfy, as a suite to subclass: splits, determinism, and a verifier that cannot be fooled."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable

import pytest

from engine.domain.space import ParameterKind, Space, numeric
from tasks.base import Item, Split, Task, TaskError, split_of

MakeTask = Callable[[], Task]

JUNK = ("", " ", "#", "\n#\n", "</a>", "<a></a>", "0", "#0", "yes", "\x00", "NaN", "🙂" * 50)

NEAR_MISSES: dict[str, Callable[[str], str]] = {
    "truncated": lambda gold: gold[:-1],
    "something after the answer": lambda gold: gold + "x",
    "said twice": lambda gold: gold + gold,
    "reversed": lambda gold: gold[::-1],
    "the answer hedged": lambda gold: gold + "#" + gold,
}


class TaskConformance:
    """Subclass it with a fixture `make_task`: a function that makes the task, which must have `gold` completions."""

    def test_same_seed_gives_the_same_items_and_another_seed_gives_others(self, make_task: MakeTask) -> None:
        task, again = make_task(), make_task()
        assert task.items(Split.TRAIN, 40, seed=3) == again.items(Split.TRAIN, 40, seed=3)
        assert task.items(Split.TRAIN, 40, seed=3) != task.items(Split.TRAIN, 40, seed=4)

    def test_a_longer_list_begins_with_the_shorter_one(self, make_task: MakeTask) -> None:
        task = make_task()
        assert task.items(Split.TEST, 30)[:10] == task.items(Split.TEST, 10)

    def test_splits_share_no_prompt(self, make_task: MakeTask) -> None:
        task = make_task()
        prompts = {
            split: {item.prompt for item in task.items(split, 600, seed=split_seed)}
            for split_seed, split in enumerate(Split)
        }
        for split, texts in prompts.items():
            assert {split_of(prompt) for prompt in texts} == {split}
        assert not prompts[Split.TRAIN] & prompts[Split.VALIDATION]
        assert not prompts[Split.TRAIN] & prompts[Split.TEST]
        assert not prompts[Split.VALIDATION] & prompts[Split.TEST]

    def test_a_measurement_of_512_prompts_is_not_a_few_prompts_repeated(self, make_task: MakeTask) -> None:
        items = make_task().items(Split.VALIDATION, 512)
        assert len({item.prompt for item in items}) > 256

    def test_the_same_prompt_always_has_the_same_answer_check(self, make_task: MakeTask) -> None:
        task = make_task()
        first: dict[str, Item] = {}
        for item in task.items(Split.TRAIN, 600):
            known = first.setdefault(item.prompt, item)
            assert task.score(gold_of(task, item), known).correct

    def test_items_cross_processes_as_json(self, make_task: MakeTask) -> None:
        for item in make_task().items(Split.TRAIN, 20):
            assert json.loads(json.dumps(dict(item.data))) == dict(item.data)

    def test_gold_scores_one(self, make_task: MakeTask) -> None:
        task = make_task()
        for item in task.items(Split.VALIDATION, 200):
            reward = task.score(gold_of(task, item), item)
            assert reward.correct
            assert reward.total == 1.0

    @pytest.mark.parametrize(
        "junk", ["", " ", "#", "\n#\n", "</a>", "<a></a>", "0", "#0", "yes", "\x00", "NaN", "🙂" * 50]
    )
    def test_junk_scores_zero(self, make_task: MakeTask, junk: str) -> None:
        task = make_task()
        for item in task.items(Split.VALIDATION, 50):
            if junk == "#" + item.answer:
                continue  # a bare answer is not junk: "#0" is right for a sum of 0
            reward = task.score(junk, item)
            assert not reward.correct
            assert reward.total <= 0.1

    @pytest.mark.parametrize("kind", NEAR_MISSES)
    def test_near_misses_are_not_correct(self, make_task: MakeTask, kind: str) -> None:
        task = make_task()
        for item in task.items(Split.VALIDATION, 100):
            gold = gold_of(task, item)
            reward = task.score(NEAR_MISSES[kind](gold), item)
            assert not reward.correct
            assert reward.total < 1.0

    def test_gold_of_another_item_with_another_answer_is_not_correct(self, make_task: MakeTask) -> None:
        task = make_task()
        items = task.items(Split.VALIDATION, 60)
        for item, other in itertools.pairwise(items):
            if item.answer != other.answer:
                assert not task.score(gold_of(task, other), item).correct

    def test_training_items_stay_within_the_difficulty_and_held_out_items_do_not_notice_it(
        self, make_task: MakeTask
    ) -> None:
        task = make_task()
        if task.levels is None:
            pytest.skip("no difficulty")
        levels = task.levels
        assert levels.lowest < levels.default <= levels.highest
        seen = {task.level(item) for item in task.items(Split.TRAIN, 600)}
        assert seen == set(range(levels.lowest, levels.highest + 1)), "untouched, every level occurs"
        for difficulty in (levels.lowest, levels.default):
            easier = task.configured({"difficulty": difficulty})
            assert {task.level(item) for item in easier.items(Split.TRAIN, 400)} == set(
                range(levels.lowest, difficulty + 1)
            )
            for split in (Split.VALIDATION, Split.TEST):
                assert easier.items(split, 100) == task.items(split, 100)
        assert task.difficulty is None, "configured() leaves the task alone"

    def test_a_difficulty_that_is_no_level_or_an_unknown_parameter_is_one_line(self, make_task: MakeTask) -> None:
        task = make_task()
        with pytest.raises(TaskError, match=r"has no parameter 'hardness'") as caught:
            task.configured({"hardness": 1})
        assert "\n" not in str(caught.value)
        for value in () if task.levels is None else (task.levels.lowest - 1, task.levels.highest + 1, 6.5):
            with pytest.raises(TaskError, match=rf"difficulty = {value} is not allowed; allowed: a whole number"):
                task.configured({"difficulty": value})

    def test_the_tasks_own_parameters_join_the_space_of_a_run(self, make_task: MakeTask) -> None:
        task = make_task()
        space = Space.build({}, task.space(), batch_size=32)
        own = [parameter for parameter in space if parameter.trl is None]
        assert [parameter.name for parameter in own] == list(task.parameters())
        if task.levels is not None:
            [difficulty] = own
            assert (difficulty.kind, difficulty.integer, difficulty.rising) == (ParameterKind.CAPACITY, True, True)
            assert (difficulty.low, difficulty.high) == (task.levels.lowest, task.levels.highest)
            start = numeric(space.default()["difficulty"])
            assert task.configured({"difficulty": start}).difficulty == task.levels.default

    def test_a_cpu_second_is_enough_for_2000_scores(
        self, make_task: MakeTask, record_property: Callable[[str, object], None]
    ) -> None:
        """The best of five, in CPU time: some hundred times faster than asked for, so that a busy machine passes."""
        task = make_task()
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


def gold_of(task: Task, item: Item) -> str:
    """A right completion; AssertionError where the task has none."""
    gold = task.gold(item)
    assert gold is not None, f"task {task.name} has no gold completion"
    return gold

"""The space: what a run file may say, and what may never leave a range."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.space import Intent, OptimizerState, ParameterScale, Space, Transition, Value, format_value, numeric
from engine.errors import UserError

KNIGHTS: dict[str, dict[str, Any]] = {
    "learning_rate": {"low": 1e-5, "high": 5e-4, "default": 1e-4},
    "beta": {"low": 0.0, "high": 0.1, "default": 0.0},
    "temperature": {"low": 0.7, "high": 1.3, "default": 1.0},
    "max_completion_length": {"low": 24, "high": 64, "default": 64},
    "num_generations": {"choices": [4, 8, 16], "default": 8},
}
DIFFICULTY: dict[str, dict[str, Any]] = {"difficulty": {"low": 6, "high": 12, "default": 6}}


def build(settings: dict[str, dict[str, Any]] | None = None, batch_size: int = 32) -> Space:
    return Space.build(settings or {}, KNIGHTS | DIFFICULTY, batch_size=batch_size)


SPACES = [
    Space.build({}, batch_size=32),
    build(),
    build({"learning_rate": {"fixed": 3e-5}, "beta": {"low": 0.01}, "epsilon_high": {}}),
    build({"temperature": {"choices": [0.8, 1.0, 1.2]}, "beta": {"fixed": 0}}, batch_size=8),
    build({"loss_type": {}, "scale_rewards": {"choices": ["none", "group"]}, "mask_truncated_completions": {}}),
]


def test_run_file_replaces_the_tasks_suggestion_which_replaces_the_general_default() -> None:
    space = build({"learning_rate": {"high": 2e-4}})
    rate = space["learning_rate"]
    assert (rate.low, rate.high, rate.default) == (1e-5, 2e-4, 1e-4)
    assert space["max_grad_norm"] == Space.build({}, batch_size=32)["max_grad_norm"]
    assert space["difficulty"].trl is None
    assert space["difficulty"].integer


def test_an_inherited_default_follows_a_narrower_range() -> None:
    assert build({"learning_rate": {"low": 2e-4}}).default()["learning_rate"] == 2e-4


def test_optional_parameters_are_searched_only_when_named() -> None:
    assert "epsilon_high" not in build()
    assert "epsilon_high" in build({"epsilon_high": {}})


def test_group_sizes_that_do_not_divide_the_batch_are_dropped_unless_asked_for() -> None:
    assert build(batch_size=24)["num_generations"].choices == (4, 8)
    with pytest.raises(UserError, match="batch of 30 completions is not divisible by the group size"):
        build({"num_generations": {"choices": [4, 8]}}, batch_size=30)
    with pytest.raises(UserError, match=r"not divisible by a group size of 4, 8, 16; allowed.*2, 3, 5, 6"):
        build(batch_size=30)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"learning_rat": {}}, r"\[space.learning_rat\] is unknown; nearest: learning_rate"),
        ({"learning_rate": {"hihg": 1}}, "has no key 'hihg'; nearest: high"),
        ({"learning_rate": {"low": 1e-3, "high": 1e-4}}, r"low = 0.001 is above high = 0.0001"),
        ({"learning_rate": {"high": 10}}, r"learning_rate\] high = 10 is not allowed; allowed: 1e-10 to 0.01"),
        ({"learning_rate": {"high": "1e-4"}}, "high = '1e-4' is not allowed; allowed: a number"),
        ({"learning_rate": {"low": True}}, "low = True is not allowed; allowed: a number"),
        ({"learning_rate": {"low": math.nan}}, "low = nan is not allowed; allowed: a number"),
        ({"learning_rate": {"default": 1e-3}}, "default = 0.001 is not allowed; allowed: 1e-5 to 5e-4"),
        ({"learning_rate": {"fixed": 1e-3, "low": 1e-4}}, "fixed = 0.001 leaves no room for low"),
        ({"learning_rate": {"fixed": 1.0}}, "fixed = 1.0 is not allowed"),
        ({"learning_rate": 3}, r"= 3 is not allowed; allowed: a table"),
        ({"max_completion_length": {"high": 60.5}}, "high = 60.5 is not allowed; allowed: a whole number"),
        ({"max_completion_length": {"default": 30.5}}, "default = 30.5 is not allowed; allowed: a whole number, 24"),
        ({"num_generations": {"choices": []}}, r"choices = \[\] is not allowed; allowed: a list of numbers"),
        ({"num_generations": {"choices": ["8"]}}, "choices = '8' is not allowed"),
        ({"num_generations": {"choices": [1, 8]}}, "choices = 1 is not allowed; allowed: 2 to 1024"),
        ({"num_generations": {"low": 17}}, "low = 17 leaves none of the choices 4, 8, 16"),
        ({"num_generations": {"fixed": 5}}, "not divisible by the group size; allowed: 2, 4, 8, 16, 32"),
        ({"num_generations": {"choices": [4], "low": 4}}, "gives choices and low; give one or the other"),
        ({"beta": {"low": 0.01, "default": 0}}, "default = 0 is not allowed; allowed: 0.01 to 0.1"),
        ({"difficulty": {"default": 99}}, "default = 99 is not allowed; allowed: a whole number, 6 to 12"),
        ({"loss_type": {"fixed": "ppo"}}, "fixed = 'ppo' is not allowed; allowed: dapo, grpo, .*, luspo, vespo"),
        ({"loss_type": {"choices": ["dapo", 3]}}, "choices = 3 is not allowed; allowed: dapo, grpo"),
        ({"loss_type": {"choices": "dapo"}}, "choices = 'dapo' is not allowed; allowed: a list of its values"),
        ({"loss_type": {"default": "luspo"}}, "default = 'luspo' is not allowed; allowed: dapo, grpo, dr_grpo"),
        ({"loss_type": {"low": 1}}, "has no key 'low'; nearest: "),
        ({"mask_truncated_completions": {"fixed": 1}}, "fixed = 1 is not allowed; allowed: false, true"),
        ({"mask_truncated_completions": {"fixed": "true"}}, "fixed = 'true' is not allowed; allowed: false, true"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_with_the_key_the_value_and_what_is_allowed(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message) as error:
        build(settings)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"default": 3}, "needs low and high, or choices"),
        ({"low": 0, "high": 1, "scale": "log"}, "low = 0 is not allowed on a log scale"),
        ({"low": 0, "high": 1, "kind": "size"}, "kinds: capacity, regularization"),
        ({"low": 0, "high": 1, "trl": "lr"}, "has no key 'trl'"),
    ],
)
def test_a_tasks_own_parameter_is_checked_too(table: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Space.build({}, {"difficulty": table}, batch_size=32)


@pytest.mark.parametrize(
    ("table", "given"),
    [
        ({"high": 100}, "high = 100"),
        ({"low": 0, "high": 9}, "low = 0, high = 9"),
        ({"fixed": 13}, "fixed = 13"),
        ({"choices": [3, 20]}, "choices = "),
    ],
)
def test_a_run_file_cannot_ask_a_task_for_what_it_has_not(table: dict[str, Any], given: str) -> None:
    own = {"difficulty": {"low": 3, "high": 12, "default": 6}}
    with pytest.raises(UserError) as refused:
        Space.build({"difficulty": table}, own, batch_size=32)
    assert str(refused.value).startswith(f"[space.difficulty] {given}")
    assert str(refused.value).endswith("is not allowed; the task allows a whole number, 3 to 12")
    assert Space.build({"difficulty": {"low": 4, "high": 11}}, own, batch_size=32)["difficulty"].high == 11


def test_a_tasks_own_parameter_may_carry_kind_scale_and_words() -> None:
    table = {"low": 1, "high": 100.0, "scale": "log", "kind": "regularization", "label": "d", "doc": "how hard"}
    parameter = Space.build({}, {"difficulty": table}, batch_size=32)["difficulty"]
    assert (parameter.label, parameter.doc, parameter.integer, parameter.default) == ("d", "how hard", False, 10)
    with pytest.raises(UserError, match="nearest: difficulty"):
        Space.build({"dificulty": {}}, {"difficulty": table}, batch_size=32)


@pytest.mark.parametrize("space", SPACES)
def test_default_configuration_is_valid_and_the_space_survives_json(space: Space) -> None:
    assert space.violations(space.default()) == ()
    assert Space.from_json(space.to_json()) == space


@given(st.sampled_from(SPACES), st.data())
def test_nothing_the_helpers_return_leaves_the_range(space: Space, data: st.DataObject) -> None:
    configuration = space.sample(random.Random(data.draw(st.integers(0, 10_000))))
    assert space.violations(configuration) == ()
    parameter = data.draw(st.sampled_from(space.parameters))
    by = data.draw(st.floats(-1e6, 1e6) if parameter.scale is not ParameterScale.LOG else st.floats(1e-6, 1e6))
    for value in (
        space.move(configuration, parameter.name, by),
        space.nearest(parameter.name, by),
    ):
        moved = space.apply(configuration, {parameter.name: value})
        assert space.violations(moved) == ()
        assert type(value) is int if parameter.integer else True
        assert isinstance(value, bool | str) == parameter.categorical


@given(st.sampled_from(SPACES), st.integers(0, 99), st.floats(1.01, 100))
def test_a_move_never_goes_the_other_way(space: Space, seed: int, factor: float) -> None:
    configuration = space.sample(random.Random(seed))
    for parameter in space:
        before = configuration[parameter.name]
        up, down = (factor, 1 / factor) if parameter.scale is ParameterScale.LOG else (factor, -factor)
        if not parameter.categorical:
            assert numeric(space.move(configuration, parameter.name, up)) >= numeric(before)
            assert numeric(space.move(configuration, parameter.name, down)) <= numeric(before)


def test_moves_round_and_reach_off() -> None:
    space = build()
    configuration = space.apply(space.default(), {"beta": 0.002})
    assert space.move(configuration, "learning_rate", 1 / 3) == 3.3e-5
    assert space.move(configuration, "beta", 0.1) == 0
    assert space.move(space.default(), "beta", 2) == 0.01  # geometric middle of 0.001 to 0.1
    assert space.move(configuration, "num_generations", 1) == 16
    assert space.move(configuration, "max_completion_length", 0.5) == 32
    assert space.move(configuration, "temperature", 0.2) == 1.2


def test_violations_name_every_fault() -> None:
    space = build()
    bad: dict[str, Any] = space.default() | {"learning_rate": 10.0, "beta": True, "betta": 0, "difficulty": 7.5}
    del bad["temperature"]
    lines = space.violations(bad)
    assert [line.split()[0] for line in lines] == ["betta", "learning_rate", "beta", "temperature", "difficulty"]
    assert "nearest: beta" in lines[0]
    assert lines[1] == "learning_rate = 10.0 is not allowed; allowed: 1e-5 to 5e-4"


def change(
    changes: dict[str, Any],
    intent: Intent = Intent.CHANGE,
    *,
    step: int = 50,
    label: str = "x",
    rationale: str = "y",
    optimizer: OptimizerState = OptimizerState.KEEP,
) -> Transition:
    return Transition(0, step, intent, changes, optimizer, label=label, rationale=rationale)


@pytest.mark.parametrize(
    ("transition", "message"),
    [
        (change({"lr": 1e-4}), "lr is no hyperparameter of this run"),
        (change({"learning_rate": 1.0}), "learning_rate = 1.0 is not allowed; allowed: 1e-5 to 5e-4"),
        (change({"learning_rate": "fast"}), "learning_rate = 'fast' is not allowed"),
        (change({"learning_rate": 1e-4}), "changes nothing"),
        (change({"learning_rate": 2e-4}, Intent.KEEP), "learning_rate would change"),
        (change({"learning_rate": 2e-4}, Intent.ANNEAL), "anneal lowers learning_rate"),
        (change({"learning_rate": 2e-4}, label=" "), "label is empty"),
        (change({"learning_rate": 2e-4}, label="x" * 25), "at most 24"),
        (change({"learning_rate": 2e-4}, label="\x1b[31m"), "one line"),
        (change({"learning_rate": 2e-4}, rationale=""), "rationale is empty"),
        (change({"learning_rate": 2e-4}, step=-1), "step = -1"),
    ],
)
def test_a_bad_transition_is_refused_with_the_reason(transition: Transition, message: str) -> None:
    space = build()
    lines = space.check_transition(space.default(), transition)
    assert len(lines) == 1
    assert message in lines[0]


@pytest.mark.parametrize(
    "transition",
    [
        change({"learning_rate": 2e-4, "difficulty": 9.0}),
        change({}, optimizer=OptimizerState.RESET),
        change({}, Intent.KEEP),
        change({}, Intent.ROOT),
        change({"learning_rate": 3e-5}, Intent.ANNEAL),
    ],
)
def test_a_good_transition_passes(transition: Transition) -> None:
    space = build()
    assert space.check_transition(space.default(), transition) == ()
    assert type(space.apply(space.default(), transition.changes)["difficulty"]) is int


def test_labels_say_what_changes_in_24_characters() -> None:
    space = build()
    parent = space.default()
    assert space.describe(parent, {"learning_rate": 2e-4, "beta": 0.02}) == "lr↑ kl .02"
    assert space.describe(parent, {"learning_rate": parent["learning_rate"]}) == "continue"
    everything = {"learning_rate": 2e-4, "beta": 0.02, "temperature": 1.2, "num_generations": 16, "difficulty": 9}
    assert space.describe(parent, {n: everything[n] for n in list(everything)[:4]}) == "lr↑ kl↑ temp↑ group↑"
    assert len(space.describe(parent, everything)) == 24


@pytest.mark.parametrize(
    ("value", "text"),
    [(1e-4, "1e-4"), (2.5e-5, "2.5e-5"), (0.02, "0.02"), (1.0, "1"), (1.25, "1.25"), (0, "0"), (48, "48")],
)  # fmt: skip
def test_values_are_short(value: float, text: str) -> None:
    assert format_value(value) == text


def rising_difficulty(settings: dict[str, dict[str, Any]] | None = None) -> Space:
    suggested = {"difficulty": {"low": 3, "high": 12, "default": 6, "rising": True}}
    return Space.build(settings or {}, suggested, batch_size=32)


def test_a_rising_parameter_never_falls_below_the_parents_except_in_a_root() -> None:
    space = rising_difficulty()
    easier = change({"difficulty": 5, "learning_rate": 1e-5})
    [line] = space.check_transition(space.default(), easier)
    assert line.startswith("difficulty = 5 is below the parent's 6, and difficulty only rises; rising = false in")
    assert space.check_transition(space.default(), change({"difficulty": 9, "learning_rate": 1e-5})) == ()
    assert space.check_transition(space.default(), replace(easier, intent=Intent.ROOT)) == ()


def test_a_run_file_may_let_a_rising_parameter_fall_or_keep_any_from_falling() -> None:
    space = rising_difficulty({"difficulty": {"rising": False}, "max_completion_length": {"rising": True}})
    assert space.check_transition(space.default(), change({"difficulty": 5})) == ()
    assert space.check_transition(space.default(), change({"max_completion_length": 100})) != ()
    assert Space.from_json(space.to_json()) == space
    with pytest.raises(UserError, match=r"\[space.difficulty\] rising = 1 is not allowed; allowed: true, false"):
        rising_difficulty({"difficulty": {"rising": 1}})


# ---- categories ----------------------------------------------------------------------------------------------------


def test_a_category_takes_its_own_names_and_truth_values_only() -> None:
    space = build({"loss_type": {"choices": ["dr_grpo", "luspo"]}, "mask_truncated_completions": {}})
    loss, mask = space["loss_type"], space["mask_truncated_completions"]
    assert (loss.default, loss.allowed, mask.default, mask.allowed) == (
        "dr_grpo",
        "dr_grpo, luspo",
        False,
        "false, true",
    )
    assert loss.allows("luspo")
    assert not loss.allows("dapo")
    assert not mask.allows(0)
    assert not mask.allows("false")
    assert space.default()["loss_type"] == "dr_grpo"


def test_a_change_of_a_category_is_checked_and_named() -> None:
    space = build({"loss_type": {}, "mask_truncated_completions": {}})
    before = space.default()

    def change(**changes: Value) -> Transition:
        return Transition(0, 50, Intent.CHANGE, changes, label="x", rationale="y")

    assert space.check_transition(before, change(loss_type="dr_grpo", mask_truncated_completions=True)) == ()
    [wrong] = space.check_transition(before, change(loss_type="ppo"))
    assert wrong == "loss_type = 'ppo' is not allowed; allowed: dapo, grpo, dr_grpo, bnpo, cispo, sapo"
    assert space.describe(before, {"loss_type": "dr_grpo", "mask_truncated_completions": True}) == (
        "loss dr_grpo mask true"
    )
    long: dict[str, Value] = {"loss_type": "dr_grpo", "mask_truncated_completions": True, "learning_rate": 5e-5}
    assert space.describe(before, long) == "loss→ mask→ lr↓"


def test_moving_along_a_category_comes_round() -> None:
    space = build({"scale_rewards": {}})
    values = [space.move({"scale_rewards": "batch"}, "scale_rewards", by) for by in (-1, 0, 1, 2)]
    assert values == ["group", "batch", "none", "group"]


def test_what_a_human_types_is_read_as_the_parameter_writes_it() -> None:
    space = build({"loss_type": {}, "mask_truncated_completions": {}})
    assert space["mask_truncated_completions"].read(" true ") is True
    assert space["loss_type"].read("dr_grpo") == "dr_grpo"
    assert space["num_generations"].read("8") == 8
    with pytest.raises(ValueError, match="could not convert"):
        space["learning_rate"].read("fast")

"""Where training continues, the task's difficulty follows the training reward."""

from __future__ import annotations

import pytest

from engine.domain.space import Intent, Space, Transition
from engine.domain.tree import NodeState
from engine.search.base import BudgetLeft, Expansion
from engine.search.lineage import Lineage
from engine.search.registry import make
from engine.testing.trees import TreeBuilder
from tasks.registry import get

STEPS = 1200
SPACE = Space.build({}, get("ladder").space(), batch_size=32)


def asked(tree: TreeBuilder, strategy: str = "llmzero", space: Space = SPACE, **settings: float) -> Expansion:
    search = make(strategy, seed=0, segment_steps=50, roots=1, space=space, **settings)
    expansion = search.ask(tree.tree, BudgetLeft(STEPS - tree.spent, tree.spent / STEPS))
    assert expansion is not None
    return expansion


def trained(reward: float, level: float = 6) -> TreeBuilder:
    """One root run whose segment ended with this training reward."""
    tree = TreeBuilder(configuration={**SPACE.default(), "difficulty": level})
    tree.roots(0.3)
    tree.tree.set_reward(1, reward)
    return tree


def test_prompts_get_harder_where_most_are_solved_and_the_reason_says_why() -> None:
    moved = asked(trained(0.9))
    assert (moved.intent, moved.parent, moved.changes) == (Intent.CURRICULUM, 1, {"difficulty": 7})
    assert "mean training reward 0.900, target 0.5: difficulty 6 → 7" in moved.reason


@pytest.mark.parametrize(("reward", "then"), [(0.6, 6), (0.66, 7), (0.9, 7)])
def test_in_a_narrow_range_of_whole_numbers_a_reward_far_from_its_target_moves_by_one(reward: float, then: int) -> None:
    narrow = Space.build({}, get("chain").space(), batch_size=32)
    tree = TreeBuilder(configuration=narrow.default())
    assert tree.tree.root.configuration["difficulty"] == 6
    tree.roots(0.3)
    tree.tree.set_reward(1, reward)
    assert asked(tree, space=narrow).changes == ({"difficulty": then} if then > 6 else None)


@pytest.mark.parametrize("reward", [0.5, 0.1])
def test_prompts_stay_where_half_are_solved_and_never_get_easier_where_the_space_only_rises(reward: float) -> None:
    assert SPACE["difficulty"].rising
    assert asked(trained(reward)).intent is Intent.KEEP


def test_prompts_get_easier_where_the_space_allows_it_and_hardly_any_are_solved() -> None:
    free = Space.build({"difficulty": {"rising": False}}, get("ladder").space(), batch_size=32)
    assert asked(trained(0.0), space=free).changes == {"difficulty": 4}


@pytest.mark.parametrize("strategy", ["llmzero", "adarft"])
def test_a_range_that_a_human_narrowed_holds_from_then_on(strategy: str) -> None:
    space = Space.build({}, get("ladder").space(), batch_size=32)
    search = make(strategy, seed=0, segment_steps=50, **({"roots": 1} if strategy == "llmzero" else {}), space=space)
    tree = trained(0.9, level=8)
    wished = search.ask(tree.tree, BudgetLeft(STEPS - tree.spent, tree.spent / STEPS))
    assert wished is not None
    assert wished.changes
    space.become(Space.build({"difficulty": {"high": 8}}, get("ladder").space(), batch_size=32))
    held = search.ask(tree.tree, BudgetLeft(STEPS - tree.spent, tree.spent / STEPS))
    assert held is not None
    assert not held.changes


def test_a_rate_of_zero_and_the_nulls_have_no_curriculum() -> None:
    assert asked(trained(0.9), curriculum_rate=0).intent is Intent.KEEP
    assert asked(trained(0.9), "keep-only").intent is Intent.KEEP
    assert asked(trained(0.9), "random-changes").intent is Intent.KEEP


def test_a_task_without_a_difficulty_is_continued_as_it_is() -> None:
    plain = Space.build({}, batch_size=32)
    assert asked(trained(0.9), space=plain).intent is Intent.KEEP


def test_where_a_human_refused_the_curriculum_training_continues_unchanged() -> None:
    tree = trained(0.9)
    tree.add(1, Intent.CURRICULUM, 0.0, NodeState.REJECTED)
    assert asked(tree).intent is Intent.KEEP


def test_the_main_branch_goes_on_through_the_curriculum() -> None:
    tree = trained(0.9)
    moved = tree.add(1, Intent.CURRICULUM, 0.4)
    lineage = Lineage(tree.tree)
    branch = lineage.main_branch(tree.tree[1], trial_steps=100, window=50, errors=2.0)
    assert [node.id for node in branch] == [1, moved]
    assert not lineage.continuation_closed(tree.tree[1])


def test_a_curriculum_moves_nothing_but_the_difficulty() -> None:
    here = SPACE.default()
    wrong = Transition(1, 50, Intent.CURRICULUM, {"learning_rate": 1e-5}, label="lr", rationale="why")
    assert "a curriculum moves the task's difficulty alone, but learning_rate would change" in str(
        SPACE.check_transition(here, wrong)
    )
    assert not SPACE.check_transition(
        here, Transition(1, 50, Intent.CURRICULUM, {"difficulty": 8}, label="difficulty 8", rationale="why")
    )

"""What every search strategy promises, whatever tree it is shown: budget, determinism, resumption, open places only."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.domain.score import Score
from engine.domain.space import Intent, Transition
from engine.domain.tree import Checkpoint, Node, NodeState, Tree
from engine.errors import UserError
from engine.search.base import BudgetLeft, SearchStrategy, segment_length, shortest_segment
from engine.search.registry import NAMES, make
from engine.simulation.search import Simulation
from engine.testing.simulation import SPACE, World
from engine.testing.strategies import SEGMENT_STEPS, CheckedStrategy, StrategyConformance
from engine.testing.trees import bushy
from tests.unit.calls import calls_of

EXTRAS = {"tpe": "optuna", "cmaes": "cmaes"}
SCHEDULE = (
    {"steps": 40, "configuration": {"learning_rate": 2e-4}},
    {"steps": 7, "configuration": {"max_completion_length": 48}, "optimizer": "reset"},
    {"steps": 60, "reference": "branch point"},
    {"steps": 100},
)
SETTINGS: dict[str, dict[str, Any]] = {"replay": {"stages": SCHEDULE}}
"""Of the strategies that cannot do without."""
FROM_EARLIER = ("llmzero", "keep-only", "random-changes", "pbt")
"""Strategies that branch from earlier checkpoints, too, of which there are fewer where files are deleted."""
INSTALLED = [name for name in NAMES if name not in EXTRAS or importlib.util.find_spec(EXTRAS[name])]


def strategy(name: str) -> SearchStrategy:
    return make(name, seed=3, segment_steps=SEGMENT_STEPS, space=SPACE, **SETTINGS.get(name, {}))


class TestShippedStrategies(StrategyConformance):
    """Each keeps the promises of every strategy."""

    @pytest.fixture(params=INSTALLED)
    def make_strategy(self, request: pytest.FixtureRequest) -> Callable[[], SearchStrategy]:
        return partial(strategy, request.param)


@st.composite
def histories(draw: st.DrawFn) -> Tree:
    """Any tree a run with faults, deleted files and a human's prunes and rejections could have left."""
    root = Node(0, None, SPACE.default(), NodeState.FINISHED, checkpoints=(Checkpoint(0, Score(64, 5, 5)),))
    tree = Tree(root)
    for node_id in range(1, draw(st.integers(1, 14))):
        places = [(n, c.step) for n in tree for c in n.checkpoints]
        parent, step = draw(st.sampled_from(places))
        intents = [Intent.ROOT] if parent.id == 0 else [Intent.KEEP, Intent.CHANGE, Intent.ANNEAL]
        if any(c.state.failed for c in tree.children(parent.id)):
            intents.append(Intent.REPAIR)
        transition = Transition(parent.id, step, draw(st.sampled_from(intents)))
        state = draw(st.sampled_from([NodeState.FINISHED] * 5 + list(NodeState)))
        start = parent.start_steps + step
        tree.add(Node(node_id, transition, SPACE.default(), state, start, planned_steps=50))
        if state in (NodeState.FINISHED, NodeState.EARLY_STOPPED, NodeState.STOPPED, NodeState.RUNNING):
            for at in (25, 50):
                correct = draw(st.integers(0, 64))
                tree.add_checkpoint(node_id, Checkpoint(at, Score(64, correct, correct), draw(st.integers(0, 5)) > 0))
            tree.set_steps(node_id, 50)
    for node in list(tree):
        if node.id and draw(st.integers(0, 9)) == 0:
            tree.prune(node.id)
    return tree


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(INSTALLED), histories(), st.integers(1, 2000), st.floats(0, 1))
def test_any_history_is_answered_with_an_open_place(name: str, tree: Tree, left: int, spent: float) -> None:
    budget = BudgetLeft(left, spent)
    expansion = CheckedStrategy(partial(strategy, name)).ask(tree, budget)
    if expansion is not None and expansion.intent is Intent.CHANGE:
        here = [c for c in tree.children(expansion.parent) if c.state is not NodeState.REJECTED]
        assert len(here) < 4 or "no other branch point is open" in expansion.reason


@cache
def tree_of(nodes: int) -> Tree:
    return bushy(nodes, SPACE)


@pytest.mark.parametrize("name", INSTALLED)
def test_a_question_takes_hardly_more_in_a_tree_ten_times_as_large(name: str) -> None:
    asking = strategy(name)
    if name == "llmzero":  # the way through the bounds costs most
        asking = make(name, seed=3, segment_steps=50, explore_share=1.0)
    small, large = (
        calls_of(partial(asking.ask, tree, BudgetLeft(50_000, 0.9))) for tree in (tree_of(1_000), tree_of(10_000))
    )
    if name == "replay":  # its schedule is at an end: it looks at every node for one that can be trained on
        assert large <= 12 * small
    else:
        assert large <= 2 * small
        assert large < 20_000


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", [n for n in INSTALLED if n not in FROM_EARLIER])
def test_a_branch_goes_on_whatever_files_behind_its_end_were_deleted(name: str, seed: int) -> None:
    def edges(keep: int) -> list[Transition | None]:
        search = Simulation(strategy(name), World(seed, prompts=64), SPACE, 1200, 1, SEGMENT_STEPS, seed, keep=keep)
        return [node.transition for node in search.run().tree]

    assert edges(1) == edges(1000)


def test_unknown_names_and_settings_are_one_line() -> None:
    with pytest.raises(UserError, match=r"search\.strategy = 'llmzer' is unknown; nearest: llmzero"):
        make("llmzer", seed=0, segment_steps=50)
    with pytest.raises(UserError, match="unknown key explore_shar; did you mean explore_share"):
        make("llmzero", seed=0, segment_steps=50, explore_shar=1)
    with pytest.raises(UserError, match="unknown key segments; known here: none"):
        make("fixed", seed=0, segment_steps=50, segments=1)


@given(st.integers(1, 200), st.integers(0, 2000))
def test_no_segment_is_too_short_and_no_remainder_is_left_lying(size: int, available: int) -> None:
    least = shortest_segment(size)
    lengths = []
    left = available
    while steps := segment_length(size, left):
        lengths.append(steps)
        left -= steps
    assert left < least
    assert all(least <= steps < size + least for steps in lengths)
    assert left == 0 or not lengths  # only a budget that is smaller than one segment leaves any
    assert segment_length(size, available, first=True) == (lengths[0] if lengths else available)

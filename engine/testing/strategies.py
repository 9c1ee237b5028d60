"""What every search strategy promises, as a suite to subclass: budget, determinism, resumption, open places only."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from engine.domain.score import Score
from engine.domain.space import Intent
from engine.domain.tree import Checkpoint, Node, NodeState, Tree
from engine.search.base import BudgetLeft, Expansion, SearchStrategy, shortest_segment
from engine.simulation.search import Simulation
from engine.testing.simulation import SPACE, World

SEGMENT_STEPS = 50
FAULTS = (
    NodeState.OUT_OF_MEMORY,
    NodeState.NAN,
    NodeState.CRASHED,
    NodeState.HUNG,
    NodeState.EARLY_STOPPED,
    NodeState.STOPPED,
)

MakeStrategy = Callable[[], SearchStrategy]


class StrategyConformance:
    """Subclass it with a fixture `make_strategy`: a function that makes the strategy for segments of SEGMENT_STEPS and
    the space `engine.testing.simulation.SPACE`. It is called often, as after a resume."""

    @pytest.mark.parametrize("workers", [1, 2, 5])
    @pytest.mark.parametrize("faulty", [False, True])
    @pytest.mark.parametrize("steps", [30, 120, 600, 1230])
    def test_spends_the_budget_exactly_and_keeps_every_promise_on_the_way(
        self, make_strategy: MakeStrategy, workers: int, faulty: bool, steps: int
    ) -> None:
        fault = unlucky if faulty else healthy
        tree = simulate(CheckedStrategy(make_strategy), 1, steps, workers, fault).run().tree
        assert steps - shortest_segment(SEGMENT_STEPS) < sum(n.steps for n in tree) <= steps
        for node in tree:
            repairs = [c for c in tree.children(node.id) if c.transition and c.transition.intent is Intent.REPAIR]
            failures = [c for c in tree.children(node.id) if c.state.failed and c not in repairs]
            assert len(repairs) <= len(failures), "more repairs than failures"

    def test_the_same_run_twice_gives_the_same_tree(self, make_strategy: MakeStrategy) -> None:
        trees = [simulate(make_strategy(), 2, 600, 2, unlucky).run().tree for _ in range(2)]
        assert list(trees[0]) == list(trees[1])

    def test_nothing_is_asked_before_the_base_is_scored_or_after_the_budget_is_spent(
        self, make_strategy: MakeStrategy
    ) -> None:
        unscored = Tree(Node(0, None, SPACE.default(), NodeState.FINISHED))
        assert make_strategy().ask(unscored, BudgetLeft(500, 0.0)) is None
        scored = Tree(Node(0, None, SPACE.default(), NodeState.FINISHED, checkpoints=(Checkpoint(0, Score(64, 5, 5)),)))
        assert make_strategy().ask(scored, BudgetLeft(0, 1.0)) is None
        assert make_strategy().ask(scored, BudgetLeft(10**9, 0.0)) is not None


class CheckedStrategy(SearchStrategy):
    """Holds every answer of a strategy against the promises; AssertionError where one is broken."""

    def __init__(self, make: MakeStrategy) -> None:
        self._make = make
        self._strategy = make()

    def ask(self, tree: Tree, budget: BudgetLeft) -> Expansion | None:
        expansion = self._strategy.ask(tree, budget)
        assert expansion == self._make().ask(rebuilt(tree), budget), "another answer after a resume"
        if expansion is None:
            in_flight = any(n.state.in_flight for n in tree)
            assert budget.steps < shortest_segment(SEGMENT_STEPS) or in_flight, "idle with budget left"
        else:
            assert_place_is_open(tree, expansion, budget)
        return expansion


def simulate(
    strategy: SearchStrategy, seed: int, steps: int, workers: int, fault: Callable[[Node], NodeState | None]
) -> Simulation:
    """A run of so many GRPO steps in a simulated world; `fault` says how a segment ends badly, or None."""
    return Simulation(strategy, World(seed, prompts=64), SPACE, steps, workers, SEGMENT_STEPS, seed=seed, fault=fault)


def healthy(node: Node) -> NodeState | None:
    """No segment fails."""
    return None


def unlucky(node: Node) -> NodeState | None:
    """One segment in four ends badly, the same ones every time."""
    rng = random.Random(f"fault/{node.id}")
    return rng.choice(FAULTS) if rng.random() < 0.25 else None


def rebuilt(tree: Tree) -> Tree:
    """The tree as it comes out of the database: the same nodes, nothing else."""
    again = Tree(tree.root)
    for node in tree:
        if node.id != tree.root.id:
            again.add(node)
    return again


def assert_place_is_open(tree: Tree, expansion: Expansion, left: BudgetLeft) -> None:
    """The expansion has room in the budget, one line of reason, and branches from where one may."""
    parent = tree[expansion.parent]
    assert 1 <= expansion.steps <= left.steps
    assert expansion.reason
    assert "\n" not in expansion.reason
    for node_id, step in ((expansion.parent, expansion.step), *expansion.candidates):
        node = tree[node_id]
        assert not node.pruned
        ended_well = not node.state.in_flight and not node.state.failed
        assert ended_well or expansion.intent is Intent.REPAIR  # below what a human branched off a running node
        assert any(c.step == step and c.kept for c in node.checkpoints)
    assert (expansion.intent is Intent.ROOT) == (parent.id == tree.root.id) or expansion.intent is Intent.REPAIR
    if expansion.intent.continues:
        already = [c for c in tree.children(parent.id) if c.transition and c.transition.intent.continues]
        already = [c for c in already if c.state is not NodeState.REJECTED]
        assert not already, "continued twice"
    _assert_repair(tree, expansion)


def _assert_repair(tree: Tree, expansion: Expansion) -> None:
    if expansion.failed is None:
        assert expansion.intent is not Intent.REPAIR
        return
    failed = tree[expansion.failed]
    assert failed.state.failed
    assert failed.transition is not None
    assert failed.transition.intent is not Intent.REPAIR
    assert (failed.transition.parent, failed.transition.step) == (expansion.parent, expansion.step)

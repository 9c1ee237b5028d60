"""What a tree backs up of its subtrees equals a plain recursion whatever happened, and what a rebuilt tree has."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.domain.score import Score
from engine.domain.space import Intent, Transition
from engine.domain.subtrees import POINTS, UNSCORED
from engine.domain.tree import Checkpoint, Node, NodeState, Tree
from engine.testing.strategies import rebuilt
from tests.unit.calls import calls_of

STEPS = (25, 50)


def base() -> Tree:
    return Tree(Node(0, None, {}, NodeState.FINISHED, checkpoints=(Checkpoint(0, Score(64, 5, 5)),)))


def add(tree: Tree, parent: int, step: int, state: NodeState, intent: Intent) -> None:
    tree.add(Node(len(tree), Transition(parent, step, intent), {}, state, planned_steps=50))


def change(tree: Tree, draw: st.DrawFn) -> None:
    """One of all the ways in which a tree changes."""
    node_id, step = draw(st.integers(0, len(tree) - 1)), draw(st.sampled_from(STEPS))
    state, intent = draw(st.sampled_from(NodeState)), draw(st.sampled_from(Intent))
    number = draw(st.integers(0, 64))
    ways = {
        "add": lambda: add(tree, node_id, step, state, intent),
        "score": lambda: tree.add_checkpoint(node_id, Checkpoint(step, Score(64, number, 64 - number))),
        "look": lambda: tree.add_checkpoint(node_id, Checkpoint(step, Score(16, number // 4, 3))),
        "state": lambda: tree.set_state(node_id, state),
        "steps": lambda: tree.set_steps(node_id, number),
        "planned": lambda: tree.set_planned(node_id, number),
        "reward": lambda: tree.set_reward(node_id, number / 64),
        "prune": lambda: tree.prune(node_id),
        "cut": lambda: tree.cut(node_id, step - 25),
        "forget": lambda: tree.forget_files(node_id, step),
    }
    ways[draw(st.sampled_from([*ways, "add", "add", "score", "state"]))]()


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    tree = base()
    for _ in range(draw(st.integers(0, 25))):
        change(tree, draw)
    return tree


def happened(node: Node) -> bool:
    return node.state is not NodeState.REJECTED


def lives(tree: Tree, node: Node) -> bool:
    """By the words: in flight, or to be gone on from at its own end or, where its files are gone, somewhere below."""
    if node.pruned or node.state not in (NodeState.FINISHED, NodeState.STOPPED):
        return not node.pruned and node.state.in_flight
    return any(c.kept for c in node.checkpoints) or any(lives(tree, child) for child in tree.children(node.id))


def assert_backed_up(tree: Tree) -> None:
    found = tree.subtrees
    for node in tree:
        below = tree.subtree(node.id)
        scored = [n for n in below if n.checkpoints]
        own = [n for n in below if not n.pruned and any(c.kept for c in n.checkpoints)]
        total = sum((Fraction(n.measured[-1].score.value) for n in scored), Fraction(0))
        assert found.visits[node.id] == sum(map(happened, below))
        assert found.planned[node.id] == sum(n.planned_steps for n in below if happened(n))
        assert found.claimed[node.id] == sum(
            n.planned_steps if n.state.in_flight else n.steps for n in below if happened(n)
        )
        assert found.scored[node.id] == len(scored)
        assert found.points[node.id] == total * POINTS
        assert found.places[node.id] == sum(
            n.state in (NodeState.FINISHED, NodeState.STOPPED, NodeState.EARLY_STOPPED) for n in own
        )
        assert found.highest[node.id] == max((c.score.value for n in scored for c in n.measured), default=UNSCORED)
        assert (node.id in found.living) == lives(tree, node)
        assert found.depths[node.id] == len(tree.path(node.id)) - 1
        assert found.root_runs[node.id] == [n.id for n in tree.path(node.id)][:2][-1]
    assert found.values == sorted(c.score.value for n in tree for c in n.measured)
    assert tree.in_flight == [n for n in tree if n.state.in_flight]
    assert tree.failed == [n for n in tree if n.state.failed]
    assert tree.annealed == [n for n in tree if n.transition and n.transition.intent is Intent.ANNEAL]


def assert_same(tree: Tree, other: Tree) -> None:
    assert list(tree) == list(other)
    assert vars(tree.subtrees) == vars(other.subtrees)
    assert (tree.in_flight, tree.failed, tree.annealed) == (other.in_flight, other.failed, other.annealed)
    assert tree.best() == other.best()


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(trees())
def test_whatever_happens_to_a_tree_all_that_is_backed_up_equals_a_plain_recursion_and_a_rebuilt_tree(
    tree: Tree,
) -> None:
    assert_backed_up(tree)
    assert_same(tree, rebuilt(tree))
    assert_same(tree, Tree.of(tree))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(trees(), st.data())
def test_a_copy_without_leaves_is_the_tree_that_never_had_them_and_changes_alone(
    tree: Tree, data: st.DataObject
) -> None:
    before = rebuilt(tree)
    leaves = [n.id for n in tree if n.id and not tree.children(n.id)]
    left_out = data.draw(st.sets(st.sampled_from(leaves))) if leaves else set()
    rest = tree.without(left_out)
    expected = Tree(tree.root)
    for node in tree:
        if node.id and node.id not in left_out:
            expected.add(node)
    assert_same(rest, expected)
    rest.add_checkpoint(0, Checkpoint(75, Score(64, 64, 64)))
    rest.set_state(0, NodeState.CRASHED)
    rest.prune(0)
    assert_same(tree, before)


@pytest.mark.parametrize("told", ["steps", "reward"])
def test_a_step_that_a_worker_tells_is_told_to_its_node_alone(told: str) -> None:
    def calls(depth: int) -> int:
        tree = base()
        for node_id in range(depth):
            add(tree, node_id, 0, NodeState.FINISHED, Intent.KEEP)
        tree.set_state(depth, NodeState.RUNNING)
        tell = tree.set_steps if told == "steps" else tree.set_reward
        return calls_of(lambda: tell(depth, 7) or tree)

    assert calls(500) == calls(5)

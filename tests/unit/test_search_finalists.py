"""Finalists for the second look, and the snapshots that a soup is made of."""

from __future__ import annotations

from engine.domain.score import Score
from engine.domain.space import Intent, Transition
from engine.domain.tree import Checkpoint, Node, NodeState, Tree
from engine.search.finalists import finalists, soup


def line(*values: int) -> Tree:
    """A line of segments of 50 steps, two checkpoints each, `values` correct of 100 at every checkpoint in order."""
    tree = Tree(Node(0, None, {}, NodeState.FINISHED, checkpoints=(Checkpoint(0, Score(100, 10, 10)),)))
    for i in range(0, len(values), 2):
        node_id, parent = len(tree), len(tree) - 1
        transition = Transition(parent, 50 if parent else 0, Intent.KEEP)
        tree.add(Node(node_id, transition, {}, NodeState.FINISHED, 25 * i, 50, 50))
        for step, correct in zip((25, 50), values[i : i + 2], strict=True):
            tree.add_checkpoint(node_id, Checkpoint(step, Score(100, correct, correct)))
    return tree


def test_the_best_checkpoint_of_each_of_the_best_nodes() -> None:
    tree = line(20, 30, 60, 40, 50, 55, 15, 15)
    assert [(n.id, c.step) for n, c in finalists(tree)] == [(2, 25), (3, 50), (1, 50)]
    assert [(n.id, c.step) for n, c in finalists(tree, k=1)] == [(2, 25)]


def test_checkpoints_without_files_and_rejected_nodes_are_no_finalists() -> None:
    tree = line(20, 30, 60, 40)
    tree.forget_files(2, 25)
    assert [(n.id, c.step) for n, c in finalists(tree, k=2)] == [(2, 50), (1, 50)]
    tree.set_state(2, NodeState.REJECTED)
    assert [n.id for n, _ in finalists(tree)] == [1, 0]


def test_the_base_is_a_finalist_when_nothing_beats_it() -> None:
    assert [n.id for n, _ in finalists(line(5, 5))] == [0, 1]


def test_a_soup_takes_the_last_snapshots_of_the_line_newest_first() -> None:
    tree = line(*(70 + i % 3 for i in range(16)))
    found = soup(tree, 8)
    assert len(found) == 12
    assert found[:3] == [(8, 50), (8, 25), (7, 50)]
    assert soup(tree, 2) == [(2, 50), (2, 25), (1, 50), (1, 25)]


def test_a_dip_is_in_the_soup_and_the_climb_is_not() -> None:
    tree = line(10, 20, 30, 50, 75, 78, 60, 80, 79, 62)
    assert soup(tree, 5) == [(5, 50), (5, 25), (4, 50), (4, 25), (3, 50), (3, 25)]
    assert soup(line(10, 20, 30, 50, 75, 78), 3) == []


def test_a_short_line_makes_no_soup_and_the_base_is_never_in_it() -> None:
    assert soup(line(20, 30), 1) == []
    assert soup(line(20, 30), 1, least=1) == [(1, 50), (1, 25)]


def test_what_lies_beyond_a_branch_is_not_on_the_line() -> None:
    tree = line(70, 72, 74, 75, 60, 70)
    tree.add(Node(4, Transition(2, 25, Intent.CHANGE), {}, NodeState.FINISHED, 75, 50, 50))
    for step in (25, 50):
        tree.add_checkpoint(4, Checkpoint(step, Score(100, 80, 80)))
    assert soup(tree, 4) == [(4, 50), (4, 25), (2, 25), (1, 50), (1, 25)]
    tree.forget_files(2, 25)
    assert (2, 25) not in soup(tree, 4)

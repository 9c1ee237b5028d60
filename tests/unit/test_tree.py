"""The tree: its counts against a naive recount, its incumbent, and what it refuses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.score import Score
from engine.domain.space import Intent, KLReference, Transition, recorded_reference
from engine.domain.tree import Checkpoint, Node, NodeState, Tree
from tests.unit.calls import calls_of


def base(score: Score | None = None) -> Tree:
    checkpoints = (Checkpoint(0, score),) if score else ()
    return Tree(Node(0, None, {"learning_rate": 1e-4}, NodeState.FINISHED, checkpoints=checkpoints))


def child(node_id: int, parent: int, state: NodeState = NodeState.PROPOSED) -> Node:
    return Node(node_id, Transition(parent, 0, Intent.CHANGE), {"learning_rate": 1e-4}, state)


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    tree = base(Score(64, 5, 5))
    for node_id in range(1, draw(st.integers(1, 25))):
        tree.add(child(node_id, draw(st.integers(0, node_id - 1))))
        for step in draw(st.sets(st.sampled_from([25, 50, 75]))):
            correct = draw(st.integers(0, 64))
            tree.add_checkpoint(node_id, Checkpoint(step, Score(64, correct, 64 - correct)))
    for _ in range(draw(st.integers(0, 20))):
        tree.set_state(draw(st.integers(0, len(tree) - 1)), draw(st.sampled_from(NodeState)))
    return tree


@given(trees())
def test_kept_counts_equal_a_recount(tree: Tree) -> None:
    for node in tree:
        below = tree.subtree(node.id)
        assert tree.visits(node.id) == sum(n.state is not NodeState.REJECTED for n in below)
        assert tree.depth(node.id) == len(tree.path(node.id)) - 1
    scored = [(n.id, c) for n in tree for c in n.checkpoints]
    node, checkpoint = tree.best()
    assert checkpoint.score.value == max(c.score.value for _, c in scored)
    assert (node.id, checkpoint.step) == max(
        ((i, c.step) for i, c in scored if c.score.value == checkpoint.score.value),
        key=lambda pair: (-pair[0], pair[1]),
    )


@given(trees())
def test_every_node_is_reached_once_from_the_root(tree: Tree) -> None:
    ids = [n.id for n in tree.subtree(0)]
    assert sorted(ids) == list(range(len(tree)))
    assert all(n.parent is None or ids.index(n.parent) < ids.index(n.id) for n in tree)


def test_telling_a_checkpoint_twice_changes_nothing() -> None:
    tree = base()
    tree.add(child(1, 0))
    tree.add_checkpoint(1, Checkpoint(50, Score(64, 9, 9)))
    tree.add_checkpoint(1, Checkpoint(25, Score(64, 5, 5)))
    tree.add_checkpoint(1, Checkpoint(50, Score(64, 60, 60)))
    assert [(c.step, c.score.greedy) for c in tree[1].checkpoints] == [(25, 5), (50, 9)]
    assert tree.best()[1].score.greedy == 9


def test_a_deleted_checkpoint_keeps_its_score() -> None:
    tree = base()
    tree.add(child(1, 0))
    tree.add_checkpoint(1, Checkpoint(50, Score(64, 9, 9)))
    tree.forget_files(1, 50)
    node, checkpoint = tree.best()
    assert (node.id, checkpoint.kept, checkpoint.score.greedy) == (1, False, 9)


def test_nothing_scored_is_an_error() -> None:
    with pytest.raises(ValueError, match="no scored checkpoint"):
        base().best()


@pytest.mark.parametrize(("node_id", "parent"), [(1, 0), (2, 7)])
def test_an_id_taken_or_a_parent_unknown_is_refused(node_id: int, parent: int) -> None:
    tree = base()
    tree.add(child(1, 0))
    with pytest.raises(ValueError, match="in the tree"):
        tree.add(child(node_id, parent))


def test_only_a_node_that_has_not_begun_can_be_replanned() -> None:
    tree = base()
    tree.add(child(1, 0))
    tree.add(child(2, 1))
    tree.replan(2, Transition(1, 0, Intent.KEEP), {"learning_rate": 2e-4})
    assert tree[2].configuration["learning_rate"] == 2e-4
    with pytest.raises(ValueError, match="cannot be changed to a child of 0"):
        tree.replan(2, Transition(0, 0, Intent.KEEP), {})
    tree.set_state(2, NodeState.RUNNING)
    with pytest.raises(ValueError, match="running"):
        tree.replan(2, Transition(1, 0, Intent.KEEP), {})


def test_pruning_closes_everything_below() -> None:
    tree = base()
    for node_id, parent in ((1, 0), (2, 1), (3, 0)):
        tree.add(child(node_id, parent))
    tree.prune(1)
    assert [n.pruned for n in tree] == [False, True, True, False]


def line(*edges: tuple[Intent, KLReference]) -> Tree:
    """Nodes one below the other, each from step 50 of the one before."""
    tree = base()
    for node_id, (intent, reference) in enumerate(edges, start=1):
        place = Transition(node_id - 1, 50, intent, reference=reference)
        tree.add(Node(node_id, place, {}, NodeState.FINISHED))
    return tree


KEEP, BASE, BRANCH = KLReference


@pytest.mark.parametrize(
    ("references", "place"),
    [
        ([KEEP], None),
        ([BRANCH], None),  # the branch point is the base
        ([BRANCH, KEEP], None),
        ([KEEP, BRANCH], (1, 50)),
        ([KEEP, BRANCH, KEEP, KEEP], (1, 50)),
        ([KEEP, BRANCH, KEEP, BRANCH], (3, 50)),
        ([KEEP, BRANCH, BASE, KEEP], None),
        ([KEEP, BRANCH, BASE, KEEP, BRANCH], (4, 50)),
    ],
)
@pytest.mark.parametrize("intent", [Intent.KEEP, Intent.CURRICULUM, Intent.CHANGE, Intent.REPAIR, Intent.ANNEAL])
def test_the_reference_is_the_parents_until_it_is_moved_or_reset(
    references: list[KLReference], place: tuple[int, int] | None, intent: Intent
) -> None:
    tree = line(*[(intent, reference) for reference in references])
    assert tree.reference(len(references)) == place
    assert not tree.moves_reference(len(references), KEEP)
    assert tree.moves_reference(len(references), BRANCH)
    assert tree.moves_reference(len(references), BASE) == (place is not None)


def test_the_reference_of_a_line_of_thousands_is_found() -> None:
    tree = line((Intent.KEEP, KEEP), (Intent.CHANGE, BRANCH), *[(Intent.KEEP, KEEP)] * 1_500)
    assert tree.reference(1_502) == (1, 50)


@pytest.mark.parametrize("intent", Intent)
def test_a_segment_that_went_on_before_keep_was_a_word_moved_nothing(intent: Intent) -> None:
    goes_on = intent in (Intent.KEEP, Intent.CURRICULUM, Intent.ANNEAL)
    assert recorded_reference("branch point", intent) == (KEEP if goes_on else BRANCH)
    assert recorded_reference("foreign \x1b", "words") == "foreign \x1b"
    assert [recorded_reference(each, intent) for each in ("base", "keep")] == [BASE, KEEP]


@given(st.integers(1, 2000), st.data())
def test_steering_value_lies_between_the_two_accuracies(n: int, data: st.DataObject) -> None:
    score = Score(n, data.draw(st.integers(0, n)), data.draw(st.integers(0, n)))
    low, high = sorted((score.greedy / n, score.sampled / n))
    assert low - 1e-12 <= score.value <= high + 1e-12
    assert score.standard_error > 0
    assert not score.trails(score)


def test_visits_and_incumbent_of_ten_thousand_nodes_are_known_and_not_counted() -> None:
    n = 10_000
    tree = base(Score(64, 5, 5))
    for node_id in range(1, n):
        tree.add(child(node_id, (node_id - 1) // 3, NodeState.FINISHED))
    assert tree.visits(0) == n
    assert calls_of(lambda: tree.visits(0)) < 10
    assert calls_of(tree.best) < 20

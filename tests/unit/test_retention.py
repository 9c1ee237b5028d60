"""Checkpoints on disk: what can still be branched from stays, the rest goes."""

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.controller.retention import SPARE_BYTES, discard, missing_bytes, policies_only, superfluous
from engine.domain.score import Score
from engine.domain.space import Intent, Transition
from engine.domain.tree import Checkpoint, Node, NodeState, Tree
from engine.training.events import MANIFEST


def tree_of(parents: list[int], scores: list[int], states: list[NodeState] | None = None) -> Tree:
    """A tree whose node i+1 hangs below parents[i] with checkpoints at steps 5 and 10; scores are out of 100."""
    tree = Tree(Node(0, None, {}, NodeState.FINISHED, checkpoints=(Checkpoint(0, Score(100, 10, 10)),)))
    for i, (parent, score) in enumerate(zip(parents, scores, strict=True), start=1):
        step = tree[parent].checkpoints[-1].step
        points = (Checkpoint(5, Score(100, score // 2, score // 2)), Checkpoint(10, Score(100, score, score)))
        state = states[i - 1] if states else NodeState.FINISHED
        tree.add(Node(i, Transition(parent, step, Intent.KEEP), {}, state, checkpoints=points))
    return tree


def test_the_incumbents_line_and_live_leaves_stay() -> None:
    tree = tree_of([0, 1, 0], [50, 80, 30])
    gone = superfluous(tree, keep=1)
    assert gone == [(3, 5)]  # node 3 is a leaf: its end may be trained on, its middle may not


def test_a_checkpoint_that_cannot_be_deleted_whole_is_none_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (MANIFEST, "model.safetensors"):
        (tmp_path / "checkpoint-5" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "checkpoint-5" / name).write_text("x")
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)  # the engine is killed before it begins
    discard(tmp_path / "checkpoint-5")
    assert [each.name for each in (tmp_path / "checkpoint-5").iterdir()] == ["model.safetensors"]
    monkeypatch.undo()
    discard(tmp_path / "checkpoint-5")
    discard(tmp_path / "checkpoint-5")
    assert list(tmp_path.iterdir()) == []


def test_the_middle_of_a_dead_branch_goes_and_its_end_stays_only_as_a_leaf() -> None:
    tree = tree_of([0, 1, 0, 3], [50, 80, 30, 40])
    assert set(superfluous(tree, keep=1)) == {(3, 5), (3, 10), (4, 5)}


def test_what_a_waiting_segment_branches_from_stays() -> None:
    tree = tree_of([0, 1, 0, 3], [50, 80, 30, 40])
    tree.add(Node(5, Transition(3, 5, Intent.CHANGE), {}, NodeState.PROPOSED))
    assert (3, 5) not in superfluous(tree, keep=1)


def test_the_end_that_changes_were_tried_from_stays_until_it_is_continued() -> None:
    tree = tree_of([0, 1, 0], [50, 80, 30])
    change = (Checkpoint(5, Score(100, 20, 20)), Checkpoint(10, Score(100, 25, 25)))
    tree.add(Node(4, Transition(3, 10, Intent.CHANGE), {}, NodeState.FINISHED, checkpoints=change))
    assert (3, 10) not in superfluous(tree, keep=1)
    tree.add(Node(5, Transition(3, 10, Intent.KEEP), {}, NodeState.FINISHED, checkpoints=change))
    assert (3, 10) in superfluous(tree, keep=1)


def test_of_many_ends_that_were_only_changed_the_newest_stay() -> None:
    tree = tree_of([0], [80])
    few = (Checkpoint(5, Score(100, 20, 20)), Checkpoint(10, Score(100, 25, 25)))
    for number in range(2, 12):
        place = Transition(number - 1, 10, Intent.CHANGE)
        tree.add(Node(number, place, {}, NodeState.FINISHED, checkpoints=few))
    kept = {n.id for n in tree} - {node_id for node_id, step in superfluous(tree, keep=1) if step == 10}
    assert kept == {0, 1, 7, 8, 9, 10, 11}


def test_a_pruned_leaf_goes() -> None:
    tree = tree_of([0, 0], [80, 30])
    tree.prune(2)
    assert set(superfluous(tree, keep=1)) == {(2, 5), (2, 10)}


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 100)), min_size=1, max_size=30), st.integers(1, 10))
def test_the_best_are_never_deleted_and_the_root_never_named(shape: list[tuple[int, int]], keep: int) -> None:
    tree = tree_of([parent % (i + 1) for i, (parent, _) in enumerate(shape)], [score for _, score in shape])
    gone = set(superfluous(tree, keep))
    best, checkpoint = tree.best()
    assert (best.id, checkpoint.step) not in gone
    assert all(node_id != 0 for node_id, _ in gone)
    for node in tree.path(best.id):
        assert not gone & {(node.id, c.step) for c in node.checkpoints}


def test_room_is_counted_in_bytes(tmp_path: Path) -> None:
    assert missing_bytes(tmp_path, checkpoint_bytes=0, checkpoints=1) == 0
    assert missing_bytes(tmp_path, checkpoint_bytes=2**60, checkpoints=1) > 2**60
    assert SPARE_BYTES > 0


def test_of_a_pruned_subtree_only_policies_stay() -> None:
    tree = tree_of([0, 1, 0, 3], [50, 80, 30, 90])
    tree.prune(3)
    assert set(policies_only(tree)) == {(3, 5), (3, 10), (4, 5), (4, 10)}
    tree.forget_files(3, 5)
    assert (3, 5) not in policies_only(tree)


def test_where_a_segment_begins_that_is_under_way_the_optimizers_state_stays() -> None:
    tree = tree_of([0, 0], [50, 80])
    tree.add(Node(3, Transition(2, 10, Intent.KEEP), {}, NodeState.RUNNING))
    tree.prune(2)
    assert set(policies_only(tree)) == {(2, 5)}


def test_what_is_not_pruned_keeps_its_optimizers_state() -> None:
    assert (
        policies_only(tree_of([0, 1, 0], [50, 80, 30], [NodeState.FINISHED, NodeState.CRASHED, NodeState.STOPPED]))
        == []
    )

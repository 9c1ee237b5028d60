"""What each peer and null does on the synthetic world; the promises common to all are in the conformance suite."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from engine.controller.jobs import attempt
from engine.search.registry import make
from engine.space import Intent, Transition
from engine.tree import Node, State, Tree
from tests.unit.simulation import SPACE, Simulation, World


def grown(name: str, steps: int = 1200, seed: int = 1, **settings: Any) -> Tree:
    strategy = make(name, seed=seed, segment_steps=50, space=SPACE, **settings)
    return Simulation(strategy, World(seed, prompts=256), steps, seed=seed).run().tree


def line(tree: Tree, node: Node) -> list[Node]:
    return list(tree.path(node.id))[1:]


def test_continue_races_four_constants_equally_trains_the_winner_on_and_anneals_the_last_hundred_steps() -> None:
    tree = grown("continue")
    roots = tree.children(0)
    assert [sum(n.steps for n in tree.subtree(r.id) if n.total_steps <= 200) for r in roots] == [200] * 4
    assert dict(roots[0].configuration) == SPACE.default()
    last = max(tree, key=lambda n: n.total_steps)
    assert last.total_steps == 600
    path = line(tree, last)
    assert [n.transition.intent for n in path if n.transition] == [Intent.ROOT, *[Intent.KEEP] * 9, Intent.ANNEAL]
    assert path[-1].steps == 100
    rates = [n.configuration["learning_rate"] for n in path]
    assert len(set(rates[:-1])) == 1
    assert rates[-1] == SPACE.move(path[0].configuration, "learning_rate", 0.3)


def test_continue_trains_on_the_constant_that_scored_best_at_the_end_of_the_race() -> None:
    tree = grown("continue")
    ends = {n.id: n for n in tree if n.total_steps == 200 and n.steps == 50}
    scores = {i: sum(c.score.greedy + 2 * c.score.sampled for c in n.checkpoints) for i, n in ends.items()}
    assert max(scores, key=lambda i: scores[i]) in {n.id for n in line(tree, max(tree, key=lambda n: n.total_steps))}


def test_keep_only_never_changes_a_value_and_has_the_shape_of_our_tree() -> None:
    tree = grown("keep-only")
    assert {tuple(n.configuration.items()) for n in tree} == {tuple(SPACE.default().items())}
    intents = {n.transition.intent for n in tree if n.transition}
    assert {Intent.ROOT, Intent.KEEP, Intent.CHANGE} <= intents


def test_siblings_with_the_same_settings_are_trained_with_different_seeds() -> None:
    tree = grown("keep-only")
    for node in tree:
        children = [c for c in tree.children(node.id) if c.transition]
        replayed, attempts = Tree(replace(node, transition=None)), []
        for child in children:
            assert child.transition is not None
            attempts.append((child.transition.step, attempt(replayed, child.transition)))
            replayed.add(child)
        assert len(set(attempts)) == len(attempts)


def test_a_rejected_proposal_does_not_shift_the_seed_of_its_control() -> None:
    root = grown("keep-only").root
    tree, keep = Tree(root), Transition(0, 0, Intent.ROOT)
    tree.add(Node(1, keep, SPACE.default(), State.REJECTED))
    assert attempt(tree, keep) == 0
    tree.add(Node(2, keep, SPACE.default(), State.FINISHED))
    assert attempt(tree, keep) == 1
    assert attempt(tree, Transition(0, 0, Intent.ROOT, {"temperature": 0.9})) == 0


def test_random_changes_begins_with_the_default_and_stays_in_the_space() -> None:
    tree = grown("random-changes")
    assert dict(tree.children(0)[0].configuration) == SPACE.default()
    for node in tree:
        assert not SPACE.violations(node.configuration)
    changed = [n for n in tree if n.transition and n.transition.intent is Intent.CHANGE]
    assert changed
    assert all(len(n.transition.changes) <= 3 for n in changed if n.transition)

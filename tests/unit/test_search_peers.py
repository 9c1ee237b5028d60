"""What each peer and null does on the synthetic world; the promises common to all are in the conformance suite."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from engine.controller.job_builder import attempt
from engine.domain.score import Score
from engine.domain.space import Intent, Parameter, ParameterKind, ParameterScale, Space, Transition
from engine.domain.tree import Checkpoint, Node, NodeState, Tree
from engine.search.base import BudgetLeft
from engine.search.lineage import Lineage
from engine.search.nulls import random_changes
from engine.search.optimizers import decode, encode
from engine.search.peer import SearchSituation
from engine.search.registry import make
from engine.simulation.search import Simulation
from engine.testing.advisors import SPACES
from engine.testing.simulation import SPACE, World
from engine.testing.trees import TreeBuilder

PEERS = ("topk", "asha", "hyperband", "pbt", "tpe", "cmaes", "random", "grid", "adarft", "skill")
EXTRAS = {"tpe": "optuna", "cmaes": "cmaes"}


def grown(name: str, steps: int = 1200, seed: int = 1, **settings: Any) -> Tree:
    strategy = make(name, seed=seed, segment_steps=50, space=SPACE, **settings)
    return Simulation(strategy, World(seed, prompts=256), SPACE, steps, seed=seed).run().tree


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
    tree = grown("keep-only", explore_share=1 / 3)
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
    tree.add(Node(1, keep, SPACE.default(), NodeState.REJECTED))
    assert attempt(tree, keep) == 0
    tree.add(Node(2, keep, SPACE.default(), NodeState.FINISHED))
    assert attempt(tree, keep) == 1
    assert attempt(tree, Transition(0, 0, Intent.ROOT, {"temperature": 0.9})) == 0


def test_random_changes_begins_with_the_default_and_stays_in_the_space() -> None:
    tree = grown("random-changes", explore_share=1 / 3)
    assert dict(tree.children(0)[0].configuration) == SPACE.default()
    for node in tree:
        assert not SPACE.violations(node.configuration)
    changed = [n for n in tree if n.transition and n.transition.intent is Intent.CHANGE]
    assert changed
    assert all(len(n.transition.changes) <= 3 for n in changed if n.transition)


def test_a_random_change_changes_something() -> None:
    rises: dict[str, Any] = {"low": 3, "high": 12, "default": 12, "kind": "capacity", "rising": True}
    for space in (SPACE, Space.build({}, {"difficulty": rises, "size": rises}, batch_size=32)):
        here = space.default()
        for seed in range(200):
            changes = random_changes(space, here, random.Random(seed))
            assert 1 <= len(changes) <= 3
            assert all(value != here[name] for name, value in changes.items())
    fixed = SPACES["all fixed"]
    assert random_changes(fixed, fixed.default(), random.Random(0)) == {}


def test_a_repair_that_a_human_refused_leaves_the_place_of_the_next_alone() -> None:
    grown = TreeBuilder(base=0.1)
    failed = [grown.add(0, Intent.ROOT, 0, NodeState.CRASHED) for _ in range(2)]
    grown.add(0, Intent.REPAIR, 0, NodeState.REJECTED)
    repaired = grown.add(0, Intent.REPAIR, 0.3)
    situation = SearchSituation(Lineage(grown.tree), BudgetLeft(500, 0.5), 0, 50)
    assert situation.starts == [None, grown.tree[repaired]]
    assert failed == [1, 2]


def roots(tree: Tree) -> list[Node]:
    return [n for n in tree.children(0) if n.transition and n.transition.intent is Intent.ROOT]


def lane_steps(tree: Tree, root: Node) -> int:
    return sum(n.steps for n in tree.subtree(root.id))


@pytest.mark.parametrize(
    "name", ["topk", "asha", "hyperband", "pbt", "tpe", "cmaes", "random", "grid", "adarft", "skill"]
)
def test_the_first_configuration_of_every_peer_is_the_default(name: str) -> None:
    if name in EXTRAS:
        pytest.importorskip(EXTRAS[name])
    tree = grown(name, steps=300)
    assert dict(tree.children(0)[0].configuration) == SPACE.default()
    assert all(not SPACE.violations(n.configuration) for n in tree)


def test_topk_trains_on_the_best_three_of_twelve_equally() -> None:
    tree = grown("topk")
    first = roots(tree)
    assert len(first) == 12
    best = sorted(first, key=lambda n: (-n.checkpoints[-1].score.value, n.id))[:3]
    assert [lane_steps(tree, n) for n in best] == [250, 250, 250] or sum(lane_steps(tree, n) for n in best) == 750
    assert all(lane_steps(tree, n) == 50 for n in first if n not in best)


def test_pbt_replaces_its_worst_member_by_a_perturbed_copy_of_its_best_after_every_generation() -> None:
    tree = grown("pbt")
    generations = {k: [n for n in tree if n.total_steps == 50 * k and n.transition] for k in range(1, 7)}
    assert [len(nodes) for nodes in generations.values()] == [4] * 6
    for k in range(2, 7):
        before = sorted(generations[k - 1], key=lambda n: (-n.checkpoints[-1].score.value, n.id))
        parents = [n.parent for n in generations[k]]
        assert parents.count(before[0].id) == 2
        assert before[-1].id not in parents
        (copy,) = [n for n in generations[k] if n.transition and n.transition.intent is Intent.CHANGE]
        assert copy.parent == before[0].id
        assert copy.transition
        assert copy.transition.changes


def test_asha_trains_few_configurations_long_and_those_were_the_best_of_their_rung() -> None:
    tree = grown("asha")
    first = roots(tree)
    lengths = {n.id: lane_steps(tree, n) for n in first}
    assert set(lengths.values()) <= {50, 100, 150, 200, 250, 300, 350, 400, 450}
    long = [n for n in first if lengths[n.id] >= 150]
    assert 1 <= len(long) <= len(first) / 2
    worst = min(first, key=lambda n: n.checkpoints[-1].score.value)
    assert lengths[worst.id] == 50


def test_hyperband_runs_its_first_bracket_as_one_two_and_four_segments() -> None:
    tree = grown("hyperband")
    bracket = roots(tree)[:4]
    assert sorted(lane_steps(tree, n) for n in bracket) == [50, 50, 100, 200]


@pytest.mark.parametrize("name", ["tpe", "cmaes"])
def test_a_model_of_the_space_finds_a_better_configuration_than_its_first_ones(name: str) -> None:
    pytest.importorskip(EXTRAS[name])
    gains = []
    for seed in range(3):
        tree = grown(name, steps=3600, seed=seed)
        values = [max(c.score.value for n in tree.subtree(r.id) for c in n.checkpoints) for r in roots(tree)]
        gains.append(sum(values[-8:]) / 8 - sum(values[1:9]) / 8)
    assert sum(gains) / 3 > 0


def test_skill_follows_one_line_and_asks_the_advisor_after_every_segment() -> None:
    tree = grown("skill", steps=600)
    nodes = [n for n in tree if n.transition]
    assert [n.parent for n in nodes] == list(range(len(nodes)))
    assert [n.transition.intent for n in nodes if n.transition] == [Intent.ROOT, *[Intent.CHANGE] * (len(nodes) - 1)]


def test_adarft_raises_the_difficulty_while_the_reward_is_high_and_lowers_it_while_it_is_low() -> None:
    space = Space(
        [
            *SPACE,
            Parameter(
                "difficulty",
                "level",
                ParameterKind.CAPACITY,
                3,
                12,
                6,
                ParameterScale.LINEAR,
                "",
                integer=True,
                rising=True,
            ),
        ]
    )
    strategy = make("adarft", seed=0, segment_steps=50, space=space)
    for reward, there in ((0.9, 7), (0.1, 5), (0.5, None), (None, None)):
        score = Score(64, 9, 9)
        tree = Tree(Node(0, None, space.default(), NodeState.FINISHED, checkpoints=(Checkpoint(0, score),)))
        tree.add(Node(1, Transition(0, 0, Intent.ROOT), space.default(), NodeState.FINISHED, 0, 50, 50, reward=reward))
        tree.add_checkpoint(1, Checkpoint(50, score))
        wish = strategy.ask(tree, BudgetLeft(500, 0.1))
        assert wish is not None
        assert (wish.parent, wish.changes) == (1, {} if there is None else {"difficulty": there})


def test_a_point_of_the_unit_cube_is_the_configuration_it_was_made_from() -> None:
    for number in range(200):
        configuration = SPACE.sample(random.Random(number))
        assert decode(SPACE, encode(SPACE, configuration)) == pytest.approx(configuration, rel=0.02)

"""The llmzero search on trees built by hand: who stays in the race, what earns its place, when the end begins."""

from __future__ import annotations

from statistics import fmean

import pytest

from engine.domain.space import Intent
from engine.domain.tree import Checkpoint, NodeState
from engine.search.base import BudgetLeft, Expansion
from engine.search.lineage import Lineage, score_at, scores_along
from engine.search.llmzero import LLMZero
from engine.search.registry import make
from engine.simulation.search import Simulation
from engine.testing.simulation import SPACE, World, intents
from engine.testing.trees import TreeBuilder, score

STEPS = 2400


class Grown(TreeBuilder):
    """A tree under construction that llmzero is asked about."""

    def ask(self, left: int | None = None, workers: int = 1, **settings: float) -> Expansion | None:
        spent = self.spent
        steps = STEPS - spent if left is None else left
        return make("llmzero", seed=0, segment_steps=50, **settings).ask(  # type: ignore[arg-type]
            self.tree, BudgetLeft(steps, spent / STEPS, workers=workers)
        )

    def asked(self, left: int | None = None, workers: int = 1, **settings: float) -> tuple[Intent, int, int]:
        """What is asked for: intent, parent, step."""
        expansion = self.ask(left, workers, **settings)
        assert expansion is not None
        return expansion.intent, expansion.parent, expansion.step


# ---- the race ------------------------------------------------------------------------------------------------------


def test_roots_come_first_and_no_more_than_wanted() -> None:
    grown = Grown()
    for _ in range(4):
        assert grown.asked() == (Intent.ROOT, 0, 0)
        grown.roots(0.2)
    assert grown.asked()[0] is Intent.KEEP


@pytest.mark.parametrize(("total", "roots"), [(100, 1), (250, 1), (300, 2), (600, 2), (1200, 3), (1400, 4), (5000, 4)])
def test_a_small_budget_races_fewer_roots(total: int, roots: int) -> None:
    grown = Grown()
    while grown.asked(total - sum(n.steps for n in grown.tree))[0] is Intent.ROOT:
        grown.roots(0.2)
    assert len(grown.tree) - 1 == roots


def test_fewer_roots_than_asked_for_are_explained() -> None:
    few, all_of_them = Grown().ask(300), Grown().ask(5000)
    assert few is not None
    assert all_of_them is not None
    assert "search.roots asks for 4; 300 steps are divided among 2" in few.reason
    assert "asked for" not in all_of_them.reason


def test_after_one_segment_what_trails_the_base_is_dropped() -> None:
    grown = Grown(base=0.2)
    a, b, c, d = grown.roots(0.24, 0.21, 0.19, 0.02)
    for expected in (a, b, c):
        assert grown.asked() == (Intent.KEEP, expected, 50)
        grown.continued(expected, 0.3)
    assert grown.asked()[1] != d


def test_a_root_run_that_leads_clearly_after_one_segment_has_won() -> None:
    grown = Grown(base=0.2)
    a, *_ = grown.roots(0.5, 0.3, 0.25, 0.21)
    assert grown.asked() == (Intent.KEEP, a, 50)
    second = grown.continued(a, 0.55)[-1]
    assert grown.asked() == (Intent.KEEP, second, 50)


def test_two_roots_go_on_even_when_all_are_worse_than_the_base() -> None:
    grown = Grown(base=0.5)
    _, b, c, _ = grown.roots(0.01, 0.06, 0.08, 0.02)
    assert grown.asked() == (Intent.KEEP, b, 50)
    grown.continued(b, 0.1)
    assert grown.asked() == (Intent.KEEP, c, 50)


def test_the_slow_starter_stays_until_it_trails_clearly() -> None:
    grown = Grown()
    a, b, c, d = grown.roots(0.2, 0.15, 0.14, 0.14)
    second = {node: grown.continued(node, value)[-1] for node, value in ((a, 0.24), (b, 0.2), (c, 0.13), (d, 0.12))}
    assert grown.asked() == (Intent.KEEP, second[a], 50)  # the leader
    third = grown.continued(second[a], 0.25)[-1]
    assert grown.asked() == (Intent.KEEP, second[b], 50)  # the slow one is still in
    risen = grown.continued(second[b], 0.27)[-1]
    assert grown.asked() == (Intent.KEEP, third, 50)
    grown.continued(third, 0.26)
    won = grown.continued(risen, 0.7)[-1]
    assert grown.asked() == (Intent.KEEP, won, 50)  # and wins


def test_while_a_root_is_in_flight_one_that_is_not_behind_runs_ahead() -> None:
    grown = Grown()
    a, *_ = grown.roots(0.4, 0.2, 0.2)
    grown.add(0, Intent.ROOT, 0, NodeState.RUNNING)
    assert grown.asked() == (Intent.KEEP, a, 50)
    grown.add(a, Intent.KEEP, 0, NodeState.RUNNING)
    assert grown.asked()[:2] == (Intent.CHANGE, a)  # not one of those that trail


# ---- the line and its challengers ----------------------------------------------------------------------------------


def raced() -> tuple[Grown, int]:
    """A race of four segments, won by #1; the end of its line."""
    grown = Grown()
    a, b, c, d = grown.roots(0.2, 0.15, 0.12, 0.12)
    line_a, line_b = grown.continued(a, 0.3), grown.continued(b, 0.25)
    grown.continued(c, 0.12)
    grown.continued(d, 0.12)
    grown.continued(line_b[-1], 0.28, 0.24)
    return grown, grown.continued(line_a[-1], 0.34, 0.5)[-1]


def test_after_the_race_the_line_goes_on_unchanged() -> None:
    grown, tip = raced()
    assert grown.asked() == (Intent.KEEP, tip, 50)


def test_while_it_improves_nothing_goes_beside_the_line_but_a_share_that_is_asked_for() -> None:
    grown, tip = raced()
    grown.continued(tip, 0.55, 0.6, 0.65)
    assert grown.asked(explore_share=1 / 3)[0] is Intent.CHANGE
    assert grown.asked()[0] is Intent.KEEP


def test_while_the_line_trains_a_change_is_tried_beside_it() -> None:
    grown, tip = raced()
    grown.add(tip, Intent.KEEP, 0, NodeState.RUNNING)
    expansion = grown.ask()
    assert expansion is not None
    assert (expansion.intent, expansion.parent) == (Intent.CHANGE, tip)
    assert expansion.candidates
    assert f"#{len(grown.tree) - 1} is still training" in expansion.reason


def challenged(*values: float) -> tuple[Grown, int, int]:
    """The line at .52, .54 after the race, and a change beside it with `values`: the tree, both ends."""
    grown, tip = raced()
    line = grown.continued(tip, 0.52, 0.54)
    change = grown.add(tip, Intent.CHANGE, values[0])
    return grown, line[-1], [change, *grown.continued(change, *values[1:])][-1]


def test_a_promising_change_is_measured_over_a_second_segment() -> None:
    grown, line, change = challenged(0.6)
    grown.add(line, Intent.KEEP, 0, NodeState.RUNNING)
    assert grown.asked() == (Intent.KEEP, change, 50)


def test_a_change_that_trails_clearly_is_not() -> None:
    grown, line, change = challenged(0.3)
    grown.add(line, Intent.KEEP, 0, NodeState.RUNNING)
    expansion = grown.ask()
    assert expansion is not None
    assert (expansion.intent is Intent.CHANGE, expansion.parent != change) == (True, True)


@pytest.mark.parametrize(("second", "goes_on"), [(0.56, "line"), (0.75, "change")])
def test_a_change_takes_the_line_over_only_by_two_standard_errors(second: float, goes_on: str) -> None:
    grown, line, change = challenged(0.55, second)
    asked = grown.asked(explore_share=0.0)
    assert asked == (Intent.KEEP, line if goes_on == "line" else change, 50)


def test_one_segment_is_not_enough_to_take_the_line_over() -> None:
    grown, line, _ = challenged(0.9)
    assert grown.asked(explore_share=0.0) == (Intent.KEEP, line, 50)


def test_a_stalled_line_revives_the_parked_root() -> None:
    grown, tip = raced()
    grown.continued(tip, 0.5, 0.5, 0.5)
    parked = next(n.id for n in grown.tree if n.id != 0 and grown.tree.path(n.id)[1].id == 2 and n.start_steps == 150)
    assert grown.asked(stall_segments=2) == (Intent.KEEP, parked, 50)


def test_what_a_human_refused_below_the_parked_root_counts_as_no_step_spent() -> None:
    grown, tip = raced()
    grown.continued(tip, 0.5, 0.5, 0.5)
    parked = grown.asked(stall_segments=2)[1]
    before = grown.ask(stall_segments=2)
    grown.add(parked, Intent.CHANGE, 0.5, NodeState.REJECTED)
    assert grown.ask(stall_segments=2) == before


def test_on_a_stall_alternatives_and_the_line_take_turns() -> None:
    grown, tip = raced()
    line = grown.continued(tip, 0.5, 0.5, 0.5)
    beside = grown.asked(stall_segments=2)
    assert beside[1] != line[-1]
    grown.continued(beside[1], 0.3)
    assert grown.asked(stall_segments=2) == (Intent.KEEP, line[-1], 50)
    grown.continued(line[-1], 0.5)
    assert grown.asked(stall_segments=2)[0] is Intent.CHANGE


def test_a_main_branch_goes_on_whatever_files_behind_its_end_were_deleted() -> None:
    grown, tip = raced()
    wished = grown.asked()
    for node in grown.tree.path(tip)[1:-1]:
        for checkpoint in node.checkpoints:
            grown.tree.forget_files(node.id, checkpoint.step)
    assert wished[:2] == (Intent.KEEP, tip)
    assert grown.asked() == wished


def test_where_the_files_of_an_end_are_gone_the_branch_goes_through_the_change_that_was_tried_there() -> None:
    grown, tip = raced()
    change = grown.add(tip, Intent.CHANGE, 0.1)
    for checkpoint in grown.tree[tip].checkpoints:
        grown.tree.forget_files(tip, checkpoint.step)
    assert grown.asked(explore_share=0.0)[:2] == (Intent.KEEP, change)


def test_a_winner_whose_rivals_dropped_out_is_not_its_own_runner_up() -> None:
    grown = Grown()
    best, second = grown.roots(0.22, 0.20)
    grown.add(best, Intent.KEEP, 0.05, NodeState.EARLY_STOPPED)
    grown.continued(second, *[0.3] * 9)
    assert grown.asked(roots=2)[0] is Intent.CHANGE  # it stalls, and nothing was spent beside it yet


def test_where_keeping_on_was_stopped_a_change_follows() -> None:
    grown, tip = raced()
    grown.add(tip, Intent.KEEP, 0.2, NodeState.EARLY_STOPPED)
    assert grown.asked(explore_share=0.0)[0] is Intent.CHANGE


def test_a_pruned_line_hands_over_to_the_other_roots() -> None:
    grown, _ = raced()
    grown.tree.prune(1)
    expansion = grown.ask()
    assert expansion is not None
    assert grown.tree.path(expansion.parent)[1].id in (2, 3)  # of which the race is held again


# ---- failures ------------------------------------------------------------------------------------------------------


def test_a_failure_is_repaired_once_and_then_its_place_is_left_alone() -> None:
    grown, tip = raced()
    failed = grown.add(tip, Intent.KEEP, 0, NodeState.NAN)
    expansion = grown.ask()
    assert expansion is not None
    assert (expansion.intent, expansion.parent, expansion.step, expansion.failed) == (Intent.REPAIR, tip, 50, failed)
    grown.add(tip, Intent.REPAIR, 0, NodeState.NAN)
    assert grown.asked()[0] is Intent.CHANGE


def test_a_failure_that_was_pruned_takes_no_repair_from_another_at_its_place() -> None:
    grown, tip = raced()
    grown.tree.prune(grown.add(tip, Intent.CHANGE, 0, NodeState.CRASHED))
    grown.add(tip, Intent.KEEP, 0, NodeState.NAN)
    repaired = grown.add(tip, Intent.REPAIR, 0.55)
    assert Lineage(grown.tree).failures == []
    assert grown.asked() == (Intent.KEEP, repaired, 50)


def test_a_score_beyond_the_place_where_a_branch_left_a_segment_is_not_the_branchs() -> None:
    grown = Grown(segment_steps=50)
    (root,) = grown.roots(0.2)
    change = grown.add(root, Intent.CHANGE, 0.5, step=25)
    branch = [grown.tree[root], grown.tree[change]]
    assert [total for total, _ in scores_along(branch)] == [25, 50, 75]
    assert score_at(branch, 50) == grown.tree[change].checkpoints[0].score
    assert score_at(branch, 49) == grown.tree[root].checkpoints[0].score
    assert score_at(branch, 24) is None


def test_a_repaired_keep_carries_the_line_on() -> None:
    grown, tip = raced()
    grown.add(tip, Intent.KEEP, 0, NodeState.CRASHED)
    repaired = grown.add(tip, Intent.REPAIR, 0.55)
    assert grown.asked() == (Intent.KEEP, repaired, 50)


# ---- the end -------------------------------------------------------------------------------------------------------


def test_the_last_steps_are_annealed_once_from_the_end_of_the_line() -> None:
    grown, tip = raced()
    assert grown.asked(left=75) == (Intent.ANNEAL, tip, 50)
    annealing = grown.add(tip, Intent.ANNEAL, 0, NodeState.RUNNING)
    assert grown.ask(left=50) is None
    grown.tree.set_state(annealing, NodeState.FINISHED)
    grown.tree.add_checkpoint(annealing, Checkpoint(50, score(0.6)))
    assert grown.asked(left=20) == (Intent.KEEP, annealing, 50)
    assert grown.ask(left=10) is None  # too few for a segment


def test_a_line_that_fell_is_annealed_from_its_best_checkpoint() -> None:
    grown, tip = raced()
    grown.continued(tip, 0.3)
    assert grown.asked(left=75) == (Intent.ANNEAL, tip, 50)


def test_the_end_waits_for_the_lines_last_segment() -> None:
    grown, tip = raced()
    grown.add(tip, Intent.KEEP, 0, NodeState.RUNNING)
    assert grown.ask(left=50) is None


def test_with_two_workers_the_end_is_annealed_while_the_other_spends_the_rest() -> None:
    grown, tip = raced()
    last = grown.add(tip, Intent.KEEP, 0, NodeState.RUNNING)
    begun = grown.ask(left=250, workers=2)
    assert begun is not None
    assert begun.intent is Intent.CHANGE  # the end of the main branch has not come in yet
    grown.tree.set_state(last, NodeState.FINISHED)
    grown.tree.add_checkpoint(last, Checkpoint(50, score(0.6)))
    annealing = grown.ask(left=200, workers=2)
    assert annealing is not None
    assert (annealing.intent, annealing.parent) == (Intent.ANNEAL, last)
    assert annealing.reason.startswith(f"anneal: {annealing.steps} of the last 200 of ")
    grown.add(last, Intent.ANNEAL, 0, NodeState.RUNNING)
    other = grown.ask(left=200 - annealing.steps, workers=2)
    assert other is not None
    assert other.intent is not Intent.ANNEAL


def test_one_worker_spends_all_but_the_reserve_before_it_anneals() -> None:
    grown, _ = raced()
    assert grown.asked(left=150)[0] is not Intent.ANNEAL
    assert grown.asked(left=150, workers=3)[0] is Intent.ANNEAL


@pytest.mark.parametrize(("roots", "begun"), [(4, 6), (1, 1)])
def test_a_worker_without_a_root_run_begins_one_more_unless_there_is_no_race(roots: int, begun: int) -> None:
    strategy = LLMZero(50, roots=roots)
    world = Simulation(strategy, World(0), SPACE, 4800, workers=6)
    while (expansion := world.ask()) is not None and len(world.tree) <= 6:
        assert expansion.intent is Intent.ROOT
        world.begin(expansion)
    assert len(world.tree) - 1 == begun


# ---- whole searches on the simulator -------------------------------------------------------------------------------


@pytest.mark.parametrize("segments", [12, 14, 16])
@pytest.mark.parametrize("segment_steps", [40, 50])
@pytest.mark.parametrize("seed", range(3))
def test_a_demo_with_two_workers_is_a_real_tree(segments: int, segment_steps: int, seed: int) -> None:
    strategy = LLMZero(segment_steps)
    tree = Simulation(
        strategy, World(seed), SPACE, segments * segment_steps, workers=2, segment_steps=segment_steps, seed=seed
    ).run().tree  # fmt: skip
    found = intents(tree)
    assert len(tree) - 1 >= segments - 1  # the annealed end is one segment, of twice the length
    assert max(tree.depth(n.id) for n in tree) >= 3
    assert found[Intent.CHANGE] >= 1
    assert found[Intent.ANNEAL] == 1
    changes = [n for n in tree if n.transition and n.transition.intent is Intent.CHANGE]
    assert all(len(n.transition.changes) >= 2 for n in changes if n.transition)


@pytest.mark.parametrize(("segments", "workers"), [(24, 2), (96, 4), (96, 8)])
@pytest.mark.parametrize("seed", range(3))
def test_no_worker_waits_where_segments_take_equal_time(segments: int, workers: int, seed: int) -> None:
    search = Simulation(LLMZero(50), World(seed), SPACE, 50 * segments, workers, seed=seed, keep=100).run()
    assert search.clock == 50 * segments // workers
    assert intents(search.tree)[Intent.ANNEAL] == 1


def test_on_average_better_than_random_and_grid_at_equal_steps() -> None:
    truths = {
        name: fmean(
            Simulation(make(name, seed=seed, segment_steps=50, space=SPACE), World(seed), SPACE, 1200, seed=seed)
            .run()
            .truth()
            for seed in range(12)
        )
        for name in ("llmzero", "random", "grid")
    }
    assert truths["llmzero"] > truths["random"] + 0.05
    assert truths["llmzero"] > truths["grid"] + 0.05


def test_slow_starters_that_win_in_the_end_are_not_killed() -> None:
    """Worlds in which the root that is best after 600 steps does not lead after its first segment."""
    slow = found = 0
    for seed in range(40):
        world = World(seed)
        simulation = Simulation(make("llmzero", seed=seed, segment_steps=50), world, SPACE, 1200, seed=seed)
        tree = simulation.run().tree
        lanes = list(tree.children(0))
        first = max(lanes, key=lambda n: (n.checkpoints[-1].score.value, -n.id))
        skills = {n.id: simulation.skills[(0, 0)] for n in lanes}
        for lane in lanes:
            for _ in range(600):
                skills[lane.id] = world.step(skills[lane.id], lane.configuration)
        far = {n.id: world.accuracy(skills[n.id], n.configuration) for n in lanes}
        winner = max(far, key=lambda i: far[i])
        if winner != first.id and far[winner] > far[first.id] + 0.02:
            slow += 1
            found += simulation.truth() > far[winner] - 0.03
    assert slow >= 5, "no slow starters: the test shows nothing"
    assert found >= 0.8 * slow

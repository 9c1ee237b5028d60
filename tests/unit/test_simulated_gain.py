"""Searches simulated for `llmzero plan`: the fitted world learns as it should, and what is told of it says so."""

from __future__ import annotations

import random
from dataclasses import asdict
from statistics import fmean

import pytest

from benchmarks import simulation_fit
from engine.domain.parameters import Configuration
from engine.domain.space import Space
from engine.run import preflight
from engine.run.config import RunConfig, parse
from engine.simulation.dynamics import FittedWorld, accuracy_of, distances, fitted, logit, widths
from engine.simulation.expected_gain import ExpectedGain, Spread, expected_gain
from engine.testing.simulation import SPACE
from llmzero_tui.text.plan import simulation_lines


def config(strategy: str = "llmzero", more: str = "") -> RunConfig:
    text = f'name = "x"\n[task]\nname = "knights"\n[budget]\nsteps = 300\n[search]\nstrategy = "{strategy}"\n{more}'
    return preflight.resolve(parse(text))


def ends(task: str, steps: int, base: float = 0.1, **changes: float) -> float:
    """Mean accuracy after so many steps with one configuration, over some worlds."""
    configuration = {**SPACE.default(), **changes}
    found = []
    for seed in range(20):
        world = FittedWorld(fitted(), task, seed, 8, SPACE, base)
        x = world.begin()
        for _ in range(steps):
            x = world.step(x, configuration)
        found.append(world.accuracy(x, configuration))
    return fmean(found)


def test_the_shipped_fit_is_of_the_recorded_searches() -> None:
    runs = simulation_fit.recorded()
    assert len(runs) == fitted().runs
    assert sum(len(stretch.scores) for run in runs for stretch in run.stretches) == fitted().scores
    assert {run.task for run in runs} == set(fitted().speeds)


@pytest.mark.parametrize("task", sorted(fitted().speeds))
def test_a_world_ends_where_the_recorded_constant_runs_of_its_task_did(task: str) -> None:
    for run in simulation_fit.recorded():
        if run.task == task and run.strategy == "fixed":
            late = fmean(accuracy_of(seen.x) for seen in run.stretches[0].scores[-8:])
            assert ends(task, run.steps, run.base.value) == pytest.approx(late, abs=0.1)


def test_a_high_rate_learns_fast_and_ends_low() -> None:
    usual = float(SPACE.default()["learning_rate"])
    high, low = ({"learning_rate": usual * factor} for factor in (3.0, 0.5))
    assert ends("dedup", 1200, **high) < ends("dedup", 1200, **low)
    assert ends("dedup", 25, **low) < ends("dedup", 25)


def test_luck_is_a_configurations_own_and_stays_with_it() -> None:
    def after_a_step(seed: int, configuration: Configuration) -> float:
        world = FittedWorld(fitted(), "chain", seed, 8, SPACE, 0.2)
        return world.step(world.begin(), configuration)

    default = SPACE.default()
    assert after_a_step(1, default) == after_a_step(1, dict(default))
    assert after_a_step(1, default) != after_a_step(2, default)


def test_distances_end_where_nothing_was_recorded() -> None:
    default = SPACE.default()
    far = distances({**default, "learning_rate": 1.0}, default, widths(SPACE))
    assert far.rate > fitted().furthest.rate
    assert fitted().within(far).rate == fitted().furthest.rate
    assert distances(default, default, widths(SPACE)) == (0,) * 6
    without = Space(p for p in SPACE.parameters if p.name != "beta")
    assert distances(without.default(), without.default(), widths(without)).beta == 0


def test_skill_is_finite_for_every_accuracy() -> None:
    assert accuracy_of(logit(0.3)) == pytest.approx(0.3)
    assert -8 < logit(0.0) < logit(1.0) < 8


def test_the_same_run_file_gives_the_same_gain() -> None:
    first, again = (expected_gain(config(more="segment_steps = 25"), 100, 0.1) for _ in range(2))
    assert first == again
    assert (first.worlds, first.steps, first.none) == (40, 100, "")


def test_a_base_that_solves_more_ends_higher_in_short_runs() -> None:
    low, high = (expected_gain(config(), 100, base).constant for base in (0.05, 0.6))
    assert low is not None
    assert high is not None
    assert low.middle < high.middle


@pytest.mark.parametrize(
    ("strategy", "steps", "why"),
    [("fixed", 300, "what others are held against"), ("skill", 300, "an agent without a tree"),
     ("llmzero", 0, "buys no steps"), ("llmzero", 10**6, "segments are more than 100")],
)  # fmt: skip
def test_what_cannot_be_simulated_is_one_line(strategy: str, steps: int, why: str) -> None:
    found = expected_gain(config(strategy), steps, 0.1)
    assert why in found.none
    told = simulation_lines(config(strategy), asdict(found))
    assert told == ["", f"not simulated: {found.none}"]


def test_what_was_simulated_is_told_as_such() -> None:
    spread = Spread(0.81, 0.6, 0.93)
    made = ExpectedGain(
        worlds=40, steps=1200, workers=2, strategy=spread, constant=Spread(0.74, 0.45, 0.9),
        gain=Spread(0.05, -0.031, 0.2), runs=32, scores=1422, tasks=("chain", "ladder"),
    )  # fmt: skip
    assert simulation_lines(config(), asdict(made)) == [
        "",
        "SIMULATED, in worlds that learn as tiny models did; no promise for this model (docs/simulation.md):",
        "  llmzero ends at 0.81 (0.60–0.93), its default configuration trained on at 0.74 (0.45–0.90)",
        "  gain +0.050 (-0.031 to +0.200); median and 5–95% of 40 worlds, 1200 steps, 2 workers; rules as advisor",
        "  fitted to 1,422 scores of 32 recorded searches (chain, ladder)",
    ]


def test_a_range_leaves_out_a_twentieth_at_each_end() -> None:
    values = list(range(101))
    random.Random(0).shuffle(values)
    assert Spread.of(values) == Spread(50, 5, 95)

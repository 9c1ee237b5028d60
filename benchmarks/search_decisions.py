"""The search's own decisions, in simulated worlds that learn as recorded runs did (docs/simulation.md).

    python -m benchmarks.search_decisions          some minutes; writes docs/benchmark-search-decisions.md

Whole searches of every strategy, of ours with one setting changed, and with other numbers of root runs, in the same
worlds: once from the general default of benchmarks/evidence/dev.toml, where the worlds learn best, and once from the
random starts that benchmarks/evidence/start.toml draws. Nothing is trained.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from statistics import fmean, quantiles, stdev
from typing import Any
from unittest.mock import patch

from engine.advisors.designs import DESIGNS
from engine.compare.plan import cells, load
from engine.domain.space import Space
from engine.search.registry import make
from engine.simulation.dynamics import FittedWorld, fitted
from engine.simulation.search import Simulation
from tasks import registry

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "benchmark-search-decisions.md"
STARTS = {"default": ROOT / "benchmarks/evidence/dev.toml", "random": ROOT / "benchmarks/evidence/start.toml"}
STEPS, SEGMENT_STEPS, BASE, PROMPTS = 1200, 50, 0.09, 256
STRATEGIES = (
    "llmzero", "fixed", "adarft", "continue", "topk", "tpe", "cmaes", "grid", "random", "asha", "hyperband", "pbt",
    "keep-only", "random-changes",
)  # fmt: skip
SETTINGS: Sequence[tuple[str, int, Mapping[str, Any]]] = (
    ("explore_share 0.15 (0)", 50, {"explore_share": 0.15}),
    ("explore_share 1/3", 50, {"explore_share": 1 / 3}),
    ("stalled_share 1/4 (1/2)", 50, {"stalled_share": 0.25}),
    ("a race of one segment (4)", 50, {"race_segments": 1}),
    ("trial_segments 1 (2)", 50, {"trial_segments": 1}),
    ("earn_errors 1 (2)", 50, {"earn_errors": 1.0}),
    ("earn_errors 0.5", 50, {"earn_errors": 0.5}),
    ("drop_errors 1 (2)", 50, {"drop_errors": 1.0}),
    ("stall_segments 2 (4)", 50, {"stall_segments": 2}),
    ("never stalls: nothing is tried beside the main branch", 50, {"stall_segments": 1000}),
    ("annealed end of 0.1 of the steps (1/6)", 50, {"anneal_share": 0.1}),
    ("no annealed end", 50, {"anneal_from": 100_000}),
    ("no curriculum", 50, {"curriculum_rate": 0.0}),
    ("segments of 25 steps (50)", 25, {}),
    ("segments of 100 steps", 100, {}),
    (
        "bold: 25 steps, a trial of one segment, 0.5 errors, 0.6 to alternatives", 25,
        {"trial_segments": 1, "earn_errors": 0.5, "explore_share": 0.6, "stalled_share": 0.7},
    ),
)  # fmt: skip
SEGMENTS = (6, 9, 12, 16, 20, 24, 36)
ROOTS = (1, 2, 3, 4)
MIDDLE = "the middle of the ranges"
"""Title of the design that is left out in one row."""
Z_95 = 1.959963984540054


@cache
def spaces(start: str, worlds: int) -> dict[tuple[str, int], Space]:
    """The space of each task and seed, with the defaults where its search begins."""
    plan = load(STARTS[start])
    plan = plan.model_copy(update={"seeds": list(range(worlds)), "strategies": {"ours": plan.strategies["ours"]}})
    return {(cell.task, cell.seed): cell.config().build_space(registry.get(cell.task).space()) for cell in cells(plan)}


def ends(
    start: str, worlds: int, strategy: str = "llmzero", *, steps: int = STEPS, size: int = SEGMENT_STEPS,
    roots: int = 4, settings: Mapping[str, Any] | None = None,
) -> list[float]:  # fmt: skip
    """True accuracies of the policies that searches report, world by world."""
    found = []
    for (task, seed), space in spaces(start, worlds).items():
        world = FittedWorld(fitted(), task, seed, PROMPTS, spaces("default", worlds)[task, seed], BASE)
        searcher = make(strategy, seed=seed, segment_steps=size, roots=roots, space=space, **(settings or {}))
        found.append(Simulation(searcher, world, space, steps, 1, size, seed, first_look=0).run().truth())
    return found


def difference(one: Sequence[float], other: Sequence[float]) -> str:
    """The mean paired difference with its 95% interval."""
    each = [a - b for a, b in zip(one, other, strict=True)]
    mean, error = fmean(each), Z_95 * stdev(each) / len(each) ** 0.5
    return f"{mean:+.4f} [{mean - error:+.4f}, {mean + error:+.4f}]"


def lowest_tenth(values: Sequence[float]) -> float:
    return quantiles(values, n=10, method="inclusive")[0]


Ends = Mapping[str, list[float]]
"""By start, what whole searches ended with, world by world."""


def of_strategies(worlds: int, ours: Ends) -> list[str]:
    """A row for each strategy, ours first."""
    rows = []
    for strategy in STRATEGIES:
        print(strategy, flush=True)
        row = [strategy]
        for start in STARTS:
            found = ours[start] if strategy == "llmzero" else ends(start, worlds, strategy)
            less = "" if strategy == "llmzero" else difference(ours[start], found)
            row += [f"{fmean(found):.3f}", f"{lowest_tenth(found):.3f}", less]
        rows.append(f"| {' | '.join(row)} |")
    return rows


def of_settings(worlds: int, ours: Ends) -> list[str]:
    """A row for each setting of ours: what is gained or lost by it."""
    rows = []
    assert any(plan.title == MIDDLE for plan in DESIGNS)
    with patch("engine.advisors.rules.DESIGNS", [plan for plan in DESIGNS if plan.title != MIDDLE]):
        without = [difference(ends(start, worlds), before) for start, before in ours.items()]
    rows.append(f"| no root run at the middle of the ranges | {' | '.join(without)} |")
    for title, size, settings in SETTINGS:
        print(title, flush=True)
        changed = [
            difference(ends(start, worlds, size=size, settings=settings), before) for start, before in ours.items()
        ]
        rows.append(f"| {title} | {' | '.join(changed)} |")
    return rows


def of_roots(worlds: int) -> list[str]:
    """A row for each budget: means by the number of root runs, the rule for short budgets lifted."""
    rows = []
    for segments in SEGMENTS:
        print(segments, "segments", flush=True)
        with patch("engine.search.llmzero.most_roots", lambda _: max(ROOTS)):
            means = {
                start: [fmean(ends(start, worlds, steps=segments * SEGMENT_STEPS, roots=roots)) for roots in ROOTS]
                for start in STARTS
            }
        row = [f"**{m:.3f}**" if m == max(each) else f"{m:.3f}" for each in means.values() for m in each]
        rows.append(f"| {segments} | {' | '.join(row)} |")
    return rows


def page(worlds: int) -> str:
    """The result as Markdown."""
    ours, tasks = {start: ends(start, worlds) for start in STARTS}, load(STARTS["default"]).tasks
    strategies, settings = ("\n".join(rows(worlds, ours)) for rows in (of_strategies, of_settings))
    roots = "\n".join(of_roots(worlds))
    return f"""# The search's decisions, SIMULATED

Written by `python -m benchmarks.search_decisions`: true accuracies of the policies that whole searches report, in
{worlds} worlds of each of {len(tasks)} tasks ({", ".join(tasks)}), fitted to recorded runs of tiny models
([simulation.md](simulation.md) says how far they can be believed). {STEPS} GRPO steps in segments of {SEGMENT_STEPS},
one worker, rules advisor, every policy scored on {PROMPTS} prompts. The same worlds stand in every row.

*default*: the search begins where these worlds learn best, but for what a schedule gains. *random*: it begins at a draw
from the whole space, another for each world (`start = "random"` of [compare](compare.md)).

## Strategies

Mean, the tenth of the worlds that ended lowest (its upper end), and what ours has more [95%, paired].

| strategy | default | lowest tenth | ours has more | random | lowest tenth | ours has more |
|---|---|---|---|---|---|---|
{strategies}

## Settings of ours, one at a time

What the changed setting has more than the present one [95%, paired]; the present one in brackets.

| setting | default | random |
|---|---|---|
{settings}

## Root runs by budget

Mean accuracy by the number of root runs, where the rule for short budgets is lifted; the best of each start in bold.

| segments | default: {" | ".join(map(str, ROOTS))} | random: {" | ".join(map(str, ROOTS))} |
|---|{"---|" * (2 * len(ROOTS))}
{roots}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=40, help="of each task")
    options = parser.parse_args()
    PAGE.write_text(page(options.worlds), encoding="utf-8")
    print(PAGE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()

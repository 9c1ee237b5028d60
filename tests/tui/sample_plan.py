"""A small comparison for the tests of its screen: a plan, measurements of some of its cells, runs of others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.compare import plan as plans
from engine.compare import records
from engine.compare.plan import ComparisonCell
from engine.compare.report import PlannedComparison
from tests.unit.test_compare_report import line_of

PLAN = """
name = "small"
tasks = ["ladder", "chain"]
seeds = [1, 2, 3]
[strategies.ours]
strategy = "llmzero"
[strategies.fixed]
strategy = "fixed"
[strategies.grid]
strategy = "grid"
[strategies.tpe]
strategy = "tpe"
[strategies.pbt]
strategy = "pbt"
[strategies.topk]
strategy = "topk"
"""


def planned(where: Path, text: str = PLAN) -> PlannedComparison:
    """The plan, with results that are not there yet."""
    path = where / "plan.toml"
    path.write_text(text, encoding="utf-8")
    plan = plans.load(path)
    return PlannedComparison(plan, list(plans.cells(plan)), where / "plan.jsonl")


def measure(comparison: PlannedComparison, *cells: ComparisonCell, **other: Any) -> None:
    """Append the lines of cells: the later a strategy stands in the plan, the fewer prompts it gets right."""
    strategies = list(comparison.plan.strategies)
    for cell in cells:
        correct = 70 - 5 * strategies.index(cell.strategy) + cell.seed
        records.append(comparison.results, {**line_of(cell, correct), **other})


def half_measured(where: Path) -> PlannedComparison:
    """Both tasks with two seeds, but for the last strategy on the second task, and a line of earlier settings."""
    comparison = planned(where)
    measure(comparison, *(c for c in comparison.cells if c.seed < 3 and (c.task, c.strategy) != ("chain", "topk")))
    measure(comparison, comparison.cells[-1], settings_hash="0" * 10)
    return comparison


def give_run(runs: Path, cell: ComparisonCell, of: str) -> Path:
    """Let a cell have one of the sample runs as its own."""
    path = runs / cell.run_name
    Path(path).symlink_to(runs / of)
    return path

"""docs/benchmark-learning.md from the measurements of `benchmarks.learning`; what was not measured is named as such."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from typing import Protocol

from benchmarks.learning_plan import GROUPS, LADDER_SECONDS, SEEDS, STEPS, N, Run

STUDENT = 4.303
"""97.5% quantile of Student's t with two degrees of freedom: three seeds."""
FACTOR, SATURATED = 1.5, 0.95


class Measured(Protocol):
    """The part of a result that the report shows."""

    @property
    def n(self) -> int: ...
    @property
    def greedy(self) -> int: ...
    @property
    def sampled(self) -> int: ...
    @property
    def steps(self) -> int: ...
    @property
    def seconds(self) -> float: ...


Rows = Sequence[tuple[Run, Measured | None]]


def render(rows: Rows) -> str:
    """The whole page."""
    missing = [run.label for run, result in rows if result is None]
    done = len(rows) - len(missing)
    return "\n".join(
        [
            "# What GRPO learns on the tiny tasks",
            "",
            f"Written by `python -m benchmarks.learning` from {done} of {len(rows)} runs"
            f" ({platform.machine()}, one process, one thread, low priority; Python {platform.python_version()}).",
            f"Accuracy on the same {N:,} test items for all, greedy and sampled at T=1, of every level of difficulty.",
            "Brackets: 95% Wilson interval of one measurement. After a mean over seeds: ± its 95% t interval, which",
            "counts the differences between seeds.",
            "",
            *_constants(rows),
            *_arms("sensitivity", "## What one hyperparameter does", rows, _SENSITIVITY),
            *_arms("ladder", "## Ladder: a staged schedule against constants", rows, _LADDER),
            "## Not measured",
            "",
            *([f"- {label}" for label in missing] or ["Nothing: every run of the plan is in the tables."]),
            "",
        ]
    )


_SENSITIVITY = "The first word names the hyperparameter that differs; others as suggested. Steps as in the table above."
_LADDER = (
    f"Every run trains for {LADDER_SECONDS:.0f} CPU seconds, evaluation apart. Stages end at 48% and 70% of them; Adam "
    "is kept. *d* is the difficulty."
)


def wilson(correct: int, n: int) -> tuple[float, float]:
    """95% interval of a share."""
    z, rate = 1.959964, correct / n
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def _share(correct: int, n: int) -> str:
    low, high = wilson(correct, n)
    return f"{correct / n:.3f} [{low:.3f}, {high:.3f}]"


def _mean(rates: Sequence[float]) -> str:
    """Mean with its t interval; fewer than three seeds have none worth showing."""
    mean = sum(rates) / len(rates)
    if len(rates) != 3:
        return f"{mean:.3f} ({len(rates)} of 3 seeds)"
    deviation = math.sqrt(sum((rate - mean) ** 2 for rate in rates) / (len(rates) - 1))
    return f"{mean:.3f} ± {STUDENT * deviation / math.sqrt(3):.3f}"


def _constants(rows: Rows) -> list[str]:
    base = {run.task: result for run, result in rows if run.group == "base" and result is not None}
    lines = [
        "## Base → after constant GRPO",
        "",
        "Each task with its suggested hyperparameters and difficulty, batch 32. *Asked*: at least ×1.5 of the base and",
        "at most .95, greedy and at T=1, in the mean over the seeds.",
        "",
        "| task | steps | decoding | base | after, each seed | mean | × | asked |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for task, steps in STEPS.items():
        found = [r for run, r in rows if run.group == "constant" and run.task == task and r is not None]
        if task not in base or not found:
            continue
        for mode, pick in _MODES.items():
            before, after = getattr(base[task], pick) / base[task].n, [getattr(r, pick) / r.n for r in found]
            mean = sum(after) / len(after)
            verdict = "yes" if mean >= FACTOR * before and mean <= SATURATED else "**no**"
            seeds = ", ".join(_share(getattr(r, pick), r.n) for r in found)
            times = f"{mean / before:.1f}" if before else "–"
            lines.append(
                f"| {task} | {steps} | {mode} | {_share(getattr(base[task], pick), base[task].n)} | {seeds} "
                f"| {_mean(after)} | {times} | {verdict} |"
            )
    return [*lines, ""]


_MODES: Mapping[str, str] = {"greedy": "greedy", "T=1": "sampled"}


def _arms(group: str, title: str, rows: Rows, note: str) -> list[str]:
    assert group in GROUPS
    arms: dict[tuple[str, str], list[Measured]] = {}
    for run, result in rows:
        if run.group == group and result is not None:
            arms.setdefault((run.task, run.name), []).append(result)
    lines = [
        title, "", note, "",
        f"| task | arm | seeds of {len(SEEDS)} | greedy, each seed | mean | T=1, each seed | mean | steps |",
        "|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for (task, name), found in arms.items():
        cells = []
        for pick in _MODES.values():
            rates = [getattr(r, pick) / r.n for r in found]
            cells += [", ".join(_share(getattr(r, pick), r.n) for r in found), _mean(rates)]
        steps = ", ".join(str(r.steps) for r in found)
        lines.append(f"| {task} | {name} | {len(found)} | {' | '.join(cells)} | {steps} |")
    return [*lines, ""]

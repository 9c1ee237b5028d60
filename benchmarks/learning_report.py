"""docs/benchmark-learning.md from the measurements of `benchmarks.learning`; what was not measured is named as such."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from typing import Protocol

from benchmarks.learning_plan import GROUPS, LADDER_SECONDS, SEEDS, STEPS, N, Run
from engine.domain.score import wilson

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
            f" ({platform.machine()}, one process, one thread, low priority, some beside"
            f" other work; Python {platform.python_version()}).",
            f"Accuracy on the same {N:,} test items for all, greedy and sampled at T=1, of every level of difficulty.",
            "Brackets: 95% Wilson interval of one measurement. After a mean over seeds: ± its 95% t interval, which",
            "counts the differences between seeds. The difficulty of dedup was set after its test scores were seen:",
            "its rows are not blind, those of the other tasks are.",
            "",
            *_constants(rows),
            *_arms("sensitivity", "## What one hyperparameter does", rows, _SENSITIVITY),
            *_worse_and_better(rows),
            *_arms("ladder", "## Ladder: a staged schedule against constants", rows, _LADDER),
            *_staged_against_constants(rows),
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


def _share(correct: int, n: int) -> str:
    low, high = wilson(correct, n)
    return f"{correct / n:.3f} [{low:.3f}, {high:.3f}]"


def _mean(rates: Sequence[float], sign: str = "") -> str:
    """Mean with its t interval; fewer than three seeds have none worth showing. `sign` "+" is for differences."""
    mean = sum(rates) / len(rates)
    if len(rates) != 3:
        return f"{mean:{sign}.3f} ({len(rates)} of 3 seeds)"
    deviation = math.sqrt(sum((rate - mean) ** 2 for rate in rates) / (len(rates) - 1))
    return f"{mean:{sign}.3f} ± {STUDENT * deviation / math.sqrt(3):.3f}"


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


def _by_arm(group: str, rows: Rows) -> dict[tuple[str, str], dict[int, Measured]]:
    """Results by (task, arm) and seed."""
    arms: dict[tuple[str, str], dict[int, Measured]] = {}
    for run, result in rows:
        if run.group == group and result is not None:
            arms.setdefault((run.task, run.name), {})[run.seed] = result
    return arms


def _rates(arm: Mapping[int, Measured], pick: str) -> list[float]:
    return [getattr(result, pick) / result.n for _, result in sorted(arm.items())]


def _combined(arm: Mapping[int, Measured]) -> float:
    """The score that orders arms, in [0, 1]: greedy counts one third as in the search."""
    return sum(r.greedy + 2 * r.sampled for r in arm.values()) / sum(3 * r.n for r in arm.values())


def _worse_and_better(rows: Rows) -> list[str]:
    """For each hyperparameter its worst and its best arm, and whether every seed says the same."""
    lines = [
        "The worst and the best value of each, by (greedy + 2 sampled) / 3n. *Apart*: each seed of the better one lies",
        "above each seed of the worse one, greedy and at T=1.",
        "",
        "| hyperparameter | task | worse | better | greedy | T=1 | apart |",
        "|---|---|---|---|---|---|---|",
    ]
    families: dict[tuple[str, str], list[tuple[str, Mapping[int, Measured]]]] = {}
    for (task, name), arm in _by_arm("sensitivity", rows).items():
        if len(arm) == len(SEEDS):
            parameter, _, value = name.partition(": ")
            families.setdefault((parameter, task), []).append((value, arm))
    for (parameter, task), arms in families.items():
        (worse, low), (better, high) = (
            min(arms, key=lambda a: _combined(a[1])),
            max(arms, key=lambda a: _combined(a[1])),
        )
        pairs = [(_rates(low, pick), _rates(high, pick)) for pick in _MODES.values()]
        means = " | ".join(f"{sum(a) / len(a):.3f} → {sum(b) / len(b):.3f}" for a, b in pairs)
        apart = "yes" if worse != better and all(max(a) < min(b) for a, b in pairs) else "**no**"
        lines.append(f"| {parameter} | {task} | {worse} | {better} | {means} | {apart} |")
    return [*lines, ""]


def _staged_against_constants(rows: Rows) -> list[str]:
    """The staged arm less the best constant one, seed by seed."""
    arms = {name: arm for (_, name), arm in _by_arm("ladder", rows).items() if len(arm) == len(SEEDS)}
    staged = next((arm for name, arm in arms.items() if name.startswith("staged")), None)
    constants = {name: arm for name, arm in arms.items() if name.startswith("constant")}
    if staged is None or not constants:
        return []
    best = max(constants, key=lambda name: _combined(constants[name]))
    lines = [f"Staged less the best constant arm ({best.removeprefix('constant: ')}), seed by seed:", ""]
    for mode, pick in _MODES.items():
        gains = [s - c for s, c in zip(_rates(staged, pick), _rates(constants[best], pick), strict=True)]
        lines.append(f"- {mode}: {', '.join(f'{gain:+.3f}' for gain in gains)}; mean {_mean(gains, '+')}")
    return [*lines, ""]


def _arms(group: str, title: str, rows: Rows, note: str) -> list[str]:
    assert group in GROUPS
    lines = [
        title, "", note, "",
        f"| task | arm | seeds of {len(SEEDS)} | greedy, each seed | mean | T=1, each seed | mean | steps |",
        "|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for (task, name), arm in _by_arm(group, rows).items():
        found = [result for _, result in sorted(arm.items())]
        cells = []
        for pick in _MODES.values():
            cells += [", ".join(_share(getattr(r, pick), r.n) for r in found), _mean(_rates(arm, pick))]
        steps = ", ".join(str(r.steps) for r in found)
        lines.append(f"| {task} | {name} | {len(found)} | {' | '.join(cells)} | {steps} |")
    return [*lines, ""]

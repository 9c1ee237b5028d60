"""What a budget buys, as text: for `llmzero plan`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from engine.analysis.summary import RunSummary
from engine.run.config import RunConfig
from engine.words import counted
from llmzero_tui.format import duration, plain


@dataclass(frozen=True)
class RecordedGain:
    """What a finished run gained: the test score of its policy less that of its base, and the GRPO steps it spent."""

    gain: float
    steps: int


def recorded_gains(runs: Iterable[RunSummary | None], task: str) -> list[RecordedGain]:
    """One for each finished run of the task that was measured on its test prompts."""
    return [
        RecordedGain(run.best_test.value - run.base_test.value, run.steps)
        for run in runs
        if run and run.task == task and run.state == "finished" and run.best_test and run.base_test
    ]


def plan_lines(config: RunConfig, plan: Mapping[str, Any], disk: str, gains: Sequence[RecordedGain]) -> list[str]:
    """One line for each thing that a budget buys or takes.

    Args:
        plan: fields of `engine.run.dry_run.BudgetPlan`. disk: what a check says of it. gains: of `recorded_gains`.
    """
    steps = plan["segments"] * plan["segment_steps"]
    scoring = plan["segments"] * plan["scoring_seconds"] + plan["end_seconds"]
    hours = plan["gpu_hours"]
    work = f"{hours:.2g} GPU-hours" if hours is not None else f"{plan['work_seconds'] / 3600:.2g} worker-hours"
    lines = {
        "search": f"{counted(plan['segments'], 'segment')} of {counted(plan['segment_steps'], 'GRPO step')}, "
        f"{counted(config.evaluation.checkpoints, 'scored checkpoint')} each",
        "tokens": f"about {_count(plan['training_tokens'])} generated in {counted(steps, 'step')}, "
        f"{_count(plan['scoring_tokens'])} to score policies",
        "time": f"about {duration(plan['seconds'])} with {counted(config.executor.workers, 'worker')}, "
        f"{duration(plan['end_seconds'])} of it before and after the search",
        "work": f"{work}, {plan['evaluation_share']:.0%} of it without set-up ({duration(scoring)}) to score policies",
        "memory": f"a worker used {plan['worker_bytes'] / 1e9:.1f} GB",
        "disk": disk,
        "gain": _gain(gains, config.task.name),
    }
    width = max(map(len, lines))
    return [f"{name:<{width}}  {text}" for name, text in lines.items()]


def simulation_lines(config: RunConfig, simulated: Mapping[str, Any]) -> list[str]:
    """What the search is worth in simulation, marked as such, or why it was not simulated.

    Args:
        simulated: fields of `engine.simulation.expected_gain.ExpectedGain`.
    """
    if simulated["none"]:
        return ["", f"not simulated: {plain(simulated['none'], 300)}"]
    ours, constant = (
        f"{each['middle']:.2f} ({each['low']:.2f}–{each['high']:.2f})"
        for each in (simulated["strategy"], simulated["constant"])
    )
    gain = "{middle:+.3f} ({low:+.3f} to {high:+.3f})".format(**simulated["gain"])
    size = ", ".join(counted(simulated[name], name[:-1]) for name in ("worlds", "steps", "workers"))
    searches = counted(simulated["runs"], "recorded search", "recorded searches")
    return [
        "",
        "SIMULATED, in worlds that learn as tiny models did; no promise for this model (docs/simulation.md):",
        f"  {config.search.strategy} ends at {ours}, its default configuration trained on at {constant}",
        f"  gain {gain}; median and 5–95% of {size}; rules as advisor",
        f"  fitted to {simulated['scores']:,} scores of {searches} ({', '.join(simulated['tasks'])})",
    ]


def _gain(gains: Sequence[RecordedGain], task: str) -> str:
    if not gains:
        return f"unknown: no finished run of {task} in this directory of runs"
    each, spent = [one.gain for one in gains], sorted({one.steps for one in gains})
    steps = f"{spent[0]:,} to {spent[-1]:,} steps" if len(spent) > 1 else counted(spent[0], "step")
    where = f"on the test prompts in {counted(len(gains), 'finished run')} of {task} here ({steps})"
    if len(gains) == 1:
        return f"{each[0]:+.3f} {where}"
    return f"from {min(each):+.3f} to {max(each):+.3f} {where}, median {median(each):+.3f}"


def _count(tokens: float) -> str:
    """ "640", "38 thousand", "1.2 million"."""
    if tokens < 10_000:
        return f"{tokens:.0f}"
    return f"{tokens / 1000:.0f} thousand" if tokens < 1e6 else f"{tokens / 1e6:.1f} million"

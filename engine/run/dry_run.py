"""`llmzero check FILE --dry-run`: the base scored on a handful of prompts and two real GRPO steps, by a real worker.

Started as `python -m engine.run.dry_run RUN.toml` with absolute paths; prints findings as JSON. All it writes lies in a
temporary directory that goes afterwards; no test prompt is asked. It joins the rooms as the daemon does.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from engine.controller.job_builder import JobBuilder, steering
from engine.controller.run_state import RunState
from engine.domain.score import wilson
from engine.domain.space import Intent, Transition
from engine.domain.tree import Node, NodeState
from engine.errors import UserError, one_line
from engine.executors.factory import make_local
from engine.executors.local import LocalExecutor
from engine.host.model_files import find_model
from engine.run import config as run_file
from engine.run.config import RunConfig
from engine.run.findings import CheckFinding
from engine.run.rundir import RunDirectory
from engine.store.writer import Writer
from engine.training import events
from engine.words import counted
from tasks import registry
from tasks.base import TaskError, TaskNotFound

STEPS = 2
PROMPTS = 64
MOST_EVALUATION = 0.15
"""Share of the time above which evaluation is said to cost much."""
FINALISTS = 5
"""Policies that the end of a run scores again on validation prompts, at most; two are scored on the test."""


class DryRunFailed(Exception):
    """The worker could not do it; the message is its one line."""


@dataclass
class DryRunResult:
    """What the worker told. Seconds and bytes; `alike` is the share of groups without a signal, step by step."""

    base: events.Evaluation
    setup: float = 0.0
    steps: list[float] = field(default_factory=list)
    alike: list[float] = field(default_factory=list)
    memory: int = 0
    gpu: int = 0


async def measure(config: RunConfig, where: Path) -> DryRunResult:
    """Score the base, train two steps. Raises NotMeasured with the worker's cause, UserError for the run file's."""
    small = {"validation_prompts": min(PROMPTS, config.evaluation.validation_prompts), "checkpoints": 1}
    config = config.model_copy(update={"evaluation": config.evaluation.model_copy(update=small)})
    directory = RunDirectory(where)
    task = registry.get(config.task.name)
    space = config.build_space(task.space())
    base = find_model(config.model.path, task, settled=True)
    run = RunState.begin(Writer(directory.database), directory, base, space.default())
    executor = make_local(config, 1, where)
    try:
        jobs = JobBuilder(config, space, run)
        await executor.start()
        return await _worked(config, executor, run, jobs)
    finally:
        await executor.close()
        run.close()


async def _worked(config: RunConfig, executor: LocalExecutor, run: RunState, jobs: JobBuilder) -> DryRunResult:
    spec = steering(config.evaluation.validation_prompts)
    await executor.submit(jobs.evaluate("base", [run.checkpoint_path(0, 0)], spec))
    while not isinstance(event := await executor.next_event(), events.EvaluationResult):
        if isinstance(event, events.SegmentEnded):
            raise DryRunFailed(f"the base cannot be scored: {event.detail or event.end}")
    measured = DryRunResult(event.evaluation)
    node = Node(
        id=1, transition=Transition(0, 0, Intent.ROOT), configuration=dict(run.tree.root.configuration),
        state=NodeState.QUEUED, planned_steps=STEPS,
    )  # fmt: skip
    run.tree.add(node)
    await executor.submit(jobs.segment(node, config.search.seed))
    while True:
        told = await executor.next_event()
        match told:
            case events.SegmentStarted():
                measured.setup = told.setup_seconds
            case events.StepMetrics():
                measured.steps.append(told.step_seconds)
                measured.alike.append(told.values.get("frac_reward_zero_std", 0.0))
            case events.SegmentEnded():
                if told.end is not events.SegmentEnd.FINISHED:
                    raise DryRunFailed(f"the first GRPO steps ended as {told.end}: {told.detail}")
                measured.memory, measured.gpu = max(map(peak_bytes, executor.pids), default=0), told.gpu_bytes
                return measured


def peak_bytes(pid: int) -> int:
    """Highest resident memory of a process, in bytes; 0 where the system does not say."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in text.splitlines() if line.startswith("VmHWM:")), 0)


# ---- what it means --------------------------------------------------------------------------------------------


def findings(config: RunConfig, measured: DryRunResult) -> Iterator[CheckFinding]:
    """One line each for pass rate, learning signal, time, evaluation's share of it, and memory."""
    base = measured.base
    low, high = wilson(base.sampled, base.n)
    rate = f"the base solves {base.sampled} of {base.n} validation prompts at T=1: {_ratio(base.sampled / base.n)}"
    text = f"{rate} [{_ratio(low)}, {_ratio(high)}]; {base.greedy} greedily"
    yield CheckFinding("ok" if 0 < base.sampled < base.n else "warning", "pass rate", text + _unscored(base))
    groups = STEPS * config.training.batch_size // _group(config)
    alike = sum(measured.alike) / len(measured.alike)
    text = f"{alike:.0%} of {counted(groups, 'group')} of completions in {STEPS} steps had no signal (equal rewards)"
    yield CheckFinding("ok" if alike < 1 else "warning", "learning signal", text + ("" if alike < 1 else _NO_SIGNAL))
    times = _times(config, measured)
    estimate = _estimate(config, times, measured.gpu > 0)
    yield CheckFinding("ok", "time", f"{_span(measured.steps[-1])} a GRPO step; {estimate}")
    yield _evaluation(times.evaluation_share)
    workers = counted(config.executor.workers, "worker")
    memory = f"a worker used {_size(measured.memory)}"
    if measured.gpu:
        memory += f", and {_size(measured.gpu)} of the GPU"
    whole = f"{workers} take {_size(config.executor.workers * measured.memory)}" if config.executor.workers > 1 else ""
    yield CheckFinding("ok", "peak memory", f"{memory}; {whole}" if whole else memory)


_NO_SIGNAL = "; if this persists, nothing is learned: use easier or harder prompts, partial rewards, or larger groups"


def _evaluation(share: float) -> CheckFinding:
    text = f"about {share:.0%} of the workers' time goes into scoring policies"
    if share <= MOST_EVALUATION:
        return CheckFinding("ok", "evaluation", text)
    return CheckFinding("warning", "evaluation", f"{text}; fewer prompts or checkpoints, or longer segments, cost less")


def _group(config: RunConfig) -> int:
    space = config.build_space(registry.get(config.task.name).space())
    return int(space.default().get("num_generations", 8))


def _unscored(base: events.Evaluation) -> str:
    return f"; the task could not score {counted(base.errors, 'answer')}: {base.first_error}" if base.errors else ""


@dataclass(frozen=True, slots=True)
class _BudgetTime:
    """What a budget pays for, in seconds of workers: `ends` before and after the search, `scoring` of one segment."""

    segments: int
    segment: float
    scoring: float
    ends: float

    @property
    def work(self) -> float:
        return self.segments * self.segment + self.ends

    @property
    def evaluation_share(self) -> float:
        return (self.segments * self.scoring + self.ends) / self.work


def _times(config: RunConfig, measured: DryRunResult) -> _BudgetTime:
    budget, search, sizes = config.budget, config.search, config.evaluation
    a_prompt = measured.base.seconds / measured.base.n
    scoring = sizes.checkpoints * sizes.validation_prompts * a_prompt
    segment = search.segment_steps * measured.steps[-1] + measured.setup + scoring
    ends = a_prompt * (sizes.validation_prompts + FINALISTS * sizes.rerank_prompts + 2 * sizes.test_prompts)
    counts = [budget.nodes] if budget.nodes else []
    counts += [math.ceil(budget.steps / search.segment_steps)] if budget.steps else []
    for seconds, at_once in ((60 * budget.minutes, config.executor.workers), (3600 * budget.gpu_hours, 1)):
        counts += [max(1, int(at_once * seconds / segment))] if seconds else []
    return _BudgetTime(min(counts), segment, scoring, ends)


def _estimate(config: RunConfig, times: _BudgetTime, gpu: bool) -> str:
    """How long the whole budget takes, or what fits into it."""
    search = config.search
    whole = times.segments * times.segment / min(config.executor.workers, times.segments) + times.ends
    of = f"{counted(times.segments, 'segment')} of {counted(search.segment_steps, 'step')}"
    text = f"the budget is about {of}: about {_span(whole)}, {_span(times.ends)} of it before and after the search"
    return f"{text}; {times.work / 3600:.2g} GPU-hours" if gpu else text


def _ratio(value: float) -> str:
    return f"{value:.2f}" if value < 0.995 else "1.00"


def _span(seconds: float) -> str:
    """ "0.21 s", "45 s", "14 min", "3.2 h"."""
    if seconds < 10:
        return f"{seconds:.2g} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _size(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def look(config: RunConfig) -> Sequence[CheckFinding]:
    """The whole of it, whatever goes wrong."""
    try:
        with tempfile.TemporaryDirectory(prefix="llmzero-dry-run-") as where:
            return list(findings(config, asyncio.run(measure(config, Path(where)))))
    except (DryRunFailed, UserError, TaskError, TaskNotFound) as error:
        return [CheckFinding("error", "dry run", one_line(str(error)))]


def main() -> int:
    """Print the findings as a JSON list; whatever a task's file prints goes to stderr."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    with out:
        json.dump([asdict(each) for each in look(run_file.load(Path(sys.argv[1])))], out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

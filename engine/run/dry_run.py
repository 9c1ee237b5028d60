"""`llmzero check FILE --dry-run` and `llmzero plan FILE`: the base scored on a handful of prompts and two real GRPO
steps, by a real worker, and what a budget buys at that pace.

Started as `python -m engine.run.dry_run RUN.toml` with absolute paths; prints findings and the plan as JSON. All it
writes lies in a temporary directory beside that file, which goes afterwards, or with the caller's own; no test prompt
is asked. It joins the rooms as the daemon does.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from engine.analysis.summary import evaluation_share
from engine.controller.job_builder import JobBuilder, steering
from engine.controller.run_state import RunState
from engine.domain.batch import rollouts
from engine.domain.parameters import Configuration, numeric
from engine.domain.score import wilson
from engine.domain.space import Intent, Space, Transition
from engine.domain.tree import Node, NodeState
from engine.errors import UserError, one_line
from engine.executors.factory import make_local
from engine.executors.local import LocalExecutor
from engine.host.model_files import find_model
from engine.run import config as run_file
from engine.run import evaluation_sizes
from engine.run.config import RunConfig
from engine.run.findings import CheckFinding
from engine.run.memory_check import gib
from engine.run.rundir import RunDirectory
from engine.store.writer import Writer
from engine.training import events
from engine.words import counted
from tasks import registry
from tasks.base import TaskError, TaskNotFound

STEPS = 2
PROMPTS = 64
"""Prompts that the base is asked."""
MOST_PROMPTS = 256
QUICK_SECONDS = 10.0
"""Where the base answers them in less, the policy after the steps is asked as many as in a run: a small model answers
many at once in hardly more time than a few."""


class DryRunFailed(Exception):
    """The worker could not do it; the message is its one line."""


@dataclass
class DryRunResult:
    """What the worker told. Seconds and bytes; of each generation `alike` is the share of groups without a signal,
    `lengths` the mean number of tokens of a completion. `after`: what the policy of the last step scored; a worker's
    first evaluation, that of the base, takes longer."""

    base: events.Evaluation
    after: events.Evaluation | None = None
    setup: float = 0.0
    steps: list[float] = field(default_factory=list)
    alike: list[float] = field(default_factory=list)
    lengths: list[float] = field(default_factory=list)
    memory: int = 0
    gpu: int = 0

    @property
    def prompt_seconds(self) -> float:
        """Seconds that a scored prompt takes."""
        scored = self.after or self.base
        return scored.seconds / scored.n


async def measure(config: RunConfig, where: Path) -> DryRunResult:
    """Score the base, train two steps. Raises DryRunFailed with the worker's cause, UserError for the run file's."""
    directory = RunDirectory(where)
    task = registry.get(config.task.name)
    space = config.build_space(task.space())
    base = find_model(config.model.path, task, settled=True)
    run = RunState.begin(Writer(directory.database), directory, base, space.default())
    executor = make_local(config, 1, where)
    try:
        await executor.start()
        return await _worked(config, executor, run, space)
    finally:
        await executor.close()
        run.close()


async def _worked(config: RunConfig, executor: LocalExecutor, run: RunState, space: Space) -> DryRunResult:
    asked = config.evaluation.validation_prompts
    spec, jobs = steering(min(PROMPTS, asked)), JobBuilder(config, space, run)
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
    quick = measured.base.seconds < QUICK_SECONDS
    scored = {"validation_prompts": min(MOST_PROMPTS if quick else PROMPTS, asked), "checkpoints": 1, "first_look": 0}
    config = config.model_copy(update={"evaluation": config.evaluation.model_copy(update=scored)})
    await executor.submit(JobBuilder(config, space, run).segment(node, config.search.seed))
    while True:
        told = await executor.next_event()
        match told:
            case events.SegmentStarted():
                measured.setup = told.setup_seconds
            case events.StepMetrics():
                measured.steps.append(told.step_seconds)
                if (length := told.values.get("completions/mean_length")) is not None:  # rollouts may serve both
                    measured.lengths.append(length)
                    measured.alike.append(told.values.get("frac_reward_zero_std", 0.0))
            case events.CheckpointSaved():
                measured.after = told.evaluation
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
    rate = f"the base solves {base.sampled} of {base.n} validation prompts by a sampled answer"
    text = f"{rate}: {_ratio(base.sampled / base.n)} [{_ratio(low)}, {_ratio(high)}]; {base.greedy} greedily"
    yield CheckFinding("ok" if 0 < base.sampled < base.n else "warning", "pass rate", text + _unscored(base))
    begins = _default(config)
    groups = rollouts(begins, STEPS, config.training.batch_size) // int(numeric(begins["num_generations"]))
    alike = sum(measured.alike) / len(measured.alike)
    text = f"{alike:.0%} of {counted(groups, 'group')} of completions in {STEPS} steps had no signal (equal rewards)"
    yield CheckFinding("ok" if alike < 1 else "warning", "learning signal", text + ("" if alike < 1 else _NO_SIGNAL))
    plan = plan_of(config, measured)
    yield CheckFinding("ok", "time", f"{_span(plan.step_seconds)} a GRPO step; {_estimate(config, plan)}")
    yield _evaluation(plan.evaluation_share, config.evaluation.share)
    workers = counted(config.executor.workers, "worker")
    memory = f"a worker used {gib(measured.memory)}"
    if measured.gpu:
        memory += f", and {gib(measured.gpu)} of the GPU"
    whole = f"{workers} take {gib(config.executor.workers * measured.memory)}" if config.executor.workers > 1 else ""
    yield CheckFinding("ok", "peak memory", f"{memory}; {whole}" if whole else memory)


_NO_SIGNAL = "; if this persists, nothing is learned: use easier or harder prompts, partial rewards, or larger groups"


def _evaluation(share: float, most: float) -> CheckFinding:
    text = f"about {share:.0%} of the workers' time goes into scoring policies"
    if share <= most:
        return CheckFinding("ok", "evaluation", text)
    less = "fewer prompts or checkpoints, or longer segments, cost less"
    return CheckFinding("warning", "evaluation", f"{text}, more than evaluation.share = {most:g}; {less}")


def _default(config: RunConfig) -> Configuration:
    """The configuration that is trained here."""
    return config.build_space(registry.get(config.task.name).space()).default()


def _unscored(base: events.Evaluation) -> str:
    return f"; the task could not score {counted(base.errors, 'answer')}: {base.first_error}" if base.errors else ""


@dataclass(frozen=True, slots=True)
class BudgetPlan:
    """What a budget buys at the pace that was measured.

    Seconds are of workers: `segment_seconds` of one segment with `scoring_seconds` for its checkpoints, `end_seconds`
    before and after the search, `work_seconds` all of them; `seconds` is the time that passes with the workers beside
    each other. `evaluation_share` of the work without set-up goes into scoring policies, as in the summary of a run.
    Tokens are those of completions. `base_score` is the base's on the few prompts that it was asked.
    """

    segments: int
    segment_steps: int
    step_seconds: float
    segment_seconds: float
    scoring_seconds: float
    end_seconds: float
    work_seconds: float
    seconds: float
    evaluation_share: float
    training_tokens: int
    scoring_tokens: int
    worker_bytes: int
    gpu_hours: float | None
    base_score: float


def plan_of(config: RunConfig, measured: DryRunResult) -> BudgetPlan:
    """What the budget of a run file buys when everything goes on as measured."""
    search, sizes, workers = config.search, config.evaluation, config.executor.workers
    of_segment, of_ends = evaluation_sizes.of_segment(sizes), evaluation_sizes.of_ends(sizes)
    scoring, ends = measured.prompt_seconds * of_segment, measured.prompt_seconds * of_ends
    training = search.segment_steps * measured.steps[-1]
    segment = training + measured.setup + scoring
    segments = _segments(config, segment)
    work = segments * segment + ends
    length = sum(measured.lengths) / max(1, len(measured.lengths))
    completions = segments * rollouts(_default(config), search.segment_steps, config.training.batch_size)
    answers = evaluation_sizes.ANSWERS * (segments * of_segment + of_ends)
    return BudgetPlan(
        segments=segments, segment_steps=search.segment_steps, step_seconds=measured.steps[-1],
        segment_seconds=segment, scoring_seconds=scoring, end_seconds=ends, work_seconds=work,
        seconds=segments * segment / min(workers, segments) + ends,
        evaluation_share=evaluation_share(segments * scoring + ends, segments * training),
        training_tokens=round(completions * length), scoring_tokens=round(answers * length),
        worker_bytes=measured.memory, gpu_hours=work / 3600 if measured.gpu else None,
        base_score=(measured.base.greedy + 2 * measured.base.sampled) / (3 * measured.base.n),
    )  # fmt: skip


def _segments(config: RunConfig, seconds: float) -> int:
    """How many segments of so many seconds the nearest limit of the budget allows."""
    budget, counts = config.budget, evaluation_sizes.segments_of_limits(config)
    for limit, at_once in ((60 * budget.minutes, config.executor.workers), (3600 * budget.gpu_hours, 1)):
        counts += [max(1, int(at_once * limit / seconds))] if limit else []
    return min(counts)


def _estimate(config: RunConfig, plan: BudgetPlan) -> str:
    """How long the whole budget takes, or what fits into it."""
    of = f"{counted(plan.segments, 'segment')} of {counted(config.search.segment_steps, 'step')}"
    ends = f"{_span(plan.end_seconds)} of it before and after the search"
    text = f"the budget is about {of}: about {_span(plan.seconds)}, {ends}"
    return text if plan.gpu_hours is None else f"{text}; {plan.gpu_hours:.2g} GPU-hours"


def _ratio(value: float) -> str:
    return f"{value:.2f}" if value < 0.995 else "1.00"


def _span(seconds: float) -> str:
    """ "0.21 s", "45 s", "14 min", "3.2 h"."""
    if seconds < 10:
        return f"{seconds:.2g} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a dry run found, and what the budget buys; no plan where a finding is an error."""

    findings: Sequence[CheckFinding]
    plan: BudgetPlan | None = None


def look(config: RunConfig, beside: Path | None = None) -> DryRun:
    """The whole of it, whatever goes wrong. `beside`: the directory in which the temporary one is made."""
    try:
        with tempfile.TemporaryDirectory(prefix="llmzero-dry-run-", dir=beside) as where:
            measured = asyncio.run(measure(config, Path(where)))
        return DryRun(list(findings(config, measured)), plan_of(config, measured))
    except (DryRunFailed, UserError, TaskError, TaskNotFound) as error:
        return DryRun([CheckFinding("error", "dry run", one_line(str(error)))])


def main() -> int:
    """Print what was found as JSON; whatever a task's file prints goes to stderr."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    with out:
        file = Path(sys.argv[1])
        json.dump(asdict(look(run_file.load(file), file.parent)), out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

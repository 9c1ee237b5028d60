"""Everything that can be known about a run before hours are spent on it: task, model, space, memory, disk, advisor.

Called by `llmzero check`, `run` and `demo`. Answers in findings, one line each, and raises none of what it finds;
imports no torch and changes nothing on disk.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from engine.domain.hyperparameters import PROMPTS
from engine.domain.space import Space
from engine.errors import Fault, UserError, one_line, short
from engine.host import machine, ollama_host
from engine.host.model_files import find_model
from engine.run import (
    advisor_check,
    evaluation_sizes,
    executor_check,
    memory_check,
    model_check,
    prompt_check,
    task_check,
    task_loading,
    vllm_check,
)
from engine.run.child_answer import child_answer
from engine.run.config import SAMPLING, RunConfig
from engine.run.findings import CheckFinding, CheckReport
from engine.run.rundir import lacks_locks
from engine.run.strategies import check_packages
from engine.run.tracking_section import BY_ITSELF, lacking
from engine.words import counted
from tasks import registry
from tasks.base import Task, TaskError, TaskNotFound

TRL_SECONDS = 120.0
"""For a process that imports TRL; some seconds on a quiet machine."""


def check(
    config: RunConfig, runs_dir: Path, say: Callable[[str], None] = lambda line: None, *, new: bool = True
) -> CheckReport:
    """Look at everything a run needs; `say` hears how far it is where that takes long. `new`: its name must be free."""
    config = evaluation_sizes.settled(config)
    findings: list[CheckFinding] = []
    task, prompts = task_check.look(config, findings, say)
    model = model_check.look(config, task, findings)
    space = _space(config, task, findings)
    longest = prompt_check.lengths(config, task, model, space, prompts, findings) if task and model and space else 0
    here = machine.inspect()
    sizes = memory_check.sizes(config, model, space, longest, gpu=bool(here.gpus)) if model else None
    findings += _trl(config)
    findings += _strategy(config)
    findings += _budget(config)
    findings.append(_scoring(config))
    findings += _batch(config, space)
    findings += executor_check.look(config, here)
    findings += memory_check.memory(config, sizes, here) if sizes else ()
    findings += _directory(config, runs_dir, new=new)
    findings.append(memory_check.disk(config, sizes, runs_dir))
    findings += _few_bits(config, here)
    findings += _tracking(config)
    findings += vllm_check.look(config, here)
    findings += vllm_check.length(config, space, longest)
    findings.append(advisor_check.look(config.advisor))
    return CheckReport(tuple(findings), task)


def of_settings(config: RunConfig, task: Task) -> list[CheckFinding]:
    """What `check` finds of a run file and its task alone, at once: the space, and the sizes of the budget."""
    findings: list[CheckFinding] = []
    _space(config, task, findings)
    return [*findings, *_budget(config)]


def resolve(config: RunConfig, task: Task | None = None, *, settled: bool = False) -> RunConfig:
    """The same run with absolute paths in place of relative ones, so that it may go on from any working directory, and
    with the sizes of its evaluations.

    An empty model path becomes the base shipped with the task.

    Args:
        task: the run's, where a check has loaded it. settled: this was done before, when the run began.

    Raises:
        UserError: no such task, or the task ships no base and the file names none.
    """
    try:
        task = task or task_loading.load(config.task.name)
    except (TaskNotFound, TaskError) as error:
        raise UserError(f"task.name: {one_line(str(error))}") from error
    if config.model.run:
        raise UserError(
            f"model.run = {short(config.model.run)} is for `llmzero run`; here name the base by model.path "
            "(`llmzero export RUN --to DIR` writes the policy of a run)"
        )
    name = registry.absolute(config.task.name)
    try:
        model = find_model(config.model.path, task, settled=settled)
    except UserError as error:
        raise UserError(f"model.path {error}") from error
    return evaluation_sizes.settled(config).model_copy(
        update={
            "task": config.task.model_copy(update={"name": name}),
            "model": config.model.model_copy(update={"path": model}),
            "advisor": config.advisor.model_copy(update={"host": _advisor_host(config)}),
        }
    )


def _advisor_host(config: RunConfig) -> str:
    """OLLAMA_HOST of now stays the run's; one that is no address is told by the check."""
    try:
        return ollama_host.asked(config.advisor.host) if config.advisor.kind != "rules" else config.advisor.host
    except UserError:
        return ""


def _space(config: RunConfig, task: Task | None, findings: list[CheckFinding]) -> Space | None:
    try:
        suggested = task.space() if task else {}
        space = config.build_space(suggested)
    except UserError as error:
        findings.append(CheckFinding("error", "space", str(error)))
        return None
    varied = [each for each in space if len(each.choices) != 1 and (each.choices or each.low < each.high)]
    names = ", ".join(f"{each.name} {each.allowed}" for each in varied)
    findings.append(CheckFinding("ok", "space", names or "nothing to search: every hyperparameter is fixed"))
    return space


def _trl(config: RunConfig) -> Iterator[CheckFinding]:
    """The [trl] table, by TRL's own fields in a process that imports it."""
    if not config.trl:
        return
    try:
        answer = child_answer("engine.training.trl_table", json.dumps(config.trl), seconds=TRL_SECONDS)
    except (TimeoutError, Fault) as error:
        yield CheckFinding("warning", "trl", f"TRL could not be asked about the table ({error}); a segment does it")
        return
    words = ", ".join(f"{name} = {short(value)}" for name, value in config.trl.items())
    yield CheckFinding("error" if answer["problem"] else "ok", "trl", answer["problem"] or words)


def _strategy(config: RunConfig) -> Iterator[CheckFinding]:
    try:
        check_packages(config.search.strategy)
    except UserError as error:
        subject, _, text = str(error).partition(" = ")
        yield CheckFinding("error", subject, text)


def _budget(config: RunConfig) -> Iterator[CheckFinding]:
    budget, search = config.budget, config.search
    if budget.steps and budget.steps < search.segment_steps:
        yield CheckFinding(
            "error",
            "budget.steps",
            f"{counted(budget.steps, 'step')}: less than one segment of {search.segment_steps}; "
            "raise it or lower search.segment_steps",
        )
    if config.evaluation.checkpoints > search.segment_steps:
        yield CheckFinding(
            "error",
            "evaluation.checkpoints",
            f"{config.evaluation.checkpoints} checkpoints do not fit into {counted(search.segment_steps, 'step')}; "
            f"at most {search.segment_steps}",
        )


def _batch(config: RunConfig, space: Space | None) -> Iterator[CheckFinding]:
    """A search of batches is fair only where what a larger one costs is counted."""
    budget = config.budget
    if space and PROMPTS in space and not space[PROMPTS].fixed and not budget.minutes and not budget.gpu_hours:
        text = "a budget of steps or nodes does not count that a larger batch takes longer; set budget.minutes too"
        yield CheckFinding("warning", f"space.{PROMPTS}", text)


def _scoring(config: RunConfig) -> CheckFinding:
    sizes = config.evaluation
    look = f", {sizes.first_look} of them at a first look" if sizes.first_look else ""
    ends = f"{sizes.rerank_prompts} rerank the best, {sizes.test_prompts} test"
    drawn = [f"{name} {value:g}" for name, value in sizes.sampling.items() if value != SAMPLING[name]]
    sampled = f"; answers are sampled at {', '.join(drawn)}" if drawn else ""
    return CheckFinding("ok", "scoring", f"{sizes.validation_prompts} prompts steer{look}; {ends}{sampled}")


def _directory(config: RunConfig, runs_dir: Path, *, new: bool) -> Iterator[CheckFinding]:
    existing = next(each for each in (runs_dir.absolute(), *runs_dir.absolute().parents) if each.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        yield CheckFinding(
            "error", "runs directory", f"{runs_dir}: {existing} is not a directory that you can write to"
        )
        return
    if reason := lacks_locks(existing):
        yield CheckFinding("error", "runs directory", f"{existing}: {reason}")
    if new and (runs_dir / config.name).exists():
        yield CheckFinding(
            "error",
            "name",
            f"run {config.name} exists in {runs_dir}; "
            f"`llmzero resume {config.name}` continues it, or choose another name",
        )


def _tracking(config: RunConfig) -> Iterator[CheckFinding]:
    for name in lacking(config.tracking):
        install = BY_ITSELF.get(name) or machine.install_command(name)
        yield CheckFinding("error", "tracking.to", f'"{name}" is not installed; `{install}`, or leave it out')


def _few_bits(config: RunConfig, here: machine.Machine) -> Iterator[CheckFinding]:
    """What needs bitsandbytes, and 4 bits a GPU: on a CPU its forward passes have no gradient after a generation."""
    training = config.training
    wanted = {"training.optimizer": (training.optimizer, "adamw"), "training.lora.base": (training.lora.base, "whole")}
    for key, (value, without) in wanted.items():
        if value != without and machine.version("bitsandbytes") is None:
            install = machine.install_command("8bit")
            text = f'"{value}" needs bitsandbytes, which is not installed; `{install}`, or "{without}"'
            yield CheckFinding("error", key, text)
    if training.lora.base != "nf4":
        return
    if not training.lora.rank:
        text = '"nf4" needs an adapter that is trained: training.lora.rank above 0, such as 16'
        yield CheckFinding("error", "training.lora.base", text)
    if not here.gpus:
        text = 'needs a GPU: bitsandbytes\' gradients are wrong on a CPU after a generation; allowed here: "whole"'
        yield CheckFinding("error", "training.lora.base", f'"nf4" {text}')

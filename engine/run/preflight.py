"""Everything that can be known about a run before hours are spent on it: task, model, space, memory, disk, advisor.

Called by `llmzero check`, `run` and `demo`. Answers in findings, one line each, and raises none of what it finds;
imports no torch and changes nothing on disk.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from engine.domain.space import Space
from engine.errors import UserError, one_line
from engine.host import machine, ollama_host
from engine.host.model_files import ModelFiles, find_model
from engine.host.weight_files import adapter_parameters
from engine.run import advisor_check, model_check, prompt_check, task_check, task_loading
from engine.run.config import RunConfig
from engine.run.findings import CheckFinding, CheckReport
from engine.run.rundir import lacks_locks
from engine.run.strategies import check_packages
from engine.words import counted
from tasks import registry
from tasks.base import Task, TaskError, TaskNotFound

WORKER_BYTES = 900 * 1024**2
"""What a trainer worker needs beside the model: Python, torch and TRL, measured at 450–800 MB."""

DATABASE_BYTES = 200 * 1024**2
"""What a run's database, logs and plots may take on the disk."""


def check(config: RunConfig, runs_dir: Path, say: Callable[[str], None] = lambda line: None) -> CheckReport:
    """Look at everything a run needs; `say` hears how far it is where that takes long."""
    found: list[CheckFinding] = []
    task, prompts = task_check.look(config, found, say)
    model = model_check.look(config, task, found)
    space = _space(config, task, found)
    if task and model and space:
        found += prompt_check.lengths(config, task, model, space, prompts)
    here = machine.inspect()
    found += _strategy(config)
    found += _budget(config, here)
    if model:
        found += _memory(config, model, space, here)
    found += _directory(config, runs_dir, model)
    found += _vllm(config, here)
    found.append(advisor_check.look(config.advisor))
    return CheckReport(tuple(found), task)


def resolve(config: RunConfig, task: Task | None = None, *, settled: bool = False) -> RunConfig:
    """The same run with absolute paths in place of relative ones, so that it may go on from any working directory.

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
    name = registry.absolute(config.task.name)
    try:
        model = find_model(config.model.path, task, settled=settled)
    except UserError as error:
        raise UserError(f"model.path {error}") from error
    return config.model_copy(
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


def _space(config: RunConfig, task: Task | None, found: list[CheckFinding]) -> Space | None:
    try:
        suggested = task.space() if task else {}
        space = config.build_space(suggested)
    except UserError as error:
        found.append(CheckFinding("error", "space", str(error)))
        return None
    varied = [each for each in space if len(each.choices) != 1 and (each.choices or each.low < each.high)]
    names = ", ".join(f"{each.name} {each.allowed}" for each in varied)
    found.append(CheckFinding("ok", "space", names or "nothing varies: every hyperparameter is fixed"))
    return space


def _strategy(config: RunConfig) -> Iterator[CheckFinding]:
    try:
        check_packages(config.search.strategy)
    except UserError as error:
        subject, _, text = str(error).partition(" = ")
        yield CheckFinding("error", subject, text)


def _budget(config: RunConfig, here: machine.Machine) -> Iterator[CheckFinding]:
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
    if not here.gpus and search.workers > here.cores:
        yield CheckFinding("warning", "search.workers", f"{search.workers} workers share {here.cores} cores")


def _memory(config: RunConfig, model: ModelFiles, space: Space | None, here: machine.Machine) -> Iterator[CheckFinding]:
    if not model.parameters:
        yield CheckFinding("warning", "memory", "cannot be estimated: the model directory has no safetensors")
        return
    need = training_bytes(config, model, space, on_gpu=bool(here.gpus))
    if here.gpus:
        where, has, free = here.gpus[0].name, here.gpus[0].memory, here.gpus[0].free
    else:
        where, has, free = "this machine", here.memory, here.available
    if not has:
        yield CheckFinding("warning", "memory", f"the driver does not say what memory {where} has")
        return
    workers = f"{config.search.workers} worker{'s' if config.search.workers > 1 else ''}"
    text = f"about {gib(need)} for {workers}; {where} has {gib(has)}, {gib(free)} of it free"
    if need > has:
        text += "; a smaller model, training.micro_batch, fewer search.workers or a shorter completion helps"
        yield CheckFinding("error", "memory", text)
    else:
        yield CheckFinding("warning" if need > free else "ok", "memory", text)


def training_bytes(config: RunConfig, model: ModelFiles, space: Space | None, *, on_gpu: bool) -> int:
    """Estimate of what all workers need at the same time, in bytes.

    Weights, gradients and Adam's two moments in fp32, the reference beside them, and the logits of one micro-batch
    three times (forward, softmax, gradient). With an adapter only that has gradients, moments and a copy as reference;
    the base lies there once, in the type it computes in. An estimate: activations of long completions come on top.
    """
    precision = config.training.precision
    half = 2 if precision == "bf16" or (on_gpu and precision == "auto") else 4
    if lora := _adapter(config, model):
        weights = half * model.parameters + lora * 20
    else:
        weights = model.parameters * (16 + half)
    length = space.longest_completion(512) if space else 512
    batch = config.training.micro_batch or config.training.batch_size
    logits = 3 * 4 * batch * length * model.vocabulary
    return config.search.workers * (weights + logits + WORKER_BYTES)


def _adapter(config: RunConfig, model: ModelFiles) -> int:
    """Weights of the run's adapter; 0 without one."""
    lora = config.training.lora
    return adapter_parameters(model.shapes, lora.rank, lora.target) if lora.rank else 0


def _directory(config: RunConfig, runs_dir: Path, model: ModelFiles | None) -> Iterator[CheckFinding]:
    existing = next(each for each in (runs_dir.absolute(), *runs_dir.absolute().parents) if each.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        yield CheckFinding(
            "error", "runs directory", f"{runs_dir}: {existing} is not a directory that you may write to"
        )
        return
    if reason := lacks_locks(existing):
        yield CheckFinding("error", "runs directory", f"{existing}: {reason}")
    if (runs_dir / config.name).exists():
        yield CheckFinding(
            "error",
            "name",
            f"run {config.name} exists in {runs_dir}; `llmzero resume {config.name}` goes on, or choose another name",
        )
    free = machine.disk_free(runs_dir)
    checkpoint = 12 * (_adapter(config, model) or model.parameters) if model else 0
    kept = config.training.keep_checkpoints + config.search.workers * config.evaluation.checkpoints + 4
    need = checkpoint * kept + DATABASE_BYTES
    text = (
        f"{gib(free)} free, about {gib(need)} needed: {kept} checkpoints of {gib(checkpoint)} (weights and optimizer), "
        f"and {gib(DATABASE_BYTES)} for the database and logs"
    )
    yield CheckFinding("warning" if free < need else "ok", "disk", text)


def _vllm(config: RunConfig, here: machine.Machine) -> Iterator[CheckFinding]:
    if config.training.vllm == "off":
        return
    installed = machine.version("vllm")
    if installed is None:
        install = machine.install_command("vllm")
        yield CheckFinding("error", "training.vllm", f'vLLM is not installed; `{install}`, or vllm = "off"')
    elif not here.gpus:
        yield CheckFinding("warning", "training.vllm", f"vLLM {installed} and no NVIDIA GPU found")
    else:
        yield CheckFinding("ok", "training.vllm", f"vLLM {installed}, {config.training.vllm}")


def gib(size: int) -> str:
    """A number of bytes for people: "6.2 GB", "340 MB"."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"

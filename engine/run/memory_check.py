"""What `engine.run.preflight` finds of memory and disk: what a run file takes of a model, against what there is.

The arithmetic is `engine.domain.memory`; here the run file, the model's files and the machine are read for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from engine.domain.batch import most_completions
from engine.domain.memory import TrainingSizes, estimate
from engine.domain.space import Space, numeric
from engine.host import machine
from engine.host.model_files import ModelFiles
from engine.host.weight_files import adapter_parameters
from engine.run.config import RunConfig
from engine.run.evaluation_sizes import settled
from engine.run.findings import CheckFinding
from engine.run.training_section import VllmSection
from engine.words import counted

DATABASE_BYTES = 200 * 1024**2
"""What a run's database, logs and plots may take on the disk."""
VLLM_CPU_BYTES = 1300 * 1024**2
"""What vLLM takes on a CPU beside its copy of the weights: a cache of 1 GiB, its libraries."""
_LENGTH = 512  # tokens of a completion where no space says it


def sizes(config: RunConfig, model: ModelFiles, space: Space | None, prompt: int, *, gpu: bool) -> TrainingSizes:
    """Of a run file. `prompt`: tokens of its longest prompt, with the chat template."""
    training, lora = config.training, config.training.lora
    adapter = adapter_parameters(model.shapes, lora.rank, lora.target) if lora.rank else 0
    half = training.precision == "bf16" or (gpu and training.precision == "auto")
    short = training.dtype == "bf16" or (training.dtype == "auto" and bool(adapter) and half)
    completion = space.longest_completion(_LENGTH) if space else _LENGTH
    batch = most_completions(space, training.batch_size)
    return TrainingSizes(
        parameters=model.parameters, vocabulary=model.vocabulary, layers=model.layers, adapter=adapter,
        tokenizer=_tokenizer_bytes(model),
        four_bit=lora.base == "nf4",
        weight=2 if short else 4, compute=2 if half or short else 4, eight_bit=training.optimizer != "adamw",
        penalty=space is None or _penalty(space), batch=batch * _steps_per_generation(space),
        micro_batch=training.micro_batch or batch, prompt=prompt, completion=completion,
        scored=config.evaluation_length(space, _LENGTH) if space else completion,
        shards=config.executor.processes if training.fsdp else 1,
        prompts=config.evaluation.batch_size, asked=_largest_evaluation(config), gpu=gpu,
    )  # fmt: skip


def _tokenizer_bytes(model: ModelFiles) -> int:
    """Of its files on this machine."""
    return sum(file.stat().st_size for file in model.directory.glob("tokenizer*")) if model.directory else 0


def _largest_evaluation(config: RunConfig) -> int:
    """Prompts of it."""
    sizes = settled(config).evaluation
    return max(sizes.validation_prompts, sizes.rerank_prompts, sizes.test_prompts)


def _steps_per_generation(space: Space | None) -> int:
    """Steps whose completions are generated together, at most."""
    shared = space["steps_per_generation"] if space and "steps_per_generation" in space else None
    return int(max(map(numeric, shared.choices), default=shared.high)) if shared else 1


def _penalty(space: Space) -> bool:
    """Whether a segment of this space can have a KL penalty, and so a reference beside the policy."""
    if "beta" not in space:
        return False
    beta = space["beta"]
    return any(beta.choices) if beta.choices else beta.high > 0


def memory(config: RunConfig, of: TrainingSizes, here: machine.Machine) -> Iterator[CheckFinding]:
    """What the workers take, on the machine's memory or on each of its GPUs."""
    if not of.parameters:
        yield CheckFinding("warning", "memory", "cannot be estimated: the model directory has no safetensors")
        return
    workers = config.executor.workers
    if config.executor.kind == "ray":
        yield CheckFinding(
            "ok", "memory", f"about {gib(estimate(of).total)} for each worker, on a machine of the cluster"
        )
        return
    if here.gpus:
        smallest = min(here.gpus, key=lambda gpu: gpu.memory)
        where, has, free = smallest.name, smallest.memory, min(gpu.free for gpu in here.gpus)
        workers = -(-workers * config.executor.processes // len(here.gpus))
    else:
        where, has, free = "this machine", here.memory, here.available
    if not has:
        yield CheckFinding("warning", "memory", f"the driver does not report the memory of {where}")
        return
    of = with_vllm(config.training.vllm, of, has)
    one = estimate(of)
    need = workers * one.total * (1 if of.gpu else config.executor.processes)
    text = f"about {gib(need)} for {counted(workers, 'worker')}"
    if of.vllm:
        text += f", of each {gib(of.vllm)} for vLLM" + (" while it generates" if of.sleeps else "")
    text += " on each GPU" if len(here.gpus) > 1 else ""
    names = {name: name for name in ("weights", "optimizer", "activations", "generation")} | {"vllm": "vLLM"}
    if of.vllm:
        names["generation"] = "vLLM"
    largest = max(names, key=lambda name: one.parts()[name])
    text += f", most of it {names[largest]}; {where} has {gib(has)}, {gib(free)} of it free"
    if need > has:
        text += "; " + _remedy(config, largest)
        yield CheckFinding("error", "memory", text)
    else:
        yield CheckFinding("warning" if need > free else "ok", "memory", text)


def with_vllm(vllm: VllmSection, of: TrainingSizes, memory: int) -> TrainingSizes:
    """The same sizes with what vLLM takes of each worker's memory, of `memory` bytes in all."""
    if vllm.mode == "off":
        return of
    if vllm.mode == "server":
        return replace(of, vllm=0)
    if of.gpu:
        return replace(of, vllm=int(vllm.memory_share * memory), sleeps=vllm.sleep)
    return replace(of, vllm=of.parameters * of.compute + VLLM_CPU_BYTES)


def _remedy(config: RunConfig, largest: str) -> str:
    """What takes most of the memory can be made smaller."""
    match largest:
        case "vllm":
            return "a smaller training.vllm.memory_share or training.vllm.sleep = true helps"
        case "generation" if config.training.vllm.mode == "colocate":
            return "a smaller training.vllm.memory_share helps"
        case "activations":
            return "a smaller training.micro_batch or shorter completions help"
        case "generation":
            return "a smaller evaluation.batch_size, training.batch_size or shorter completions help"
    if config.executor.processes > 1 and not config.training.fsdp and not config.training.lora.rank:
        return "training.fsdp = true or an adapter ([training.lora] rank = 16) helps"
    if not config.training.lora.rank:
        return (
            'an adapter ([training.lora] rank = 16), training.dtype = "bf16" or training.optimizer = "adamw-8bit" helps'
        )
    return (
        'training.lora.base = "nf4", a smaller model, training.dtype = "bf16" or fewer executor.workers help'
        if config.training.lora.base == "whole"
        else "a smaller model or fewer executor.workers help"
    )


def disk(config: RunConfig, of: TrainingSizes | None, runs_dir: Path) -> CheckFinding:
    """What the run's directory grows to, at most, against what is free."""
    free = machine.disk_free(runs_dir)
    checkpoint, kept = of.checkpoint if of else 0, kept_checkpoints(config)
    need = checkpoint * kept + DATABASE_BYTES
    text = (
        f"{gib(free)} free, about {gib(need)} needed: {kept} checkpoints of {gib(checkpoint)} (weights and optimizer), "
        f"and {gib(DATABASE_BYTES)} for the database and logs"
    )
    return CheckFinding("warning" if free < need else "ok", "disk", text)


def kept_checkpoints(config: RunConfig) -> int:
    """Checkpoints on disk at the same time, at most: those that are kept, four ends that changes were tried from and as
    many others; or all that the budget trains and a soup."""
    workers, budget, each = config.executor.workers, config.budget, config.evaluation.checkpoints
    kept = config.training.keep_checkpoints + workers * each + 8
    segments = [budget.nodes] if budget.nodes else []
    segments += [-(-budget.steps // config.search.segment_steps)] if budget.steps else []
    return min([kept, *(count * each + 1 for count in segments)])


def gib(size: int) -> str:
    """A number of bytes for people: "6.2 GB", "340 MB"."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"

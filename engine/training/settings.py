"""From a SegmentSpec to trl.GRPOConfig and prompts, with every mistake that TRL would swallow found before training.

Called by the segment only. It never starts to train.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Mapping
from typing import Any

import torch
from trl import GRPOConfig

from engine.domain.hyperparameters import PROMPTS, SYNC_STEPS
from engine.domain.memory import CHECKPOINTING_PARAMETERS
from engine.domain.space import numeric
from engine.domain.trl_fields import OWNED
from engine.errors import UserError
from engine.training import sharding
from engine.training.events import SegmentSpec, VllmSpec
from engine.training.policy import use_bf16
from engine.training.process import world_size
from engine.training.rewards import OverlongPenalty
from tasks.base import Item, Split, Task

HIGHEST_LEARNING_RATE = 0.1

_FIELDS = {field.name: field for field in dataclasses.fields(GRPOConfig)}
Fields = dict[str, Any]
"""Values of trl.GRPOConfig by name."""


def task_for_training(task: Task, spec: SegmentSpec) -> Task:
    """The task that training prompts come from: `task` itself, or what its `configured` makes of its own parameters.

    Hyperparameters that are no field of trl.GRPOConfig (difficulty, say) belong to the task, but for the prompts per
    step, which are in the batch size. Validation and test always use the task as it is.

    Raises:
        UserError: a hyperparameter is neither TRL's nor the task's.
        TaskError: the task does not allow the value.
    """
    names = [name for name in spec.configuration if name not in _FIELDS and name != PROMPTS]
    if not names:
        return task
    own = task.parameters()
    for name in names:
        if name not in own:
            near = difflib.get_close_matches(name, [*_FIELDS, *own], n=1)
            hint = f"; nearest: {near[0]}" if near else ""
            raise UserError(
                f"hyperparameter {name!r} is neither a field of trl.GRPOConfig nor one of task {task.name!r}{hint}"
            )
    result: object = task.configured({name: numeric(spec.configuration[name]) for name in names})
    if not isinstance(result, Task):
        raise UserError(f"task {task.name!r}: configured() returned {type(result).__name__}, not a Task")
    return result


def hyperparameters(task: Task, spec: SegmentSpec) -> Fields:
    """The fields of GRPOConfig that the configuration and `spec.trl` set, checked.

    Raises:
        UserError: an unknown field, one that the segment itself sets, or a value that TRL would train on in vain.
    """
    chosen: Fields = {"max_completion_length": task.max_completion_length}
    chosen |= {name: value for name, value in spec.configuration.items() if name in _FIELDS}
    chosen |= spec.trl
    for name, value in chosen.items():
        if name not in _FIELDS:
            near = difflib.get_close_matches(name, _FIELDS, n=1)
            hint = f"; nearest: {near[0]}" if near else ""
            raise UserError(f"trl.GRPOConfig has no field {name!r}{hint}")
        if name in OWNED:
            raise UserError(f"{name} = {value!r} cannot be configured: {OWNED[name]}")
        chosen[name] = _typed(name, value)
    _check(chosen, spec)
    return _meant(chosen)


CISPO_CAP = 5.0
"""What cispo caps the policy ratio at (ScaleRL, arXiv 2510.13786). TRL takes epsilon_high for it, whose usual values
would only make every update so many times smaller."""


def _meant(chosen: Fields) -> Fields:
    """The fields with what a value implies for others, so that each is valid whatever the others are."""
    if chosen.get("loss_type") == "cispo":
        chosen["epsilon_high"] = CISPO_CAP
    if chosen.get("loss_type") == "luspo":
        chosen["importance_sampling_level"] = "sequence"
    if chosen.get("sync_ref_model"):
        chosen["sync_ref_model"] = bool(chosen.get("beta"))
        chosen.setdefault("ref_model_sync_steps", SYNC_STEPS)
    if chosen.get("warmup_steps") and chosen.get("lr_scheduler_type", "constant") == "constant":
        chosen["lr_scheduler_type"] = "constant_with_warmup"
    if chosen.get("delta") == 0:
        del chosen["delta"]  # off, for TRL, is None
    return chosen


def _typed(name: str, value: Any) -> Any:
    """JSON knows no difference between 8 and 8.0; TRL does."""
    kind = str(_FIELDS[name].type)
    if isinstance(value, float) and "int" in kind and "float" not in kind:
        if not value.is_integer():
            raise UserError(f"{name} = {value} is not a whole number")
        return int(value)
    return value


def _check(chosen: Mapping[str, Any], spec: SegmentSpec) -> None:
    group = _number(chosen, "num_generations", 8)
    if group < 2:
        raise UserError(f"num_generations = {group:g} is too small: GRPO compares at least 2 completions a prompt")
    if spec.batch_size % group:
        raise UserError(f"batch_size = {spec.batch_size} is not divisible by num_generations = {group:g}")
    if spec.batch_size % spec.micro_batch:
        raise UserError(f"batch_size = {spec.batch_size} is not divisible by micro_batch = {spec.micro_batch}")
    rate = _number(chosen, "learning_rate", 1e-6)
    if not 0 < rate <= HIGHEST_LEARNING_RATE:
        raise UserError(f"learning_rate = {rate:g} is outside 0 < … ≤ {HIGHEST_LEARNING_RATE}: it would train nothing")
    if _number(chosen, "temperature", 1.0) <= 0:
        raise UserError(f"temperature = {chosen['temperature']} must be above 0: rollouts of a group must differ")
    if _number(chosen, "beta", 0.0) < 0:
        raise UserError(f"beta = {chosen['beta']} must be 0 or more")
    for name in ("max_completion_length", "num_iterations", "steps_per_generation"):
        if _number(chosen, name, 1) < 1:
            raise UserError(f"{name} = {chosen[name]} must be at least 1")


def _number(chosen: Mapping[str, Any], name: str, default: float) -> float:
    value = chosen.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UserError(f"{name} = {value!r} is not a finite number")
    return value


def training_items(task: Task, spec: SegmentSpec, chosen: Mapping[str, Any]) -> list[Item]:
    """Training prompts for every step of the segment, drawn with the segment's seed.

    Raises:
        TaskError: the task yields too few items.
        UserError: fewer prompts than one batch needs; TRL would train zero steps and say nothing.
    """
    group = int(_number(chosen, "num_generations", 8))
    iterations, shared = (int(_number(chosen, name, 1)) for name in ("num_iterations", "steps_per_generation"))
    together = spec.batch_size * shared // group
    items = task.items(Split.TRAIN, together * math.ceil(spec.steps_left / (iterations * shared)), spec.seed)
    if len(items) < together:
        raise UserError(
            f"task {task.name}: {len(items)} training prompts are fewer than the {together} of one generation"
            f" (batch_size {spec.batch_size} × steps_per_generation {shared} / num_generations {group})"
        )
    return items


def overlong_penalty(spec: SegmentSpec, chosen: Mapping[str, Any]) -> OverlongPenalty | None:
    """What rollouts lose near the longest length, None where that is off."""
    limit = int(_number(chosen, "max_completion_length", 256))
    return OverlongPenalty(limit, max(1, round(spec.overlong_penalty * limit))) if spec.overlong_penalty else None


def grpo_config(
    spec: SegmentSpec, chosen: Mapping[str, Any], parameters: int, longest_prompt: int, positions: int | None = None
) -> Any:
    """trl.GRPOConfig of the segment. TRL's defaults that do harm here are overridden (bf16 on a CPU, linear decay).

    Args:
        parameters: number of weights of the policy; above 100M its activations are recomputed to save memory.
        longest_prompt: tokens of the longest prompt, those of evaluations too, for vLLM's context length.
        positions: of the model, where it says how many it has.

    Raises:
        UserError: TRL refuses a value.
    """
    accelerator = torch.cuda.is_available()
    processes = world_size()
    if spec.batch_size % processes:
        raise UserError(f"batch_size = {spec.batch_size} is not divisible by the worker's {processes} processes")
    micro_batch = math.gcd(spec.micro_batch, spec.batch_size // processes)
    accumulation = spec.batch_size // (processes * micro_batch)
    fields: dict[str, Any] = {
        "lr_scheduler_type": "constant",
        "gradient_checkpointing": accelerator and parameters > CHECKPOINTING_PARAMETERS,
        "dataloader_pin_memory": accelerator,
        "use_bias_correction_kl": True,  # as TRL 1.16 has it, whatever a later one will
        **_vllm_fields(spec, chosen, longest_prompt, positions),
        **chosen,
        "output_dir": spec.directory,
        "max_steps": spec.steps_left,
        "seed": spec.seed % 2**32,
        "per_device_train_batch_size": micro_batch,
        "gradient_accumulation_steps": accumulation,
        # Ours counts GRPO steps, TRL's forward passes.
        "steps_per_generation": accumulation * int(_number(chosen, "steps_per_generation", 1)),
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": not accelerator,
        "bf16": use_bf16(spec.precision),
        **({"optim": spec.optim} if spec.optim else {}),
        **({"ddp_find_unused_parameters": False} if processes > 1 else {}),
        # TRL warns that they are ignored: they are for the policy, which the segment loads, and not for the reference.
        **({"model_init_kwargs": sharding.loading(bf16=use_bf16(spec.precision))} if spec.fsdp else {}),
    }
    try:
        return GRPOConfig(**fields)
    except (ValueError, TypeError) as error:
        raise UserError(f"TRL refuses the configuration: {' '.join(str(error).split())[:300]}") from error


def _vllm_fields(
    spec: SegmentSpec, chosen: Mapping[str, Any], longest_prompt: int, positions: int | None
) -> dict[str, Any]:
    vllm = spec.vllm
    if vllm is None:
        return {}
    answer = int(_number(chosen, "max_completion_length", 256))
    corrected = vllm.correction != "off"
    return {
        "use_vllm": True,
        "vllm_mode": vllm.mode,
        "vllm_gpu_memory_utilization": vllm.memory_share,
        "vllm_max_model_length": vllm_length(vllm, longest_prompt, answer, positions),
        "vllm_enable_sleep_mode": vllm.sleep and torch.cuda.is_available(),
        "vllm_importance_sampling_correction": corrected,
        **({"vllm_importance_sampling_mode": vllm.correction} if corrected else {}),
        "vllm_importance_sampling_clip_max": vllm.clip_max,
        "vllm_server_host": vllm.host,
        "vllm_server_port": vllm.port,
        "vllm_group_port": vllm.group_port,
        "vllm_server_timeout": vllm.timeout,
    }


def vllm_length(vllm: VllmSpec, prompt: int, answer: int, positions: int | None) -> int:
    """Tokens that a sequence of vLLM may have: as asked, else a power of two, so that the jobs of a run agree on it.

    Args:
        prompt: tokens of the longest at hand; others of the run may be a quarter longer before another length is found.
        answer: tokens of the longest answer at hand. positions: of the model, which no sequence exceeds.

    Raises:
        UserError: the asked length is too short.
    """
    needed = prompt + max(answer, vllm.longest)
    if vllm.length and vllm.length < needed:
        raise UserError(
            f"training.vllm.max_model_length = {vllm.length}: the longest prompt and the longest answer have {needed} "
            "tokens together; raise it, or set 0"
        )
    length = vllm.length or 1 << (needed + prompt // 4 - 1).bit_length()
    return min(length, positions or length)


def schedule(trainer: Any, spec: SegmentSpec) -> None:
    """Have the learning rate follow the schedule of the whole segment, also where it is taken up in its middle."""
    if not spec.done:
        return
    create = trainer.create_scheduler

    def taken_up(num_training_steps: int, optimizer: Any = None) -> Any:
        scheduler = create(num_training_steps=spec.steps, optimizer=optimizer)
        rates = [rate * at(spec.done) for rate, at in zip(scheduler.base_lrs, scheduler.lr_lambdas, strict=True)]
        for group, rate in zip(scheduler.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        scheduler.last_epoch, scheduler._last_lr = spec.done, rates
        return scheduler

    trainer.create_scheduler = taken_up

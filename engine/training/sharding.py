"""A policy of which every process of a worker holds a part: of its weights, gradients and Adam's moments (FSDP2).

Transformers divides a model while it loads it, and Trainer then leaves it alone. Here is what they do not do: rollouts
from the whole weights, and whole checkpoints, which any number of processes can go on from. Every process of a worker
must call each of these functions at the same time.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor, distribute_tensor

from engine.training.process import world_size

_GATHERED = "_all_weights_are_here"


def loading(*, bf16: bool) -> dict[str, Any]:
    """What Transformers' from_pretrained is told, so that each process loads its part. `bf16`: weights are gathered in
    bf16, their parts stay as they are."""
    return {"distributed_config": {"fsdp_size": world_size(), "fsdp_mixed_precision": bf16}}


@contextmanager
def gathered(model: Any) -> Iterator[None]:
    """Within this block the process holds all weights and runs the model by itself. A model in one piece stays so, and
    so does one that is gathered already: processes that answer different prompts do not come here equally often."""
    parts = [module for module in model.modules() if isinstance(module, FSDPModule)]
    if not parts or getattr(model, _GATHERED, False):
        yield
        return
    setattr(model, _GATHERED, True)
    for part in parts:
        part.set_reshard_after_forward(False, recurse=False)
        part.unshard()
    try:
        yield
    finally:
        setattr(model, _GATHERED, False)
        for part in parts:
            part.set_reshard_after_forward(True, recurse=False)
            part.reshard()


def gather_to_generate(model: Any) -> None:
    """Have the model gather its weights once for all the tokens of a batch of completions, not for each token."""
    generate: Callable[..., Any] = model.generate

    def with_whole_weights(*arguments: Any, **options: Any) -> Any:
        with gathered(model):
            return generate(*arguments, **{**options, "synced_gpus": False})

    model.generate = with_whole_weights


def whole(model: Any) -> Any | None:
    """A copy of the model in one piece in the memory of the CPU, for rank 0; None for the others."""
    state = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    if dist.get_rank() != 0:
        return None
    config = copy.deepcopy(model.config)
    del config.distributed_config
    plain: Any = next(kind for kind in type(model).__mro__ if kind.__name__ == config.architectures[0])
    copied = plain.from_pretrained(None, config=config, state_dict=state, dtype=model.dtype)
    copied.generation_config = model.generation_config
    return copied


def whole_state(optimizer: Any) -> dict[str, Any]:
    """The optimizer's state as one process would have it."""
    state = optimizer.state_dict()
    return {**state, "state": {number: _gathered(tensors) for number, tensors in state["state"].items()}}


def sharded_state(optimizer: Any, state: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a whole state that belongs to this process's optimizer: all of it where the weights are whole."""
    weights = dict(enumerate(weight for group in optimizer.param_groups for weight in group["params"]))
    moments = state["state"].items()
    return {**state, "state": {number: _parts(tensors, weights.get(number)) for number, tensors in moments}}


def _gathered(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """On the CPU in rank 0; the others take part, and keep nothing."""
    whole = {}
    for name, tensor in tensors.items():
        if isinstance(tensor, DTensor):
            full = tensor.full_tensor()
            tensor = full.cpu() if dist.get_rank() == 0 else full.new_empty(0)
        whole[name] = tensor
    return whole


def _parts(tensors: Mapping[str, Any], weight: torch.Tensor | None) -> Mapping[str, Any]:
    """Of a weight's moments; the count of its steps, which has no dimension, is the same everywhere."""
    if not isinstance(weight, DTensor):
        return tensors
    mesh, placements = weight.device_mesh, weight.placements
    return {
        name: distribute_tensor(tensor.to(weight.device), mesh, placements, src_data_rank=None)
        if isinstance(tensor, torch.Tensor) and tensor.shape == weight.shape
        else tensor
        for name, tensor in tensors.items()
    }

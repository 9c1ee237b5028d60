"""Low-rank adapters (LoRA, arXiv 2106.09685): a base that the worker keeps, and the adapter that is trained on it.

Called by segments and evaluations of runs with `[training.lora] rank` above 0. The base is loaded once a worker; a
change of segment swaps the adapter's tensors in place and undoes what TRL and accelerate left on the model, so that a
segment trains as it would on a freshly loaded model. A checkpoint is an adapter directory of peft. Nothing here decides
anything, and it writes nothing but adapters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from engine.errors import UserError, one_line
from engine.training import policy
from engine.training.events import LoraSpec
from engine.training.failures import NotFinite

WEIGHTS = "adapter_model.safetensors"
POLICY, REFERENCE, SOUP = "default", "ref", "soup"
"""Adapters of the kept model, by TRL's names: what is trained, the reference of the KL penalty; and a soup."""

State = dict[str, torch.Tensor]
"""Tensors of an adapter, under peft's names without the adapter's own."""


@dataclass(frozen=True, slots=True)
class KeptBase:
    """A base model under a live adapter: `start` is the adapter of every root, `generation` what the base declares."""

    source: str
    spec: LoraSpec
    dtype: torch.dtype
    model: Any
    start: State
    generation: Any


_kept: KeptBase | None = None


def forget() -> None:
    """Drop the kept base: after a failure its state is in doubt."""
    global _kept
    _kept = None


def load_policy(base: str, spec: LoraSpec, source: str, dtype: torch.dtype) -> Any:
    """The policy of a checkpoint: the kept base with the adapter in `source`, or with that of a root for the base.

    Raises:
        UserError: no loadable base, or no adapter of this shape in `source`. NotFinite: a weight is not finite.
    """
    kept = _keep(base, spec, dtype)
    state = kept.start if source == base else read_adapter(source)
    _put(kept.model, state, POLICY, source)
    return kept.model


def load_soup(base: str, spec: LoraSpec, directories: Sequence[str], dtype: torch.dtype) -> Any:
    """The policy whose weights are the mean of those in `directories`, to be scored; of one directory, that policy.

    The mean is exact: the product of the stacked factors, [A1; …; An] and [B1 … Bn] / n, is the mean of the products,
    which means of A and of B apart are not. The soup's rank is the sum of its members'; the base adds no factor. A soup
    that was saved is loaded by its own rank.

    Raises: see `load_policy`.
    """
    kept = _keep(base, spec, dtype)
    states = [read_adapter(each) for each in directories if each != base]
    if not states:
        return load_policy(base, spec, base, dtype)
    state = {name: _stacked(name, states, len(directories)) for name in states[0]}
    rank = next((tensor.shape[0] for name, tensor in state.items() if _is_a(name)), spec.rank)
    kept.model.add_adapter(SOUP, _config(spec.model_copy(update={"rank": rank})))
    _put(kept.model, state, SOUP, " and ".join(directories))
    kept.model.set_adapter(SOUP)
    return kept.model


def set_reference(model: Any, reference: str, base: str, parent: str) -> None:
    """Which policy the KL penalty is measured against, once TRL has been built with beta above 0.

    TRL has put a frozen copy of the policy beside it, which is right where the reference is the parent. For the base
    there is to be none: TRL then measures with the adapter switched off.

    Raises:
        UserError: `reference` has no adapter of this shape.
    """
    if reference == base:
        model.delete_adapter(REFERENCE)
    elif reference != parent:
        _put(model, read_adapter(reference), REFERENCE, reference)


def read_adapter(directory: str) -> State:
    """The tensors of a checkpoint's adapter.

    Raises:
        UserError: there are none. NotFinite: one is not finite.
    """
    try:
        state: State = load_file(Path(directory) / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{directory!r} has no adapter that can be read: {one_line(str(error))[:200]}") from error
    for name, tensor in state.items():
        if not bool(torch.isfinite(tensor).all()):
            raise NotFinite(f"adapter {directory!r}: {name} is not finite")
    return state


def keep_float32(model: Any) -> None:
    """The trainable weights in float32 again, before the optimizer is made: TRL turns those of a quantized base into
    bf16, in which most steps of a usual learning rate are less than the distance of two numbers."""
    for weight in model.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()


def save_adapter(model: Any, directory: Path) -> None:
    """Write the active adapter into `directory` as peft has it, in float32.

    Raises:
        OSError: it cannot be written.
    """
    name = model.active_adapter
    state = {key: tensor.detach().cpu().contiguous() for key, tensor in _state(model, name).items()}
    save_file(state, directory / WEIGHTS, metadata={"format": "pt"})
    replace(model.peft_config[name], inference_mode=True).save_pretrained(directory)


def merged(base: str, directory: str) -> Any:
    """The base with a checkpoint's adapter added to its weights, in float32: a model without adapters, to be exported.

    Added once and in float32; merging and unmerging a bf16 base again and again drifts (1.5% of its norm after 400
    times), and rounding to the base's own type is left to whoever writes it.

    Raises: see `load_policy`.
    """
    from peft import PeftModel

    return PeftModel.from_pretrained(policy.load_model(base), directory).merge_and_unload()


def _keep(base: str, spec: LoraSpec, dtype: torch.dtype) -> KeptBase:
    global _kept
    if _kept is not None and (_kept.source, _kept.spec, _kept.dtype) == (base, spec, dtype):
        _clean(_kept)
        return _kept
    forget()
    policy.free_memory()
    model = policy.load_model(base, dtype, four_bit=spec.four_bit)
    generation = model.generation_config
    torch.manual_seed(spec.seed)  # one start for the run: a soup of two roots would else be of unlike factors
    try:
        model = get_peft_model(model, _config(spec), adapter_name=POLICY)
    except ValueError as error:
        raise UserError(f"training.lora.target: {one_line(str(error))[:300]}") from error
    _kept = KeptBase(base, spec, dtype, model, {k: t.clone() for k, t in _state(model, POLICY).items()}, generation)
    return _kept


def _clean(kept: KeptBase) -> None:
    """Undo what the last job left on the model: TRL's and accelerate's wrapped `forward`, its adapters, its hooks.

    The hooks are those of gradient checkpointing on the embedding: two more with each trainer.
    """
    model = kept.model
    inner = model.get_base_model()
    model.set_adapter(POLICY)
    for name in [each for each in model.peft_config if each != POLICY]:
        model.delete_adapter(name)
    inner.get_input_embeddings()._forward_hooks.clear()
    inner.__dict__.pop("forward", None)
    for left in ("forward", "_original_forward", "_is_accelerate_prepared"):
        model.__dict__.pop(left, None)
    inner.generation_config = kept.generation
    model.generation_config = kept.generation


def _config(spec: LoraSpec) -> Any:
    return LoraConfig(
        r=spec.rank,
        lora_alpha=spec.scaling * spec.rank,  # type: ignore[arg-type]  # peft divides it by the rank
        lora_dropout=spec.dropout,
        target_modules=spec.target,
        task_type="CAUSAL_LM",
    )


def _state(model: Any, adapter: str) -> State:
    state: State = get_peft_model_state_dict(model, adapter_name=adapter, save_embedding_layers=False)
    return state


def _put(model: Any, state: State, adapter: str, source: str) -> None:
    """Give an adapter its tensors; peft itself would take half of them, or foreign ones, without a word."""
    wanted = {name: tensor.shape for name, tensor in _state(model, adapter).items()}
    if wanted != {name: tensor.shape for name, tensor in state.items()}:
        raise UserError(f"{source!r} has an adapter of another shape than [training.lora] and the base give")
    set_peft_model_state_dict(model, state, adapter_name=adapter)


def _stacked(name: str, states: Sequence[State], members: int) -> torch.Tensor:
    if _is_a(name):
        return torch.cat([state[name] for state in states], dim=0)
    return torch.cat([state[name] for state in states], dim=1) / members


def _is_a(name: str) -> bool:
    return ".lora_A." in name

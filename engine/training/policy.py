"""Loads policies: model directory or hub id to a transformers model, its tokenizer, and soups of several.

Called by segments, evaluations and `compare`. It never writes, and never returns a policy whose weights are not finite,
or do not fit the architecture (`misfit`, by what Transformers reports of a load).
"""

from __future__ import annotations

import gc
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch
from huggingface_hub import snapshot_download
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

from engine.errors import UserError, one_line
from engine.host import hub
from engine.host.weight_files import WeightFiles, adapter_line, is_adapter, read_weights, refuse_integers
from engine.training.events import Precision
from engine.training.failures import NotFinite

_DEFAULT_THREADS = torch.get_num_threads()
_ASKED = 8


def use_threads(threads: int) -> None:
    """Let torch use so many CPU threads, or its default for 0: a warm worker must not keep the last job's number."""
    torch.set_num_threads(threads or _DEFAULT_THREADS)


def device() -> torch.device:
    """Where policies train: the accelerator if torch sees one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def use_bf16(precision: Precision) -> bool:
    """Whether the forward passes run under bf16 autocast (weights stay float32): "auto" only where a GPU has it."""
    if precision == "auto":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    return precision == "bf16"


def weights_dtype(dtype: Precision, precision: Precision, *, frozen: bool) -> torch.dtype:
    """How weights are kept: as asked, else in float32, and where they do not change (`frozen`: the base under an
    adapter) in what the forward passes compute in."""
    if dtype == "auto":
        dtype = "bf16" if frozen and use_bf16(precision) else "fp32"
    return torch.bfloat16 if dtype == "bf16" else torch.float32


def located(source: str) -> str:
    """What Transformers is to be given for a model directory (absolute) or a hub id.

    Transformers takes a hub id for whatever lies in the working directory under that name; where something does, the
    hub's files are named by their place in its cache.
    """
    if Path(source).is_absolute() or not Path(source).exists():
        return source
    files = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]
    try:
        return str(snapshot_download(source, allow_patterns=files, ignore_patterns=["consolidated*", "original/*"]))
    except (OSError, ValueError) as error:
        raise UserError(f"model {source!r} cannot be downloaded from the hub: {one_line(str(error))[:300]}") from error


def load_model(
    source: str, dtype: torch.dtype = torch.float32, *, four_bit: bool = False, options: Mapping[str, Any] = {}
) -> Any:
    """The policy in `source` (a model directory or a hub id) on the CPU, in float32 unless told otherwise.

    With `four_bit` its linear layers but the head are 4-bit NormalFloats that compute in `dtype`, on the accelerator.
    `options`: further ones of Transformers' from_pretrained.

    Raises:
        UserError: there is no loadable model, or its weights are not all that the architecture wants, and no others.
        NotFinite: a weight is NaN or infinite.
    """
    check_source(source)
    try:
        model, info = AutoModelForCausalLM.from_pretrained(
            located(source),
            dtype=dtype,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            **(_four_bits(dtype) if four_bit else {}),
            **options,
        )
    except (OSError, ValueError, SafetensorError) as error:
        raise UserError(f"model {source!r} cannot be loaded: {one_line(str(error))[:300]}") from error
    if not Path(source).is_absolute() and (cached := hub.here(source)):
        on_meta(read_weights(cached))
    if wrong := misfit(type(model).__name__, info):  # what does not fit was drawn at random
        raise UserError(f"model {source!r}: {wrong}")
    check_finite(model, f"policy {source!r}")
    return model


def _four_bits(dtype: torch.dtype) -> dict[str, Any]:
    """What Transformers is told for a base in 4 bits, doubly quantized (QLoRA, arXiv 2305.14314)."""
    wanted = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
    return {"quantization_config": wanted, "device_map": {"": device()}}


def check_source(source: str) -> None:
    """Raises UserError when `source` is a path and no transformers model directory with all its weight files."""
    directory = Path(source)
    if not directory.is_absolute():
        return  # a hub id
    if is_adapter(directory):
        raise UserError(adapter_line(directory))
    if not (directory / "config.json").is_file():
        raise UserError(f"model directory {source!r} has no config.json; give a transformers model directory")
    on_meta(read_weights(directory))


def on_meta(weights: WeightFiles) -> dict[str, torch.Tensor]:
    """The tensors of a model without their data; a quantized one, which loading would turn into floats without a word,
    is refused in PyTorch's own format too, which has no header that says so.

    Raises:
        UserError: a file cannot be read, or a weight is not floating.
    """
    if not weights.pickled:
        return {name: torch.empty(shape, device="meta") for name, shape in weights.shapes.items()}
    tensors: dict[str, torch.Tensor] = {}
    for path in weights.files:
        try:
            read = torch.load(path, map_location="meta", weights_only=True, mmap=is_zipfile(path))
        except Exception as error:
            raise UserError(f"{path} cannot be read: {one_line(str(error))[:200]}") from error
        refuse_integers(path, ((name, str(each.dtype), each.is_floating_point()) for name, each in read.items()))
        tensors |= read
    return tensors


def positions_of(model: Any) -> int | None:
    """Tokens of a sequence that a model has positions for; None where it does not say."""
    positions: int | None = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return positions


def load_tokenizer(source: str) -> Any:
    """The tokenizer of `source`, padding on the left, with a pad token.

    Raises:
        UserError: there is no loadable tokenizer, it has no vocabulary, or neither an end nor a pad token.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(located(source), padding_side="left", truncation_side="left")
    except (OSError, ValueError) as error:
        raise UserError(f"no tokenizer in {source!r}: {one_line(str(error))[:300]}") from error
    if set(tokenizer.get_vocab()) <= set(tokenizer.all_special_tokens):  # what Transformers makes of missing files
        raise UserError(f"no tokenizer in {source!r}: its files (tokenizer.json, or what its class reads) are missing")
    if tokenizer.eos_token_id is None:
        raise UserError(f"the tokenizer of {source!r} has no end-of-sequence token; completions could not end")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def check_tokens(model: Any, tokenizer: Any, source: str) -> None:
    """Raises UserError when a token that training needs has no row in the model's embedding."""
    rows = model.get_input_embeddings().weight.shape[0]
    for name in ("pad", "eos", "bos", "unk"):
        token = getattr(tokenizer, f"{name}_token_id")
        if token is not None and token >= rows:
            text = getattr(tokenizer, f"{name}_token")
            raise UserError(
                f"model {source!r}: the tokenizer's {name} token {text!r} has the id {token}, and the embedding has "
                f"{rows} rows; resize the embedding, or let the tokenizer use a token that it has"
            )


def check_finite(model: Any, what: str) -> None:
    """Raises NotFinite when a weight that is trained is NaN or infinite; names the first such tensor."""
    for name, weight in model.named_parameters():
        if weight.requires_grad and not bool(torch.isfinite(weight).all()):
            raise NotFinite(f"{what}: the weights {name} are not finite")


def check_answers(model: Any, what: str) -> None:
    """Whether a policy can be asked at all, by its logits after some different tokens.

    Raises:
        NotFinite: they are not finite, whatever the weights are.
        UserError: they are the same whatever the token, so nothing that is trained or scored would mean anything.
    """
    rows = model.get_input_embeddings().weight.shape[0]
    asked = sorted({round(i * (rows - 1) / (_ASKED - 1)) for i in range(_ASKED)})
    tokens = torch.tensor(asked, device=model.device)
    with torch.no_grad():
        logits = model(input_ids=tokens[:, None]).logits[:, -1]
    if not bool(torch.isfinite(logits).all()):
        raise NotFinite(f"{what}: its logits are not finite")
    if len(tokens) > 1 and bool((logits == logits[0]).all()):
        zero = [name for name, weight in model.named_parameters() if not bool(weight.any())]
        named = f"; all zero: {zero[0]}{f' and {len(zero) - 1} more' if len(zero) > 1 else ''}" if zero else ""
        raise UserError(f"{what}: its logits are the same whatever the prompt{named}")


def load_soup(directories: Sequence[str], dtype: torch.dtype = torch.float32) -> Any:
    """The policy whose weights are the mean, taken in float32, of those in `directories`; one is simply loaded.

    Raises:
        UserError: a directory cannot be loaded, or the policies are not of one shape.
        NotFinite: a weight of one of them is not finite.
    """
    if len(directories) == 1:
        return load_model(directories[0], dtype)
    model = load_model(directories[0])
    with torch.no_grad():
        for directory in directories[1:]:
            other = dict(load_model(directory).named_parameters())
            mine = dict(model.named_parameters())
            if {n: w.shape for n, w in mine.items()} != {n: w.shape for n, w in other.items()}:
                raise UserError(f"no soup of {directories[0]!r} and {directory!r}: their shapes differ")
            for name, weight in mine.items():
                weight.add_(other[name])
        for weight in model.parameters():
            weight.div_(len(directories))
    return model.to(dtype)


def drop_repeated_hooks(model: Any) -> None:
    """Keep of each forward hook on the input embedding the latest: under gradient checkpointing TRL adds two a step."""
    hooks = model.get_input_embeddings()._forward_hooks
    latest = {hook.__qualname__: key for key, hook in hooks.items() if hasattr(hook, "__qualname__")}
    for key, hook in list(hooks.items()):
        if latest.get(getattr(hook, "__qualname__", ""), key) != key:
            del hooks[key]


def free_memory() -> None:
    """Give back what the last segment held, on the device too."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def gpu_bytes() -> int:
    """The most memory that torch has held of the GPU so far; 0 without one."""
    return int(torch.cuda.max_memory_reserved()) if torch.cuda.is_available() else 0


NAMED = 3
_WRAPPERS = {
    "_orig_mod.": "torch.compile",
    "module.": "DistributedDataParallel",
    "base_model.model.": "PEFT",
    "_fsdp_wrapped_module.": "FSDP",
}


def misfit(architecture: str, info: Mapping[str, Any]) -> str:
    """One line saying how weights and architecture differ, or ""; `info` is Transformers' loading info."""
    missing, unexpected = sorted(info["missing_keys"], key=_natural), sorted(info["unexpected_keys"], key=_natural)
    shapes = sorted(info["mismatched_keys"], key=lambda entry: _natural(entry[0]))
    if not (missing or unexpected or shapes):
        return ""
    begin = f"the weights do not fit {architecture}: "
    if prefix := _prefix(missing, unexpected):
        by = f", as {_WRAPPERS[prefix]} names them" if prefix in _WRAPPERS else ""
        return f"{begin}every name begins with {prefix!r}{by}; save the model inside the wrapper, without the prefix"
    parts = []
    if missing:
        hint = " (config.json says that the head is not tied to the embedding)" if missing == ["lm_head.weight"] else ""
        parts.append(f"missing {_some(missing)}{hint}")
    if unexpected:
        parts.append(f"unexpected {_some(unexpected)}")
    if shapes:
        parts.append(
            "of another shape " + _some(f"{name} ({_size(has)}, wanted {_size(wants)})" for name, has, wants in shapes)
        )
    return begin + "; ".join(parts)


def _prefix(missing: list[str], unexpected: list[str]) -> str:
    """What stands before every unexpected name, when those are the missing ones but for it."""
    for name in unexpected[:1]:
        for wanted in missing:
            prefix = name.removesuffix(wanted)
            if prefix and prefix != name and all(each.removeprefix(prefix) in missing for each in unexpected):
                return prefix
    return ""


def _some(names: Iterable[str]) -> str:
    every = [one_line(name)[:80] for name in names]
    more = f" and {len(every) - NAMED} more" if len(every) > NAMED else ""
    return ", ".join(every[:NAMED]) + more


def _size(shape: Iterable[int]) -> str:
    return " x ".join(map(str, shape))


def _natural(name: str) -> list[tuple[int, str]]:
    """Layer 10 after layer 9."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]

"""Copies of a tiny base that do not fit their architecture, each as people find them, and what must be said of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

Break = Callable[[Path], None]


def copy(base: str | Path, where: Path, change: Break) -> Path:
    """The base in `where`, broken by `change`."""
    shutil.copytree(base, where)
    change(where)
    return where


def _weights(change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Break:
    def write(where: Path) -> None:
        path = where / "model.safetensors"
        save_file(change(load_file(path)), path, {"format": "pt"})

    return write


def _without(*names: str) -> Break:
    return _weights(lambda tensors: {name: t for name, t in tensors.items() if name not in names})


def _prefixed(prefix: str) -> Break:
    return _weights(lambda tensors: {prefix + name: tensor for name, tensor in tensors.items()})


def _config(**changes: object) -> Break:
    def write(where: Path) -> None:
        path = where / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return write


def _cut(share: float) -> Break:
    def write(where: Path) -> None:
        path = where / "model.safetensors"
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])

    return write


def _sharded(where: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(where)
    (where / "model.safetensors").unlink()
    model.save_pretrained(where, max_shard_size="300KB")


def _shard_missing(where: Path) -> None:
    _sharded(where)
    sorted(where.glob("model-*.safetensors"))[-1].unlink()


def _pickled(where: Path) -> None:
    torch.save(load_file(where / "model.safetensors"), where / "pytorch_model.bin")
    (where / "model.safetensors").unlink()


def _pickled_in_part(where: Path) -> None:
    _without("model.norm.weight")(where)
    _pickled(where)


def _pointer(where: Path) -> None:
    text = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 1300000\n"
    (where / "model.safetensors").write_text(text)


def _consolidated(where: Path) -> None:
    (where / "model.safetensors").rename(where / "consolidated.safetensors")


def _second_copy(where: Path) -> None:
    shutil.copy(where / "model.safetensors", where / "consolidated.safetensors")


def _adapter(where: Path) -> None:
    for path in where.iterdir():
        path.unlink()
    (where / "adapter_config.json").write_text('{"peft_type": "LORA", "base_model_name_or_path": "Qwen/Qwen3-0.6B"}')
    save_file({"base_model.model.x.lora_A.weight": torch.zeros(8, 4)}, where / "adapter_model.safetensors")


def _pad_outside(where: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(where)
    tokenizer.add_special_tokens({"pad_token": "<|pad|>"})
    tokenizer.save_pretrained(where)


def _duplicated_head(where: Path) -> None:
    _weights(lambda t: {**t, "lm_head.weight": t["model.embed_tokens.weight"].clone()})(where)


def _with(name: str, value: float) -> Break:
    """Every number of the tensors whose names hold `name` is that value."""
    return _weights(lambda t: {each: w.fill_(value) if name in each else w for each, w in t.items()})


def _one_nan(where: Path) -> None:
    def change(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        tensors["model.layers.1.mlp.up_proj.weight"][3, 5] = float("nan")
        return tensors

    _weights(change)(where)


_UP = "model.layers.1.mlp.up_proj.weight"

BROKEN: dict[str, tuple[Break, str]] = {
    "compiled": (_prefixed("_orig_mod."), "every name begins with '_orig_mod.', as torch.compile names them"),
    "parallel": (_prefixed("module."), "every name begins with 'module.'"),
    "layer missing": (_without("model.layers.1.mlp.up_proj.weight"), "missing model.layers.1.mlp.up_proj.weight"),
    "more layers wanted": (
        _config(num_hidden_layers=4, layer_types=["full_attention"] * 4), "missing model.layers.3.",
    ),
    "fewer layers wanted": (
        _config(num_hidden_layers=2, layer_types=["full_attention"] * 2), "unexpected model.layers.2.",
    ),
    "head missing": (_config(tie_word_embeddings=False), "missing lm_head.weight (config.json says that"),
    "value head": (
        _weights(lambda t: {**t, "v_head.summary.weight": torch.zeros(1, 96)}), "unexpected v_head.summary.weight",
    ),
    "another width": (_config(intermediate_size=128), "model.layers.0.mlp.down_proj.weight (96 x 256, wanted"),
    "cut off": (_cut(0.5), "model.safetensors is truncated: "),
    "cut off in the header": (_cut(0.0005), "model.safetensors is truncated: "),
    "shard missing": (_shard_missing, "model-00006-of-00006.safetensors is missing"),
    "no weights": (lambda where: (where / "model.safetensors").unlink(), "has no weights"),
    "consolidated only": (_consolidated, "there are consolidated.safetensors"),
    "pointer": (_pointer, "is a Git LFS pointer, not the weights; run `git lfs pull`"),
    "adapter": (_adapter, "holds an adapter of Qwen/Qwen3-0.6B"),
    "quantized weights": (
        _weights(lambda t: {**t, _UP: (t[_UP] * 20).to(torch.int8)}), f"{_UP} is of type I8; only weights in float32",
    ),
    "quantized by its config": (
        _config(quantization_config={"quant_method": "gptq", "bits": 4}), "it is quantized (gptq); only weights in",
    ),
    "pad outside": (_pad_outside, "pad token '<|pad|>' has the id 98, and the embedding has 98 rows"),
    "pickled in part": (_pickled_in_part, "missing model.norm.weight"),
}  # fmt: skip
"""Case → how a good base becomes it, and words of the one line about it."""

UNUSABLE: dict[str, tuple[Break, str]] = {
    "one NaN": (_one_nan, "the weights model.layers.1.mlp.up_proj.weight are not finite"),
    "an infinity": (_with("model.norm.weight", float("-inf")), "the weights model.norm.weight are not finite"),
    "all zero": (_with("", 0.0), "its logits are the same whatever the prompt; all zero: model.embed_tokens"),
    "embedding zero": (
        _with("embed_tokens", 0.0),
        "its logits are the same whatever the prompt; all zero: model.embed",
    ),
    "too large": (_with("model.norm", 3e38), "its logits are not finite"),
}
"""Case → how a good base becomes one whose weights fit and mean nothing, and words of the one line about it."""

SOUND: dict[str, Break] = {
    "as it is": lambda where: None,
    "sharded": _sharded,
    "pickled": _pickled,
    "second copy": _second_copy,
    "tied head stored": _duplicated_head,
}
"""Case → how a good base becomes another good one."""

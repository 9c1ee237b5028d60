"""The weights of a model directory as Transformers would load them, from names, sizes and headers: never the data.

Asked by `engine.host.model_files` before a run and by the worker before it loads a policy, so that both refuse the same
directory with the same line. Needs no torch; every file is input that may be wrong in any way.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import UserError, one_line

SAFE, SAFE_INDEX = "model.safetensors", "model.safetensors.index.json"
BIN, BIN_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
ADAPTER = "adapter_config.json"
_FLOATS = ("F64", "F32", "F16", "BF16")
"""Types of weights, as safetensors names them, that can be trained from; others hold quantized ones."""
_LFS = b"version https://git-lfs"
_LARGEST_HEADER = 100 * 1024 * 1024
_QUANTIZED = "only weights in float32, float16 or bfloat16 can be trained: give the model that is not quantized"
_OTHER_FORMS = ("*.safetensors", "*.gguf", "*.bin", "*.pth", "*.pt", "*.h5", "*.msgpack", "*.ckpt")


@dataclass(frozen=True, slots=True)
class WeightFiles:
    """The files that Transformers loads, in its own order of preference, and what their headers say.

    Attributes:
        shapes: name of every tensor with its shape; empty for files in PyTorch's own format, which have no header.
    """

    files: tuple[Path, ...]
    shapes: dict[str, tuple[int, ...]]

    @property
    def parameters(self) -> int:
        """Number of weights; 0 when the files do not say."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    @property
    def pickled(self) -> bool:
        """Whether they are in PyTorch's own format (.bin)."""
        return any(path.suffix == ".bin" for path in self.files)


def adapter_parameters(shapes: Mapping[str, tuple[int, ...]], rank: int, target: str | list[str]) -> int:
    """Weights of a low-rank adapter: rank · (inputs + outputs) of every linear layer that gets one.

    Args:
        shapes: of the model's tensors by name.
        target: as in [training.lora]; "all-linear" leaves out head and embeddings.
    """

    def has_adapter(name: str, shape: tuple[int, ...]) -> bool:
        layer = name.removesuffix(".weight").rpartition(".")[2]
        if len(shape) != 2 or not name.endswith(".weight"):
            return False
        return layer not in ("lm_head", "embed_tokens", "wte", "wpe") if target == "all-linear" else layer in target

    return sum(rank * sum(shape) for name, shape in shapes.items() if has_adapter(name, shape))


def read_weights(directory: Path) -> WeightFiles:
    """What would be loaded from a directory: model.safetensors, else the shards of its index, else the same as .bin.

    Other files beside them (a second copy such as consolidated.safetensors) do not count.

    Raises:
        UserError: one line; there are no such weights, a shard is missing, a file is cut off or a pointer, or the
            weights are quantized.
    """
    _refuse_quantized(directory)
    for single, index in ((SAFE, SAFE_INDEX), (BIN, BIN_INDEX)):
        if (directory / single).is_file():
            return _read((directory / single,))
        if (directory / index).is_file():
            return _read(_shards(directory / index))
    raise UserError(_nothing(directory))


def has_weights(directory: Path) -> bool:
    """Whether there is a file to begin with."""
    return any((directory / name).is_file() for name in (SAFE, SAFE_INDEX, BIN, BIN_INDEX))


def is_adapter(directory: Path) -> bool:
    """Whether a directory holds a LoRA adapter and no model."""
    return (directory / ADAPTER).is_file() and not has_weights(directory)


def adapter_line(directory: Path) -> str:
    """What to do with an adapter, in one line."""
    try:
        base = json.loads((directory / ADAPTER).read_text(encoding="utf-8")).get("base_model_name_or_path")
    except (OSError, ValueError, AttributeError):
        base = None
    of = f" of {one_line(base)[:80]}" if isinstance(base, str) and base else ""
    return (
        f"{directory} holds an adapter{of} ({ADAPTER}) and no model; merge it into its base "
        "(peft: merge_and_unload(), then save_pretrained) and give that directory"
    )


def gone(path: Path) -> str:
    """One line where a file is a link to what is not there, as in a copy of the hub's cache without blobs, or ""."""
    if path.is_symlink() and not path.exists():
        where = one_line(str(path.readlink()))[-80:]
        return f"{path} is a link to {where}, which is not there; copy what it points to (cp -L)"
    return ""


def _nothing(directory: Path) -> str:
    if is_adapter(directory):
        return adapter_line(directory)
    if dangling := next((line for name in (SAFE, SAFE_INDEX, BIN, BIN_INDEX) if (line := gone(directory / name))), ""):
        return dangling
    others = sorted({path.name for form in _OTHER_FORMS for path in directory.glob(form)})
    there = f"; there are {', '.join(one_line(name)[:80] for name in others[:3])}" if others else ""
    how = ", which Transformers does not load by itself: convert them" if others else ""
    return f"{directory} has no weights: neither {SAFE} nor {SAFE_INDEX} (nor {BIN}){there}{how}"


def _shards(index: Path) -> tuple[Path, ...]:
    try:
        names = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        files = tuple(index.parent / name for name in sorted(set(names)))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{index} is not an index of shards: {one_line(repr(error))[:200]}") from error
    missing = [path.name for path in files if not path.is_file()]
    if not files or missing:
        what = f"{one_line(missing[0])[:80]} is missing" if missing else "it names no shards"
        more = f" and {len(missing) - 1} more of {len(files)}" if len(missing) > 1 else ""
        raise UserError(f"{index.parent}: {what}{more}; {index.name} names it: download or copy the model again")
    return files


def _read(files: tuple[Path, ...]) -> WeightFiles:
    shapes: dict[str, tuple[int, ...]] = {}
    for path in files:
        if path.suffix == ".bin":
            _refuse_pointer(path)
        else:
            shapes |= _header(path)
    return WeightFiles(files, shapes)


def _refuse_pointer(path: Path) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(len(_LFS))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    if start == _LFS:
        raise UserError(f"{path} is a Git LFS pointer, not the weights; run `git lfs pull` in {path.parent}")


def _header(path: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of one safetensors file: eight bytes of length, then JSON with an entry for every tensor."""
    _refuse_pointer(path)
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > _LARGEST_HEADER:
                raise ValueError("its header is too long")
            text = file.read(length)
        if len(text) < length:
            raise UserError(_cut_off(path, size, 8 + length))
        entries = [(name, entry) for name, entry in json.loads(text).items() if name != "__metadata__"]
        kinds = [(name, str(entry["dtype"]), entry["dtype"] in _FLOATS) for name, entry in entries]
        shapes = {name: _shape(entry) for name, entry in entries}
        end = 8 + length + _end(entry for _, entry in entries)
    except (OSError, ValueError, struct.error, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{path} is not a safetensors file: {one_line(str(error))[:200]}") from error
    if size != end:
        raise UserError(_cut_off(path, size, end))
    refuse_integers(path, kinds)
    return shapes


def refuse_integers(path: Path, kinds: Iterable[tuple[str, str, bool]]) -> None:
    """Raises UserError for the first weight that is not floating, given each name, its type and whether that is one.

    Buffers, whose names do not end with ".weight", may be of any type.
    """
    for name, kind, floating in kinds:
        if not floating and name.endswith(".weight"):
            raise UserError(f"{path}: {one_line(name)[:80]} is of type {kind[:20]}; {_QUANTIZED}")


def _refuse_quantized(directory: Path) -> None:
    """Raises UserError where config.json says so; one that cannot be read is told by whoever needs it."""
    try:
        asked = json.loads((directory / "config.json").read_text(encoding="utf-8")).get("quantization_config")
    except (OSError, ValueError, AttributeError, RecursionError):
        return
    if asked:
        method = asked.get("quant_method") if isinstance(asked, dict) else None
        how = f" ({one_line(method)[:40]})" if isinstance(method, str) else ""
        raise UserError(f"{directory}: config.json says that it is quantized{how}; {_QUANTIZED}")


def _cut_off(path: Path, size: int, wanted: int) -> str:
    how = "is truncated" if size < wanted else "is longer than its header says"
    return f"{path} {how}: {size:,} bytes instead of {wanted:,}; download or copy it again"


def _shape(entry: Any) -> tuple[int, ...]:
    shape = tuple(entry["shape"])
    if not all(isinstance(size, int) and size >= 0 for size in shape):
        raise ValueError(f"a shape of {shape}")
    return shape


def _end(entries: Iterable[Any]) -> int:
    """Where the data of the last tensor ends, counted from the end of the header."""
    return max((int(entry["data_offsets"][1]) for entry in entries), default=0)

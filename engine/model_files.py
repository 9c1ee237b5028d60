"""A base model as it lies on disk: where it is, how large, how long, what its tokenizer says. No torch is needed.

Asked by `engine.preflight` only. It reads the JSON files of a Transformers directory and the headers of safetensors,
never the weights, and treats both as input that may be wrong in any way.
"""

from __future__ import annotations

import json
import math
import os
import re
import struct
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tasks
from engine.errors import Fault, UserError
from tasks.base import Task

HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$")
_LARGEST_HEADER = 100 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """What a model's files say; 0 where they do not.

    Attributes:
        architecture: class name in config.json. parameters: number of weights. vocabulary: size of the vocabulary.
        positions: the longest prompt and completion together, in tokens.
    """

    architecture: str
    parameters: int
    vocabulary: int
    positions: int
    tokenizer: Any = field(default=None, repr=False)
    unknown_id: int | None = None

    def count(self, text: str) -> int | None:
        """Tokens of a text; None without a tokenizer."""
        return None if self.tokenizer is None else len(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def unknown(self, text: str) -> str | None:
        """The first part of a text that the tokenizer cannot say, or None."""
        if self.tokenizer is None or self.unknown_id is None:
            return None
        encoding = self.tokenizer.encode(text, add_special_tokens=False)
        for token, (start, end) in zip(encoding.ids, encoding.offsets, strict=True):
            if token == self.unknown_id:
                return text[start:end]
        return None


def project_root() -> Path:
    """The directory that holds the packages, and assets/ beside them."""
    return Path(tasks.__file__).resolve().parent.parent


def find_model(path: str, task: Task | None) -> str:
    """The absolute directory a run file means, or the hub id as it stands.

    A relative path is looked for below the working directory, then below the project's root (assets/…).

    Raises:
        UserError: one line; no such directory, or nothing is named and the task ships no base.
    """
    shipped = task.default_model() if task else None
    wanted = path or shipped
    if not wanted:
        raise UserError("is empty and the task ships no base; give a directory or a hub id")
    for base in (Path.cwd(), project_root()):
        directory = (base / Path(wanted).expanduser()).resolve()
        if directory.is_dir():
            return str(directory)
    if HUB_ID.match(wanted) and not (Path(wanted).parent.is_dir() or wanted == shipped):
        return wanted
    if task and wanted == shipped:
        raise UserError(f"{wanted}: no such directory; `python -m tasks.tiny_model {task.name}` builds it")
    raise UserError(
        f"{wanted}: no such directory; give a Transformers model directory or a hub id such as Qwen/Qwen3-0.6B"
    )


def read_model(where: str) -> ModelFiles:
    """What a model directory (or a hub id in the local cache) says about itself.

    Raises:
        UserError: the directory is no Transformers model, its files are broken, or the hub has no such model.
        Fault: the hub has the model and this machine has not: nothing more is known before the download.
    """
    directory = Path(where)
    if not directory.is_dir():
        return _read(_cached(where))
    return _read(directory)


def _cached(hub_id: str) -> Path:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(hub_id, "config.json")
    if isinstance(found, str):
        return Path(found).parent
    _ask_hub(hub_id)
    raise Fault(f"{hub_id} is not on this machine: it is downloaded when the run starts, and not checked before")


def _ask_hub(hub_id: str) -> None:
    """Whether the hub has a model; raises UserError when it says no, or cannot be asked."""
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    request = urllib.request.Request(f"{endpoint}/{hub_id}/resolve/main/config.json", method="HEAD")
    if os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0"):
        raise UserError(f"{hub_id}: no such directory, not in the hub's cache here, and HF_HUB_OFFLINE is set")
    try:
        urllib.request.urlopen(request, timeout=3).close()
    except urllib.error.HTTPError as error:
        if error.code not in (401, 403, 404):
            raise Fault(f"{hub_id}: the hub answers {error.code}; whether it has the model is unknown") from error
        why = "and the hub shows no such model (a gated one needs HF_TOKEN)"
        raise UserError(f"{hub_id}: no such directory, {why}") from error
    except OSError as error:
        raise UserError(f"{hub_id}: no such directory, and the hub cannot be reached to look for it there") from error


def _read(directory: Path) -> ModelFiles:
    config = _json(directory / "config.json")
    text_config = config.get("text_config")
    inner = text_config if isinstance(text_config, dict) else config
    architectures = config.get("architectures")
    tokenizer, unknown = _tokenizer(directory)
    return ModelFiles(
        architecture=str(architectures[0]) if isinstance(architectures, list) and architectures else "unknown",
        parameters=_parameters(directory),
        vocabulary=_integer(inner.get("vocab_size")),
        positions=_integer(inner.get("max_position_embeddings")),
        tokenizer=tokenizer,
        unknown_id=unknown,
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path.parent} has no {path.name}; it must be a Transformers model directory") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise UserError(f"{path} is not a JSON object")
    return data


def _integer(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _parameters(directory: Path) -> int:
    """Weights over all safetensors files of a directory, from their headers."""
    return sum(_weights(path) for path in sorted(directory.glob("*.safetensors")))


def _weights(path: Path) -> int:
    """Weights of one safetensors file: eight bytes of length, then JSON with a shape for every tensor."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > _LARGEST_HEADER:
                raise ValueError("its header is too long")
            header = json.loads(file.read(length))
        return sum(math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")
    except (OSError, ValueError, struct.error, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is not a safetensors file: {' '.join(str(error).split())}") from error


def _tokenizer(directory: Path) -> tuple[Any, int | None]:
    path = directory / "tokenizer.json"
    if not path.is_file():
        return None, None
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:
        raise UserError(f"{path} cannot be read: {' '.join(str(error).split())[:200]}") from error
    unknown = json.loads(path.read_text(encoding="utf-8")).get("model", {}).get("unk_token")
    return tokenizer, tokenizer.token_to_id(unknown) if isinstance(unknown, str) else None

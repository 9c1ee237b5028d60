"""A base model as it lies on disk: where it is, how large, how long, what its tokenizer says. No torch is needed.

Asked by `engine.run.preflight` only. It reads the JSON files of a Transformers directory and the headers of
safetensors, never the weights, and treats both as input that may be wrong in any way.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.domain.memory import LayerSizes
from engine.errors import UserError, one_line, short_name, short_path
from engine.host import hub
from engine.host.weight_files import adapter_line, gone, has_weights, is_adapter, read_weights
from tasks.base import Task
from tasks.tiny import BASE_PREFIX, BASES


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """What a model's files say; 0 where they do not.

    Attributes:
        architecture: class name in config.json. parameters: number of weights.
        vocabulary: size of the vocabulary: rows of the embedding.
        positions: the longest prompt and completion together, in tokens.
        directory: where the files lie. shapes: of its tensors by name; empty where their headers do not say.
        width: hidden size.
        layers: sizes of its decoder.
    """

    architecture: str
    parameters: int
    vocabulary: int
    positions: int
    tokenizer: Any = field(default=None, repr=False)
    unknown_id: int | None = None
    directory: Path | None = None
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict, repr=False)
    width: int = 0
    layers: LayerSizes = field(default_factory=LayerSizes)

    def count(self, text: str) -> int | None:
        """Tokens of a text; None without a tokenizer."""
        return None if self.tokenizer is None else len(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def unknown(self, text: str) -> str | None:
        """The first part of a text that the tokenizer cannot say or the embedding has no row for, or None."""
        if self.tokenizer is None:
            return None
        encoding = self.tokenizer.encode(text, add_special_tokens=False)
        for token, (start, end) in zip(encoding.ids, encoding.offsets, strict=True):
            if token == self.unknown_id or 0 < self.vocabulary <= token:
                return text[start:end]
        return None

    def tokens_beyond(self) -> list[str]:
        """What the tokenizer knows and the embedding has no row for, by their ids."""
        if self.tokenizer is None or not self.vocabulary:
            return []
        known = self.tokenizer.get_vocab(with_added_tokens=True)
        return sorted((token for token, at in known.items() if at >= self.vocabulary), key=lambda token: known[token])


def shipped_base(name: str) -> Path:
    """Where the shipped base that run files call "assets/tiny/NAME" is, in a checkout and in an installed package."""
    return (BASES / name).resolve()


def is_shipped(directory: Path) -> bool:
    """Whether a base came with the program, whose tests have loaded it."""
    return directory.is_relative_to(BASES.resolve())


def portable(path: str) -> str:
    """A shipped base as run files call it, "assets/tiny/NAME"; every other path or hub id as it is."""
    directory = Path(path)
    return BASE_PREFIX + directory.name if directory.is_absolute() and is_shipped(directory) else path


def find_model(path: str, task: Task | None, *, settled: bool = False) -> str:
    """The absolute directory a run file means, or the hub id.

    A relative path is looked for below the working directory; "assets/tiny/…" is then a shipped base. What may be a
    hub id ("owner/name") is a directory only where that directory holds a model; an address of the hub never is.

    Args:
        settled: the path stands in the run file of a run, where `engine.run.preflight.resolve` has put it: no directory
            of the present working directory is meant.

    Raises:
        UserError: one line; no such directory, or nothing is named and the task ships no base.
    """
    shipped = task.default_model() if task else None
    wanted = path.strip() or shipped
    if not wanted:
        raise UserError("is empty and the task ships no base; give a directory or a hub id")
    hub_id = hub.named(wanted)
    if hub_id and (settled or hub.is_address(wanted)):
        return hub_id
    directory = _directory(wanted)
    if directory is not None and (not hub_id or _holds_model(directory)):
        return str(directory)
    if (file := _file(wanted)) and not hub.is_address(wanted):
        how = _GGUF if file.suffix == ".gguf" else "give the directory that it lies in"
        raise UserError(f"{short_path(wanted)} is a file: {how}")
    if hub_id:
        return hub_id
    if task and wanted == shipped:
        raise UserError(f"{short_path(wanted)}: no such directory; `python -m tasks.tiny_model {task.name}` builds it")
    raise UserError(
        f"{short_path(wanted)}: no such directory; give a Transformers model directory or a hub id, "
        "which has an owner: Qwen/Qwen3-0.6B"
    )


_GGUF = "GGUF cannot be trained; give the Transformers directory that it was made from"


def _file(wanted: str) -> Path | None:
    """The weights' own file, where a path names that; a file of another kind may bear a hub id's name."""
    try:
        path = Path(wanted).expanduser()
        return (
            path
            if path.suffix in (".safetensors", ".bin", ".gguf", ".json", ".pt", ".pth") and path.is_file()
            else None
        )
    except (OSError, ValueError, RuntimeError):
        return None


def _directory(wanted: str) -> Path | None:
    candidates = [wanted]
    if wanted.startswith(BASE_PREFIX):
        candidates.append(str(shipped_base(wanted.removeprefix(BASE_PREFIX))))
    for each in candidates:
        try:
            directory = Path(each).expanduser().resolve()
            if directory.is_dir():
                return directory
        except (OSError, ValueError, RuntimeError):  # a name too long, a NUL, a loop of links, no such home
            continue
    return None


def _holds_model(directory: Path) -> bool:
    return (directory / "config.json").is_file() or has_weights(directory) or is_adapter(directory)


def note_on(path: str, where: str) -> str:
    """One line where a name could mean a directory as well as a model of the hub, saying which is taken; else ""."""
    try:
        hub_id = hub.named(path)
    except UserError:
        return ""
    if not hub_id or hub.is_address(path):
        return ""
    if where != hub_id:
        return (
            f"{short_path(where)} is used, not the model of that name on the hub; "
            f"https://huggingface.co/{short_name(hub_id)} means that one, and ./… the directory"
        )
    if Path(hub_id).exists() or Path(path.strip()).exists():
        return f"the hub's {short_name(hub_id)} is used: the local directory of that name holds no model"
    return ""


def read_model(where: str) -> ModelFiles:
    """What a model directory (or a hub id in the local cache) says about itself.

    Raises:
        UserError: the directory is no Transformers model, its files are broken, or the hub has no such model.
        Fault: the hub has the model and this machine has not: nothing more is known before the download.
    """
    if Path(where).is_absolute():
        return _read(Path(where))
    directory = hub.cached(where)
    if not has_weights(directory):
        raise hub.not_here(where)
    return _read(directory)


def parameters(where: str) -> int:
    """Weights of a model by the headers of its files; 0 where they do not say, or it is not on this machine yet."""
    try:
        directory = Path(where) if Path(where).is_absolute() else hub.here(where)
        return read_weights(directory).parameters if directory else 0
    except UserError:
        return 0


def _read(directory: Path) -> ModelFiles:
    if is_adapter(directory):
        raise UserError(adapter_line(directory))
    config = _json(directory / "config.json")
    text_config = config.get("text_config")
    inner = text_config if isinstance(text_config, dict) else config
    architectures = config.get("architectures")
    tokenizer, unknown = _tokenizer(directory)
    weights = read_weights(directory)
    return ModelFiles(
        architecture=str(architectures[0]) if isinstance(architectures, list) and architectures else "unknown",
        parameters=weights.parameters,
        vocabulary=_integer(inner.get("vocab_size")),
        positions=_integer(inner.get("max_position_embeddings")),
        tokenizer=tokenizer,
        unknown_id=unknown,
        directory=directory,
        shapes=weights.shapes,
        width=_integer(inner.get("hidden_size") or inner.get("n_embd")),
        layers=layer_sizes(inner),
    )


def layer_sizes(config: Mapping[str, Any]) -> LayerSizes:
    """What a config.json (its text part) says of the decoder, under the names that Transformers uses."""
    hidden, heads = _integer(config.get("hidden_size")), _integer(config.get("num_attention_heads"))
    head = _integer(config.get("head_dim")) or (hidden // heads if heads else 0)
    return LayerSizes(
        layers=_integer(config.get("num_hidden_layers")),
        hidden=hidden,
        intermediate=_integer(config.get("intermediate_size")) or 4 * hidden,
        query=heads * head,
        key_value=(_integer(config.get("num_key_value_heads")) or heads) * head,
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        if dangling := gone(path):
            raise UserError(dangling) from error
        if packed := sorted(path.parent.glob("*.gguf")):
            raise UserError(f"{short_path(path.parent)} holds {short_name(packed[0].name)}: {_GGUF}") from error
        below = sorted(each.parent.name for each in path.parent.glob(f"*/{path.name}"))
        hint = (
            f"; there is one in its {below[-1]}: give that one"
            if below
            else "; it must be a Transformers model directory"
        )
        raise UserError(f"{short_path(path.parent)} has no {path.name}{hint}") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {one_line(str(error))[:200]}") from error
    if not isinstance(data, dict):
        raise UserError(f"{path} is not a JSON object")
    return data


def _integer(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _tokenizer(directory: Path) -> tuple[Any, int | None]:
    path = directory / "tokenizer.json"
    if not path.is_file():
        return None, None
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:
        raise UserError(f"{path} cannot be read: {one_line(str(error))[:200]}") from error
    unknown = json.loads(path.read_text(encoding="utf-8")).get("model", {}).get("unk_token")
    return tokenizer, tokenizer.token_to_id(unknown) if isinstance(unknown, str) else None

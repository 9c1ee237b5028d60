"""Writes checkpoints: policy (or its adapter), tokenizer, Adam's state and score in a directory, `manifest.json` last.

Called by segments (and for soups by the worker). A directory without a manifest is not a checkpoint, and nothing may
read it as one.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from engine.errors import UserError
from engine.training import lora, sharding
from engine.training.events import MANIFEST, OPTIMIZER


def write_checkpoint(
    directory: Path,
    model: Any,
    tokenizer: Any,
    optimizer: Mapping[str, Any] | None,
    record: Mapping[str, Any],
    beat: Callable[[], None] = lambda: None,
) -> int:
    """Write a complete checkpoint and return its size in bytes. What lay there from a lost attempt is replaced.

    Args:
        optimizer: state of the torch optimizer, whole, or None (a soup has none).
        record: JSON values for the manifest (job, step, configuration, evaluation …).
        beat: called after each part: on a slow disk some gigabytes take minutes.

    Raises:
        OSError: the disk is full or the directory is not writable; no manifest is left then.
    """
    if directory.exists():
        (directory / MANIFEST).unlink(missing_ok=True)  # first, so that it never vouches for half a directory
        shutil.rmtree(directory)
    directory.mkdir(parents=True)
    if hasattr(model, "peft_config"):
        lora.save_adapter(model, directory)
    else:
        model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    beat()
    if optimizer is not None:
        torch.save(optimizer, directory / OPTIMIZER)
        beat()
    files = {path.name: path.stat().st_size for path in sorted(directory.iterdir())}
    for name in files:
        _sync(directory / name)
        beat()
    _write_manifest(directory, {**record, "files": files})
    return sum(files.values()) + (directory / MANIFEST).stat().st_size


def load_optimizer(optimizer: Any, directory: str) -> None:
    """Give a fresh torch optimizer the moments and step counts saved in `directory`; its own settings stay.

    The saved param_groups carry the parent's learning rate, betas and weight decay (and `initial_lr`, which a
    scheduler would trust), so they are overwritten by those of the segment's configuration.

    Raises:
        UserError: there is no optimizer state, or it is of another model.
    """
    path = Path(directory) / OPTIMIZER
    if not path.is_file():
        raise UserError(f"{str(path)!r} does not exist: choose optimizer = reset, or a checkpoint that has it")
    state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    ours = [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
    try:
        optimizer.load_state_dict(sharding.sharded_state(optimizer, state))
    except ValueError as error:
        raise UserError(f"{str(path)!r} is of another model: {error}") from error
    for group, settings in zip(optimizer.param_groups, ours, strict=True):
        group.update(settings)
        group["initial_lr"] = group["lr"]


def _write_manifest(directory: Path, record: Mapping[str, Any]) -> None:
    partial = directory / f"{MANIFEST}.partial"
    partial.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    _sync(partial)
    partial.replace(directory / MANIFEST)
    _sync(directory)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

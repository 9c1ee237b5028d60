"""Which GPUs of this machine may train, and which of them each worker gets.

Asked by the local executor when it is made, and by `check`. A GPU on which a language model is served is left alone
as long as there is another.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from engine.errors import UserError
from engine.host.machine import Gpu
from engine.words import counted

SERVERS: Mapping[str, str] = {"ollama": "Ollama", "vllm": "vLLM"}
"""What one of the first words of the command line of a process that serves a model begins with, and its name."""


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU as CUDA_VISIBLE_DEVICES names it. `held_by`: the server of models that has memory on it, or ""."""

    name: str
    held_by: str = ""


def visible(gpus: Sequence[Gpu], environment: Mapping[str, str]) -> tuple[Device, ...]:
    """The GPUs that this process may use: all, or those that CUDA_VISIBLE_DEVICES lists."""
    asked = environment.get("CUDA_VISIBLE_DEVICES")
    names = [str(index) for index in range(len(gpus))] if asked is None else [n.strip() for n in asked.split(",")]
    known = {str(index): gpu for index, gpu in enumerate(gpus)} | {gpu.uuid: gpu for gpu in gpus}
    return tuple(Device(name, _server(known[name].pids) if name in known else "") for name in names if name)


def _server(pids: Sequence[int]) -> str:
    for pid in pids:
        try:
            words = [Path(word).name.lower() for word in psutil.Process(pid).cmdline()[:4]]
        except psutil.Error:  # of another user, or gone
            continue
        for sign, name in SERVERS.items():
            if any(re.match(rf"{sign}($|\W|_)", word) for word in words):
                return name
    return ""


def trainable(devices: Sequence[Device]) -> tuple[Device, ...]:
    """The devices that train: those without a server of models, or all where each has one."""
    return tuple(device for device in devices if not device.held_by) or tuple(devices)


def shares(devices: Sequence[Device], workers: int, each: int) -> list[tuple[str, ...]]:
    """The devices of each worker, so many each. Where there are too few for all, workers share them in turn.

    Raises:
        UserError: there are fewer than one worker needs.
    """
    names = [device.name for device in trainable(devices)]
    if not each:
        return [()] * workers
    if len(names) < each:
        raise UserError(f"executor.gpus_per_worker = {each}: this machine has {counted(len(names), 'GPU')} to train on")
    bundles = [tuple(names[start : start + each]) for start in range(0, len(names) - each + 1, each)]
    return [bundles[worker % len(bundles)] for worker in range(workers)]


def environment(share: Sequence[str], inherited: Mapping[str, str]) -> dict[str, str]:
    """The environment variables by which a process sees its share alone, numbered as the driver numbers them."""
    chosen = {"CUDA_VISIBLE_DEVICES": ",".join(share)}
    if "CUDA_VISIBLE_DEVICES" not in inherited:
        chosen["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    return chosen

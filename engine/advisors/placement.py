"""Where a language model may run when the accelerator is shared with the training, and for how long it stays there.

Pure decisions from numbers that `ollama.py` asks for; wrong here means a segment that runs out of memory.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

RESERVE = 2 * 1024**3
"""Bytes of GPU memory that stay free for the training's own peaks."""

CONTEXT_FACTOR = 1.25
"""A loaded model takes so many times its file: the cache of its context and the vision tower's activations."""


@dataclass(frozen=True, slots=True)
class Placement:
    """`keep_alive` as Ollama takes it (0 frees the memory after the answer); `on_cpu` keeps all layers off the GPU;
    `cpu` is whether the model surely runs on the CPU, for that or for want of a GPU."""

    keep_alive: float | str
    on_cpu: bool
    why: str
    cpu: bool = False

    @property
    def options(self) -> dict[str, Any]:
        return {"num_gpu": 0} if self.on_cpu else {}


def is_local(host: str) -> bool:
    """Whether an address means this machine."""
    name = urlsplit(host if "://" in host else f"http://{host}").hostname or "127.0.0.1"
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def place(host: str, free: int | None, model_bytes: int, loaded_vram: int) -> Placement:
    """Decide for one call.

    Args:
        free: free bytes on the GPU that training uses; None where this machine has none.
        model_bytes: size of the model's file, 0 when unknown. loaded_vram: what it holds on the GPU already.
    """
    if free is None or not is_local(host):
        return Placement("10m", False, "the GPU is not shared with the training", is_local(host))
    need = int(model_bytes * CONTEXT_FACTOR) - loaded_vram
    if model_bytes and free - RESERVE >= need:
        return Placement(0, False, f"{free / 1e9:.1f} GB of GPU memory are free; the model needs {need / 1e9:.1f}")
    return Placement(
        0, True, f"on the CPU: {free / 1e9:.1f} GB of GPU memory are free; the model needs {need / 1e9:.1f}", True
    )

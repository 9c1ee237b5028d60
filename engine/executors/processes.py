"""Small things about worker processes: their environment, killing a group, exit statuses and log lines in words.

Used by the local executor. Nothing here knows what a worker does.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import IO

Process = subprocess.Popen[bytes]

_LAUNCHER = frozenset(
    [
        "RANK",
        "WORLD_SIZE",
        "LOCAL_RANK",
        "LOCAL_WORLD_SIZE",
        "GROUP_RANK",
        "GROUP_WORLD_SIZE",
        "ROLE_RANK",
        "ROLE_WORLD_SIZE",
        "ROLE_NAME",
        "NODE_RANK",
        "CROSS_RANK",
        "CROSS_SIZE",
        "MASTER_ADDR",
        "MASTER_PORT",
        "FORK_LAUNCHED",
        "NPROC",
    ]
)
_LAUNCHER_PREFIXES = (
    "TORCHELASTIC_", "TORCH_NCCL_", "ACCELERATE_", "FSDP_", "DEEPSPEED_", "MEGATRON_LM_", "PARALLELISM_CONFIG_",
    "SLURM_", "OMPI_", "PMI_", "PMIX_", "MV2_COMM_WORLD_", "MPI_LOCAL",
)  # fmt: skip
_OOM_COUNTS = ("/sys/fs/cgroup{}/memory.events", "/sys/fs/cgroup/memory{}/memory.oom_control")
"""Where the kernel counts, for control groups of version 2 and 1, by the path of the group."""


def without_launcher(inherited: Mapping[str, str]) -> dict[str, str]:
    """An environment without what torchrun, accelerate, MPI or Slurm tell a process about its siblings: a worker is one
    process of its own, and would wait for the others for ever."""
    return {
        name: value
        for name, value in inherited.items()
        if name not in _LAUNCHER and not name.startswith(_LAUNCHER_PREFIXES)
    }


def oom_kills() -> int | None:
    """How many processes of this control group the kernel has killed for lack of memory; None where it says nothing."""
    for place in _groups():
        with contextlib.suppress(OSError, ValueError):
            for line in Path(place).read_text(encoding="ascii").splitlines():
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
    return None


def _groups() -> list[str]:
    """The files that may count for this process, its own group before the root's."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    fields = [line.split(":", 2) for line in lines if line.count(":") >= 2]
    own = [_OOM_COUNTS[0].format(path.rstrip("/")) for _, kinds, path in fields if not kinds]
    own += [_OOM_COUNTS[1].format(path.rstrip("/")) for _, kinds, path in fields if "memory" in kinds.split(",")]
    return [*own, *(place.format("") for place in _OOM_COUNTS)]


def kill_group(process: Process) -> None:
    """SIGKILL to the worker's process group: it works on a stopped process too."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def close_pipe(pipe: IO[bytes] | None) -> None:
    """Close a pipe of a process that was started with it."""
    if pipe is not None:
        pipe.close()


def kill_if_alive(process: Process) -> None:
    """SIGKILL to the group of a process that has not ended; nothing otherwise."""
    if process.poll() is None:
        kill_group(process)


def describe_exit(status: int, *, for_memory: bool) -> str:
    """An exit status of subprocess in words: "exited with code 3", "was killed by SIGSEGV".

    Args:
        for_memory: the kernel has counted a kill for lack of memory; without that word nothing is said of memory.
    """
    if status >= 0:
        return f"exited with code {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    hint = " by the kernel, for lack of memory" if name == "SIGKILL" and for_memory else ""
    return f"was killed by {name}{hint}"


def exited_by_itself(process: Process | None, seconds: float) -> bool:
    """Wait so long for a process that has closed its pipe: its exit status is the cause, and a kill would hide it."""
    if process is None:
        return True
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def printable(raw: bytes) -> str:
    """The first 200 bytes as one line of text without control characters."""
    return "".join(c if c.isprintable() else "·" for c in raw[:200].decode("utf-8", "replace").rstrip("\n"))


def last_line(log: Path, start: int) -> str:
    """The last line that this worker wrote to its log, or ''. A log that cannot be read is no news."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(start, size - 4096))
            lines = file.read().splitlines()
    except OSError:
        return ""
    return printable(next((line for line in reversed(lines) if line.strip()), b""))

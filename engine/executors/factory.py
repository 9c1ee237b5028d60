"""Makes the executor that a run file asks for. Called by the daemon and the dry run."""

from __future__ import annotations

from pathlib import Path

from engine.errors import UserError
from engine.executors.base import Executor
from engine.executors.local import LocalExecutor
from engine.host import machine
from engine.run.config import RunConfig


def make(config: RunConfig, workers: int, logs: Path) -> Executor:
    """The executor of a run. Raises UserError when what it needs is not here."""
    asked = config.executor
    if asked.kind == "local":
        return make_local(config, workers, logs)
    if machine.version("ray") is None:
        raise UserError(f'executor.kind = "ray": Ray is not installed; `{machine.install_command("ray")}`')
    from engine.executors import ray_executor  # optional, and it takes a second to import

    ray_executor.connect(asked.address)
    return ray_executor.RayExecutor(
        workers, logs, gpus=asked.gpus_per_worker, cpus=asked.cpus_per_worker,
        hang_seconds=config.training.hang_seconds,
    )  # fmt: skip


def make_local(config: RunConfig, workers: int, logs: Path) -> LocalExecutor:
    """Workers on this machine, whatever `executor.kind` is."""
    return LocalExecutor(
        workers, logs, hang_seconds=config.training.hang_seconds, gpus=config.executor.gpus_per_worker,
        reserved_gpus=config.training.vllm.reserved_gpus,
    )  # fmt: skip

"""Makes the executor that a run file asks for. Called by the daemon and the dry run."""

from __future__ import annotations

from pathlib import Path

from engine.executors.base import Executor
from engine.executors.local import LocalExecutor
from engine.run.config import RunConfig


def make(config: RunConfig, workers: int, logs: Path) -> Executor:
    """The executor of a run. Raises UserError when what it needs is not here."""
    return make_local(config, workers, logs)


def make_local(config: RunConfig, workers: int, logs: Path) -> LocalExecutor:
    """Workers on this machine, whatever `executor.kind` is."""
    return LocalExecutor(
        workers, logs, hang_seconds=config.training.hang_seconds, gpus=config.executor.gpus_per_worker,
        reserved_gpus=config.training.vllm.reserved_gpus,
    )  # fmt: skip

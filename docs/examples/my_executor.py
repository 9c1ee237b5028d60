"""Workers that yield to everything else on the machine: a whole executor."""

from collections.abc import Mapping
from pathlib import Path

from engine import own_packages
from engine.executors.local import LocalExecutor


class NiceExecutor(LocalExecutor):
    """Starts each worker under `nice`; jobs, events, stops and the watch over hung workers are LocalExecutor's.

    Where workers run somewhere else altogether, derive from `engine.executors.base.Executor`: eight methods.
    """

    def __init__(self, capacity: int, logs: Path, *, niceness: int = 10, env: Mapping[str, str] | None = None) -> None:
        worker = own_packages.command("engine.training.worker")
        super().__init__(capacity, logs, env=env, command=("nice", "-n", str(niceness), *worker))

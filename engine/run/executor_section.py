"""The table [executor] of the run file, and where its keys stood before. Read by `engine.run.config`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from engine.run.section import RunFileSection


class ExecutorSection(RunFileSection):
    """[executor]: where segments are trained. A worker trains one at a time, on a fixed share of the machine."""

    kind: Literal["local", "ray"] = "local"
    """local: on this machine; ray: on the machines of a Ray cluster (docs/clusters.md)."""
    workers: int = Field(default=1, ge=1, le=64)
    """Segments trained at the same time."""
    gpus_per_worker: int = Field(default=1, ge=0, le=64)
    """GPUs of one worker, with a process on each (DDP); 0 trains on the CPU. On a machine without a GPU: processes."""
    cpus_per_worker: int = Field(default=0, ge=0, le=1024)
    """CPU cores of one worker, which Ray keeps free for it; 0: one a process, and local workers share all cores."""
    address: str = ""
    """Of the Ray cluster, e.g. "10.0.0.1:6379"; empty: the environment's RAY_ADDRESS, else the one on this machine."""

    @property
    def processes(self) -> int:
        """Processes of one worker."""
        return max(1, self.gpus_per_worker)


def with_todays_names(data: Mapping[str, Any]) -> dict[str, Any]:
    """A run file as a table, with search.workers of versions before [executor] where it stands now.

    Raises ValueError when it stands at both places.
    """
    search, executor = data.get("search"), data.get("executor", {})
    if not (isinstance(search, Mapping) and "workers" in search and isinstance(executor, Mapping)):
        return dict(data)
    if "workers" in executor:
        raise ValueError("search.workers is executor.workers now; leave the first out")
    rest = {name: value for name, value in search.items() if name != "workers"}
    return {**data, "search": rest, "executor": {"workers": search["workers"], **executor}}

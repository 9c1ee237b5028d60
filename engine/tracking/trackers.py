"""What a tracker is told (one group a run, in it one tracked run a node), and the four, by their own libraries, each
imported when it is used."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from engine.run.tracking_section import TrackingSection


def slug(text: str) -> str:
    """A text as part of an identifier."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-")


class TensorBoard:
    """Event files: `tensorboard --logdir RUN/tracking/tensorboard`; a directory a node, named with its parent."""

    def __init__(self, section: TrackingSection, run: str, place: Path) -> None:
        from tensorboard.summary import Writer

        self._make = Writer
        self._place = place / run
        self._writers: dict[int, Any] = {}

    def log(self, node: TrackedNode, step: int, values: Mapping[str, float]) -> None:
        if (writer := self._writers.get(node.id)) is None:
            name = f"{node.id:03d}" + ("" if node.parent is None else f"-from-{node.parent:03d}")
            writer = self._writers[node.id] = self._make(str(self._place / f"{name}-{slug(node.label)}".strip("-")))
        for name, value in values.items():
            writer.add_scalar(name, value, step)
        writer.flush()

    def leave(self, node: TrackedNode) -> None:
        self._writers.pop(node.id).close()

    def close(self, files: Sequence[Path]) -> None:
        for writer in self._writers.values():
            writer.close()
        for file in files:
            self._place.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, self._place)


class WeightsAndBiases:
    """A run of W&B a node, in a group; offline unless the run file says otherwise."""

    def __init__(self, section: TrackingSection, run: str, place: Path) -> None:
        import wandb

        self._wandb = wandb
        self._project, self._run, self._place = section.project, run, place
        self._mode = "online" if section.online else "offline"
        self._runs: dict[int, Any] = {}

    def _begin(self, name: str, key: str, config: Mapping[str, Any]) -> Any:
        return self._wandb.init(
            project=self._project, group=self._run, name=name, id=slug(f"{self._run}-{key}"), config=dict(config),
            dir=str(self._place), mode=self._mode, resume="allow", reinit="create_new",
            settings=self._wandb.Settings(console="off", silent=True, save_code=False, disable_git=True),
        )  # fmt: skip

    def log(self, node: TrackedNode, step: int, values: Mapping[str, float]) -> None:
        if node.id not in self._runs:
            self._runs[node.id] = self._begin(node.name, str(node.id), node.facts)
        self._runs[node.id].log(dict(values), step=step)

    def leave(self, node: TrackedNode) -> None:
        self._runs.pop(node.id).finish()

    def close(self, files: Sequence[Path]) -> None:
        for run in self._runs.values():
            run.finish()
        if files:
            run = self._begin(f"{self._run}: strategy and report", "result", {})
            artifact = self._wandb.Artifact(slug(f"{self._run}-result"), type="result")
            for file in files:
                artifact.add_file(str(file))
            run.log_artifact(artifact)
            run.finish()


class MLflow:
    """A run of MLflow a node below one of the whole search: at MLFLOW_TRACKING_URI, else in files of the run."""

    def __init__(self, section: TrackingSection, run: str, place: Path) -> None:
        if not (where := os.environ.get("MLFLOW_TRACKING_URI")):
            os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
            where = (place / "mlruns").as_uri()
        from mlflow import MlflowClient

        self._client = MlflowClient(where)
        experiment = self._client.get_experiment_by_name(section.project)
        self._experiment = experiment.experiment_id if experiment else self._client.create_experiment(section.project)
        self._run = run
        self._nodes: dict[int, str] = {}
        self._whole = self._begin(run, "whole", None)

    def _begin(self, name: str, key: str, parent: str | None) -> str:
        """The run that an earlier engine began, else a new one."""
        mine = f"tags.llmzero_run = '{self._run}' AND tags.llmzero_key = '{key}'"
        for known in self._client.search_runs([self._experiment], mine):
            return str(known.info.run_id)
        tags = {"llmzero_run": self._run, "llmzero_key": key, **({"mlflow.parentRunId": parent} if parent else {})}
        return str(self._client.create_run(self._experiment, run_name=name, tags=tags).info.run_id)

    def log(self, node: TrackedNode, step: int, values: Mapping[str, float]) -> None:
        if node.id not in self._nodes:
            self._nodes[node.id] = self._begin(node.name, str(node.id), self._whole)
            for name, value in node.facts.items():
                self._client.log_param(self._nodes[node.id], name, value)
        for name, value in values.items():
            self._client.log_metric(self._nodes[node.id], name, value, step=step)

    def leave(self, node: TrackedNode) -> None:
        self._client.set_terminated(self._nodes.pop(node.id))

    def close(self, files: Sequence[Path]) -> None:
        for file in files:
            self._client.log_artifact(self._whole, str(file))
        for run in [*self._nodes.values(), self._whole]:
            self._client.set_terminated(run)


class Trackio:
    """A run of trackio a node, in a group, in trackio's local database (TRACKIO_DIR)."""

    def __init__(self, section: TrackingSection, run: str, place: Path) -> None:
        os.environ.setdefault("TRACKIO_DIR", str(place))
        import trackio

        self._trackio = trackio
        self._project, self._run = section.project, run
        self._open: Any = None
        self._node: int | None = None

    def _begin(self, name: str, config: Mapping[str, Any]) -> Any:
        return self._trackio.init(
            project=self._project, name=f"{self._run} {name}", group=self._run, config=dict(config), resume="allow",
            embed=False, auto_log_gpu=False, auto_log_cpu=False,
        )  # fmt: skip

    def log(self, node: TrackedNode, step: int, values: Mapping[str, float]) -> None:
        if self._node != node.id:  # it has one open run at a time
            if self._open is not None:
                self._open.finish()
            self._open, self._node = self._begin(node.name, node.facts), node.id
        self._open.log(dict(values), step=step)

    def leave(self, node: TrackedNode) -> None:
        """Its run was finished when another was begun."""

    def close(self, files: Sequence[Path]) -> None:
        if self._open is not None:
            self._open.finish()
        if files:
            run = self._begin("strategy and report", {})
            artifact = self._trackio.Artifact(slug(f"{self._run}-result"), type="result")
            for file in files:
                artifact.add_file(str(file))
            run.log_artifact(artifact)
            run.finish()


TRACKERS: dict[str, type[Tracker]] = {
    "tensorboard": TensorBoard, "wandb": WeightsAndBiases, "mlflow": MLflow, "trackio": Trackio,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TrackedNode:
    """A node as it stands in a tracker: its name says number and label, its facts name the parent."""

    id: int
    parent: int | None
    label: str
    facts: Mapping[str, Any]
    """Hyperparameters by name, and node, parent, branch_step, intent, seed."""

    @property
    def name(self) -> str:
        return f"#{self.id} {self.label}".strip()


class Tracker(Protocol):
    """One library. Whatever it raises ends its process, and nothing else."""

    def __init__(self, section: TrackingSection, run: str, place: Path) -> None:
        """`place` is a directory of the run for what the library writes."""

    def log(self, node: TrackedNode, step: int, values: Mapping[str, float]) -> None:
        """Finite metrics of one GRPO step of a node, counted from the beginning of its segment."""

    def leave(self, node: TrackedNode) -> None:
        """Nothing was told of this node for some time: what is held open for it ends. `log` may begin it again."""

    def close(self, files: Sequence[Path]) -> None:
        """The run is over for now: the files (strategy, report) are its artifacts."""

"""[tracking] of the run file: which trackers of experiments are told what a run does."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Literal

from pydantic import Field

from engine.run.section import RunFileSection

TrackerName = Literal["tensorboard", "wandb", "mlflow", "trackio"]


class TrackingSection(RunFileSection):
    """[tracking]: what a run stores is also told to these, each by a process that the training never waits for."""

    to: list[TrackerName] = Field(default_factory=list, max_length=4)
    """Any of "tensorboard", "wandb", "mlflow" and "trackio"; each needs its extra (docs/tracking.md)."""
    project: str = Field(default="llmzero", min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Project, or experiment, that the runs stand in."""
    online: bool = False
    """Whether Weights & Biases sends to its server at once; false writes files for `wandb sync`."""


BY_ITSELF = {"trackio": "pip install 'trackio>=0.43' 'pillow<13'"}
"""What installs a tracker that cannot be installed as an extra beside constraints.txt."""


def lacking(section: TrackingSection) -> list[str]:
    """The trackers whose package is not installed."""
    return [name for name in section.to if find_spec(name) is None]

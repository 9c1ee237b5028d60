"""What a tracker is told: one group a run, in it one tracked run a node. Knows no library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from engine.run.tracking_section import TrackingSection


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

    def close(self, files: Sequence[Path]) -> None:
        """The run is over for now: the files (strategy, report) are its artifacts."""

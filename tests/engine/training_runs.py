"""Runs segments in the test's own process and reads what they told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file

from engine.training import events
from engine.training.control import Control
from engine.training.events import End, SegmentSpec
from engine.training.segment import run_segment

Line = events.Event | events.Beat | events.Leaving


def run(
    spec: SegmentSpec,
    control: Control | None = None,
    on_event: Callable[[Line], None] = lambda _: None,
) -> list[Line]:
    """The events of a segment trained in this process."""
    told: list[Line] = []

    def emit(line: Line) -> None:
        told.append(line)
        on_event(line)

    run_segment(spec, emit, control or Control())
    return told


def ended(told: Sequence[Line]) -> events.Ended:
    last = told[-1]
    assert isinstance(last, events.Ended)
    return last


def finished(told: list[Line]) -> list[Line]:
    assert ended(told).end is End.FINISHED, ended(told)
    return told


def metrics(told: Sequence[Line]) -> list[dict[str, float]]:
    return [line.values for line in told if isinstance(line, events.Metrics)]


def checkpoints(told: Sequence[Line]) -> list[events.Checkpoint]:
    return [line for line in told if isinstance(line, events.Checkpoint)]


def weights(directory: str | Path) -> dict[str, torch.Tensor]:
    return load_file(Path(directory) / "model.safetensors")


def distance(one: str | Path, other: str | Path) -> float:
    a, b = weights(one), weights(other)
    return max((a[name] - b[name]).abs().max().item() for name in a)

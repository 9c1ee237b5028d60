"""Runs segments in the test's own process and reads what they told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file

from engine.training import events
from engine.training.control import JobControl
from engine.training.events import SegmentEnd, SegmentSpec
from engine.training.segment import run_segment

Line = events.Event | events.Heartbeat | events.WorkerLeaving


def run(
    spec: SegmentSpec,
    control: JobControl | None = None,
    on_event: Callable[[Line], None] = lambda _: None,
) -> list[Line]:
    """The events of a segment trained in this process."""
    told: list[Line] = []

    def emit(line: Line) -> None:
        told.append(line)
        on_event(line)

    run_segment(spec, emit, control or JobControl())
    return told


class HeldAnHour(JobControl):
    """A pause that goes on until the segment waits in it, and lasts an hour on a clock that stands still otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.held_for: list[float] = []

    def hold(self, job: str) -> float:
        began = self.now
        with self._changed:  # the hour cannot pass before the segment waits
            passing = threading.Thread(target=self._pass)
            passing.start()
            super().hold(job)
            self.held_for.append(self.now - began)
        passing.join()
        return self.held_for[-1]

    def _pass(self) -> None:
        with self._changed:
            if self._paused:
                self.now += 3600
                self.take(events.Continue())


def ended(told: Sequence[Line]) -> events.SegmentEnded:
    last = told[-1]
    assert isinstance(last, events.SegmentEnded)
    return last


def finished(told: list[Line]) -> list[Line]:
    assert ended(told).end is SegmentEnd.FINISHED, ended(told)
    return told


def metrics(told: Sequence[Line]) -> list[dict[str, float]]:
    return [line.values for line in told if isinstance(line, events.StepMetrics)]


def checkpoints(told: Sequence[Line]) -> list[events.CheckpointSaved]:
    return [line for line in told if isinstance(line, events.CheckpointSaved)]


def weights(directory: str | Path) -> dict[str, torch.Tensor]:
    return load_file(Path(directory) / "model.safetensors")


def distance(one: str | Path, other: str | Path) -> float:
    a, b = weights(one), weights(other)
    return max((a[name] - b[name]).abs().max().item() for name in a)

"""Fixtures for tests of training: an untrained tiny model on disk, specifications, and a recorder of events."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.training.events import Evaluation, EvaluationSpec, SegmentSpec

LETTERS = Path(__file__).with_name("letters.py")

Spec = Callable[..., SegmentSpec]


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An untrained policy of 0.3M parameters with its tokenizer."""
    from tasks.tiny_model import build_model, build_tokenizer

    directory = tmp_path_factory.mktemp("base")
    build_model(seed=0).save_pretrained(directory)
    build_tokenizer().save_pretrained(directory)
    return str(directory)


@pytest.fixture
def make_spec(tiny_base: str, tmp_path: Path) -> Spec:
    """Builds the specification of a short segment of the task in letters.py named by `task`."""
    return spec_builder(tiny_base, tmp_path)


def spec_builder(base: str, directory: Path) -> Spec:
    def build(task: str = "Letters", **changes: Any) -> SegmentSpec:
        configuration = {
            "learning_rate": 1e-3,
            "beta": 0.0,
            "temperature": 1.0,
            "num_generations": 4,
        } | changes.pop("configuration", {})
        fields: dict[str, Any] = {
            "job": "1",
            "task": f"{LETTERS}:{task}",
            "base": base,
            "parent": base,
            "optimizer": None,
            "reference": base,
            "configuration": configuration,
            "steps": 3,
            "seed": 1,
            "directory": str(directory / f"segment-{changes.get('job', '1')}"),
            "checkpoint_every": 100,
            "evaluation": EvaluationSpec(n=16),
            "batch_size": 8,
            "micro_batch": 8,
            "threads": 1,
        }
        return SegmentSpec(**(fields | changes))

    return build


def score_of(evaluation: Evaluation) -> tuple[int, int, int]:
    """The part of an evaluation that is not time."""
    return evaluation.n, evaluation.greedy, evaluation.sampled

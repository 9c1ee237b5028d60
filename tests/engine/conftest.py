"""Fixtures for tests of training: an untrained tiny model on disk, specifications, and a recorder of events."""

from __future__ import annotations

from engine.testing.executors import LETTERS, Spec, make_spec, spec_builder, tiny_base
from engine.training.events import Evaluation

__all__ = ["LETTERS", "Spec", "make_spec", "score_of", "spec_builder", "tiny_base"]


def score_of(evaluation: Evaluation) -> tuple[int, int, int]:
    """The part of an evaluation that is not time."""
    return evaluation.n, evaluation.greedy, evaluation.sampled

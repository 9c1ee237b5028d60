"""GRPO by segments teaches the shipped base its task: from the accuracy of guesses to above .80 in 150 steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.training.events import EvaluationSpec, SegmentSpec
from tasks import registry
from tests.engine.training_runs import checkpoints, finished, run

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_three_segments_of_fifty_steps_teach_knights(tmp_path: Path) -> None:
    model = registry.get("knights").default_model()
    assert model is not None
    base = str(ROOT / model)
    parent, scores = base, []
    for number in range(3):
        spec = SegmentSpec(
            job=str(number),
            task="knights",
            base=base,
            parent=parent,
            optimizer=parent if number else None,
            reference=base,
            configuration={"learning_rate": 1e-4, "beta": 0.0, "max_completion_length": 64},
            steps=50,
            seed=number,
            directory=str(tmp_path / str(number)),
            checkpoint_every=50,
            evaluation=EvaluationSpec(n=256),
            batch_size=32,
            micro_batch=32,
            threads=1,
        )
        [checkpoint] = checkpoints(finished(run(spec)))
        parent = checkpoint.directory
        scores.append((checkpoint.evaluation.greedy / 256, checkpoint.evaluation.sampled / 256))
    greedy, sampled = scores[-1]
    assert greedy > 0.8, scores
    assert sampled > 0.75, scores

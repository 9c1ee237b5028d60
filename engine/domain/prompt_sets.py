"""The prompts that a run asks its policies: which set steers, which reranks the finalists, which is reported."""

from __future__ import annotations

from engine.domain.score import PromptSet

STEERING_SEED = 0
"""Seed of the validation prompts that steer the search."""
RERANK_SEED = 1
"""Seed of the second validation set, on which the finalists are compared."""
TEST_SEED = 0


def steering_prompts(n: int) -> PromptSet:
    """What every checkpoint of a run is asked."""
    return PromptSet("validation", STEERING_SEED, n)

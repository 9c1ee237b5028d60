"""How many completions a GRPO step has, where a run searches its prompts per step and where the run file fixes them.

Used by whatever makes or counts completions: jobs, `check`, the brake, the evidence of a run. Pure arithmetic.
"""

from __future__ import annotations

import math

from engine.domain.hyperparameters import PROMPTS
from engine.domain.parameters import Configuration, numeric
from engine.domain.space import Space


def step_completions(configuration: Configuration, batch_size: int) -> int:
    """Completions that a step trains on. `batch_size`: of the run file, where the configuration has no prompts."""
    if PROMPTS not in configuration:
        return batch_size
    return int(numeric(configuration[PROMPTS]) * numeric(configuration["num_generations"]))


def most_completions(space: Space | None, batch_size: int) -> int:
    """Completions of a step, at most, over a whole space."""
    if space is None or PROMPTS not in space:
        return batch_size
    return int(space[PROMPTS].high * space["num_generations"].high)


def rollouts(configuration: Configuration, steps: int, batch_size: int) -> int:
    """Completions that are generated for so many steps: `num_iterations` trains on them again, `steps_per_generation`
    generates those of several steps together."""
    iterations, shared = (
        int(numeric(configuration.get(name, 1))) for name in ("num_iterations", "steps_per_generation")
    )
    generations = math.ceil(steps / (iterations * shared))
    return generations * shared * step_completions(configuration, batch_size)


def micro_batch(batch: int, limit: int) -> int:
    """Completions of one forward pass: the largest divisor of a batch that is no more than `limit`; 0 is no limit."""
    return max((size for size in range(1, min(batch, limit or batch) + 1) if batch % size == 0), default=1)

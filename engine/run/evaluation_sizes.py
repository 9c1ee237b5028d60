"""How many prompts an evaluation asks where the run file leaves it open: what `evaluation.share` of the time pays for.

Called before a run file is checked and when a run is made, so that a run's own file names every number. Pure arithmetic
of the run file: the same file gives the same sizes on every machine, whatever else that machine does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from engine.run.config import EvaluationSection, RunConfig

ANSWER_COST = 0.6
"""Time of an answer that is only scored, as a share of a completion's that is trained on (docs/search.md)."""
ANSWERS = 2
"""Completions that a scored prompt takes: one greedy, one at temperature 1."""
STEERING_PART = 2 / 3
"""Of what may be spent this much steers the search; the rest is for its end."""
TEST_PART = 1 / 2
"""Of what is left for the end this much goes into the test, of base and reported policy; the rest into reranking."""
CHECKPOINTS = 3
"""Checkpoints that are reranked at most; the soup comes to them."""

VALIDATION, RERANK, TEST = (64, 256), (64, 512), (256, 1024)
"""Least and most prompts of each set; the least are asked even where they take more than the share."""
LOOK = 4
"""A first look takes a quarter of the prompts, at least LEAST_LOOK."""
LEAST_LOOK = 32
SEGMENTS = 20
"""Segments that a budget is taken for that has limits in time alone."""


def prompts_of_segment(config: RunConfig) -> float:
    """Prompts that the share of evaluation pays for while one segment is trained."""
    share = config.evaluation.share
    return share / (1 - share) * config.search.segment_steps * config.training.batch_size / (ANSWERS * ANSWER_COST)


def settled(config: RunConfig, before: Mapping[str, Any] = MappingProxyType({})) -> RunConfig:
    """The run file with a number for every size that it leaves open (0); the others stay as they are.

    Args:
        before: [evaluation] as an earlier engine of the run settled it: what is open stays so.
    """
    sizes, pays = config.evaluation, prompts_of_segment(config)
    given: dict[str, int] = {}
    if not sizes.validation_prompts:
        looks = (sizes.checkpoints - 1) / LOOK
        n = max(sizes.first_look, _within(STEERING_PART * pays / (1 + looks), VALIDATION, 8))
        given["validation_prompts"] = n
        if not sizes.first_look:
            given["first_look"] = max(LEAST_LOOK, n // LOOK)
    closing = (1 - STEERING_PART) * pays * min(segments_of_limits(config), default=SEGMENTS)
    if not sizes.test_prompts:
        given["test_prompts"] = _within(closing * TEST_PART / 2, TEST, 32)
    if not sizes.rerank_prompts:
        given["rerank_prompts"] = _within(closing * (1 - TEST_PART) / (CHECKPOINTS + sizes.soup), RERANK, 32)
    given |= {name: before[name] for name in given if name in before}
    return config.model_copy(update={"evaluation": sizes.model_copy(update=given)}) if given else config


def in_force(rows: Callable[[str], list[dict[str, Any]]]) -> dict[str, Any]:
    """[evaluation] as the last engine of a run settled it, read by SQL; nothing in a new run."""
    known = json.loads(next(iter(rows("SELECT config FROM runs")), {"config": "{}"})["config"])
    return {name: value for name, value in known.get("evaluation", {}).items() if value}


def of_segment(sizes: EvaluationSection) -> int:
    """Prompts that the checkpoints of one segment are asked when all goes well."""
    return (sizes.checkpoints - 1) * (sizes.first_look or sizes.validation_prompts) + sizes.validation_prompts


def of_ends(sizes: EvaluationSection) -> int:
    """Prompts that are asked before and after the search, at most: of base and soup, of the finalists, and the test."""
    steering = (1 + sizes.soup) * sizes.validation_prompts
    return steering + (CHECKPOINTS + sizes.soup) * sizes.rerank_prompts + 2 * sizes.test_prompts


def segments_of_limits(config: RunConfig) -> list[int]:
    """Segments of the whole budget by each of its limits that are in steps or in segments."""
    budget = config.budget
    counts = [budget.nodes] if budget.nodes else []
    return counts + ([-(-budget.steps // config.search.segment_steps)] if budget.steps else [])


def _within(prompts: float, limits: tuple[int, int], multiple: int) -> int:
    least, most = limits
    return max(least, min(most, int(prompts) // multiple * multiple))

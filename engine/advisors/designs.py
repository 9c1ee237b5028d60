"""What the rules advisor tries first: the root configurations that race, as moves from the suggested one.

Data like `engine.advisors.moves`, in the order in which they are tried.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.advisors.moves import MIDDLE, TASK, MovePlan, MoveStep

DESIGNS: Sequence[MovePlan] = (
    MovePlan("as suggested", (), "a baseline that improves steadily"),
    MovePlan(
        "the middle of the ranges",
        tuple(
            MoveStep(name, 0, "far from the middle of its range", to=MIDDLE)
            for name in ("learning_rate", "temperature", "beta", "max_completion_length", "num_generations")
        ),
        "a baseline wherever the suggested one is an extreme",
        lead=("learning_rate", "temperature"),
    ),
    MovePlan(
        "low learning rate, low temperature",
        (
            MoveStep("learning_rate", 0.3, "low learning rate"),
            MoveStep("temperature", -0.2, "low temperature"),
            MoveStep("beta", 2.0, "stronger KL penalty"),
        ),
        "a slow but steady rise",
    ),
    MovePlan(
        "high temperature, no KL penalty",
        (
            MoveStep("temperature", 0.2, "high temperature"),
            MoveStep("beta", 0.01, "almost no KL penalty"),
            MoveStep("num_generations", 1, "less noisy advantage estimates"),
            MoveStep(TASK, 0.34, "harder prompts from the start"),
        ),
        "an early rise of sampled answers",
    ),
    MovePlan(
        "high learning rate, stronger KL penalty",
        (
            MoveStep("learning_rate", 2.5, "high learning rate"),
            MoveStep("beta", 2.5, "stronger KL penalty"),
            MoveStep("temperature", 0.1, "slightly higher temperature"),
        ),
        "the steepest rise, or a collapse that shows the limit",
    ),
    MovePlan(
        "low learning rate, large groups",
        (
            MoveStep("learning_rate", 0.5, "low learning rate"),
            MoveStep("num_generations", 1, "less noisy advantage estimates"),
            MoveStep("temperature", -0.1, "slightly lower temperature"),
            MoveStep(TASK, 0.67, "prompts of the target difficulty"),
        ),
        "a steady rise with little noise",
    ),
    MovePlan(
        "high learning rate and temperature, large groups",
        (
            MoveStep("learning_rate", 1.8, "high learning rate"),
            MoveStep("temperature", 0.2, "high temperature"),
            MoveStep("num_generations", 1, "less noisy advantage estimates"),
            MoveStep("beta", 5.0, "much stronger KL penalty"),
        ),
        "an early rise",
    ),
    MovePlan(
        "low learning rate, no KL penalty",
        (
            MoveStep("learning_rate", 0.3, "low learning rate"),
            MoveStep("beta", 0.01, "almost no KL penalty"),
            MoveStep("max_grad_norm", 0.5, "smaller updates"),
        ),
        "a late rise",
    ),
    MovePlan(
        "very low learning rate",
        (
            MoveStep("learning_rate", 0.1, "very low learning rate"),
            MoveStep("temperature", 0.1, "slightly higher temperature"),
        ),
        "little risk and little gain",
    ),
)  # fmt: skip
"""The suggested configuration, the middle of the ranges, then around the suggested one, spread over the corners
of learning rate and exploration."""

"""Difficulty steered to the training reward at which a group says most (AdaRFT, arXiv 2504.05520).

With answers that are right or wrong the advantages of a group vary with p(1 − p), p the share of right ones: most at
one half. So harder prompts follow a reward above the target, easier ones a reward below it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from engine.domain.parameters import Configuration, Parameter, numeric
from engine.domain.space import Space
from engine.domain.tree import Node

FAR = 0.15
"""From its target: a training reward that moves a difficulty of whole numbers by one at least."""


def difficulty(space: Space) -> Parameter | None:
    """The task's own difficulty, where the space has one that may move."""
    own = (p for p in space if p.trl is None and not p.fixed and not p.categorical)
    return next(own, None)


@dataclass(frozen=True, slots=True)
class Curriculum:
    """How the difficulty follows the training reward.

    Attributes:
        space: of the run, whose ranges a human may change while it is live.
        target: mean training reward that is wanted, 0..1.
        rate: largest move after one segment, as a share of the range. sensitivity: how quickly it grows, inside tanh.
        falls: whether the difficulty may also be lowered where the space only lets it rise.
    """

    space: Space
    target: float
    rate: float
    sensitivity: float
    falls: bool = False

    def next(self, tip: Node) -> tuple[Configuration, str] | None:
        """What changes after a node, and why; None where nothing does, or its training reward is not known."""
        p = difficulty(self.space)
        if p is None or tip.reward is None:
            return None
        here = numeric(tip.configuration[p.name])
        by = self.rate * (p.high - p.low) * math.tanh(self.sensitivity * (tip.reward - self.target))
        there = p.nearest(here + by)
        if p.integer and there == here and abs(tip.reward - self.target) > FAR:
            there = p.nearest(here + math.copysign(1, by))  # a move too small for a narrow range
        if there == here or (p.falls(here, there) and not self.falls):
            return None
        reason = f"mean training reward {tip.reward:.3f}, target {self.target:g}: {p.name} {here:g} → {there:g}"
        return {p.name: there}, reason

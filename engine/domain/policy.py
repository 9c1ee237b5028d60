"""What a score belongs to: a policy (the base, a checkpoint of a node, or a soup: the mean of several checkpoints'
weights) and the prompts that were asked.

The controller names its candidates with it and the store keeps its key and name. Pure values; it knows no room.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import groupby

from engine.domain.score import PromptSet


@dataclass(frozen=True, slots=True)
class Policy:
    """Identified by its checkpoints (node id, step), the newest first: one, or the members of a soup."""

    members: tuple[tuple[int, int], ...]

    @property
    def node(self) -> int:
        """Node of the checkpoint; of a soup, of its newest member."""
        return self.members[0][0]

    @property
    def step(self) -> int:
        """Step of that checkpoint within its node."""
        return self.members[0][1]

    @property
    def is_soup(self) -> bool:
        """Whether several checkpoints were averaged."""
        return len(self.members) > 1

    @property
    def key(self) -> str:
        """As the store keeps it (the column `members`): equal for equal policies only."""
        return json.dumps(self.members, separators=(",", ":"))

    @property
    def name(self) -> str:
        """For people: "base", "#12 step 50", or "soup of #12 steps 25–50 and #9 step 50"."""
        if self.is_soup:
            return f"soup of {_joined([_place(node, [s for _, s in places]) for node, places in self._by_node()])}"
        return "base" if self.node == 0 else _place(self.node, [self.step])

    def _by_node(self) -> list[tuple[int, list[tuple[int, int]]]]:
        return [(node, list(places)) for node, places in groupby(self.members, key=lambda member: member[0])]


BASE = Policy(((0, 0),))
"""The untrained model."""


def _place(node: int, steps: list[int]) -> str:
    if len(steps) == 1:
        return f"#{node} step {steps[0]}"
    return f"#{node} steps {min(steps)}–{max(steps)}"


def _joined(places: list[str]) -> str:
    return places[0] if len(places) == 1 else f"{', '.join(places[:-1])} and {places[-1]}"


STEERING_SEED = 0
"""Seed of the validation prompts that steer the search."""
RERANK_SEED = 1
"""Seed of the second validation set, on which the finalists are compared."""
TEST_SEED = 0


def steering_prompts(n: int) -> PromptSet:
    """What every checkpoint of a run is asked."""
    return PromptSet("validation", STEERING_SEED, n)

"""A proposal at the gate, and what became of one: plain values that the run keeps and the human's commands name.

Used by the whole controller; nothing here changes anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from engine.domain.space import Transition

HUMAN = "human"
"""Stands as the advisor of what a human made or edited; which human is in the command."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A transition that waits, or waited, at the gate. `revision` grows with each edit; a stale approval is refused."""

    id: int
    revision: int
    node: int
    transition: Transition
    advisor: str
    deadline: datetime | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of a proposal, at which revision; `by` is auto, timeout, engine or a human's login name. `changes`
    are as a human reads them."""

    revision: int
    state: str
    by: str
    reason: str
    changes: str


def in_words(changes: Mapping[str, float | int]) -> str:
    """ "learning_rate 3e-05, beta 0", or "no change"."""
    return ", ".join(f"{name} {value:g}" for name, value in changes.items()) or "no change"

"""A proposal at the gate, whether it waits there for the human, and what became of one: plain values that the run keeps
and the human's commands name.

Used by the whole controller; nothing here changes anything, and the clock comes from the caller.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from engine.domain.space import Configuration, Transition, format_value

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


def in_words(changes: Configuration) -> str:
    """ "learning_rate 3e-05, beta 0", or "no change"."""
    words = (f"{n} {format_value(v) if isinstance(v, bool | str) else f'{v:g}'}" for n, v in changes.items())
    return ", ".join(words) or "no change"


GateMode = Literal["auto", "timeout", "manual"]
"""Whether proposals never wait, wait for a while, or wait until a human decides."""


@dataclass(frozen=True, slots=True)
class ProposalGate:
    """A rule for every proposal of the run; a human can change the mode while it runs."""

    mode: GateMode
    seconds: float

    def deadline(self, created: datetime) -> datetime | None:
        """Until when a proposal waits, or None: it waits for a human (manual), or does not wait (auto)."""
        return created + timedelta(seconds=self.seconds) if self.mode == "timeout" else None

    def opens(self, proposal: Proposal, at: datetime) -> bool:
        """Whether a proposal goes ahead by itself now."""
        if self.mode == "auto":
            return True
        return self.mode == "timeout" and proposal.deadline is not None and at >= proposal.deadline

    @property
    def reason(self) -> str:
        """Why it went ahead by itself, for the row."""
        return "gate auto" if self.mode == "auto" else f"gate timeout: no answer within {self.seconds:g} s"

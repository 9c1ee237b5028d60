"""Whether a transition waits for the human: auto, timeout or manual. Pure: the clock comes from the caller."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from engine.domain.proposals import Proposal

Mode = Literal["auto", "timeout", "manual"]


@dataclass(frozen=True, slots=True)
class ProposalGate:
    """A rule for every proposal of the run; a human can change the mode while it runs."""

    mode: Mode
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

"""The rules' own proposals as a section of a model's evidence: it may take one over, change it, or propose another.

Used by `evidence`. A hybrid of a model and a method that needs none did better than either alone where it was tried for
hyperparameters (arXiv 2603.24647).
"""

from __future__ import annotations

from engine.advisors.base import Evidence
from engine.advisors.hostile import one_line
from engine.domain.space import Transition, format_value

HEAD = (
    "An advisor of fixed rules would do the following here, best first. Take one over, change it, or propose something "
    "else; the rationale says which, and why."
)
REASON = 300
"""Characters of a proposal's rationale."""


def suggestions(evidence: Evidence) -> str:
    """The section; "" where nothing is to be shown."""
    return "\n".join([HEAD, *map(_line, evidence.suggested)]) if evidence.suggested else ""


def _line(proposal: Transition) -> str:
    changes = ", ".join(f"{name} {format_value(value)}" for name, value in proposal.changes.items())
    return (
        f"- #{proposal.parent} step {proposal.step}: {changes or 'no hyperparameter'}; adam {proposal.optimizer}, "
        f"reference {proposal.reference}. {one_line(proposal.rationale, REASON)}"
    )

"""The rules' own proposals as a section of a model's evidence, and what continuing unchanged is forecast to score: the
model may take one over, change it, or propose another.

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
    if not evidence.suggested:
        return ""
    return "\n".join(filter(None, [HEAD, *map(_line, evidence.suggested), _forecast(evidence)]))


def _forecast(evidence: Evidence) -> str:
    """What the branch scores where the child would end, if nothing changes; "" while it has too few scores."""
    from engine.analysis.learning_curve import INTERVAL, forecast  # numpy and scipy, which nobody else here needs

    tree, first = evidence.tree, evidence.parent
    while first.transition is not None and first.transition.intent.continues:
        first = tree[first.transition.parent]
    if first.transition is None:
        return ""
    begin, branch = first.transition, [n for n in tree.path(evidence.parent.id) if n.id >= first.id]
    start = [c.score for c in tree[begin.parent].checkpoints if c.step == begin.step]
    here = evidence.parent.start_steps + evidence.step - first.start_steps
    scores = [(n.start_steps - first.start_steps + c.step, c.score) for n in branch for c in n.checkpoints]
    known = [(0, score) for score in start] + [(step, score) for step, score in scores if step <= here]
    made = forecast(known, here + evidence.steps) if start else None
    if made is None:
        return ""
    return (
        f"Continued unchanged, the branch is forecast to score {made.mean:.2f} [{made.low:.2f} to {made.high:.2f}] "
        f"({INTERVAL:.0%}) after {evidence.steps} more steps."
    )


def _line(proposal: Transition) -> str:
    changes = ", ".join(f"{name} {format_value(value)}" for name, value in proposal.changes.items())
    return (
        f"- #{proposal.parent} step {proposal.step}: {changes or 'no hyperparameter'}; adam {proposal.optimizer}, "
        f"reference {proposal.reference}. {one_line(proposal.rationale, REASON)}"
    )

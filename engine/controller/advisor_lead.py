"""Whether the model or the rules decide: the model's share of first segments and changes, and its lead, which a bad
record in this run takes away.

Asked by the planner and the reviews before they ask the model. The record is the view `advisor_record`; whose turn it
is follows from the tree alone, so a run that is resumed goes on as it would have.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from engine.advisors.base import Advisor
from engine.controller.run_state import RunState
from engine.domain.space import Intent
from engine.domain.tree import NodeState, Tree

LEAST_ANSWERS, LEAST_VALID = 10, 0.3
"""From so many answers on, the share of them that must be usable; a repaired one counts as two, of which one is."""
LEAST_TRAINED = 6
"""Changes of the model, and of the rules, that must have been trained before their gains are compared."""
ERRORS = 2.0
"""Standard errors by which the model's changes must gain less than the rules'."""
RULES = "rules"


class AdvisorLead:
    """The lead of one run's advisor. Once lost it stays lost."""

    def __init__(self, run: RunState, advisor: Advisor, *, may_lose: bool) -> None:
        """`may_lose`: whether a bad record takes the lead away (advisor.kind = "auto")."""
        self._run = run
        self._name = advisor.name
        self._may_lose = may_lose and advisor.slow
        self._lost = False

    def holds(self) -> bool:
        """Whether the advisor is to be asked; the first time it is not, the log says why."""
        if self._may_lose and not self._lost and (why := self._bad()):
            self._lost = True
            self._run.event("warning", "advisor", f"the rules advisor takes over from {self._name}: {why}")
            self._run.record.advisor(RULES)
        return not self._lost

    def _bad(self) -> str:
        rows = {row["advisor"]: row for row in self._run.rows("SELECT * FROM advisor_record")}
        own = rows.get(self._name)
        if own is None:
            return ""
        if own["answers"] >= LEAST_ANSWERS and own["valid"] < LEAST_VALID * own["answers"]:
            return f"{own['valid']} of {own['answers']} answers could be used"
        return gains_less(own, rows[RULES]) if RULES in rows else ""


def gains_less(own: dict[str, Any], rules: dict[str, Any]) -> str:
    """Why the model's changes are worse than the rules', beyond the noise; "" where they are not, or too few."""
    if min(own["trained"], rules["trained"]) < LEAST_TRAINED:
        return ""
    difference = own["gain"] - rules["gain"]
    if difference >= -ERRORS * math.hypot(own["gain_error"], rules["gain_error"]):
        return ""
    return (
        f"its {own['trained']} changes gained {own['gain']:+.3f} on average, the {rules['trained']} of the rules "
        f"{rules['gain']:+.3f}"
    )


SHARED = (Intent.ROOT, Intent.CHANGE)
"""What there is to choose in; to continue, to anneal and to repair is not shared."""


@dataclass(frozen=True, slots=True)
class ModelShare:
    """The settings `advisor.share` and `advisor.shows_rules`."""

    share: float = 1.0
    shows_rules: bool = False

    def models_turn(self, tree: Tree, intent: Intent) -> bool:
        """Whether the next decision of this sort is the model's; turns are spread evenly, the rules' first."""
        if intent not in SHARED or self.share >= 1:
            return True
        taken = sum(
            node.transition is not None and node.transition.intent in SHARED and node.state is not NodeState.REJECTED
            for node in tree
        )
        return math.floor((taken + 1) * self.share + 1e-9) > math.floor(taken * self.share + 1e-9)

    def shows(self, intent: Intent) -> bool:
        """Whether the model sees what the rules would do."""
        return self.shows_rules and intent in SHARED

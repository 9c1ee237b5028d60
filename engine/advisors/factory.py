"""Makes the advisor that a run file asks for. Asked once, by the daemon and by `llmzero check`."""

from __future__ import annotations

from engine.advisors.base import Advisor
from engine.advisors.rules import RulesAdvisor
from engine.errors import UserError

KINDS = ("auto", "rules")


def make(kind: str) -> Advisor:
    """The advisor for `advisor.kind`.

    Raises:
        UserError: a kind that this version does not have.
    """
    if kind == "rules":
        return RulesAdvisor()
    if kind == "auto":
        return RulesAdvisor("rules: this version asks no language model")
    if kind == "ollama":
        raise UserError('advisor.kind = "ollama" is not in this version; allowed: auto, rules')
    raise UserError(f"advisor.kind = {kind!r} is unknown; allowed: {', '.join(KINDS)}")

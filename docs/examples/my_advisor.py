"""Halve the learning rate where the score fell, leave it where it rose: a whole advisor."""

from engine.advisors.base import Advice, Advisor, Diagnosis, Evidence
from engine.advisors.rules import RulesAdvisor
from engine.domain.space import Intent, Transition

RATE = "learning_rate"


class HalveWhereItFalls(Advisor):
    name = "halve"
    deterministic = True  # the same evidence gives the same advice

    def __init__(self) -> None:
        self._rules = RulesAdvisor()  # for every question that is not about a change

    def advise(self, evidence: Evidence) -> Advice:
        advice = self._rules.advise(evidence)
        if evidence.intent is not Intent.CHANGE or (halved := self._halved(evidence)) is None:
            return advice
        fell = Diagnosis("falling", 0.5, halved.rationale)
        others = (each for each in advice.proposals if not each.repeats(halved))
        return Advice(self.name, (fell,), (halved, *others), step=evidence.step)

    def _halved(self, evidence: Evidence) -> Transition | None:
        """The proposal, where the score fell and the space and what was tried leave room for it."""
        parent, space = evidence.parent, evidence.space
        values = [c.score.value for c in parent.checkpoints if c.step <= evidence.step]
        if len(values) < 2 or values[-1] >= values[0] or RATE not in space or space[RATE].fixed:
            return None
        changes = {RATE: space.move(parent.configuration, RATE, 0.5)}
        why = f"the score fell from {values[0]:.3f} to {values[-1]:.3f}: half the learning rate"
        proposal = Transition(
            parent.id, evidence.step, evidence.intent, changes, label="lr ÷2", rationale=why, expected="it rises again"
        )
        repeated = any(proposal.repeats(tried) for tried in evidence.tried)
        return None if repeated or space.check_transition(parent.configuration, proposal) else proposal

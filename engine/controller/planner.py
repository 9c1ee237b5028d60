"""From an expansion to a valid transition: gather the evidence, ask the advisor, hold its proposals against the space.

What breaks a rule goes back to the advisor once with the reason, then to the rules advisor. A fault of the advisor goes
to the rules at once. Every advice on the way is kept, so that every call becomes a row.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from engine.advisors.base import (
    Advice,
    AdviceFailed,
    Advisor,
    AdvisorCall,
    Evidence,
    canonical,
    repeats,
    violations,
)
from engine.advisors.rules import RulesAdvisor
from engine.controller.advisor_lead import ModelShare
from engine.controller.evidence_builder import EvidenceBuilder
from engine.controller.run_state import RunState
from engine.domain.space import Intent, Space, Transition
from engine.errors import Fault
from engine.search.base import Expansion


@dataclass(frozen=True, slots=True)
class PlannedTransition:
    """The outcome: one valid transition, the advice it came from, and what went wrong on the way.

    Attributes:
        records: every advice asked for, usable or not, with the node it was about; the last one is `advice`.
        refusals: proposals that broke a rule. faults: advisors that gave no usable answer.
    """

    transition: Transition
    advice: Advice
    records: tuple[tuple[Advice, int], ...]
    refusals: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


class Planner:
    """Asks the advisor of the run, and the embedded rules when that fails."""

    def __init__(
        self,
        run: RunState,
        space: Space,
        advisor: Advisor,
        evidence_builder: EvidenceBuilder,
        leads: Callable[[], bool] = lambda: True,
        share: ModelShare = ModelShare(),  # noqa: B008 - immutable
    ) -> None:
        """`leads` says whether the run's advisor is still to be asked, `share` how often, where it is a model."""
        self._leads = leads
        self._share = share
        self._run = run
        self._space = space
        self._advisor = advisor
        self._rules = RulesAdvisor()
        self._evidence = evidence_builder

    async def plan(self, expansion: Expansion, fraction_spent: float, *, by_rules: bool = False) -> PlannedTransition:
        """The best valid transition for an expansion. The advisor runs in a thread; the loop goes on.

        Args:
            by_rules: do not ask the run's advisor: a worker waits. The same holds where a slow advisor would only say
                "keep"; it reviews the segment while the next one trains.

        Raises:
            RuntimeError: the rules advisor itself proposed nothing valid (a bug of ours). Where everything that the
                space has was tried from here, it may say the same again: with another seed.
        """
        if expansion.changes is not None:
            return self._strategys_own(expansion)
        made = _PlanAttempt()
        advisor = self._rules if by_rules else self._whose(expansion)
        if advisor is not self._rules and expansion.intent is Intent.CHANGE and expansion.candidates:
            expansion = await self._select(expansion, fraction_spent, made)
        evidence = await self._evidence.look(expansion, fraction_spent, models=advisor is not self._rules)
        if advisor.slow and self._share.shows(expansion.intent):
            evidence = replace(evidence, suggested=self._rules.advise(evidence).proposals)
        for each, repeated in ((advisor, False), (advisor, False), (self._rules, False), (self._rules, True)):
            if each is not self._rules and made.faults:
                continue
            transition = await self._ask(each, evidence, made, repeated=repeated)
            if transition is not None:
                return PlannedTransition(
                    transition, made.last, tuple(made.records), tuple(made.refusals), tuple(made.faults)
                )
        raise RuntimeError(f"no valid proposal for {expansion}: {made.refusals}")

    def _whose(self, expansion: Expansion) -> Advisor:
        """Who decides: the run's advisor, or the rules where it would only say "keep", has lost the lead or has its
        share already."""
        advisor = self._advisor
        if (advisor.slow and expansion.intent is Intent.KEEP) or not self._leads():
            return self._rules
        model = advisor.slow and advisor.name != self._rules.name  # one that did not qualify is the rules by now
        if not model or self._share.models_turn(self._run.tree, expansion.intent):
            return advisor
        text = f"the rules decide: the share of {advisor.name} is {self._share.share:.0%}"
        self._run.event("info", "advisor share", text, expansion.parent)
        return self._rules

    def cancel(self) -> None:
        """Nothing is wanted any more: end what the advisor is being asked."""
        self._advisor.cancel()

    async def _ask(
        self, advisor: Advisor, evidence: Evidence, made: _PlanAttempt, *, repeated: bool
    ) -> Transition | None:
        """The first valid proposal of an advice, or None."""
        told = replace(evidence, feedback="; ".join(made.refusals))
        try:
            advice = await asyncio.to_thread(advisor.advise, told)
        except Fault as fault:
            made.failed(advisor, fault, evidence.parent.id)
            return None
        made.records.append((advice, evidence.parent.id))
        for given in advice.proposals:
            proposal = canonical(given, evidence.tree, self._space)
            wrong = violations(proposal, evidence, repeated=repeated)
            if not wrong:
                return proposal
            made.refusals.append(f"{proposal.label or 'proposal'}: {'; '.join(wrong)}")
        return None

    async def _select(self, expansion: Expansion, fraction_spent: float, made: _PlanAttempt) -> Expansion:
        """The expansion at the place that the advisor chooses among those the search offers."""
        if type(self._advisor).select is Advisor.select:
            return expansion
        evidence = await self._evidence.look(expansion, fraction_spent)
        try:
            chosen = await asyncio.to_thread(self._advisor.select, evidence)
        except Fault as fault:
            made.failed(self._advisor, fault, expansion.parent)
            return expansion
        if chosen is None:
            return expansion
        made.records.append((Advice(self._advisor.name, (), (), chosen.calls), expansion.parent))
        places = [(expansion.parent, expansion.step), *expansion.candidates]
        here = (chosen.node, chosen.step)
        if here not in places:
            made.refusals.append(f"#{chosen.node} step {chosen.step} is not a checkpoint that was offered")
            return expansion
        others = tuple(place for place in places if place != here)
        return replace(expansion, parent=chosen.node, step=chosen.step, candidates=others)

    def _strategys_own(self, expansion: Expansion) -> PlannedTransition:
        """A baseline says itself what changes: no advisor is asked."""
        parent = self._run.tree[expansion.parent].configuration
        changes = dict(expansion.changes or {})
        transition = Transition(
            parent=expansion.parent, step=expansion.step, intent=expansion.intent, changes=changes,
            optimizer=expansion.optimizer, reference=expansion.reference,
            label=self._space.describe(parent, changes), rationale=expansion.reason,
        )  # fmt: skip
        return PlannedTransition(transition, Advice("search", (), (transition,)), ())

    def repeats(self, proposal: Transition) -> bool:
        """Whether the same is in the tree already, below the same place."""
        return repeats(proposal, self._run.tree, self._space)


class _PlanAttempt:
    """A plan in the making: what was asked and what was wrong."""

    def __init__(self) -> None:
        self.records: list[tuple[Advice, int]] = []
        self.refusals: list[str] = []
        self.faults: list[str] = []

    @property
    def last(self) -> Advice:
        return self.records[-1][0]

    def failed(self, advisor: Advisor, fault: Fault, node_id: int) -> None:
        calls = fault.calls if isinstance(fault, AdviceFailed) else ()
        if not calls:
            calls = (AdvisorCall("advice", "{}", "", "", 0.0, error=str(fault)),)
        self.records.append((Advice(advisor.name, (), (), calls), node_id))
        self.faults.append(f"{advisor.name}: {fault}")

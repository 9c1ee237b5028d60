"""From an expansion to a valid transition: gather the evidence, ask the advisor, hold its proposals against the space.

What breaks a rule goes back to the advisor once with the reason, then to the rules advisor.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from engine.advisors.base import Advice, Advisor, Evidence, SampledCompletion
from engine.advisors.rules import RulesAdvisor
from engine.controller.ledger import Ledger
from engine.errors import Fault
from engine.search.base import Expansion
from engine.space import Intent, Space, Transition
from engine.tree import Node


@dataclass(frozen=True, slots=True)
class Planned:
    """The outcome: one valid transition, the advice it came from, and what went wrong on the way."""

    transition: Transition
    advice: Advice
    advices: tuple[Advice, ...]
    refusals: tuple[str, ...]


class Planner:
    """Asks the advisor of the run, and the embedded rules when that fails."""

    def __init__(self, ledger: Ledger, space: Space, advisor: Advisor, *, seed: int) -> None:
        self._ledger = ledger
        self._space = space
        self._advisor = advisor
        self._rules = RulesAdvisor()
        self._seed = seed

    async def plan(self, expansion: Expansion, fraction_spent: float) -> Planned:
        """The best valid transition for an expansion. The advisor runs in a thread; the loop goes on.

        Raises:
            RuntimeError: the rules advisor itself proposed nothing valid (a bug of ours).
        """
        if expansion.changes is not None:
            return self._strategys_own(expansion)
        evidence = await self._evidence(expansion, fraction_spent)
        advices: list[Advice] = []
        refusals: list[str] = []
        for advisor in (self._advisor, self._advisor, self._rules):
            try:
                advice = await asyncio.to_thread(advisor.advise, replace(evidence, feedback="; ".join(refusals)))
            except Fault as fault:
                refusals.append(f"{advisor.name}: {fault}")
                continue
            advices.append(advice)
            for proposal in advice.proposals:
                wrong = self.violations(proposal, evidence)
                if not wrong:
                    return Planned(proposal, advice, tuple(advices), tuple(refusals))
                refusals.append(f"{proposal.label or 'proposal'}: {'; '.join(wrong)}")
        raise RuntimeError(f"no valid proposal for {expansion}: {refusals}")

    def _strategys_own(self, expansion: Expansion) -> Planned:
        """A baseline says itself what changes: no advisor is asked."""
        parent = self._ledger.tree[expansion.parent].configuration
        changes = dict(expansion.changes or {})
        transition = Transition(
            parent=expansion.parent, step=expansion.step, intent=expansion.intent, changes=changes,
            label=self._space.describe(parent, changes), rationale=expansion.reason,
        )  # fmt: skip
        return Planned(transition, Advice("search", (), (transition,)), (), ())

    def violations(self, proposal: Transition, evidence: Evidence) -> Sequence[str]:
        """What is wrong with a proposal: the place, the intent, a repeat, the rules of the space."""
        places = {(evidence.parent.id, evidence.step), *evidence.candidates}
        if (proposal.parent, proposal.step) not in places:
            return [f"#{proposal.parent} step {proposal.step} is not a place that was offered"]
        if proposal.intent is not evidence.intent:
            return [f"intent {proposal.intent}, wanted {evidence.intent}"]
        same = [t for t in evidence.tried if _same(t, proposal)]
        if same and evidence.intent is not Intent.REPAIR:
            return ["repeats a transition tried from here"]
        return self._space.check_transition(evidence.tree[proposal.parent].configuration, proposal)

    async def _evidence(self, expansion: Expansion, fraction_spent: float) -> Evidence:
        tree = self._ledger.tree.copy()
        parent = tree[expansion.parent]
        metrics = await asyncio.to_thread(self._ledger.series, parent.id, expansion.step)
        completions = await asyncio.to_thread(self._completions, parent, expansion.step)
        tried = tuple(child.transition for child in tree.children(parent.id) if child.transition)
        return Evidence(
            tree=tree,
            space=self._space,
            parent=parent,
            step=expansion.step,
            intent=expansion.intent,
            metrics=metrics,
            completions=completions,
            candidates=expansion.candidates,
            tried=tried,
            steps=expansion.steps,
            fraction_spent=fraction_spent,
            seed=self._seed + len(tree),
            failed=None if expansion.failed is None else tree[expansion.failed],
        )

    def _completions(self, parent: Node, last_step: int) -> tuple[SampledCompletion, ...]:
        rows = self._ledger.writer.rows(
            "SELECT step, prompt, completion, answer, reward, correct, truncated FROM completions "
            "WHERE node_id = ? AND step <= ? ORDER BY seq DESC LIMIT 12",
            (parent.id, last_step),
        )
        return tuple(SampledCompletion(**row) for row in rows)


def _same(a: Transition, b: Transition) -> bool:
    return (a.step, dict(a.changes), a.optimizer, a.reference) == (b.step, dict(b.changes), b.optimizer, b.reference)

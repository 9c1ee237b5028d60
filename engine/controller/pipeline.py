"""From "a worker is free" to a queued segment: ask the search, want a waiting proposal or plan one, pass the gate.

Proposals come in two kinds. A *wanted* one is what the search asked for a free worker: the gate decides when it goes. A
*stock* one was made while segments train, so that neither an advisor nor a human is waited for with an idle trainer; it
becomes wanted when the search asks for the same place, or is superseded when its place closes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from engine.controller.gate import Gate
from engine.controller.jobs import attempt, segment_seed
from engine.controller.ledger import Ledger, Proposal, now
from engine.controller.planner import Planned, Planner
from engine.search.base import BudgetLeft, Expansion, Strategy
from engine.space import Intent, Space, Transition
from engine.tree import State


@dataclass(slots=True)
class Planning:
    """An advice being made. `wanted` as for a proposal."""

    expansion: Expansion
    wanted: bool
    task: asyncio.Task[Planned]


class Pipeline:
    """Keeps the right number of proposals in the making. Owned by the controller's event loop."""

    def __init__(
        self,
        ledger: Ledger,
        space: Space,
        strategy: Strategy,
        planner: Planner,
        gate: Gate,
        *,
        run_seed: int,
        slow_advisor: bool,
        wake: Callable[[], None],
    ) -> None:
        """`slow_advisor`: an advice takes seconds, so a fitting stock proposal beats a fresh one. `wake` tells the
        loop that something is ready."""
        self.gate = gate
        self._ledger = ledger
        self._space = space
        self._strategy = strategy
        self._planner = planner
        self._run_seed = run_seed
        self._slow = slow_advisor
        self._wake = wake
        self._wanted: set[int] = set()
        self._planning: list[Planning] = []

    # ---- what the loop asks ---------------------------------------------------------------------------------------

    def queued(self) -> list[int]:
        """Node ids that passed the gate and wait for a worker, oldest first."""
        return [node.id for node in self._ledger.tree if node.state is State.QUEUED]

    def points(self) -> set[tuple[int, int]]:
        """Places (node id, step) that an advice in the making branches from: their files must stay."""
        found: set[tuple[int, int]] = set()
        for planning in self._planning:
            found |= {(planning.expansion.parent, planning.expansion.step), *planning.expansion.candidates}
        return found

    def waiting(self, *, stock: bool) -> list[int]:
        """Node ids that have not begun: queued, or wanted at the gate; with `stock` the stock proposals, too."""
        at_gate = [n for n in self._ledger.proposals if stock or n in self._wanted]
        return [*self.queued(), *at_gate]

    @property
    def busy(self) -> bool:
        """Whether something wanted is still to come: an advice in the making, or a proposal at the gate."""
        return any(p.wanted for p in self._planning) or bool(self._wanted & self._ledger.proposals.keys())

    def fill(self, idle: int, left: BudgetLeft) -> None:
        """Ask the search for each free worker that nothing is on its way to."""
        coming = len(self.queued()) + len(self._wanted & self._ledger.proposals.keys())
        if any(planning.wanted for planning in self._planning):
            return  # the search sees a place as taken once its proposal is in the tree: one advice at a time
        for _ in range(idle - coming):
            if left.steps <= 0:
                return
            expansion = self._strategy.ask(self._ledger.tree.without(self._stock()), left)
            if expansion is None:
                return
            expansion = self._respect_rejection(expansion)
            if not self._want_stock(expansion):
                self._plan(expansion, left, wanted=True)
                return
            left = BudgetLeft(left.steps - expansion.steps, left.fraction_spent)

    def look_ahead(self, left: BudgetLeft) -> None:
        """While segments train, have the next proposal made: one in stock at a time."""
        stocked = self._stock() or self._planning
        if stocked or self.busy or left.steps <= 0:
            return
        expansion = self._strategy.ask(self._ledger.tree, left)
        if expansion is not None:
            self._plan(self._respect_rejection(expansion), left, wanted=False)

    def refresh(self, left: BudgetLeft) -> None:
        """A segment ended: stock that the search would not ask for any more is withdrawn. A slow advisor's stays."""
        stock = self._stock()
        if not stock or self._slow:
            return
        wish = self._strategy.ask(self._ledger.tree.without(stock), left)
        for node_id in stock:
            proposal = self._ledger.proposals[node_id]
            place = (proposal.transition.parent, proposal.transition.step, proposal.transition.intent)
            if wish is not None and place != (wish.parent, wish.step, wish.intent):
                self.close(proposal, "superseded", "engine", f"the search prefers now: {wish.reason}")

    def collect(self) -> None:
        """Turn finished advices into proposals, and let through what the gate opens for."""
        for planning in [p for p in self._planning if p.task.done()]:
            self._planning.remove(planning)
            self._propose(planning, planning.task.result())
        for proposal in list(self._ledger.proposals.values()):
            if not self._open(proposal.transition.parent, proposal.transition.step):
                self.close(proposal, "superseded", "engine", f"#{proposal.transition.parent} is closed now")
            elif proposal.node in self._wanted and self.gate.opens(proposal, now()):
                self._ledger.decide(proposal, "approved", self.gate.mode, self.gate.reason)

    def close(self, proposal: Proposal, state: str, by: str, reason: str) -> None:
        """Decide a proposal (see Ledger.decide) and forget that it was wanted."""
        self._wanted.discard(proposal.node)
        self._ledger.decide(proposal, state, by, reason)

    def add_human(self, transition: Transition, steps: int, author: str) -> Proposal:
        """A human's own transition: a proposal that the human has approved already."""
        parent = self._ledger.tree[transition.parent]
        configuration = self._space.apply(parent.configuration, transition.changes)
        proposal = self._ledger.propose(
            transition, configuration, steps=steps, seed=self._seed(transition), advisor=author,
            call_id=None, deadline=None,
        )  # fmt: skip
        self._ledger.decide(proposal, "approved", author, "the human's own transition")
        return proposal

    def want_all(self) -> None:
        """After a resume: what waited at the gate goes on waiting there, as wanted."""
        self._wanted = set(self._ledger.proposals)

    def set_gate(self, gate: Gate) -> None:
        """Change the gate for what waits now and for what comes."""
        self.gate = gate
        self._ledger.record_gate(gate.mode)
        for proposal in list(self._ledger.proposals.values()):
            self._ledger.set_deadline(proposal, gate.deadline(now()))

    async def cancel(self, reason: str) -> None:
        """The run ends: nothing new is planned, what waits is superseded."""
        for planning in self._planning:
            planning.task.cancel()
        await asyncio.gather(*(planning.task for planning in self._planning), return_exceptions=True)
        self._planning.clear()
        for proposal in list(self._ledger.proposals.values()):
            self.close(proposal, "superseded", "engine", reason)

    # ---- the parts ------------------------------------------------------------------------------------------------

    def _stock(self) -> list[int]:
        return [node_id for node_id in self._ledger.proposals if node_id not in self._wanted]

    def _want_stock(self, expansion: Expansion) -> bool:
        """Take a stock proposal for this expansion; with a slow advisor any stock serves where a change is wanted."""
        for node_id in self._stock():
            transition = self._ledger.proposals[node_id].transition
            place = (transition.parent, transition.step, transition.intent)
            same = place == (expansion.parent, expansion.step, expansion.intent)
            if same or (self._slow and expansion.intent is transition.intent is Intent.CHANGE):
                self._wanted.add(node_id)
                return True
        return False

    def _respect_rejection(self, expansion: Expansion) -> Expansion:
        """Where a human rejected a plain continuation, a change is wanted instead of the same again."""
        if expansion.intent not in (Intent.KEEP, Intent.ANNEAL):
            return expansion
        rejected = any(
            child.state is State.REJECTED
            and child.transition is not None
            and (child.transition.step, child.transition.intent) == (expansion.step, expansion.intent)
            for child in self._ledger.tree.children(expansion.parent)
        )
        return replace(expansion, intent=Intent.CHANGE) if rejected else expansion

    def _plan(self, expansion: Expansion, left: BudgetLeft, *, wanted: bool) -> None:
        task = asyncio.create_task(self._planner.plan(expansion, left.fraction_spent))
        task.add_done_callback(lambda _: self._wake())
        self._planning.append(Planning(expansion, wanted, task))

    def _propose(self, planning: Planning, planned: Planned) -> None:
        expansion, transition = planning.expansion, planned.transition
        call_id = None
        for advice in planned.advices:
            call_id = self._ledger.advice(advice, expansion.parent)
        for refusal in planned.refusals:
            self._ledger.event("warning", "proposal refused", refusal, expansion.parent)
        if not self._open(transition.parent, transition.step):
            place = f"#{transition.parent} step {transition.step}"
            self._ledger.event("info", "proposal dropped", f"{place} closed while the advisor worked", expansion.parent)
            return
        parent = self._ledger.tree[transition.parent]
        proposal = self._ledger.propose(
            transition, self._space.apply(parent.configuration, transition.changes), steps=expansion.steps,
            seed=self._seed(transition), advisor=planned.advice.advisor, call_id=call_id,
            deadline=self.gate.deadline(now()),
        )  # fmt: skip
        self._ledger.event("info", "selected", expansion.reason, proposal.node)
        if planning.wanted:
            self._wanted.add(proposal.node)

    def _open(self, parent: int, step: int) -> bool:
        """Whether a place can still be branched from."""
        node = self._ledger.tree[parent]
        return not node.pruned and any(c.step == step and c.kept for c in node.checkpoints)

    def _seed(self, transition: Transition) -> int:
        parent = self._ledger.tree[transition.parent]
        start = parent.start_steps + transition.step
        return segment_seed(self._run_seed, start, attempt(self._ledger.tree, transition))

"""From "a worker is free" to a queued segment: ask the search, want a waiting proposal or plan one, pass the gate.

Proposals come in two kinds. A *wanted* one is what the search asked for a free worker: the gate decides when it goes. A
*stock* one was made while segments train, so that neither an advisor nor a human is waited for with an idle trainer; it
becomes wanted when the search asks for the same place, or is superseded when its place closes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from engine.controller.job_builder import attempt, segment_seed
from engine.controller.planner import PlannedTransition, Planner
from engine.controller.run_record import now
from engine.controller.run_state import RunState
from engine.domain.proposals import HUMAN, Proposal, ProposalGate
from engine.domain.space import Intent, Space, Transition
from engine.domain.tree import NodeState
from engine.run.advisor_section import AdvisorSection
from engine.search.base import BudgetLeft, Expansion, SearchStrategy, shortest_segment
from engine.words import change_text, intent_name

PATIENCE_SHARE, LEAST_PATIENCE = 0.03, 1.0
"""A free worker waits for an advice this share of a segment's time, and at least so many seconds."""


LASTING = (Intent.ROOT, Intent.CHANGE)
"""What a late advice is still good for: an anneal or a repair has happened by then."""


def patience(asked: AdvisorSection, segment_seconds: float) -> float:
    """Seconds a free worker waits for an advice before the rules stand in; `segment_seconds` is 0 while unknown."""
    return asked.wait_seconds or max(LEAST_PATIENCE, PATIENCE_SHARE * segment_seconds)


class AdviceState(StrEnum):
    """Whom an advice in the making is for."""

    STOCK = "stock"
    """For later: segments train, and no worker waits for it."""
    WANTED = "wanted"
    """For a free worker, which waits for it."""
    LATE = "late"
    """For later again: the worker waited long enough, and the rules stood in."""
    WANTED_AGAIN = "wanted again"
    """Was late, and a free worker waits for it now."""
    STAND_IN = "stand-in"
    """The rules' own, for the worker that waited long enough."""

    @property
    def wanted(self) -> bool:
        """Whether a free worker waits for it."""
        return self in (AdviceState.WANTED, AdviceState.WANTED_AGAIN, AdviceState.STAND_IN)

    @property
    def was_late(self) -> bool:
        """Whether the rules have stood in for it."""
        return self in (AdviceState.LATE, AdviceState.WANTED_AGAIN)

    @property
    def may_be_late(self) -> bool:
        """Whether the rules stand in once patience ends."""
        return self in (AdviceState.WANTED, AdviceState.WANTED_AGAIN)

    def when_wanted(self) -> AdviceState:
        """The state once a free worker waits for it."""
        return {AdviceState.STOCK: AdviceState.WANTED, AdviceState.LATE: AdviceState.WANTED_AGAIN}.get(self, self)


@dataclass(slots=True)
class AdviceInProgress:
    """An advice being made; `since` is the monotonic second from which on a worker waits for it."""

    expansion: Expansion
    state: AdviceState
    task: asyncio.Task[PlannedTransition]
    since: float


class ProposalQueue:
    """Keeps the right number of proposals in the making. Owned by the controller's event loop."""

    def __init__(
        self,
        run: RunState,
        space: Space,
        strategy: SearchStrategy,
        planner: Planner,
        gate: ProposalGate,
        *,
        run_seed: int,
        slow_advisor: bool,
        wake: Callable[[], None],
        workers: int,
        patience: Callable[[], float],
    ) -> None:
        """`slow_advisor`: an advice takes seconds, so a fitting stock proposal beats a fresh one. `wake` tells the
        loop that something is ready. `patience` says how many seconds a free worker waits for an advice."""
        self._workers = workers
        self._patience = patience
        self.gate = gate
        self._run = run
        self._space = space
        self._strategy = strategy
        self._planner = planner
        self._run_seed = run_seed
        self._slow = slow_advisor
        self._wake = wake
        self._wanted: set[int] = set()
        self._places: dict[int, tuple[int, int, Intent]] = {}  # what the search asked for, by the node it became
        self._planning: list[AdviceInProgress] = []

    # ---- what the loop asks ---------------------------------------------------------------------------------------

    def queued(self) -> list[int]:
        """Node ids that passed the gate and wait for a worker, oldest first."""
        return [node.id for node in self._run.tree if node.state is NodeState.QUEUED]

    def points(self) -> set[tuple[int, int]]:
        """Places (node id, step) that an advice in the making branches from: their files must stay."""
        places: set[tuple[int, int]] = set()
        for planning in self._planning:
            places |= {(planning.expansion.parent, planning.expansion.step), *planning.expansion.candidates}
        return places

    def waiting(self, *, stock: bool) -> list[int]:
        """Node ids that have not begun: queued, or wanted at the gate; with `stock` the stock proposals, too."""
        at_gate = [n for n in self._run.proposals if stock or n in self._wanted]
        return [*self.queued(), *at_gate]

    @property
    def planning(self) -> bool:
        """Whether an advice is in the making."""
        return bool(self._planning)

    @property
    def busy(self) -> bool:
        """Whether something wanted is still to come: an advice in the making, or a proposal at the gate."""
        return any(p.state.wanted for p in self._planning) or bool(self._wanted & self._run.proposals.keys())

    @property
    def at_gate(self) -> int:
        """How many proposals that a worker could begin wait for the human."""
        return 0 if self.gate.mode == "auto" else len(self._wanted & self._run.proposals.keys())

    def fill(self, idle: int, left: BudgetLeft) -> None:
        """Ask the search for each free worker that nothing is on its way to."""
        coming = len(self.queued()) + len(self._wanted & self._run.proposals.keys())
        if idle > coming:
            self._lose_patience(left)
        if any(planning.state.wanted for planning in self._planning):
            return  # the search sees a place as taken once its proposal is in the tree: one advice at a time
        for _ in range(idle - coming):
            if left.steps <= 0:
                return
            stock = self._stock()  # a copy of a tree of 10,000 nodes takes longer than the question
            expansion = self._strategy.ask(self._run.tree.without(stock) if stock else self._run.tree, left)
            if expansion is None:
                return
            expansion = self._respect_rejection(expansion)
            if left.segment_steps < shortest_segment(min(expansion.steps, left.steps)):
                return  # the time that is left is too short for a segment
            expansion = replace(expansion, steps=min(expansion.steps, left.segment_steps))
            if not self._want_stock(expansion, left.steps):
                if not self._want_planning(expansion):
                    self._plan(expansion, left, AdviceState.WANTED)
                return
            left = replace(left, steps=left.steps - expansion.steps)

    def look_ahead(self, left: BudgetLeft) -> None:
        """While segments train, have the next proposal made: one in stock at a time.

        Of a slow advisor's changes there is one for each worker, and what the rules say at once does not count.
        """
        stock = [self._run.proposals[node_id].transition for node_id in self._stock()]
        changes = sum(transition.intent is Intent.CHANGE for transition in stock)
        enough = changes >= self._workers or len(stock) > self._workers + 1 if self._slow else bool(stock)
        if enough or self._planning or self.busy or left.steps <= 0:
            return
        expansion = self._strategy.ask(self._run.tree, left)
        if expansion is not None:
            self._plan(self._respect_rejection(expansion), left, AdviceState.STOCK)

    def refresh(self, left: BudgetLeft) -> None:
        """A segment ended: stock that the search would not ask for any more is withdrawn.

        Changes of a slow advisor stay: they serve wherever a change is wanted. Its first segments stay while the search
        repairs something.
        """
        stock = self._stock()
        if self._slow:
            stock = [n for n in stock if self._run.proposals[n].transition.intent is not Intent.CHANGE]
        if not stock:
            return
        wish = self._strategy.ask(self._run.tree.without(self._stock()), left)
        for node_id in stock:
            proposal = self._run.proposals[node_id]
            if wish is None or self._place(proposal) == (wish.parent, wish.step, wish.intent):
                continue
            if not (self._slow and wish.intent is Intent.REPAIR):
                self.close(proposal, "superseded", "engine", f"a better expansion was found: {wish.reason}")

    def collect(self) -> None:
        """Turn finished advices into proposals, and let through what the gate opens for."""
        for planning in [p for p in self._planning if p.task.done()]:
            self._planning.remove(planning)
            self._propose(planning, planning.task.result())
        for proposal in list(self._run.proposals.values()):
            if not self._open(proposal.transition.parent, proposal.transition.step):
                self.close(proposal, "superseded", "engine", f"#{proposal.transition.parent} is closed")
            elif proposal.node in self._wanted and self.gate.opens(proposal, now()):
                self._run.decide(proposal, "approved", self.gate.mode, self.gate.reason)

    def close(self, proposal: Proposal, state: str, by: str, reason: str) -> None:
        """Decide a proposal (see RunState.decide) and forget that it was wanted."""
        self._wanted.discard(proposal.node)
        self._run.decide(proposal, state, by, reason)
        if state == "superseded":  # its node is not drawn any more: the log says what became of it
            what = change_text(proposal.transition.changes, proposal.transition.label)
            text = f"#{proposal.node} {what} was withdrawn: {reason}"
            self._run.event("info", "withdrawn", text, proposal.node)

    def add_human(self, transition: Transition, steps: int, author: str) -> Proposal:
        """A human's own transition: a proposal that the human has approved already."""
        parent = self._run.tree[transition.parent]
        configuration = self._space.apply(parent.configuration, transition.changes)
        proposal = self._run.propose(
            transition, configuration, steps=steps, seed=self._seed(transition), advisor=HUMAN,
            call_id=None, deadline=None,
        )  # fmt: skip
        self._run.decide(proposal, "approved", author, "custom proposal")
        return proposal

    def withdraw(self, node_id: int, reason: str) -> None:
        """What has not begun never will: from the queue, or from the gate."""
        if (proposal := self._run.proposals.get(node_id)) is not None:
            self.close(proposal, "superseded", "engine", reason)
        else:
            self._run.set_state(node_id, NodeState.REJECTED, reason)

    def want_all(self) -> None:
        """After a resume: what waited at the gate goes on waiting there, as wanted."""
        self._wanted = set(self._run.proposals)

    def set_gate(self, gate: ProposalGate) -> None:
        """Change the gate for what waits now and for what comes."""
        self.gate = gate
        self._run.record.gate(gate.mode)
        for proposal in list(self._run.proposals.values()):
            self._run.set_deadline(proposal, gate.deadline(now()))

    async def cancel(self, reason: str) -> None:
        """The run ends: nothing new is planned, what waits is superseded."""
        self._planner.cancel()
        for planning in self._planning:
            planning.task.cancel()
        await asyncio.gather(*(planning.task for planning in self._planning), return_exceptions=True)
        self._planning.clear()
        for proposal in list(self._run.proposals.values()):
            self.close(proposal, "superseded", "engine", reason)

    # ---- the parts ------------------------------------------------------------------------------------------------

    def _stock(self) -> list[int]:
        return [node_id for node_id in self._run.proposals if node_id not in self._wanted]

    def _place(self, proposal: Proposal) -> tuple[int, int, Intent]:
        """What the search asked for; the advisor may have chosen another checkpoint nearby."""
        transition = proposal.transition
        return self._places.get(proposal.node, (transition.parent, transition.step, transition.intent))

    def _want_stock(self, expansion: Expansion, steps_left: int) -> bool:
        """Take a stock proposal for this expansion; with a slow advisor any stock serves where a change is wanted."""
        for node_id in self._stock():
            proposal = self._run.proposals[node_id]
            same = self._place(proposal) == (expansion.parent, expansion.step, expansion.intent)
            fits = self._run.tree[node_id].planned_steps <= steps_left
            change = self._slow and expansion.intent is proposal.transition.intent is Intent.CHANGE
            if fits and (same or change):
                self._run.plan_steps(node_id, expansion.steps)
                self._wanted.add(node_id)
                return True
        return False

    def _respect_rejection(self, expansion: Expansion) -> Expansion:
        """Where a human rejected a plain continuation, a change is wanted instead of the same again."""
        if expansion.intent not in (Intent.KEEP, Intent.ANNEAL):
            return expansion
        rejected = any(
            child.state is NodeState.REJECTED
            and child.transition is not None
            and (child.transition.step, child.transition.intent) == (expansion.step, expansion.intent)
            for child in self._run.tree.children(expansion.parent)
        )
        return replace(expansion, intent=Intent.CHANGE) if rejected else expansion

    def _want_planning(self, expansion: Expansion) -> bool:
        """Whether a slow advice in the making serves this expansion; it becomes wanted, a late one again."""
        place = (expansion.parent, expansion.step, expansion.intent)
        for planning in self._planning if self._slow and expansion.intent in LASTING else ():
            made = planning.expansion
            if place == (made.parent, made.step, made.intent) or expansion.intent is made.intent is Intent.CHANGE:
                planning.state, planning.since = planning.state.when_wanted(), time.monotonic()
                self._wake_when_late()
                return True
        return False

    def _lose_patience(self, left: BudgetLeft) -> None:
        """A worker is free: where a model has not answered in time the rules stand in, and its answer is stock."""
        for planning in list(self._planning) if self._slow else ():
            waited = time.monotonic() - planning.since
            if not planning.state.may_be_late or waited < self._patience():
                continue
            planning.state = AdviceState.LATE
            self._run.event(
                "info", "advisor late",
                f"no answer in {waited:.1f} s while a worker was free: the rules advisor answers",
                planning.expansion.parent,
            )  # fmt: skip
            self._plan(planning.expansion, left, AdviceState.STAND_IN)

    def _wake_when_late(self) -> None:
        asyncio.get_running_loop().call_later(self._patience() + 0.01, self._wake)

    def _plan(self, expansion: Expansion, left: BudgetLeft, state: AdviceState) -> None:
        by_rules = state is AdviceState.STAND_IN
        task = asyncio.create_task(self._planner.plan(expansion, left.fraction_spent, by_rules=by_rules))
        task.add_done_callback(lambda _: self._wake())
        self._planning.append(AdviceInProgress(expansion, state, task, time.monotonic()))
        if state is AdviceState.WANTED:
            self._wake_when_late()

    def _propose(self, planning: AdviceInProgress, planned: PlannedTransition) -> None:
        expansion, transition = planning.expansion, planned.transition
        call_id = None
        for advice, node_id in planned.records:
            call_id = self._run.calls.record(advice, node_id)
        for fault in planned.faults:
            self._run.event("warning", "advisor failed", fault, expansion.parent)
        for refusal in planned.refusals:
            self._run.event("warning", "proposal refused", refusal, expansion.parent)
        if useless := self._useless(planning, planned):
            self._run.event("info", "proposal dropped", useless, expansion.parent)
            return
        parent = self._run.tree[transition.parent]
        proposal = self._run.propose(
            transition, self._space.apply(parent.configuration, transition.changes), steps=expansion.steps,
            seed=self._seed(transition), advisor=planned.advice.advisor, call_id=call_id,
            deadline=self.gate.deadline(now()),
        )  # fmt: skip
        self._places[proposal.node] = (expansion.parent, expansion.step, expansion.intent)
        self._run.event("info", "selected", expansion.reason, proposal.node)
        if planning.state.wanted:
            self._wanted.add(proposal.node)

    def _useless(self, planning: AdviceInProgress, planned: PlannedTransition) -> str:
        """Why what an advisor worked on is of no use any more, or ""."""
        transition = planned.transition
        place = f"#{transition.parent} step {transition.step}"
        if not self._open(transition.parent, transition.step):
            return f"{place} was closed while the advisor worked"
        if planning.state.was_late and transition.intent not in LASTING:
            return f"{place}: the rules advisor stood in for the {intent_name(transition.intent)} proposal"
        if planning.state is AdviceState.LATE and planned.advice.advisor == "rules":
            return f"{place}: the rules advisor already stood in"
        if planning.state.was_late and self._planner.repeats(transition):
            return f"{place}: the rules advisor proposed the same"
        return ""

    def _open(self, parent: int, step: int) -> bool:
        """Whether a place can still be branched from."""
        node = self._run.tree[parent]
        return not node.pruned and any(c.step == step and c.kept for c in node.checkpoints)

    def _seed(self, transition: Transition) -> int:
        parent = self._run.tree[transition.parent]
        start = parent.start_steps + transition.step
        return segment_seed(self._run_seed, start, attempt(self._run.tree, transition))

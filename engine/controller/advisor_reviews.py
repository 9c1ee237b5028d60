"""What goes on around a slow advisor beside proposals: its words as they are written, reviews of segments, the watcher.

Owned by the controller's event loop. Nothing here is waited for with an idle worker, and no fault of an advisor ends
anything: the comparator and the rules decide without it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine

from engine.advisors.base import Advice, AdviceFailed, Advisor, AdvisorCall, shown_name
from engine.controller.evidence_builder import EvidenceBuilder
from engine.controller.run_state import RunState
from engine.domain.space import Intent
from engine.domain.tree import NodeState
from engine.errors import Fault
from engine.search.base import Expansion

_log = logging.getLogger(__name__)


class AdvisorReviews:
    """One advisor's side questions."""

    def __init__(
        self,
        run: RunState,
        advisor: Advisor,
        evidence_builder: EvidenceBuilder,
        leads: Callable[[], bool],
    ) -> None:
        """`leads` says whether the advisor is still to be asked."""
        self._leads = leads
        self._run = run
        self._advisor = advisor
        self._evidence = evidence_builder
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._to_review: int | None = None
        self._reviewing = False
        self._spared: set[int] = set()
        self._told = ""

    def start(self) -> None:
        """From inside the event loop, once."""
        self._loop = asyncio.get_running_loop()
        self._advisor.listener = self._hear
        self.tell()

    def tell(self) -> None:
        """Say who advises and why, once and whenever that changes: a model may turn out not to qualify."""
        if (reason := self._advisor.reason) and reason != self._told:
            self._told = reason
            self._run.event("info", "advisor", f"{self._advisor.name}: {reason}")
            self._run.record.advisor(shown_name(self._advisor))

    async def cancel(self, reason: str) -> None:
        """Nothing is wanted any more; rows of calls in progress say so."""
        self._advisor.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._advisor.listener = None
        self._run.calls.give_up(reason)

    # ---- words as they are written ------------------------------------------------------------------------------

    def _hear(self, call: AdvisorCall) -> None:
        """In the advisor's thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._note, call)

    def _note(self, call: AdvisorCall) -> None:
        if self._advisor.listener is not None:
            self._run.calls.grows(call, self._advisor.name)

    # ---- reviews ------------------------------------------------------------------------------------------------

    def ended(self, node_id: int) -> None:
        """A segment has ended: it is to be reviewed when the advisor has time; the newest one only."""
        self.tell()
        if self._advisor.slow and self._run.tree[node_id].state is NodeState.FINISHED:
            self._to_review = node_id

    def review(self) -> None:
        """Have the newest ended segment looked at, unless a review is under way.

        Called when no advice is in the making: proposals come first.
        """
        if self._to_review is None or self._reviewing or not self._leads():
            return
        node_id, self._to_review = self._to_review, None
        self._reviewing = True
        self._begin(self._review(node_id))

    async def _review(self, node_id: int) -> None:
        try:
            evidence = await self._evidence.look(self._place(node_id), 0.0)
            try:
                advice = await asyncio.to_thread(self._advisor.review, evidence)
            except Fault as fault:
                self._failed(fault, node_id)
                return
            if advice is not None:
                self._run.calls.record(advice, node_id)
        finally:
            self._reviewing = False

    # ---- the watcher --------------------------------------------------------------------------------------------

    def watches(self, node_id: int) -> bool:
        """Whether the advisor has a watcher that was not asked about this segment yet."""
        return type(self._advisor).watch is not Advisor.watch and node_id not in self._spared and self._leads()

    async def spares(self, node_id: int, doubt: str) -> str | None:
        """Whether the watcher lets a doubted segment train on: its reason, or None when the comparator's word stands.

        A segment is spared at most once, and asked about at most once.
        """
        self._spared.add(node_id)
        evidence = await self._evidence.look(self._place(node_id), 0.0)
        try:
            verdict = await asyncio.to_thread(self._advisor.watch, evidence, doubt)
        except Fault as fault:
            self._failed(fault, node_id)
            return None
        if verdict is None:
            return None
        self._run.calls.record(Advice(self._advisor.name, (), (), verdict.calls), node_id)
        return None if verdict.stop else verdict.rationale

    # ---- parts --------------------------------------------------------------------------------------------------

    def _place(self, node_id: int) -> Expansion:
        """A node's latest checkpoint, as a place to look at."""
        node = self._run.tree[node_id]
        step = node.last.step if node.last else 0
        return Expansion(node_id, step, Intent.KEEP, node.planned_steps, "looked at")

    def _failed(self, fault: Fault, node_id: int) -> None:
        calls = fault.calls if isinstance(fault, AdviceFailed) else ()
        self._run.calls.record(Advice(self._advisor.name, (), (), calls), node_id)
        if not (calls and calls[-1].error.startswith("cancelled")):  # the run ends: nothing has failed
            self._run.event("warning", "advisor failed", f"{self._advisor.name}: {fault}", node_id)

    def _begin(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (bug := task.exception()) is not None:
            _log.error("a review failed because of a bug", exc_info=bug)
            self._run.event("error", "bug", f"a review: {bug!r}")

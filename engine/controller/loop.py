"""The loop of a run: commands, events of the workers, proposals, segments, until the budget is spent.

One asyncio loop owns all state; advisors and long reads run in threads and come back as results. Whatever a worker does
is an event here; an exception that is not a Fault is a bug and ends the engine with its traceback.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from engine.advisors.base import Advisor
from engine.analysis.no_gain import learnt
from engine.controller import commands, recovery, retention
from engine.controller.activity import ActivityRecorder
from engine.controller.advisor_lead import AdvisorLead, ModelShare
from engine.controller.advisor_reviews import AdvisorReviews
from engine.controller.budget import BudgetTracker
from engine.controller.command_handler import CommandHandler
from engine.controller.evaluations import ClosingEvaluations, EvaluationFailed, EvaluationRequests
from engine.controller.evidence_builder import EvidenceBuilder
from engine.controller.forecasts import ForecastRecorder
from engine.controller.job_builder import JobBuilder, steering
from engine.controller.planner import Planner
from engine.controller.proposal_queue import ProposalQueue, patience
from engine.controller.run_pause import NoSignalBrake, RunPause
from engine.controller.run_state import RunState
from engine.controller.running_segments import RunningSegments
from engine.controller.space_changes import SpaceChanges
from engine.domain.policy import BASE
from engine.domain.space import Space
from engine.domain.tree import NodeState
from engine.errors import UserError
from engine.executors.base import Executor
from engine.run.config import RunConfig
from engine.search.base import BudgetLeft, SearchStrategy
from engine.store.errors import StoreFault
from engine.training.events import (
    CheckpointSaved,
    EvaluationResult,
    JobProgress,
    SegmentEnd,
    SegmentEnded,
    StepMetrics,
)

_log = logging.getLogger(__name__)

TICK_SECONDS = 1.0
"""How often deadlines, budget and disk are looked at when nothing else happens."""

UNHEARD_SECONDS = 30.0
"""After the deadline of a stop the end of a killed worker is waited for so long."""

MAX_FAILURES = 5
"""Segments that may fail one after the other before the run ends: it would only burn time."""

Result = TypeVar("Result")


class Controller:
    """One run, from its first question to its strategy."""

    def __init__(
        self,
        config: RunConfig,
        space: Space,
        run: RunState,
        strategy: SearchStrategy,
        advisor: Advisor,
        executor: Executor,
        build_space: Callable[[RunConfig], Space],
    ) -> None:
        """`build_space` makes the space that a run file describes, with what the task suggests."""
        self._config = config
        self._run = run
        self._executor = executor
        self._wake_event = asyncio.Event()
        self._jobs = JobBuilder(config, space, run)
        evidence_builder = EvidenceBuilder(run, space, seed=config.search.seed, draws=advisor.sees)
        lead = AdvisorLead(run, advisor, may_lose=config.advisor.kind == "auto")
        self._reviews = AdvisorReviews(run, advisor, evidence_builder, lead.holds)
        self._segments = RunningSegments(config.search, run, executor, self._jobs, self._reviews)
        self._pause = RunPause(run, executor, self._segments, resume_when_free=config.training.resume_when_free)
        share = ModelShare(config.advisor.share, shows_rules=config.advisor.shows_rules)
        planner = Planner(run, space, advisor, evidence_builder, lead.holds, share)
        self._proposals = ProposalQueue(
            run, space, strategy, planner, recovery.gate(run, config.gate), run_seed=config.search.seed,
            slow_advisor=advisor.slow, wake=self.wake, workers=config.executor.workers, patience=self._patience,
        )  # fmt: skip
        self._budget = BudgetTracker(config, run, self._segments)
        self._activity, self._forecasts = ActivityRecorder(run), ForecastRecorder(run, self._budget)
        self._brake = NoSignalBrake(config, run)
        self._commands = CommandHandler(
            run, space, self._proposals, self._budget,
            SpaceChanges(config, run, space, self._proposals, build_space), self._stop_for_human,
            segment_steps=config.search.segment_steps, gate_seconds=config.gate.seconds,
        )  # fmt: skip
        self._stopping: list[commands.ReceivedCommand] = []
        self._shutdown = self._at_once = self._stopped_for_time = self._finishing = False
        self._stale = False  # a segment ended since the stock of proposals was looked at
        self._evaluations = EvaluationRequests(run, executor)
        self._inbox = run.inbox
        self._inbox.refuse_unanswered("the engine ended before the command was carried out; send it again")

    def _patience(self) -> float:
        """Seconds that a free worker waits for an advice."""
        return patience(self._config.advisor, self._config.search.segment_steps * self._segments.seconds_per_step)

    # ---- from outside ---------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Something changed: look again. From the event loop's thread only."""
        self._wake_event.set()

    def shut_down(self) -> None:
        """The process is asked to end (SIGTERM): like a stop, with its deadline; asked again it leaves at once."""
        self._at_once = self._shutdown
        self._shutdown = True
        self.wake()

    async def run(self) -> str:
        """Until the end. Returns the run's last state: finished, stopped or failed."""
        self._reviews.start()
        await self._executor.start()
        pump = asyncio.create_task(self._pump())
        try:
            return await self._until_pump_fails(pump, self._live())
        finally:
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)
            await self._reviews.cancel("the engine ended")
            await self._segments.cancel()
            await self._executor.close()

    async def _until_pump_fails(self, pump: asyncio.Task[None], life: Coroutine[Any, Any, str]) -> str:
        task: asyncio.Task[str] = asyncio.create_task(life)
        await asyncio.wait({pump, task}, return_when=asyncio.FIRST_COMPLETED)
        if pump.done() and not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            pump.result()
        return await task

    async def _live(self) -> str:
        self._run.record.unpick()
        self._run.record.set_state("training", "")
        self._proposals.set_gate(self._proposals.gate)
        if not self._run.tree.root.checkpoints:
            wrong = await self._attend(self._score_base())
            if wrong is None:
                return await self._leave()
            if wrong:
                return await self._fail(f"the base model could not be scored: {wrong}")
        self._proposals.want_all()
        while not self._shutdown:
            await self._take_commands()
            if self._stopping:
                break
            if reason := self._segments.hopeless(MAX_FAILURES) or await self._brake_if_in_vain():
                return await self._fail(reason)
            await self._advance()
            if self._over():
                return await self._finish()
            await self._rest()
        return await self._leave()

    async def _attend(self, work: Coroutine[Any, Any, Result]) -> Result | None:
        """What the work gives; None when the run is asked to end before. Commands are answered all the while."""
        task = asyncio.create_task(work)
        task.add_done_callback(lambda _: self.wake())
        try:
            while not task.done():
                if self._shutdown or self._stopping:
                    return None
                await self._rest()
                await self._take_commands()
            return task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _brake_if_in_vain(self) -> str:
        """Why the run ends for lack of a learning signal, or ""; where a human decides it pauses instead."""
        seen = self._brake.missing_signal()
        if seen:
            self._run.event("warning", "no signal", seen)
        if not seen or not self._brake.pauses(self._proposals.gate.mode):
            return f"{seen}: {self._brake.remedy()}" if seen else ""
        await self._pause.begin(f"{seen}: resume to train anyway, or stop and {self._brake.remedy()}")
        return ""

    # ---- one round ------------------------------------------------------------------------------------------------

    async def _advance(self) -> None:
        self._forecasts.follow()
        out_of_time = self._budget.out_of_time
        if out_of_time and not self._stopped_for_time:
            await self._segments.stop_all(SegmentEnd.STOPPED, "the time limit of the budget is reached")
        self._stopped_for_time = out_of_time
        self._proposals.collect()
        await self._pause.follow_faults()
        if self._pause.on or self._stopped_for_time:
            return
        if missing := self._segments.missing_bytes():
            await self._pause.for_space(missing)
            return
        await self._segments.submit(self._proposals.queued())
        self._proposals.fill(self._segments.free, self._left(stock=False))
        self._proposals.collect()
        await self._segments.submit(self._proposals.queued())
        if self._segments.running:
            if self._stale:
                self._proposals.refresh(self._left(stock=False))
            self._stale = False
            self._proposals.look_ahead(self._left(stock=True))
            if not self._proposals.planning:
                self._reviews.review()

    @property
    def _waiting_share(self) -> float:
        """Share of the workers that have nothing to do until a human answers."""
        return min(self._proposals.at_gate, self._segments.free) / self._executor.capacity

    def _over(self) -> bool:
        """Nothing runs, nothing is on its way, and the search finds nothing more to do."""
        idle = self._stopped_for_time or not (self._proposals.busy or self._proposals.queued())
        return idle and not self._segments.running and not self._pause.on

    async def _rest(self) -> None:
        """Until something happens, at most one tick. Whatever the run waits for, its clock goes on."""
        with suppress(TimeoutError):
            async with asyncio.timeout(TICK_SECONDS):
                await self._wake_event.wait()
        self._wake_event.clear()
        self._tick()

    def _tick(self) -> None:
        self._budget.tick(paused=self._pause.on, waiting=self._waiting_share)

    def _left(self, *, stock: bool) -> BudgetLeft:
        """What may still be started; `stock` proposals count as spent when the next one in stock is asked for."""
        return self._budget.left(self._proposals.waiting(stock=stock))

    # ---- events of the workers ------------------------------------------------------------------------------------

    async def _pump(self) -> None:
        """Take every event as it comes; only short work here."""
        while True:
            event = await self._executor.next_event()
            self._activity.hear(event)
            if not isinstance(event, JobProgress) and not self._evaluations.take(event):
                await self._segments.handle(event)
                if isinstance(event, SegmentEnded):
                    self._stale = True
                    self._reviews.ended(int(event.job))
                    self._tidy()
            if isinstance(event, StepMetrics | SegmentEnded):
                self._budget.write()
            if isinstance(event, SegmentEnded | EvaluationResult | CheckpointSaved):
                self.wake()

    async def _score_base(self) -> str:
        """Why it could not be scored, or ""."""
        root = self._run.tree.root
        self._run.set_state(root.id, NodeState.FINISHED)  # an earlier engine may have failed at it
        path = self._run.checkpoint_path(root.id, 0)
        spec = steering(self._config.evaluation.validation_prompts)
        answer = await self._evaluations.ask(self._jobs.evaluate("base", [path], spec))
        if isinstance(answer, SegmentEnded):
            self._run.event("error", "base", f"{answer.end}: {answer.detail}", root.id)
            _log.error("scoring the base failed: %s\n%s", answer.detail, answer.traceback)
            why = answer.detail or answer.end
            self._run.set_state(root.id, NodeState(answer.end), why)
            return why
        self._run.score(root.id, 0, path, answer.evaluation, size=0)
        return ""

    def _tidy(self) -> None:
        """Delete the files of checkpoints, or of their optimizers, that nothing needs any more; each is an event."""
        tree = self._run.tree
        for node_id, step in retention.superfluous(tree, self._config.training.keep_checkpoints):
            if (node_id, step) in self._proposals.points():
                continue
            self._run.forget_files(node_id, step)
            self._run.event("info", "checkpoint deleted", f"#{node_id} step {step}", node_id)
            retention.discard(self._run.checkpoint_path(node_id, step))
        for node_id, step in set(retention.policies_only(tree)) - set(self._proposals.points()):
            try:
                self._run.drop_optimizer(node_id, step)
            except (OSError, ValueError) as error:
                _log.warning("the optimizer's state of #%d step %d stays: %s", node_id, step, error)

    # ---- commands -------------------------------------------------------------------------------------------------

    async def _take_commands(self) -> None:
        for row in self._inbox.unseen():
            self._inbox.taken(row["command_id"])
            try:
                asked = commands.parse(row)
                done = await self._carry_out(asked)
            except UserError as refusal:
                self._inbox.refused(row["command_id"], str(refusal))
                continue
            if done is not None:
                self._run.event("info", "command", f"{row['kind']}: {done}", row["node_id"], author=asked.author)
                self._inbox.done(row["command_id"], done)

    async def _carry_out(self, asked: commands.ReceivedCommand) -> str | None:
        """Do it and say what was done; None when the answer comes later (stop)."""
        kind = asked.command.kind
        if self._finishing and kind not in ("annotate", "stop"):
            raise UserError(
                f"{kind}: the search is over and the finalists are being scored; only annotate and stop are allowed now"
            )
        if not isinstance(asked.command, commands.PlainCommand):
            return await self._commands.carry_out(asked)
        match asked.command.kind:
            case "pause":
                return await self._pause.ask_for(asked.author)
            case "resume":
                return await self._pause.ask_to_end()
            case "stop":
                self._stopping.append(asked)
        return None

    async def _stop_for_human(self, node_id: int, reason: str) -> None:
        await self._segments.stop(node_id, SegmentEnd.STOPPED, reason)

    async def _leave(self) -> str:
        """End before the search is over; a resume goes on from there."""
        who = f"stopped by {self._stopping[0].author}" if self._stopping else "the engine was asked to end"
        await self._let_go("the run was stopped", who)
        return self._end("stopped", f"{who}; `llmzero resume` continues it")

    async def _let_go(self, why: str, who: str) -> None:
        """Nothing waits at the gate any more, and every segment ends after its step, with a checkpoint; a worker that
        does not come to the end of its step is killed at the deadline."""
        within = self._config.training.stop_seconds
        await self._proposals.cancel(why)
        await self._segments.stop_all(SegmentEnd.STOPPED, recovery.RUN_STOPPED, within)
        if self._segments.running:
            names = ", ".join(f"#{node_id}" for node_id in self._segments.running)
            self._run.record.set_state(
                "stopping", f"{who}; {names} ends after its step, or is killed after {within:g} s"
            )
        if self._pause.on:
            await self._executor.unpause()
        latest = time.monotonic() + within + UNHEARD_SECONDS
        while self._segments.running and not self._at_once and time.monotonic() < latest:
            await self._rest()

    # ---- the end --------------------------------------------------------------------------------------------------

    async def _finish(self) -> str:
        await self._proposals.cancel("the budget is spent")
        for node_id in self._proposals.queued():
            self._proposals.withdraw(node_id, "the budget was spent before it began")
        self._run.record.set_state("finishing", "the finalists are scored on fresh prompts")
        self._finishing = True
        self._forecasts.over()
        work = ClosingEvaluations(self._run, self._jobs, self._config.evaluation, self._evaluations.ask)
        try:
            winner = await self._attend(work.run())
        except EvaluationFailed as fault:
            return await self._fail(str(fault))
        if winner is None:
            return await self._leave()
        self._run.event_of_this_end("winner", winner.name, winner.node, members=winner.members)
        return self._end("finished", await self._learnt() if winner == BASE else "the budget is spent")

    async def _learnt(self) -> str:
        """What the run has shown although nothing beats its base, as far as the database can be written."""
        with suppress(StoreFault):
            await asyncio.to_thread(self._run.flush)
        return learnt(self._run.rows)

    async def _fail(self, reason: str) -> str:
        self._run.event("error", "failed", reason)
        _log.error("the run failed: %s", reason)
        await self._let_go("the run failed", reason)
        return self._end("failed", reason)

    def _end(self, state: str, reason: str) -> str:
        self._tick()
        self._activity.over()
        self._forecasts.over()
        self._run.record.set_state(state, reason)
        for asked in self._stopping:
            stopped = state == "stopped"
            self._inbox.done(asked.id, "stopped; `llmzero resume` continues it" if stopped else f"the run {state}")
        for row in self._inbox.unseen():
            self._inbox.refused(row["command_id"], f"the run {state} before the command was carried out")
        return state

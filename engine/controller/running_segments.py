"""Segments in flight: hands them to the executor, writes down what the workers say, stops the doomed ones.

Every end is typed; a failure becomes the node's state with its cause in one line, and its traceback goes to the log.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from engine.controller import recovery, retention
from engine.controller.advisor_reviews import AdvisorReviews
from engine.controller.job_builder import JobBuilder
from engine.controller.run_state import RunState
from engine.controller.work_clock import WorkClock
from engine.domain.score import Score
from engine.domain.tree import Node, NodeState
from engine.executors.base import Executor
from engine.run.config import SearchSection
from engine.run.strategies import ONE_BRANCH
from engine.search import comparator
from engine.training import events
from engine.training.events import SegmentEnd
from engine.training.warned import kind_of

_log = logging.getLogger(__name__)

MOST_WORKERS = 2
"""Workers that may die with one segment before it counts as crashed."""

MOST_STARTS = 2
"""Workers that may fail in a row to get ready for a segment, as where vLLM does not start, before the run ends."""

WARNED = "library warning"
MOST_WARNINGS = 50
"""Kinds of warnings of libraries that become events of a run."""

GUARANTEED_SEGMENTS = 2
"""Segments from the base that every branch gets before the comparator may stop anything: slow starters win."""


class RunningSegments:
    """The running part of the tree."""

    def __init__(
        self,
        search: SearchSection,
        run: RunState,
        executor: Executor,
        jobs: JobBuilder,
        reviews: AdvisorReviews,
    ) -> None:
        """`reviews` are asked before a doubted segment is stopped."""
        self._reviews = reviews
        only_logs = search.comparator == "on" and search.strategy in ONE_BRANCH
        self._mode = "shadow" if only_logs else search.comparator
        self._guaranteed_steps = GUARANTEED_SEGMENTS * search.segment_steps
        self._run = run
        self._executor = executor
        self._jobs = jobs
        self.clock = WorkClock()
        self._running: dict[int, float] = {}  # node id → second of its submission, by the clock
        self._begun_with: dict[int, tuple[int, float]] = {}  # node id → steps and trainer's seconds of earlier workers
        self._lost_workers: Counter[int] = Counter()
        self._failed_starts: list[str] = []  # why, since the last segment that began
        self._reasons: dict[int, str] = {}
        self._failures: list[NodeState] = []  # of the segments that ended since the last one that did not fail
        self._doubted: set[asyncio.Task[None]] = set()
        self._seconds: dict[int, float] = self._earlier_seconds()
        self._warnings = self._earlier_warnings()
        self._checkpoint_bytes = self._largest_checkpoint()
        self._busy_seconds, self._busy_steps = self._earlier_pace()

    @property
    def running(self) -> tuple[int, ...]:
        return tuple(self._running)

    @property
    def free(self) -> int:
        """Workers that can take a segment now. One whose segment is over is not before that end was handled: the search
        would be asked with a tree in which it still trains."""
        return min(self._executor.idle, self._executor.capacity - len(self._running))

    @property
    def trainer_seconds(self) -> float:
        """Seconds of training over all segments so far, evaluation and set-up left out."""
        return sum(self._seconds.values())

    @property
    def seconds_per_step(self) -> float:
        """Seconds of a worker per GRPO step, evaluation and set-up included, pauses left out; 0 until a segment has
        ended."""
        return self._busy_seconds / self._busy_steps if self._busy_steps else 0.0

    def hopeless(self, limit: int) -> str:
        """One line when the last `limit` segments that this engine ended all failed, else "".

        What failed before a resume does not count: its cause may be mended.
        """
        if len(self._failed_starts) >= MOST_STARTS:
            return f"no segment could begin, {MOST_STARTS} times in a row: {self._failed_starts[-1]}; see engine.log"
        if len(self._failures) < limit:
            return ""
        last = self._failures[-1]
        return f"{limit} segments failed in a row, the last as {last}; see engine.log and the events"

    def missing_bytes(self) -> int:
        """Disk space that lacks for the checkpoints of a segment on every worker; see `retention`."""
        ahead = self._jobs.checkpoints * self._executor.capacity
        return retention.missing_bytes(self._run.directory.path, self._checkpoint_bytes, ahead)

    async def submit(self, queued: Sequence[int]) -> None:
        """Start queued segments on the free workers, oldest first."""
        for node_id in queued[: self.free]:
            node = self._run.tree[node_id]
            spec = self._jobs.segment(node, self._run.seeds[node_id])
            Path(spec.directory).mkdir(parents=True, exist_ok=True)
            self._running[node_id] = self.clock.read()
            self._begun_with[node_id] = (node.steps, self._seconds.get(node_id, 0.0) if node.steps else 0.0)
            self._seconds[node_id] = self._begun_with[node_id][1]
            self._run.set_state(node_id, NodeState.RUNNING)
            await self._executor.submit(spec)

    async def stop(
        self,
        node_id: int,
        end: Literal[SegmentEnd.STOPPED, SegmentEnd.EARLY_STOPPED],
        reason: str,
        within: float | None = None,
    ) -> None:
        """Ask a running segment to end after its step; the reason goes on its row. `within`: see Executor.stop."""
        if node_id in self._running:
            self._reasons.setdefault(node_id, reason)
            await self._executor.stop(str(node_id), end, within)

    async def stop_all(
        self, end: Literal[SegmentEnd.STOPPED, SegmentEnd.EARLY_STOPPED], reason: str, within: float | None = None
    ) -> None:
        for node_id in self.running:
            await self.stop(node_id, end, reason, within)

    async def cancel(self) -> None:
        """The engine ends: no doubt is settled any more."""
        for task in self._doubted:
            task.cancel()
        await asyncio.gather(*self._doubted, return_exceptions=True)

    async def handle(self, event: events.Event) -> None:
        """Write down one event of a worker."""
        match event:
            case events.WorkerReady():
                versions = ", ".join(f"{name} {version}" for name, version in event.versions.items())
                self._run.event("info", "worker ready", f"worker {event.pid} on {event.device}: {versions}")
            case events.SegmentStarted():
                node_id = int(event.job)
                self._failed_starts.clear()
                where = f" on {event.device}" if event.device else ""
                told = f"set up in {event.setup_seconds:.2f} s{where}"
                self._run.event("info", "started", told, node_id, device=event.device)
            case events.StepMetrics():
                self._metrics(event)
            case events.CompletionSamples():
                self._run.samples(event, int(event.job))
            case events.RewardErrors():
                failed = f"{event.failed} of {event.scored} rollouts could not be scored and count as 0"
                message = f"{failed}; the first: {event.first}"
                self._run.event("warning", "reward errors", message, int(event.job))
            case events.CheckpointSaved():
                await self._checkpoint(event)
            case events.SegmentEnded():
                self._ended(event)
            case events.LibraryWarning():
                self._warned(event)
            case events.EvaluationResult():
                raise ValueError(f"an answer to an unknown job: {event.job}")

    def _warned(self, event: events.LibraryWarning) -> None:
        """A library's warning: an event, the first of its kind in the run; the worker's log has all."""
        kind = kind_of(event.source, event.text)
        if kind not in self._warnings and len(self._warnings) < MOST_WARNINGS:
            self._warnings.add(kind)
            self._run.event("warning", WARNED, f"{event.source}: {event.text}", source=event.source)

    def _earlier_warnings(self) -> set[tuple[str, str]]:
        rows = self._run.rows("SELECT message FROM events WHERE kind = ?", (WARNED,))
        return {kind_of(*row["message"].partition(": ")[::2]) for row in rows}

    def _metrics(self, event: events.StepMetrics) -> None:
        node_id = int(event.job)
        self._seconds[node_id] += event.step_seconds
        self._run.metrics(event, node_id)
        self._run.progress(node_id, event.step, self._seconds[node_id])

    async def _checkpoint(self, event: events.CheckpointSaved) -> None:
        node_id = int(event.job)
        self._checkpoint_bytes = max(self._checkpoint_bytes, event.bytes)
        self._run.score(node_id, event.step, Path(event.directory), event.evaluation, event.bytes)
        node = self._run.tree[node_id]
        if self._mode == "off" or event.step >= node.planned_steps or node_id in self._reasons:
            return
        verdict = comparator.judge(self._curve(node), self._references(node), guaranteed_steps=self._guaranteed_steps)
        if verdict is None:
            return
        if self._mode == "shadow":
            self._run.event("info", "would stop", f"comparator (shadow mode): {verdict.text}", node_id)
            return
        if not self._reviews.watches(node_id):
            await self._stop_early(node_id, verdict.text)
            return
        task = asyncio.create_task(self._watched(self._reviews, node_id, verdict.text))  # while it trains on
        self._doubted.add(task)
        task.add_done_callback(self._settled)

    async def _stop_early(self, node_id: int, doubt: str) -> None:
        self._run.event("warning", "early stop", doubt, node_id)
        await self.stop(node_id, SegmentEnd.EARLY_STOPPED, doubt)

    async def _watched(self, reviews: AdvisorReviews, node_id: int, doubt: str) -> None:
        """Stop a segment that the comparator doubts, unless the watcher spares it."""
        spared = await reviews.spares(node_id, doubt)
        if node_id not in self._running:
            return
        if spared is None:
            await self._stop_early(node_id, doubt)
        else:
            self._run.event(
                "info", "spared", f"the watcher lets it continue: {spared}; the comparator: {doubt}", node_id
            )

    def _settled(self, task: asyncio.Task[None]) -> None:
        self._doubted.discard(task)
        if not task.cancelled() and (bug := task.exception()) is not None:
            _log.error("stopping a segment failed because of a bug", exc_info=bug)
            self._run.event("error", "bug", f"stopping a segment: {bug!r}")

    def _curve(self, node: Node) -> list[tuple[int, Score]]:
        """Validation scores by total steps, from the branch point on."""
        tree = self._run.tree
        curve = [(node.start_steps + c.step, c.score) for c in node.checkpoints]
        if node.transition:
            parent = tree[node.transition.parent]
            curve = [
                (parent.start_steps + c.step, c.score) for c in parent.checkpoints if c.step == node.transition.step
            ] + curve
        return curve

    def _references(self, node: Node) -> list[list[tuple[int, Score]]]:
        """The curves of the other nodes: what the running one is held against at the same step."""
        return [self._curve(other) for other in self._run.tree if other.id != node.id and other.transition]

    def _ended(self, event: events.SegmentEnded) -> None:
        node_id = int(event.job)
        begun = self._running.pop(node_id)
        done, seconds = self._begun_with.pop(node_id)
        self._seconds[node_id] = seconds + event.trainer_seconds
        state = NodeState(event.end.value)
        if event.steps > done:
            self._busy_seconds += self.clock.read() - begun
            self._busy_steps += event.steps - done
        self._run.progress(node_id, event.steps, self._seconds[node_id])
        reason = self._reasons.pop(node_id, "")
        if state is NodeState.CRASHED and event.worker_lost and not reason and self._tried_again(node_id, event.detail):
            return
        if state is NodeState.CRASHED and event.worker_lost and reason.startswith(recovery.RUN_STOPPED):
            state = NodeState.STOPPED  # nothing is known against the segment: a resume takes it up
        if event.unstarted and not reason:
            self._failed_starts.append(event.detail)
            _log.error("segment %d could not begin: %s\n%s", node_id, event.detail, event.traceback)
            recovery.take_up(self._run, node_id, event.detail)
            return
        if event.detail and (not reason or event.worker_lost):
            reason = f"{reason}; {event.detail}" if reason else event.detail
        self._run.set_state(node_id, state, reason)
        self._failures = [*self._failures, state] if state.failed else []
        if state is NodeState.FINISHED:
            recovery.drop_unscored(self._run, node_id)
        level = "error" if state.failed else "info"
        self._run.event(level, "ended", f"{state}: {reason}" if reason else state.value, node_id)
        if state.failed:
            _log.error("segment %d ended: %s: %s\n%s", node_id, state, event.detail, event.traceback)

    def _tried_again(self, node_id: int, cause: str) -> bool:
        """Whether a segment whose worker died is queued once more: nothing is known against the segment itself."""
        self._lost_workers[node_id] += 1
        if self._lost_workers[node_id] >= MOST_WORKERS:
            return False
        recovery.take_up(self._run, node_id, cause)
        self._seconds[node_id] = recovery.step_seconds(self._run, node_id, self._run.tree[node_id].steps)
        return True

    def _earlier_seconds(self) -> dict[int, float]:
        rows = self._run.rows("SELECT node_id, trainer_seconds FROM nodes")
        return {row["node_id"]: row["trainer_seconds"] for row in rows}

    def _largest_checkpoint(self) -> int:
        rows = self._run.rows("SELECT max(bytes) AS bytes FROM checkpoints")
        return int(rows[0]["bytes"] or 0)

    def _earlier_pace(self) -> tuple[float, int]:
        """From first to last row of each segment, pauses among it: but together no more than the run has worked."""
        (row,) = self._run.rows(
            "SELECT sum(epoch(ended - started)) AS seconds, sum(trained_steps) AS steps, "
            "(SELECT max(wall_seconds) FROM budget) AS worked FROM nodes "
            "WHERE started IS NOT NULL AND ended IS NOT NULL AND trained_steps > 0"
        )
        most = float(row["worked"] or 0.0) * self._executor.capacity
        return min(float(row["seconds"] or 0.0), most), int(row["steps"] or 0)

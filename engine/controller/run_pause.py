"""The pause of a run, asked for by a human or begun while database or disk take nothing; and the brake, which pauses or
ends a run whose first segments gave GRPO nothing to learn from.

A pause that the run began ends by itself once the cause is gone; one that a human asked for, or made lasting, does not.
The brake wants rewards that differ within a group of completions: one group that differs, in any step of any segment,
releases it for good, so a slow starter is never stopped. Owned by the controller's event loop.
"""

from __future__ import annotations

from enum import StrEnum

from engine.analysis.no_gain import no_signal
from engine.controller.run_state import RunState
from engine.controller.running_segments import RunningSegments
from engine.domain.batch import rollouts
from engine.domain.tree import Node
from engine.errors import UserError
from engine.executors.base import Executor
from engine.run.config import RunConfig
from engine.store.errors import StoreFault
from engine.words import counted


class PauseCause(StrEnum):
    """What a pause waits for."""

    HUMAN = "human"
    STORE = "store"
    """The database can be written again: then it ends by itself."""
    DISK = "disk"
    """There is room for the next checkpoints: then it ends by itself."""


class RunPause:
    """Whether the workers hold, why, and until when.

    Args:
        resume_when_free: whether a pause for disk space ends by itself (training.resume_when_free).
    """

    def __init__(self, run: RunState, executor: Executor, segments: RunningSegments, *, resume_when_free: bool) -> None:
        self._run = run
        self._executor = executor
        self._segments = segments
        self._resume_when_free = resume_when_free
        self._cause: PauseCause | None = None
        self._reason = ""

    @property
    def on(self) -> bool:
        """Whether the run is paused."""
        return self._cause is not None

    async def begin(self, reason: str, cause: PauseCause = PauseCause.HUMAN) -> None:
        """Hold every worker before its next step."""
        self._cause, self._reason = cause, reason
        self._segments.clock.hold()
        await self._executor.pause()
        self._run.record.set_state("paused", reason)

    async def end(self) -> None:
        """Let the workers go on."""
        self._cause, self._reason = None, ""
        self._segments.clock.release()
        await self._executor.unpause()
        self._run.record.set_state("training", "")

    async def ask_for(self, author: str) -> str:
        """A human's pause; a pause that would end by itself becomes a lasting one. Raises UserError."""
        if self._cause is PauseCause.HUMAN:
            raise UserError(f"the run is already paused: {self._reason}")
        await self.begin(f"paused by {author}")
        return "training pauses after the current step"

    async def ask_to_end(self) -> str:
        """A human's resume. Raises UserError."""
        if not self.on:
            raise UserError("the run is not paused")
        await self.end()
        return "training continues"

    async def follow_faults(self) -> None:
        """Begin a pause while nothing can be written, and end the pauses whose cause is gone."""
        fault = self._run.fault()
        if fault and not self.on:
            await self.begin(f"the database cannot be written: {fault}", PauseCause.STORE)
        elif not fault and self._cause is PauseCause.STORE:
            await self.end()
        elif self._cause is PauseCause.DISK and not self._segments.missing_bytes():
            self._run.event(
                "info", "disk", "there is space for the next checkpoints again: the run continues by itself"
            )
            await self.end()

    async def for_space(self, missing: int) -> None:
        """Begin a pause: so many bytes lack for the next checkpoints. Its reason says whether it ends by itself."""
        how = "the run continues once they are free" if self._resume_when_free else "free some space, then resume"
        line = f"{-(-missing // 2**20)} MiB of disk space are missing for the next checkpoints: {how}"
        self._run.event("warning", "disk", line)
        await self.begin(line, PauseCause.DISK if self._resume_when_free else PauseCause.HUMAN)


SEGMENTS = 2
"""Segments that must have ended since this engine began; a run with one root only needs one."""
COMPLETIONS = 500
"""So many completions at least: of a policy that is right once in a hundred, 99.3% of the tries would have shown it."""
SIGNALS = "SELECT count(*) AS steps, min(value) AS least FROM metrics WHERE name = 'frac_reward_zero_std'"


class NoSignalBrake:
    """Of one run, in the controller's event loop. After a resume it waits for new segments before it says anything."""

    def __init__(self, config: RunConfig, run: RunState) -> None:
        self._config = config
        self._run = run
        self._mode = config.search.no_signal
        self._earlier = {node.id for node in self._trained()}
        self._looked = 0
        self._released = self._mode == "go-on"

    def pauses(self, gate: str) -> bool:
        """Whether a human is asked, by the mode of the gate as it is now, instead of ending the run."""
        return self._mode == "pause" or (self._mode == "auto" and gate != "auto")

    def missing_signal(self) -> str:
        """One line when no group of any segment had a signal, and enough were seen; "" otherwise. Says so once."""
        if self._released:
            return ""
        new = [node for node in self._trained() if node.id not in self._earlier]
        batch = self._config.training.batch_size
        completions = sum(rollouts(node.configuration, node.steps, batch) for node in new)
        enough = min(SEGMENTS, self._config.search.roots)
        if len(new) < enough or completions < COMPLETIONS or len(new) == self._looked:
            return ""
        try:
            self._run.flush()  # a signal in rows that are still on their way must not be missed
        except StoreFault:
            return ""  # the run pauses for that
        self._looked = len(new)
        row = self._run.rows(SIGNALS)[0]
        seen = no_signal(self._run.rows) if row["steps"] and row["least"] >= 1 else ""
        self._released = bool(row["steps"])  # there was a signal, or it is told now
        return f"{seen} ({counted(len(new), 'segment')}, {completions:,} completions{self._base()})" if seen else ""

    def _base(self) -> str:
        for checkpoint in self._run.tree.root.checkpoints:
            score = checkpoint.score
            return f"; the base answers {score.sampled} of {score.n} validation prompts correctly by a sampled answer"
        return ""

    def remedy(self) -> str:
        """What to do, in one line."""
        checkpoints = self._run.tree.root.checkpoints
        solved = bool(checkpoints) and checkpoints[0].score.sampled == checkpoints[0].score.n
        what = "use harder prompts" if solved else "use easier prompts, rewards for partial success or a stronger base"
        return f'{what}; search.no_signal = "go-on" trains anyway'

    def _trained(self) -> list[Node]:
        """Segments that are over and came to a step."""
        return [node for node in self._run.tree if node.transition and node.steps and not node.state.in_flight]

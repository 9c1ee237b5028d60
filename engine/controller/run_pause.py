"""The pause of a run: asked for by a human, or begun by the run itself while its database or its disk takes nothing.

A pause that the run began ends by itself once the cause is gone; one that a human asked for, or made lasting, does not.
Owned by the controller's event loop.
"""

from __future__ import annotations

from enum import StrEnum

from engine.controller.run_state import RunState
from engine.controller.running_segments import RunningSegments
from engine.errors import UserError
from engine.executors.base import Executor


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
        await self._executor.pause()
        self._run.record.set_state("paused", reason)

    async def end(self) -> None:
        """Let the workers go on."""
        self._cause, self._reason = None, ""
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

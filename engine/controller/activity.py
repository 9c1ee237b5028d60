"""What the workers do between training steps, for whoever looks: loading, scoring, saving, and how far that is.

Hears every event of the workers and keeps one column of the run's row; never a row of its own a beat.
"""

from __future__ import annotations

import json
from typing import Any

from engine.controller.run_state import RunState
from engine.training import events

SCORED = {
    "base": "the base model", "soup": "the soup", "baseline": "the base model on the test set",
    "final": "the best policy on the test set",
    "reranking": "a finalist",
}  # fmt: skip
"""What an evaluation scores, by the first word of its job; a number is the job of a segment."""


class ActivityRecorder:
    """Owned by the controller's event loop."""

    def __init__(self, run: RunState) -> None:
        self._run = run
        self._doing: dict[str, dict[str, Any]] = {}
        self._run.record.activity(None)

    def hear(self, event: events.Event) -> None:
        """Take one event: a job that has told of a step, or is over, does nothing beside it."""
        match event:
            case events.JobProgress():
                self._doing[event.job] = _doing(event.job, event.phase, event.done, event.total)
            case events.SegmentStarted():
                self._doing[event.job] = _doing(event.job, "first step")
            case events.StepMetrics() | events.CheckpointSaved() | events.EvaluationResult() | events.SegmentEnded():
                if self._doing.pop(event.job, None) is None:
                    return
            case _:
                return
        self._write()

    def over(self) -> None:
        """The run ends: nothing is done any more."""
        self._doing.clear()
        self._write()

    def _write(self) -> None:
        self._run.record.activity(json.dumps(list(self._doing.values())) if self._doing else None)


def _doing(job: str, phase: str, done: int = 0, total: int = 0) -> dict[str, Any]:
    node = int(job) if job.isdigit() else None
    if phase == "scoring":
        what = "the checkpoint" if node is not None else SCORED.get(job.partition(":")[0], "")
        phase = f"scoring {what}".strip()
    return {"node": node, "doing": phase, "done": done, "total": total}

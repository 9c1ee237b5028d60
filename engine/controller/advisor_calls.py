"""What an advisor was asked and answered, as rows: its calls while they are being written, its diagnoses.

RunState owns it. A call's row is inserted with its first words and brought up to date until its advice is complete.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from engine.advisors.base import Advice, AdvisorCall
from engine.store.writer import Writer

UNFINISHED = "unfinished"
"""Stands as the error of a call whose answer is still being written."""


class AdvisorCallRecorder:
    """Writes the tables `agent_calls` and `diagnoses`."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._open: dict[str, int] = {}  # key of a call in progress → call_id

    def record(self, advice: Advice, node_id: int) -> int | None:
        """Log an advice: its calls, and its diagnoses of `node_id`; see the view current_diagnoses for which of several
        looks counts. Returns the last call's id."""
        call_id: int | None = None
        for call in advice.calls:
            call_id = self._write(call, advice.advisor, node_id)
            self._open.pop(call.key, None)
        for diagnosis in advice.diagnoses:
            signals = [
                {"metric": s.metric, "baseline": s.baseline, "value": s.value, "steps": [s.first_step, s.last_step]}
                for s in diagnosis.signals
            ]
            self._writer.insert(
                "diagnoses", node_id=node_id, call_id=call_id or 0, pathology=diagnosis.pathology,
                severity=diagnosis.severity, evidence=diagnosis.text, signals=json.dumps(signals), step=advice.step,
                advisor=diagnosis.advisor or advice.advisor,
            )  # fmt: skip
        return call_id

    def grows(self, call: AdvisorCall, advisor: str) -> None:
        """A call has begun, or its rationale has grown: its row shows it until `record` completes it."""
        self._write(replace(call, error=UNFINISHED), advisor, call.node)

    def give_up(self, reason: str) -> None:
        """Calls in progress will not be completed."""
        for call_id in self._open.values():
            self._writer.update("agent_calls", {"call_id": call_id}, error=f"cancelled: {reason}")
        self._open.clear()

    def give_up_earlier(self) -> None:
        """Calls that were in progress when an earlier engine ended will not be completed."""
        for row in self._writer.rows("SELECT call_id FROM agent_calls WHERE error = ?", (UNFINISHED,)):
            self._writer.update("agent_calls", row, error="cancelled: the engine ended before the answer")

    def _write(self, call: AdvisorCall, advisor: str, node_id: int | None) -> int:
        """Insert a call's row, or bring the one it has up to date. Returns its id."""
        values: dict[str, Any] = {
            "response": call.response, "rationale": call.rationale, "prompt_tokens": call.prompt_tokens,
            "completion_tokens": call.completion_tokens, "milliseconds": call.milliseconds, "error": call.error,
        }  # fmt: skip
        known = self._open.get(call.key) if call.key else None
        if known is not None:
            self._writer.update("agent_calls", {"call_id": known}, **values)
            return known
        call_id = self._writer.next_id("agent_calls")
        self._writer.insert(
            "agent_calls", call_id=call_id, node_id=node_id, advisor=advisor, role=call.role, model=call.model,
            prompt_version=call.prompt_version, request=call.request, images=json.dumps(list(call.images)), **values,
        )  # fmt: skip
        if call.key:
            self._open[call.key] = call_id
        return call_id

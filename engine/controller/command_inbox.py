"""Commands as rows: which ones the run has not seen yet, and what became of each. RunState owns it."""

from __future__ import annotations

from typing import Any

from engine.store.writer import Writer


class CommandInbox:
    """Reads the table `commands`, writes `command_results`."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._seen = 0

    def refuse_old(self) -> None:
        """Commands of before this engine are not carried out late: what they meant may not be so any more."""
        unanswered = self._writer.rows(
            "SELECT command_id FROM commands WHERE command_id NOT IN "
            "(SELECT command_id FROM command_results WHERE state <> 'taken') ORDER BY command_id"
        )
        for row in unanswered:
            self.refused(row["command_id"], "the engine ended before the command was carried out; send it again")
        self._seen = max((r["command_id"] for r in self._writer.rows("SELECT command_id FROM commands")), default=0)

    def unseen(self) -> list[dict[str, Any]]:
        """The rows that have come since the last one that was taken, oldest first."""
        return self._writer.rows("SELECT * FROM commands WHERE command_id > ? ORDER BY command_id", (self._seen,))

    def taken(self, command_id: int) -> None:
        """It is being carried out."""
        self._seen = command_id
        self._answer(command_id, "taken", "")

    def done(self, command_id: int, message: str) -> None:
        """It was carried out; one line says what was done."""
        self._answer(command_id, "done", message)

    def refused(self, command_id: int, message: str) -> None:
        """It does not fit the run as it is; one line says why."""
        self._answer(command_id, "refused", message)

    def _answer(self, command_id: int, state: str, message: str) -> None:
        self._writer.insert("command_results", command_id=command_id, state=state, message=message)

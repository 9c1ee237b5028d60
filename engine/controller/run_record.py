"""What is known of a run as a whole, as rows: its one row in `runs`, what it has spent, its log of events, its
commands and what became of each.

RunState owns one; the daemon has its own for the moments in which there is no RunState yet, or none any more.
"""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from engine.analysis.summary import FINAL_STATES
from engine.domain.policy import Policy
from engine.store.errors import StoreFault
from engine.store.writer import Writer


def now() -> datetime:
    """UTC, without a zone: what the store's TIMESTAMP columns hold."""
    return datetime.now(UTC).replace(tzinfo=None)


class RunRecorder:
    """Writes the tables `runs`, `budget` and `events`."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def begin(self, **columns: object) -> None:
        """The run's row, as a new run starts; an engine may have died between that row and its tree."""
        columns = {**columns, "state": "starting", "reason": "", "created": now(), "started": now()}
        if self._writer.rows("SELECT 1 FROM runs"):
            self._writer.update_run(**columns)
        else:
            self._writer.insert("runs", **columns)

    def set_state(self, state: str, reason: str, *, log: bool = True) -> None:
        """The run's state with one line of reason, and an event that says so unless `log` is False. A final state
        gets its time; training takes it away again."""
        times: dict[str, object] = {"ended": now()} if state in FINAL_STATES else {}
        if state == "training":
            times = {"ended": None}
        self._writer.update_run(state=state, reason=reason, **times)
        if log:
            self.event("info", "state", f"{state}: {reason}" if reason else state)

    def failed_by_bug(self, bug: BaseException) -> None:
        """The engine ends by a bug of ours."""
        self.set_state("failed", f"a bug: {type(bug).__name__}", log=False)
        self.event("error", "bug", repr(bug))

    def advisor(self, name: str) -> None:
        """Who advises, as the header shows it."""
        self._writer.update_run(advisor=name)

    def name(self, name: str) -> None:
        """What the run is called now."""
        self._writer.update_run(name=name)

    def space(self, space: str, config: str | None = None) -> None:
        """The hyperparameters and their ranges (JSON); `config` where the run file changed with them."""
        self._writer.update_run(space=space, **({} if config is None else {"config": config}))

    def gate(self, mode: str) -> None:
        """The mode of the gate."""
        self._writer.update_run(gate=mode)

    def limits(self, limits: str, config: str | None = None) -> None:
        """The budget's limits of now (JSON), for whoever looks and for a resume; `config` where it was read anew."""
        self._writer.update_run(budget=limits, **({} if config is None else {"config": config}))

    def spent(self, row: int, **columns: float) -> int:
        """What is spent by now: the row of `budget` with this seq is brought up to date, a new one begun for 0.

        Returns the row's seq.
        """
        if not row:
            return self._writer.insert("budget", **columns)
        self._writer.update("budget", {"seq": row}, ts=now(), **columns)
        return row

    def activity(self, doing: str | None) -> None:
        """What the workers do besides training (JSON)."""
        self._writer.update_run(activity=doing)

    def forecasts(self, rows: str | None) -> None:
        """What is forecast of the run's branches (JSON)."""
        self._writer.update_run(forecasts=rows)

    def pick(self, policy: Policy, path: str) -> None:
        """Which policy the run reports, and where its files are as the database names them."""
        self._writer.update_run(
            best_node=policy.node, best_step=policy.step, best_path=path, policy=policy.name, members=policy.key
        )

    def unpick(self) -> None:
        """The run goes on: it reports its best checkpoint by validation again, until the next end picks one."""
        self._writer.update_run(best_node=None, best_step=None, best_path=None, policy=None, members=None)

    def event(self, level: str, kind: str, message: str, node_id: int | None = None, **detail: object) -> None:
        """One line for the log: level info, warning or error."""
        self._writer.insert(
            "events", level=level, kind=kind, node_id=node_id, message=message, detail=json.dumps(detail)
        )


class CommandInbox:
    """Reads the table `commands`, writes `command_results`."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._seen = 0

    def refuse_unanswered(self, why: str) -> None:
        """Commands of an engine or a run that has ended are not carried out late: what they meant may not be so any
        more. `why` is one line."""
        unanswered = self._writer.rows(
            "SELECT command_id FROM commands WHERE command_id NOT IN "
            "(SELECT command_id FROM command_results WHERE state <> 'taken') ORDER BY command_id"
        )
        for row in unanswered:
            self.refused(row["command_id"], why)
        self._seen = max((r["command_id"] for r in self._writer.rows("SELECT command_id FROM commands")), default=0)

    def unseen(self) -> list[dict[str, Any]]:
        """The rows that have come since the last one that was taken, oldest first; none while they cannot be read."""
        with suppress(StoreFault):
            return self._writer.rows("SELECT * FROM commands WHERE command_id > ? ORDER BY command_id", (self._seen,))
        return []

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

"""What is known of a run as a whole, as rows: its one row in `runs`, what it has spent, its log of events.

RunState owns one; the daemon has its own for the moments in which there is no RunState yet, or none any more.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

from engine.domain.policy import Policy
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
        """The run's state with one line of reason, and an event that says so unless `log` is False. The last states
        (finished, stopped, failed) get their time; training takes it away again."""
        times: dict[str, object] = {"ended": now()} if state in ("finished", "stopped", "failed") else {}
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

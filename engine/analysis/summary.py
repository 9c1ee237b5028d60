"""The facts of one run for `ls`, `show` and the list of runs. Called by the face with an open reader; it only reads.

A dead engine writes nothing, so "crashed" is derived here: a state that is not final while nobody holds the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from engine.analysis.reported import TestMeasurement, read_header, reported
from engine.analysis.rows import WorkerActivity, doings, numbers
from engine.domain.score import Score
from engine.store import queries

FINAL_STATES = frozenset({"finished", "stopped", "failed"})
SPENDING = frozenset({"starting", "training", "paused"})
"""States in which the budget is still being spent; the closing evaluations of "finishing" are not of it."""

AS_STORED = (
    "name", "reason", "task", "model", "strategy", "advisor", "nodes", "pending_proposals", "created", "started",
    "ended", "advisor_answered", "advisor_failing",
)  # fmt: skip
"""Facts that are shown as the header of the run has them."""


class RowReader(Protocol):
    """What of a reader is needed."""

    @property
    def live(self) -> bool:
        """Whether an engine runs this search now."""

    def rows(self, sql: str, params: Any = ()) -> list[dict[str, Any]]:
        """A dictionary per row."""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run in facts.

    `best_policy` names the policy that the run reports (see `ReportedPolicy`), `best_node` and `best_step` its
    checkpoint (of a soup, the newest member), `best_reranked` the score by which it was picked, `test_measurements`
    every time a candidate was measured on the test prompts. `state` is the stored state, or "crashed". `nodes` counts
    segments that were begun or queued. Scores are None until measured. `running_nodes` train now. `budget` holds the
    limits of now by name (steps, nodes, minutes, gpu_hours; 0 is none), `budget_fraction` is the share of the nearest
    one that is spent, None before the first row of the budget; for `eta_seconds` see `eta`; `activity` is what
    workers do between steps, `devices` what segments train on now and how many on each. Times are UTC without a zone;
    `age_seconds` is the time since the last row of the log, budget or scores, None where there is none.
    `advisor_answered` is when the model that advises last gave a usable answer, `advisor_failing` since when it gives
    none.
    """

    name: str
    state: str
    reason: str
    task: str
    model: str
    strategy: str
    advisor: str
    live: bool
    nodes: int
    failed_nodes: int
    pending_proposals: int
    steps: int
    running_nodes: tuple[int, ...]
    budget: Mapping[str, float]
    budget_fraction: float | None
    eta_seconds: float | None
    trainer_seconds: float
    evaluation_seconds: float
    wall_seconds: float
    best_policy: str | None
    best_node: int | None
    best_step: int | None
    best_validation: Score | None
    best_test: Score | None
    best_reranked: Score | None
    base_validation: Score | None
    base_test: Score | None
    test_measurements: tuple[TestMeasurement, ...]
    created: datetime
    started: datetime | None
    ended: datetime | None
    age_seconds: float | None
    advisor_answered: datetime | None = None
    advisor_failing: datetime | None = None
    activity: tuple[WorkerActivity, ...] = ()
    devices: Mapping[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For `ls --json`: scores with their n and interval, times as ISO 8601 with the zone."""
        plain: dict[str, Any] = {}
        for name in self.__slots__:
            value = getattr(self, name)
            if isinstance(value, Score):
                value = value.as_dict()
            elif name == "activity":
                value = [asdict(doing) for doing in self.activity]
            elif isinstance(value, datetime):
                value = value.replace(tzinfo=UTC).isoformat()
            elif name == "test_measurements":
                value = [each.as_dict() for each in value]
            plain[name] = value
        return plain


def eta(
    spent: float, wall_seconds: float, *, running: bool, waiting_seconds: float = 0.0, minutes: float = 0.0
) -> float | None:
    """Seconds until the budget is spent, at the pace so far; None where that says nothing.

    Args:
        spent: share of the nearest limit. wall_seconds: time of work until then, without pauses.
        waiting_seconds: how much of that the workers waited for a human, which is no pace.
        minutes: limit of the time of work, 0 for none; it runs while a human is waited for, too.
    """
    if not running or not 0.005 < spent < 1:
        return None
    pace = max(0.0, wall_seconds - waiting_seconds) * (1 - spent) / spent
    if not minutes:
        return pace
    clock = max(0.0, 60 * minutes - wall_seconds)
    nearest = wall_seconds / (60 * minutes) >= spent - 1e-6
    return clock if nearest else min(pace, clock)


def derived_state(state: str, *, live: bool) -> str:
    """The stored state, or "crashed" when it is not final and nobody holds the run."""
    return state if live or state in FINAL_STATES else "crashed"


def derived_node_state(state: str, *, live: bool, scored: bool = True) -> str:
    """The stored state of a node, or "interrupted" when it trained and nobody holds the run any more.

    The base model is finished once it is `scored` (always true for other nodes): "starting" before that, or
    "interrupted" where its engine ended.
    """
    if not scored and state == "finished":
        return "starting" if live else "interrupted"
    return "interrupted" if state == "running" and not live else state


def evaluation_share(evaluation_seconds: float, trainer_seconds: float) -> float:
    """Share of the workers' time that went into scoring policies, set-up left out; 0 before anything was done."""
    worked = evaluation_seconds + trainer_seconds
    return evaluation_seconds / worked if worked > 0 else 0.0


def _devices(reader: RowReader) -> dict[str, int]:
    return {row["device"]: row["segments"] for row in reader.rows(queries.load("running_devices"))}


def summarise(reader: RowReader, *, now: datetime | None = None) -> RunSummary:
    """The facts of the run behind a reader. `now` is UTC without a zone; by default the clock's.

    Raises:
        UserError: the run has not begun. QueryError, EngineGone: as a query does.
    """
    row = read_header(reader.rows)
    best = reported(row)
    now = now or datetime.now(UTC).replace(tzinfo=None)
    budget = numbers(row["budget"])
    state, spent, wall = derived_state(row["state"], live=reader.live), row["budget_fraction"], row["wall_seconds"]
    return RunSummary(
        **{name: row[name] for name in AS_STORED},
        state=state,
        live=reader.live,
        failed_nodes=row["failed"],
        steps=row["steps"] or 0,
        running_nodes=tuple(row["running"] or ()) if reader.live else (),
        budget=budget,
        budget_fraction=spent,
        eta_seconds=eta(
            spent or 0.0,
            wall or 0.0,
            running=reader.live and state in SPENDING,
            waiting_seconds=row["waiting_seconds"] or 0.0,
            minutes=float(budget.get("minutes") or 0),
        ),
        trainer_seconds=row["trainer_seconds"] or 0.0,
        evaluation_seconds=row["evaluation_seconds"],
        wall_seconds=wall or 0.0,
        best_policy=best.policy or None,
        best_node=best.node,
        best_step=best.step,
        best_validation=best.validation,
        best_test=best.test,
        best_reranked=best.reranked,
        base_validation=best.base_validation,
        base_test=best.base_test,
        test_measurements=best.tests,
        activity=doings(row["activity"]) if reader.live else (),
        devices=_devices(reader) if reader.live and row["running"] else {},
        age_seconds=max(0.0, (now - row["last_ts"]).total_seconds()) if row["last_ts"] else None,
    )

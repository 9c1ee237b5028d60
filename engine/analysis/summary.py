"""The facts of one run for `ls`, `show` and the list of runs. Called by the face with an open reader; it only reads.

A dead engine writes nothing, so "crashed" is derived here: a state that is not final while nobody holds the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from engine.analysis.json_text import numbers
from engine.analysis.rows import only_row
from engine.score import Score, score_of

FINAL_STATES = frozenset({"finished", "stopped", "failed"})

HEADER = """
WITH final AS (SELECT * FROM evaluations WHERE kind = 'final' ORDER BY seq DESC LIMIT 1),
baseline AS (SELECT * FROM evaluations WHERE kind = 'baseline' ORDER BY seq DESC LIMIT 1),
soup AS (SELECT e.* FROM evaluations e JOIN runs r ON e.path = r.best_path WHERE e.kind = 'soup' ORDER BY e.seq DESC
LIMIT 1), best AS (SELECT c.* FROM checkpoints c JOIN best_checkpoint b ON c.seq = b.seq), last AS ( SELECT max(ts) AS
ts FROM ( SELECT max(ts) AS ts FROM events UNION ALL SELECT max(ts) FROM budget UNION ALL SELECT max(ts) FROM
checkpoints) ) SELECT s.*, last.ts AS last_ts, coalesce(soup.n, best.n) AS best_n, coalesce(soup.greedy, best.greedy) AS
best_greedy, coalesce(soup.sampled, best.sampled) AS best_sampled, if(soup.n IS NULL, best.outcomes, soup.outcomes) AS
best_outcomes, final.n AS test_n, final.greedy AS test_greedy, final.sampled AS test_sampled, final.outcomes AS
test_outcomes, baseline.n AS base_n, baseline.greedy AS base_greedy, baseline.sampled AS base_sampled,
baseline.outcomes AS base_outcomes,
(SELECT coalesce(budget, CAST(json_extract(config, '$.budget') AS VARCHAR)) FROM runs) AS budget
FROM (SELECT * EXCLUDE (best_n) FROM current_state) s CROSS JOIN last LEFT JOIN best ON true LEFT JOIN soup ON true LEFT
JOIN final ON true LEFT JOIN baseline ON true
"""


class Asked(Protocol):
    """What of a reader is needed."""

    @property
    def live(self) -> bool:
        """Whether an engine runs this search now."""

    def rows(self, sql: str, params: Any = ()) -> list[dict[str, Any]]:
        """A dictionary per row."""


@dataclass(frozen=True, slots=True)
class Summary:
    """One run in facts.

    `state` is the stored state, or "crashed". `nodes` counts segments that were begun or queued. Scores are None until
    measured. `running_nodes` train now. `budget` holds the limits of now by name (steps, nodes, minutes,
    gpu_hours; 0 is none), `budget_fraction` is the share of the nearest one that is spent, None before the first row of
    the budget; for `eta_seconds` see `eta`. Times are UTC without a zone; `age_seconds` is the time since the last row
    of the log, budget or scores, None where there is none.
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
    wall_seconds: float
    best_node: int | None
    best_step: int | None
    best_validation: Score | None
    best_test: Score | None
    base_test: Score | None
    created: datetime
    started: datetime | None
    ended: datetime | None
    age_seconds: float | None

    def as_dict(self) -> dict[str, Any]:
        """For `ls --json`: scores with their n and interval, times as ISO 8601 with the zone."""
        plain: dict[str, Any] = {}
        for name in self.__slots__:
            value = getattr(self, name)
            if isinstance(value, Score):
                value = value.as_dict()
            elif isinstance(value, datetime):
                value = value.replace(tzinfo=UTC).isoformat()
            plain[name] = value
        return plain


def eta(spent: float, wall_seconds: float, *, running: bool) -> float | None:
    """Seconds until the budget is spent, at the pace so far; None where that says nothing."""
    if not running or not 0.005 < spent < 1:
        return None
    return wall_seconds * (1 - spent) / spent


def derived_state(state: str, *, live: bool) -> str:
    """The stored state, or "crashed" when it is not final and nobody holds the run."""
    return state if live or state in FINAL_STATES else "crashed"


def summarise(reader: Asked, *, now: datetime | None = None) -> Summary:
    """The facts of the run behind a reader. `now` is UTC without a zone; by default the clock's.

    Raises:
        UserError: the run has not begun. QueryError, EngineGone: as a query does.
    """
    row = only_row(reader.rows(HEADER))
    now = now or datetime.now(UTC).replace(tzinfo=None)
    base_test = score_of(row, "base_")
    state, spent, wall = derived_state(row["state"], live=reader.live), row["budget_fraction"], row["wall_seconds"]
    return Summary(
        name=row["name"],
        state=state,
        reason=row["reason"],
        task=row["task"],
        model=row["model"],
        strategy=row["strategy"],
        advisor=row["advisor"],
        live=reader.live,
        nodes=row["nodes"],
        failed_nodes=row["failed"],
        pending_proposals=row["pending_proposals"],
        steps=row["steps"] or 0,
        running_nodes=tuple(row["running"] or ()) if reader.live else (),
        budget=numbers(row["budget"]),
        budget_fraction=spent,
        eta_seconds=eta(spent or 0.0, wall or 0.0, running=reader.live and state not in FINAL_STATES),
        trainer_seconds=row["trainer_seconds"] or 0.0,
        wall_seconds=wall or 0.0,
        best_node=row["best_node"],
        best_step=row["best_step"],
        best_validation=score_of(row, "best_"),
        # Where the base itself was picked, its measurement is the result.
        best_test=score_of(row, "test_") or (base_test if row["best_node"] == 0 else None),
        base_test=base_test,
        created=row["created"],
        started=row["started"],
        ended=row["ended"],
        age_seconds=max(0.0, (now - row["last_ts"]).total_seconds()) if row["last_ts"] else None,
    )

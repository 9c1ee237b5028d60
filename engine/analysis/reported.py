"""The policy that a run reports, with the scores that were measured on this very policy: read from `run_header`, the
only source of it for every screen, list, file and model card.

It only reads, and never combines a score with another policy's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engine.analysis.rows import Rows, checkpoints, only_row
from engine.domain.policy import steering_prompts
from engine.domain.score import PromptSet, Score, score_of
from engine.store import queries


@dataclass(frozen=True, slots=True)
class TestMeasurement:
    """One measurement of a candidate on the test prompts: the policy's name, the prompts, and when (UTC)."""

    policy: str
    n: int
    time: datetime

    __test__ = False  # pytest: no test

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"policy": self.policy, "n": self.n, "time": self.time.isoformat()}


@dataclass(frozen=True, slots=True)
class ReportedPolicy:
    """The policy that a run reports now, and the base beside it.

    `policy` is its name, "" before the first score; `kind` base, checkpoint or soup; `members` its checkpoints (node,
    step), the newest first, empty for a soup of an old run; `path` is relative to the run. `picked`: by the closing
    evaluations; else it is the best checkpoint by validation so far. `test` is what this very policy scored, at this
    end of the run or an earlier one. `tests` are all measurements of candidates on the test prompts.

    `reranked` is what decided when it was picked: its score on the steering and the fresh validation prompts together;
    None where there was no choice. `leader` names the policy that leads on the steering prompts alone, where that is
    another, and `leader_reranked` is its score on the same prompts.
    """

    policy: str
    kind: str
    members: tuple[tuple[int, int], ...]
    node: int | None
    step: int | None
    path: str
    picked: bool
    validation: Score | None
    test: Score | None
    base_validation: Score | None
    base_test: Score | None
    tests: tuple[TestMeasurement, ...]
    reranked: Score | None
    leader: str
    leader_reranked: Score | None


def read_header(rows: Rows) -> dict[str, Any]:
    """The row of `run_header`. Raises UserError when the run has not begun."""
    return only_row(rows(queries.load("run_header")))


def reported(row: Mapping[str, Any]) -> ReportedPolicy:
    """From a row of `run_header`."""
    return ReportedPolicy(
        policy=row["best_policy"] or "",
        kind=row["best_kind"] or "",
        members=checkpoints(row["best_members"]),
        node=row["best_node"],
        step=row["best_step"],
        path=row["best_path"] or "",
        picked=bool(row["best_picked"]),
        validation=_validation(row, "best_"),
        test=_test(row, "test_"),
        base_validation=_validation(row, "base_"),
        base_test=_test(row, "base_test_"),
        tests=tuple(
            TestMeasurement(each["policy"], each["n"], datetime.fromisoformat(each["ts"]))
            for each in json.loads(row["tests"])
        ),
        reranked=score_of(row, "reranked_"),
        leader=row["leader_policy"] or "",
        leader_reranked=score_of(row, "leader_"),
    )


def _validation(row: Mapping[str, Any], prefix: str) -> Score | None:
    return score_of(row, prefix, steering_prompts(row[f"{prefix}n"]))


def _test(row: Mapping[str, Any], prefix: str) -> Score | None:
    return score_of(row, prefix, PromptSet("test", row[f"{prefix}seed"], row[f"{prefix}n"]))

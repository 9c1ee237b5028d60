"""How rows of a run's database become the values that screens show.

Called by the feeds. Pure functions: JSON of another version that cannot be parsed becomes a default, never an error.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from engine.analysis.rows import doings
from engine.analysis.summary import derived_node_state, derived_state
from engine.domain.score import score_of
from engine.words import advisor_state
from llmzero_tui.values.nodes import NodeRow, ShownScore
from llmzero_tui.values.snapshot import (
    CommandRow,
    EventRow,
    ModelRemark,
    ProposalRow,
    Row,
    RunRow,
    SampleRow,
    StageRow,
    TrainingRow,
    Values,
)
from llmzero_tui.values.standing import decision


def json_of(text: Any, default: Any) -> Any:
    """JSON of the database; what cannot be parsed is `default` (the file may come from another version)."""
    try:
        return json.loads(text) if isinstance(text, str) and text else default
    except ValueError:
        return default


def training_of(row: Row) -> TrainingRow:
    """A row of cli_running."""
    told = json_of(row["metrics"], {})
    busy, memory, tokens = (told.get(n) for n in ("device/utilization", "device/memory_gb", "tokens_per_second"))
    return TrainingRow(
        row["node_id"], row["trained_steps"], row["planned_steps"], row["device"] or "", busy, memory, tokens
    )


def values_of(text: Any) -> Values:
    """Hyperparameters by name from a JSON column: numbers, names and truth values."""
    read = json_of(text, {})
    return {str(k): v for k, v in read.items() if isinstance(v, int | float | str)} if isinstance(read, dict) else {}


def _numbers(text: Any) -> dict[str, float | int]:
    return {name: value for name, value in values_of(text).items() if isinstance(value, int | float)}


def run_of(path: Path, row: Row, *, live: bool) -> RunRow:
    """The header from a row of run_header.sql. A run whose engine is gone without having said so is `crashed`."""
    settings = json_of(row["config"], {})
    budget = _numbers(row["budget"]) or settings.get("budget", {})
    state = derived_state(str(row["state"]), live=live)
    whose = row["best_node"], row["best_step"], row["best_policy"]
    best = test = reranked = None
    if row["best_n"]:
        best = ShownScore(row["best_value"], row["best_low"], row["best_high"], row["best_n"], *whose)
    if row["test_n"]:
        test = ShownScore(row["test_value"], row["test_low"], row["test_high"], row["test_n"], *whose)
    decided = score_of(row, "reranked_")
    if decided is not None:
        reranked = ShownScore(decided.value, *decided.interval, decided.n, *whose)
    return RunRow(
        path=path, name=row["name"], state=state, task=row["task"], model=row["model"], advisor=row["advisor"],
        advisor_state=advisor_state(row["advisor_answered"], row["advisor_failing"]), reason=row["reason"],
        nodes=row["nodes"], best=best, test=test, reranked=reranked,
        decision=decision(row["best_policy"], decided, row["leader_policy"], score_of(row, "leader_")),
        steps=row["steps"] or 0,
        limit=int(budget.get("steps", 0)), budget=budget, spent=row["budget_fraction"] or 0.0,
        trainer_seconds=row["trainer_seconds"] or 0.0, evaluation_seconds=row["evaluation_seconds"],
        wall_seconds=row["wall_seconds"] or 0.0,
        waiting_seconds=row["waiting_seconds"] or 0.0, activity=doings(row["activity"]) if live else (),
        created=row["created"], ended=row["ended"],
        gate=row["gate"] or settings.get("gate", {}).get("mode", ""), live=live,
    )  # fmt: skip


def sample_of(row: Row) -> SampleRow:
    """A row of `ui_samples`."""
    return SampleRow(**{**row, "components": _numbers(row["components"])})


def said_of(row: Row) -> ModelRemark:
    """A row of `ui_calls` or `ui_writing`."""
    return ModelRemark(**{**row, "images": tuple(map(str, json_of(row["images"], [])))})


def stage_of(row: Row, *, live: bool) -> StageRow:
    """A row of ui_path.sql."""
    state = derived_node_state(row["state"], live=live)
    return StageRow(
        node=row["node_id"], left_at=row["left_at"], state=state, reason=row["reason"], intent=row["intent"],
        label=row["label"], configuration=values_of(row["configuration"]), changes=values_of(row["changes"]),
        optimizer=row["optimizer"], reference=row["reference"], rationale=row["rationale"],
        expected=row["expected"], advisor=row["advisor"], branch_step=row["branch_step"],
        planned=row["planned_steps"], trained=row["trained_steps"], start=row["start_steps"],
        seconds=row["trainer_seconds"], selected=row["selected"] or "",
    )  # fmt: skip


def proposal_of(row: Row) -> ProposalRow:
    return ProposalRow(
        id=row["proposal_id"], revision=row["revision"], node=row["node_id"], parent=row["parent_id"],
        step=row["branch_step"], intent=row["intent"], label=row["label"], changes=values_of(row["changes"]),
        optimizer=row["optimizer"], reference=row["reference"], rationale=row["rationale"],
        expected=row["expected"], advisor=row["advisor"], deadline=row["deadline"], created=row["created"],
        configuration=values_of(row["parent_configuration"]), waits=row["waits"],
    )  # fmt: skip


def parts(rows: Iterable[Row], count: int) -> tuple[float | None, ...]:
    """Values by part, in `count` cells; a part outside (more steps than planned) falls into the last."""
    cells: list[float | None] = [None] * count
    for row in rows:
        cells[max(0, min(count - 1, row["part"]))] = row["value"]
    return tuple(cells)


def event_of(row: Row) -> EventRow:
    return EventRow(row["seq"], row["level"], row["kind"], row["node_id"], row["message"], row["ts"])


def command_of(row: Row) -> CommandRow:
    return CommandRow(
        id=row["command_id"], kind=row["kind"], node=row["node_id"], proposal=row["proposal_id"],
        author=row["author"], ts=row["ts"], state=row["state"] or "sent", message=row["message"] or "",
        answered=row["answered"],
    )  # fmt: skip


def node_of(row: Row, *, live: bool = True) -> NodeRow:
    """A row of ui_nodes.sql with its lists of scored checkpoints, in the order of steps."""
    steps, values = row["steps"] or (), row["scores"] or ()
    scores = tuple(zip(steps, values, strict=True))
    best = None
    if row["best_n"]:
        ends = row["best_low"], row["best_high"]
        best = ShownScore(row["best_value"], *ends, row["best_n"], row["node_id"], row["best_step"])
    return NodeRow(
        id=row["node_id"], parent=row["parent_id"], branch_step=row["branch_step"],
        state=derived_node_state(row["state"], live=live, scored=row["parent_id"] is not None or bool(steps)),
        intent=row["intent"], label=row["label"], trained=row["trained_steps"], planned=row["planned_steps"],
        start=row["start_steps"], pruned=row["pruned"],
        best=best, kept=tuple(row["kept"] or ()), scores=scores, human=bool(row["human"]), note=row["note"] or "",
    )  # fmt: skip

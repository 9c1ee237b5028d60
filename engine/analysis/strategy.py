"""The best trajectory as a strategy: stages with their configurations, as values, as table rows and as TOML.

Called by the daemon at the end of a run and by the face. It reads; what an advisor wrote goes into TOML as quoted text
only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import tomli_w

from engine.analysis.reported import ReportedPolicy, read_header, reported
from engine.analysis.rows import Rows, table, values
from engine.domain.score import Score, score_of
from engine.domain.space import recorded_reference
from engine.host.model_files import portable

FORMAT = 2
"""Version of the TOML's keys. 2: with what a replay needs of the run file, and how it was found."""

REPLAYED = ("task", "model", "evaluation", "space", "training")
"""Tables of the run file that a replay trains under."""

Values = dict[str, float | int | bool | str]

STAGES = """
SELECT b.*, c.greedy AS greedy_count, c.sampled AS sampled_count, c.outcomes
FROM best_trajectory b LEFT JOIN checkpoints c ON c.node_id = b.node_id AND c.step = b.steps ORDER BY b.stage
"""


@dataclass(frozen=True, slots=True)
class StrategyStage:
    """One stage of a strategy: so many GRPO steps under one configuration.

    `steps` are those that the strategy uses, which may be fewer than the segment was trained for; `changes` is what
    differs from the stage before; `optimizer` is keep or reset, `reference` base or branch point.
    """

    node: int
    steps: int
    start_steps: int
    intent: str
    label: str
    configuration: Values
    changes: Values
    optimizer: str
    reference: str
    seed: int
    advisor: str
    rationale: str
    validation: Score | None


@dataclass(frozen=True, slots=True)
class TrainingStrategy:
    """The way from the base model to the policy that the run reports; for a soup, to its newest member. No stages:
    nothing beats the base, or nothing is scored yet."""

    run: str
    task: str
    base: str
    engine_version: str
    reported: ReportedPolicy
    stages: tuple[StrategyStage, ...]
    found_by: Mapping[str, Any] = field(default_factory=dict)
    """Strategy, advisor, run seed, GRPO steps and nodes of the search."""
    run_file: Mapping[str, Any] = field(default_factory=dict)
    """The tables of the run file that a replay trains under, and search.segment_steps."""

    @property
    def steps(self) -> int:
        """GRPO steps of all stages."""
        return sum(stage.steps for stage in self.stages)


def read_strategy(rows: Rows) -> TrainingStrategy:
    """The strategy of the run behind `rows` as it stands now. Raises UserError when the run has not begun."""
    header = read_header(rows)
    return TrainingStrategy(
        run=header["name"],
        task=header["task"],
        base=header["model"],
        engine_version=header["engine_version"],
        reported=reported(header),
        stages=tuple(_stage(row) for row in rows(STAGES) if row["node_id"] != 0),
        found_by={
            "strategy": header["strategy"],
            "advisor": header["advisor"],
            "seed": header["seed"],
            "steps": header["steps"] or 0,
            "nodes": header["nodes"],
        },
        run_file=_run_file(table(header["config"])),
    )


def _run_file(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a replay needs of a run file; a base that came with the program is named so that other machines know it."""
    sections = {name: section for name, section in config.items() if isinstance(section, dict)}
    needed: dict[str, Any] = {name: sections[name] for name in REPLAYED if name in sections}
    if isinstance(path := needed.get("model", {}).get("path"), str):
        needed["model"] = {**needed["model"], "path": portable(path)}
    if needed.get("model", {}).get("run"):  # the base of the file is the copy that the run has made
        needed["model"] = {key: value for key, value in needed["model"].items() if key not in ("path", "run")}
    steps = sections.get("search", {}).get("segment_steps")
    return {**needed, **({"search": {"segment_steps": steps}} if steps else {})}


def _score(row: dict[str, Any]) -> Score | None:
    return score_of({**row, "greedy": row["greedy_count"], "sampled": row["sampled_count"]})


def _stage(row: dict[str, Any]) -> StrategyStage:
    return StrategyStage(
        node=row["node_id"],
        steps=row["steps"],
        start_steps=row["start_steps"],
        intent=row["intent"],
        label=row["label"],
        configuration=values(row["configuration"]),
        changes=values(row["changes"]),
        optimizer=row["optimizer"],
        reference=recorded_reference(row["reference"], row["intent"]),
        seed=row["seed"],
        advisor=row["advisor"],
        rationale=row["rationale"],
        validation=_score(row),
    )


def to_toml(strategy: TrainingStrategy) -> str:
    """The strategy as TOML that a program or a person can replay."""
    best = strategy.reported
    scores = {
        "validation": best.validation,
        "reranked": best.reranked,
        "test": best.test,
        "base_validation": best.base_validation,
        "base_test": best.base_test,
    }
    document: dict[str, Any] = {
        "format": FORMAT,
        "run": strategy.run,
        "task": strategy.task,
        "base": portable(strategy.base),
        "engine_version": strategy.engine_version,
        "policy": best.kind,
        "policy_name": best.policy,
        "members": [list(member) for member in best.members],
        "path": best.path,
        "steps": strategy.steps,
        "found_by": dict(strategy.found_by),
        "run_file": dict(strategy.run_file),
        "scores": {name: score.as_dict() for name, score in scores.items() if score is not None},
        "stage": [_stage_table(stage) for stage in strategy.stages],
    }
    note = (
        "# A GRPO training strategy found by LLMZero: its stages in order, each from the last step of the one before.\n"
        "# `llmzero replay FILE` trains it again on seeds that the search never saw, with plain GRPO beside it.\n"
    )
    return note + tomli_w.dumps(document, multiline_strings=False)


def _stage_table(stage: StrategyStage) -> dict[str, Any]:
    table: dict[str, Any] = {
        "node": stage.node,
        "steps": stage.steps,
        "optimizer": stage.optimizer,
        "reference": stage.reference,
        "seed": stage.seed,
        "label": stage.label,
        "rationale": stage.rationale,
        "advisor": stage.advisor,
        "configuration": stage.configuration,
        "changes": stage.changes,
    }
    if stage.validation is not None:
        table["validation"] = stage.validation.as_dict()
    return table

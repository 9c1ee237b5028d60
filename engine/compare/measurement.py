"""What a results file must hold to be the measurement of a cell; `engine.compare.collect` writes it.

A results file is committed, copied and edited: a line is checked when it is read, so that what asks for a score finds
one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from engine.compare.packing import unpack
from engine.domain.score import check_outcomes

SCORE_NUMBERS = 8
"""Numbers that a row of `CellLine.scores` begins with."""


class LinePart(BaseModel):
    """What is not named here may stand there, too."""

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)


class Measured(LinePart):
    """A score: correct greedy and sampled answers of `n` prompts, and where known what became of each, packed."""

    n: int = Field(ge=1)
    greedy: int = Field(ge=0)
    sampled: int = Field(ge=0)
    seed: int
    outcomes: str = ""

    @model_validator(mode="after")
    def _can_be(self) -> Measured:
        if max(self.greedy, self.sampled) > self.n:
            raise ValueError(f"more correct answers than {self.n} prompts")
        if self.outcomes:
            check_outcomes(unpack(self.outcomes, self.n), self.n, self.greedy, self.sampled)
        return self


class Spent(LinePart):
    """What the run spent."""

    steps: int = Field(ge=0)
    segments: int = Field(ge=0)
    tokens: int = Field(ge=0)
    trainer_seconds: float = Field(ge=0)
    wall_seconds: float = Field(ge=0)


class Reported(LinePart):
    """The policy that the run reports; node 0 is the base."""

    node: int = Field(ge=0)
    step: int = Field(ge=0)
    soup: bool


class TrainedNode(LinePart):
    """A node of the run's tree; the base alone has no parent and no step of it from which it branched."""

    id: int = Field(ge=0)
    parent: int | None = None
    branch_step: int | None = Field(default=None, ge=0)
    steps: int = Field(default=0, ge=0)
    changes: dict[str, bool | int | float | str] = {}
    optimizer: str = "keep"
    reference: str = "base"


class CellLine(LinePart):
    """One finished run of a comparison. `scores` are rows of node, step, n, greedy, sampled, and GRPO steps, trainer
    seconds and tokens of the whole run until then; what follows in a row is not asked for."""

    task: str
    strategy: str
    seed: int
    settings_hash: str
    revisions: list[str]
    advisor: str
    spent: Spent
    base: Measured
    test: Measured
    best: Reported
    nodes: list[TrainedNode]
    scores: list[list[int | float | str]]

    @field_validator("scores")
    @classmethod
    def _rows(cls, rows: list[list[int | float | str]]) -> list[list[int | float | str]]:
        for row in rows:
            numbers = [each for each in row[:SCORE_NUMBERS] if not isinstance(each, str)]
            if len(numbers) < SCORE_NUMBERS or numbers[2] < 1:
                raise ValueError(f"a score begins with {SCORE_NUMBERS} numbers, the third at least 1")
        return rows

    @model_validator(mode="after")
    def _has_a_path_to_its_policy(self) -> CellLine:
        known = {0, *(node.id for node in self.nodes)}
        if self.best.node not in known:
            raise ValueError(f"reports node {self.best.node}, which it does not have")
        for node in self.nodes:
            if node.id and (node.parent not in known or node.parent >= node.id or node.branch_step is None):
                raise ValueError(f"node {node.id} has no place before it")
        return self


def is_measurement(line: Mapping[str, Any]) -> bool:
    """Whether a line of a results file is the measurement of a cell."""
    try:
        CellLine.model_validate(line)
    except ValidationError:
        return False
    return True

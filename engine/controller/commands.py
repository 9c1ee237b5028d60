"""What a human asked for (rows of `commands`) as typed values, checked before the controller acts.

A command is refused with one line when it does not fit the run as it is now: a stale revision, a node that has begun.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from engine.domain.proposals import GateMode
from engine.domain.space import KLReference, OptimizerState
from engine.errors import UserError, one_line
from engine.run.section import given, must_be, place

TEXT = 4000
"""Characters of the longest text a human may send with a command."""
LIMITS = ("steps", "nodes", "minutes", "gpu_hours")
MOST = 1_000_000_000
"""The highest limit of a budget; whoever wants more wants none, which is 0."""


Id = Annotated[int, Field(ge=0, le=2**31 - 1, strict=True)]
Changes = dict[
    str,
    Annotated[bool, Field(strict=True)]
    | Annotated[float, Field(ge=-MOST, le=MOST)]
    | Annotated[int, Field(ge=-MOST, le=MOST)]
    | Annotated[str, Field(max_length=100)],
]


class _CommandBody(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ApproveCommand(_CommandBody):
    """Let a proposal train, as it was at `revision`."""

    kind: Literal["approve"]
    proposal_id: Id
    revision: Id


class EditCommand(_CommandBody):
    """Let a proposal train with other values: `changes` are relative to the parent's configuration."""

    kind: Literal["edit"]
    proposal_id: Id
    revision: Id
    changes: Changes
    optimizer: OptimizerState | None = None
    reference: KLReference | None = None
    rationale: str = Field(default="", max_length=TEXT)


class RejectCommand(_CommandBody):
    """Turn a proposal down, as it was at `revision`; the reason goes to the advisor."""

    kind: Literal["reject"]
    proposal_id: Id
    revision: Id
    reason: str = Field(default="", max_length=TEXT)


class PruneCommand(_CommandBody):
    """Close a subtree; what runs in it is stopped."""

    kind: Literal["prune"]
    node_id: Id
    reason: str = Field(default="", max_length=TEXT)


class StopNodeCommand(_CommandBody):
    """End a running segment after its step."""

    kind: Literal["stop-node"]
    node_id: Id
    reason: str = Field(default="", max_length=TEXT)


class AnnotateCommand(_CommandBody):
    """A note on a node; an empty text takes it away."""

    kind: Literal["annotate"]
    node_id: Id
    text: str = Field(max_length=TEXT)


class BudgetCommand(_CommandBody):
    """New limits of the run: those that are given, the others stay. 0 is no limit."""

    kind: Literal["budget"]
    steps: int | None = Field(default=None, ge=0, le=MOST, strict=True)
    nodes: int | None = Field(default=None, ge=0, le=MOST, strict=True)
    minutes: float | None = Field(default=None, ge=0, le=MOST, strict=True)
    gpu_hours: float | None = Field(default=None, ge=0, le=MOST, strict=True)

    @property
    def given(self) -> dict[str, float | int]:
        """The limits that are to change."""
        return {name: value for name in LIMITS if (value := getattr(self, name)) is not None}

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.given:
            raise ValueError(f"give at least one of {', '.join(LIMITS)}")
        return self


class SpaceCommand(_CommandBody):
    """Other values of a hyperparameter from now on: what is given of low and high, or choices."""

    kind: Literal["space"]
    name: str = Field(max_length=100)
    low: float | int | None = None
    high: float | int | None = None
    choices: list[bool | int | float | str] | None = Field(default=None, max_length=100)

    @property
    def given(self) -> dict[str, Any]:
        """The keys of the run file's [space.NAME] that are to change."""
        return {key: value for key in ("low", "high", "choices") if (value := getattr(self, key)) is not None}

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.given:
            raise ValueError("give low, high or choices")
        return self


class ExpandCommand(_CommandBody):
    """A human's own transition from any checkpoint."""

    kind: Literal["expand"]
    parent: Id
    step: Id
    changes: Changes
    optimizer: OptimizerState = OptimizerState.KEEP
    reference: KLReference = KLReference.KEEP
    rationale: str = Field(default="", max_length=TEXT)


class GateCommand(_CommandBody):
    """Whether proposals wait for a human from now on, those that wait already, too."""

    kind: Literal["gate"]
    mode: GateMode


class PlainCommand(_CommandBody):
    """Hold the training, let it go on, or end the run."""

    kind: Literal["pause", "resume", "stop"]


Command = (
    ApproveCommand
    | EditCommand
    | RejectCommand
    | PruneCommand
    | StopNodeCommand
    | AnnotateCommand
    | BudgetCommand
    | SpaceCommand
    | ExpandCommand
    | GateCommand
    | PlainCommand
)
_COMMAND: TypeAdapter[Command] = TypeAdapter(Annotated[Command, Field(discriminator="kind")])


@dataclass(frozen=True, slots=True)
class ReceivedCommand:
    """A command with its row's id and who wrote it."""

    id: int
    author: str
    command: Command


def parse(row: dict[str, Any]) -> ReceivedCommand:
    """A row of `commands` as a typed command.

    Raises:
        UserError: unknown kind, missing or wrong fields; one line.
    """
    fields = {key: row[key] for key in ("node_id", "proposal_id", "revision") if row[key] is not None}
    try:
        payload = json.loads(row["payload"] or "{}")
        command = _COMMAND.validate_python({**payload, **fields, "kind": row["kind"]})
    except RecursionError as error:
        raise UserError(f"command {row['kind']}: its payload is nested too deeply") from error
    except (ValueError, TypeError) as error:
        raise UserError(f"command {row['kind']}: {_why(error)}") from error
    return ReceivedCommand(row["command_id"], row["author"] or "human", command)


def _why(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, place(first)[1:]))
        if first["type"] == "string_too_long":
            return one_line(f"{key} has {len(str(first['input'])):,} characters; at most {TEXT:,} are allowed")
        if isinstance(first["input"], dict):  # the whole command: its values would be all of it
            return one_line(f"{key}: {must_be(first)}" if key else must_be(first))
        return one_line(f"{key or 'kind'} = {given(first['input'])}: {must_be(first)}")
    return one_line(str(error))

"""What a human asked for (rows of `commands`) as typed values, checked before the controller acts.

A command is refused with one line when it does not fit the run as it is now: a stale revision, a node that has begun.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from engine.config import one_line
from engine.errors import UserError
from engine.space import Optimizer, Reference


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Approve(_Body):
    """Let a proposal train, as it was at `revision`."""

    kind: Literal["approve"]
    proposal_id: int
    revision: int


class Edit(_Body):
    """Let a proposal train with other values: `changes` are relative to the parent's configuration."""

    kind: Literal["edit"]
    proposal_id: int
    revision: int
    changes: dict[str, float | int]
    optimizer: Optimizer | None = None
    reference: Reference | None = None
    rationale: str = Field(default="", max_length=4000)


class Reject(_Body):
    kind: Literal["reject"]
    proposal_id: int
    revision: int
    reason: str = Field(default="", max_length=4000)


class Prune(_Body):
    """Close a subtree; what runs in it is stopped."""

    kind: Literal["prune"]
    node_id: int


class StopNode(_Body):
    kind: Literal["stop-node"]
    node_id: int


class Expand(_Body):
    """A human's own transition from any checkpoint."""

    kind: Literal["expand"]
    parent: int
    step: int
    changes: dict[str, float | int]
    optimizer: Optimizer = Optimizer.KEEP
    reference: Reference = Reference.BASE
    rationale: str = Field(default="", max_length=4000)


class Gate(_Body):
    kind: Literal["gate"]
    mode: Literal["auto", "timeout", "manual"]


class Plain(_Body):
    kind: Literal["pause", "resume", "stop"]


Command = Approve | Edit | Reject | Prune | StopNode | Expand | Gate | Plain
_COMMAND: TypeAdapter[Command] = TypeAdapter(Annotated[Command, Field(discriminator="kind")])


@dataclass(frozen=True, slots=True)
class Asked:
    """A command with its row's id and who wrote it."""

    id: int
    author: str
    command: Command


def parse(row: dict[str, Any]) -> Asked:
    """A row of `commands` as a typed command.

    Raises:
        UserError: unknown kind, missing or wrong fields; one line.
    """
    fields = {key: row[key] for key in ("node_id", "proposal_id", "revision") if row[key] is not None}
    try:
        payload = json.loads(row["payload"] or "{}")
        command = _COMMAND.validate_python({**payload, **fields, "kind": row["kind"]})
    except (ValueError, TypeError) as error:
        raise UserError(f"command {row['kind']}: {_why(error)}") from error
    return Asked(row["command_id"], row["author"] or "human", command)


def _why(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        return one_line(f"{'.'.join(map(str, first['loc'][1:])) or 'kind'}: {first['msg']}")
    return one_line(str(error))

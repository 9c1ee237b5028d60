"""A human's commands: rows become typed values, or are refused in one line."""

from typing import Any

import pytest

from engine.controller import commands
from engine.errors import UserError


def row(kind: str, payload: str = "{}", **fields: Any) -> dict[str, Any]:
    empty = {"node_id": None, "proposal_id": None, "revision": None}
    return {"command_id": 7, "kind": kind, "payload": payload, "author": "ada", **empty, **fields}


def test_fields_come_from_columns_and_payload() -> None:
    asked = commands.parse(
        row("edit", '{"changes": {"beta": 0.1}, "reference": "branch point"}', proposal_id=3, revision=2)
    )
    assert asked.id == 7
    assert asked.author == "ada"
    assert isinstance(asked.command, commands.Edit)
    assert asked.command.changes == {"beta": 0.1}
    assert (asked.command.proposal_id, asked.command.revision) == (3, 2)


@pytest.mark.parametrize(
    "bad",
    [
        row("fly"),
        row("approve", proposal_id=1),
        row("approve", "not json", proposal_id=1, revision=1),
        row("approve", "[1]", proposal_id=1, revision=1),
        row("gate", '{"mode": "sometimes"}'),
        row("edit", '{"changes": {"beta": "DROP TABLE nodes"}}', proposal_id=1, revision=1),
        row("pause", '{"extra": 1}'),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(bad: dict[str, Any]) -> None:
    with pytest.raises(UserError) as refused:
        commands.parse(bad)
    assert "\n" not in str(refused.value)
    assert bad["kind"] in str(refused.value)

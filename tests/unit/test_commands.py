"""A human's commands: rows become typed values, or are refused in one line."""

import json
from typing import Any

import pytest

from engine.controller import commands
from engine.controller.command_handler import edited_intent
from engine.domain.score import Score
from engine.domain.space import Intent, KLReference, Space, Transition
from engine.domain.tree import Checkpoint, Node, NodeState, Tree
from engine.errors import UserError

SPACE = Space.build({}, batch_size=32)
BASE = Checkpoint(0, Score(64, 8, 8))


def row(kind: str, payload: str = "{}", **fields: Any) -> dict[str, Any]:
    empty = {"node_id": None, "proposal_id": None, "revision": None}
    return {"command_id": 7, "kind": kind, "payload": payload, "author": "ada", **empty, **fields}


def test_fields_come_from_columns_and_payload() -> None:
    asked = commands.parse(
        row("edit", '{"changes": {"beta": 0.1}, "reference": "branch point"}', proposal_id=3, revision=2)
    )
    assert asked.id == 7
    assert asked.author == "ada"
    assert isinstance(asked.command, commands.EditCommand)
    assert asked.command.changes == {"beta": 0.1}
    assert (asked.command.proposal_id, asked.command.revision) == (3, 2)


def test_a_budget_changes_what_is_given_and_zero_is_no_limit() -> None:
    command = commands.parse(row("budget", '{"steps": 0, "minutes": 1.5}')).command
    assert isinstance(command, commands.BudgetCommand)
    assert command.given == {"steps": 0, "minutes": 1.5}


def test_a_text_that_is_too_long_is_refused_with_its_length() -> None:
    with pytest.raises(UserError, match="text has 4,001 characters; at most 4,000 are allowed"):
        commands.parse(row("annotate", json.dumps({"text": "x" * 4001}), node_id=1))


@pytest.mark.parametrize(
    "bad",
    [
        row("fly"),
        row("approve", proposal_id=1),
        row("approve", "not json", proposal_id=1, revision=1),
        row("approve", "[1]", proposal_id=1, revision=1),
        row("gate", '{"mode": "sometimes"}'),
        row("edit", '{"changes": {"beta": ["DROP TABLE nodes"]}}', proposal_id=1, revision=1),
        row("pause", '{"extra": 1}'),
        row("budget"),
        row("budget", '{"steps": -1}'),
        row("budget", '{"steps": 1.5}'),
        row("budget", '{"steps": true}'),
        row("budget", '{"minutes": "5"}'),
        row("approve", proposal_id=True, revision=1),
        row("budget", '{"minutes": NaN}'),
        row("budget", '{"nodes": 1e30}'),
        row("annotate", '{"text": "x"}'),
        row("annotate", '{"text": 5}', node_id=1),
        row("annotate", "{}", node_id=1),
        row("prune", '{"reason": ["x"]}', node_id=1),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(bad: dict[str, Any]) -> None:
    with pytest.raises(UserError) as refused:
        commands.parse(bad)
    assert "\n" not in str(refused.value)
    assert bad["kind"] in str(refused.value)


@pytest.mark.parametrize(
    ("bad", "line"),
    [
        (row("pause", '{"extra": 1}'), "command pause: extra = 1: must be left out: it is not known"),
        (row("approve", proposal_id=1), "command approve: revision: must be given"),
        (row("budget", '{"steps": 1.5}'), "command budget: steps = 1.5: must be a whole number"),
        (row("budget", '{"steps": true}'), "command budget: steps = true: must be a whole number"),
        (row("budget", '{"steps": -1}'), "command budget: steps = -1: must be at least 0"),
        (
            row("edit", '{"changes": {"beta": ["x"]}}', proposal_id=1, revision=1),
            "command edit: changes.beta = ['x']: must be a number, a text, true or false",
        ),
    ],
)
def test_what_is_wrong_with_a_field_is_said_in_words(bad: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError) as refused:
        commands.parse(bad)
    assert str(refused.value) == line


FASTER, SLOWER = {"learning_rate": 2e-4}, {"learning_rate": 1e-6}


@pytest.mark.parametrize(
    ("before", "edit", "after"),
    [
        (Intent.KEEP, {}, Intent.KEEP),
        (Intent.KEEP, {"changes": FASTER}, Intent.CHANGE),
        (Intent.KEEP, {"reference": KLReference.BRANCH}, Intent.CHANGE),
        (Intent.KEEP, {"reference": KLReference.BASE}, Intent.KEEP),  # it is the base already
        (Intent.CURRICULUM, {"changes": FASTER}, Intent.CHANGE),
        (Intent.CURRICULUM, {}, Intent.KEEP),
        (Intent.ANNEAL, {"changes": SLOWER}, Intent.ANNEAL),
        (Intent.ANNEAL, {"changes": FASTER}, Intent.CHANGE),
        (Intent.ROOT, {"changes": FASTER}, Intent.ROOT),
        (Intent.REPAIR, {"changes": FASTER}, Intent.REPAIR),
        (Intent.CHANGE, {"changes": SLOWER}, Intent.CHANGE),
    ],
)
def test_an_edited_proposal_is_what_the_edit_makes_of_it(before: Intent, edit: dict[str, Any], after: Intent) -> None:
    tree = Tree(Node(0, None, SPACE.default(), NodeState.FINISHED, checkpoints=(BASE,)))
    tree.add(Node(1, Transition(0, 0, Intent.ROOT), SPACE.default(), NodeState.FINISHED))
    edited = Transition(1, 50, before, label="x", rationale="x", **edit)
    assert edited_intent(edited, SPACE.default(), SPACE, tree) is after

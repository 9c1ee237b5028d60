"""Plain GRPO as a run's yardstick: the default trained on, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from engine.analysis import plain_grpo

DEFAULT, OTHER = json.dumps({"learning_rate": 1e-4}), json.dumps({"learning_rate": 2e-4})


def node(number: int, parent: int | None, **fields: str) -> dict[str, Any]:
    usual = {"configuration": DEFAULT, "optimizer": "keep", "reference": "keep"}
    return {"node_id": number, "parent_id": parent, **usual, **fields}


@pytest.mark.parametrize(
    ("second", "plain"),
    [
        ({}, 2),
        ({"reference": "base"}, 2),  # as runs wrote it before "keep"
        ({"configuration": OTHER}, 1),
        ({"optimizer": "reset"}, 1),
        ({"reference": "branch point"}, 1),
    ],
)
def test_it_is_the_default_trained_on_with_adam_and_the_base_as_reference(second: dict[str, str], plain: int) -> None:
    nodes = [node(0, None), node(1, 0, optimizer="reset"), node(2, 1, **second)]
    scores = [
        {"node_id": n, "step": 50, "total_steps": 50 * n, "n": 64, "greedy": 9, "sampled": 9, "outcomes": ""}
        for n in (1, 2)
    ]

    def rows(query: str, _: Sequence[Any] = ()) -> list[dict[str, Any]]:
        return {plain_grpo.NODES: nodes, plain_grpo.SCORES: scores}.get(query, [{"steps": 100}])

    found = plain_grpo.read_plain(rows)
    assert found is not None
    assert found.node == plain

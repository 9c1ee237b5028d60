"""What the branch of the best policy will score when the rest of the budget goes into it, read from a run's tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from engine.analysis.rows import Rows
from engine.domain.score import Score, score_of
from engine.words import CONTINUING

NODES = "SELECT node_id, parent_id, branch_step, intent, start_steps FROM nodes ORDER BY node_id"
SCORES = "SELECT node_id, step, n, greedy, sampled, outcomes FROM checkpoints ORDER BY node_id, step"

Nodes = Mapping[int, Mapping[str, Any]]
Curve = list[tuple[int, Score]]
"""Scores by GRPO steps, as `engine.analysis.learning_curve` takes them."""


@dataclass(frozen=True, slots=True)
class BranchForecast:
    """The score of the branch that ends at `node`, trained on unchanged to `steps` GRPO steps from the base, with its
    90% interval (`engine.analysis.learning_curve`)."""

    node: int
    steps: int
    mean: float
    low: float
    high: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON, to four digits."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


def read_forecast(rows: Rows, best: int, steps_left: int) -> BranchForecast | None:
    """The branch that the node `best` is on; None where nothing is left to train or there are too few scores.

    Args:
        steps_left: GRPO steps of the budget that are not spent.
    """
    from engine.analysis.learning_curve import forecast  # numpy and scipy, which nothing else of `show` needs

    nodes = {row["node_id"]: row for row in rows(NODES)}
    if steps_left < 1 or best not in nodes or nodes[best]["parent_id"] is None:
        return None
    branch = unchanged(nodes, _first(nodes, best))
    scores: dict[int, Curve] = {}
    for row in rows(SCORES):
        if (score := score_of(row)) is not None:
            scores.setdefault(row["node_id"], []).append((row["step"], score))
    known = curve(nodes, scores, branch)
    at = (known[-1][0] if known else 0) + steps_left
    made = forecast(known, at, (curve(nodes, scores, other) for other in branches(nodes) if other[0] != branch[0]))
    if made is None:
        return None
    return BranchForecast(branch[-1], nodes[branch[0]]["start_steps"] + at, made.mean, made.low, made.high)


def branches(nodes: Nodes) -> Iterator[list[int]]:
    """Every branch: a first segment or a change, and what trained on from it unchanged."""
    for number, row in nodes.items():
        if row["parent_id"] is not None and row["intent"] not in CONTINUING:
            yield unchanged(nodes, number)


def curve(nodes: Nodes, scores: Mapping[int, Curve], branch: Sequence[int]) -> Curve:
    """The scores of successive nodes by steps since the first began, that of its start first; empty without one.

    Args:
        nodes: by number, with `parent_id`, `branch_step` and `start_steps`. scores: by node, ascending by its steps.
    """
    first = nodes[branch[0]]
    start = [score for step, score in scores.get(first["parent_id"], ()) if step == first["branch_step"]]
    ahead = {number: nodes[number]["start_steps"] - first["start_steps"] for number in branch}
    later = [(ahead[number] + step, score) for number in branch for step, score in scores.get(number, ())]
    return [(0, start[0]), *sorted(later, key=lambda point: point[0])] if start else []


def _first(nodes: Nodes, node: int) -> int:
    """Where the branch of a node began."""
    while nodes[node]["intent"] in CONTINUING and (parent := nodes[node]["parent_id"]) in nodes and parent < node:
        node = parent
    return node


def unchanged(nodes: Nodes, first: int) -> list[int]:
    """A node and what trained on from it unchanged, each time the segment that did so first.

    Args:
        nodes: by number, with `parent_id` and `intent`; children have the higher numbers.
    """
    branch = [first]
    while (after := _after(nodes, branch[-1])) is not None:
        branch.append(after)
    return branch


def _after(nodes: Nodes, node: int) -> int | None:
    following = (n for n, row in nodes.items() if row["parent_id"] == node and row["intent"] in CONTINUING and n > node)
    return min(following, default=None)

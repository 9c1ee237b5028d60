"""What a branch of a run will score when it is trained on unchanged to the end of the budget.

The engine makes these forecasts when there is something new to make them of, and keeps them (`kept_forecasts`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from engine.domain.score import Score
from engine.words import CONTINUING

if TYPE_CHECKING:
    from engine.domain.tree import Node

PLACES = 8
"""A forecast is told at the last score, at the end of the budget, and at places between that cut the way so often."""

Nodes = Mapping[int, Mapping[str, Any]]
Curve = list[tuple[int, Score]]
"""Scores by GRPO steps, as `engine.analysis.learning_curve` takes them."""


@dataclass(frozen=True, slots=True)
class ForecastPoint:
    """A score that is not measured yet, `steps` GRPO steps from the base: its mean and its 90% interval."""

    steps: int
    mean: float
    low: float
    high: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON, to four digits."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class BranchForecast:
    """The branch from the node `first` to the node `node`, trained on unchanged: the points from its last score to the
    end of the budget (`engine.analysis.learning_curve`). `best`: it is that of the best policy."""

    first: int
    node: int
    best: bool
    points: tuple[ForecastPoint, ...]

    @property
    def end(self) -> ForecastPoint:
        """What is forecast at the end of the budget."""
        return self.points[-1]

    def as_dict(self) -> dict[str, Any]:
        """The end, for JSON."""
        return {"node": self.node, **self.end.as_dict()}


def forecast_branches(
    nodes: Mapping[int, Node], best: int, others: Iterable[int], steps_left: int
) -> list[BranchForecast]:
    """The branch that the node `best` is on and those of the `others`, each once, where there are enough scores.

    Args:
        nodes: of the tree, by number. steps_left: GRPO steps that the budget still has for one branch.
    """
    from engine.analysis.learning_curve import LEAST_SCORES, forecasts  # numpy and scipy, which readers do not need

    rows, scores = tabled(nodes.values())
    curves = {branch[0]: (branch, curve(rows, scores, branch)) for branch in branches(rows)}
    wanted = dict.fromkeys(_first(rows, number) for number in (best, *others) if number in rows)
    made = []
    for first in wanted:
        branch, known = curves.get(first, ([], []))
        if steps_left < 1 or len(known) < LEAST_SCORES:
            continue
        last, begun = known[-1][0], rows[first]["start_steps"]
        places = sorted({last + steps_left * part // PLACES for part in range(PLACES + 1)})
        apart = (other for number, (_, other) in curves.items() if number != first)
        points = zip(places, forecasts(known, places, apart), strict=True)
        made.append(BranchForecast(
            first, branch[-1], first == _first(rows, best),
            tuple(ForecastPoint(begun + at, f.mean, f.low, f.high) for at, f in points),
        ))  # fmt: skip
    return made


def tabled(nodes: Iterable[Node]) -> tuple[dict[int, dict[str, Any]], dict[int, Curve]]:
    """The nodes of a tree that have begun by number, and the scores of each, as the functions below take them."""
    begun = [node for node in nodes if node.state.begun or node.checkpoints]
    rows = {
        node.id: {
            "parent_id": node.parent,
            "branch_step": node.transition.step if node.transition else None,
            "intent": node.transition.intent if node.transition else None,
            "start_steps": node.start_steps,
        }
        for node in begun
    }
    return rows, {node.id: [(c.step, c.score) for c in node.checkpoints] for node in begun}


def branches(nodes: Nodes) -> Iterator[list[int]]:
    """Every branch: a first segment or a change, and what trained on from it unchanged."""
    following = _following(nodes)
    for number, row in nodes.items():
        if row["parent_id"] is not None and row["intent"] not in CONTINUING:
            yield _along(following, number)


def unchanged(nodes: Nodes, first: int) -> list[int]:
    """A node and what trained on from it unchanged, each time the segment that did so first.

    Args:
        nodes: by number, with `parent_id` and `intent`; children have the higher numbers.
    """
    return _along(_following(nodes), first)


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


def _following(nodes: Nodes) -> dict[int, int]:
    """Of each node that was trained on unchanged, the node that did so first."""
    following: dict[int, int] = {}
    for number, row in nodes.items():
        parent = row["parent_id"]
        if row["intent"] in CONTINUING and parent is not None and number > parent:
            following[parent] = min(number, following.get(parent, number))
    return following


def _along(following: Mapping[int, int], first: int) -> list[int]:
    branch = [first]
    while (after := following.get(branch[-1])) is not None:
        branch.append(after)
    return branch

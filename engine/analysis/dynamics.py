"""Parameter dynamics: does a hyperparameter accumulate, oscillate or stay, over the transitions of one run or of many?

The paper's finding is that capacity accumulates and regularization oscillates (arXiv 2606.18388). Here it is a question
with an interval and a null: how often a change raises the value (Wilson interval), and how often a change takes back
the one before it on its branch, against the same changes with their directions shuffled.

It only reads. First segments and repairs are left out: nobody chose them for what was seen.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.analysis.rows import Rows, only_row, tables
from engine.domain.score import wilson

SHUFFLES = 2000
LEAST_TRANSITIONS = 5
"""Below so many transitions nothing is said of a hyperparameter that never moved."""
SIGNIFICANT = 0.05

MOVES = "SELECT * FROM parameter_moves ORDER BY node_id, parameter"
NODES = "SELECT node_id, parent_id FROM nodes ORDER BY node_id"
TRANSITIONS = (
    "SELECT count(*) AS n FROM nodes WHERE intent IN ('change', 'anneal') AND state NOT IN ('rejected', 'proposed')"
)


@dataclass(frozen=True, slots=True)
class ParameterMove:
    """One change of one hyperparameter at `node`: its direction (up +1, down −1), its signed amount (octaves: log2 of
    the ratio; on another scale than logarithmic, shares of the range). `before` is the nearest ancestor that changed
    the same hyperparameter, None where none did."""

    parameter: str
    node: int
    direction: int
    amount: float
    before: int | None
    on_best: bool


@dataclass(frozen=True, slots=True)
class RunMoves:
    """The moves of one run, and of how many transitions; `parameters` name → kind, in the order of its space; `rising`
    are those that its space lets only rise."""

    run: str
    strategy: str
    parameters: Mapping[str, str]
    rising: frozenset[str]
    transitions: int
    moves: tuple[ParameterMove, ...]


@dataclass(frozen=True, slots=True)
class ParameterDynamics:
    """What one hyperparameter did.

    Attributes:
        kind: capacity or regularization. transitions: of all runs. ups, downs: changes of it.
        up_interval: 95% Wilson interval of ups / (ups + downs), as if changes were independent.
        drift: net movement along the best trajectories (octaves, or shares of the range), summed over runs.
        monotonicity: |net| / total movement along the best trajectories, 0 to 1; None where nothing moved there.
        pairs: changes with an earlier one on their branch; reversals: those of the other direction.
        expected_reversals, p: mean of the shuffled runs, and how often they have as many or more.
        verdict: accumulates, declines, oscillates, flat, undecided, too few, or rises by rule: a space of these runs
            lets it only rise, so that its direction is no finding.
    """

    parameter: str
    kind: str
    transitions: int
    ups: int
    downs: int
    up_interval: tuple[float, float]
    drift: float
    monotonicity: float | None
    pairs: int
    reversals: int
    expected_reversals: float
    p: float | None
    verdict: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


def read_moves(rows: Rows) -> RunMoves:
    """The moves of the run behind `rows`. Raises UserError when it has not begun."""
    header = only_row(rows("SELECT name, strategy, space FROM run_header"))
    space = {str(p["name"]): p for p in tables(header["space"]) if "name" in p}
    parents = {row["node_id"]: row["parent_id"] for row in rows(NODES)}
    raw = [row for row in rows(MOVES) if row["parameter"] in space]
    moved = {(row["node_id"], row["parameter"]) for row in raw}
    moves = tuple(
        ParameterMove(
            row["parameter"], row["node_id"], row["direction"],
            _amount(space[row["parameter"]], row["parent_value"], row["value"]),
            _before(row["node_id"], row["parameter"], parents, moved), row["on_best_trajectory"],
        )
        for row in raw
    )  # fmt: skip
    kinds = {name: str(p.get("kind", "")) for name, p in space.items()}
    rising = frozenset(name for name, p in space.items() if p.get("rising"))
    return RunMoves(header["name"], header["strategy"], kinds, rising, rows(TRANSITIONS)[0]["n"], moves)


def _amount(parameter: Mapping[str, Any], before: float, after: float) -> float:
    if parameter.get("scale") == "log" and before > 0 and after > 0:
        return math.log2(after / before)
    ends = parameter.get("choices") or [parameter.get("low"), parameter.get("high")]
    known = [each for each in ends if isinstance(each, int | float)] if isinstance(ends, list) else []
    low, high = min(known, default=0.0), max(known, default=0.0)
    return (after - before) / (high - low) if high > low else 0.0


def _before(node: int, parameter: str, parents: Mapping[int, int | None], moved: set[tuple[int, str]]) -> int | None:
    """The nearest ancestor that changed the same hyperparameter."""
    above = parents.get(node)
    while above is not None and (above, parameter) not in moved:
        above = parents.get(above)
    return above


def dynamics(runs: Sequence[RunMoves]) -> list[ParameterDynamics]:
    """Every hyperparameter of the runs together, in the order of the first run's space."""
    names = dict.fromkeys(name for run in runs for name in run.parameters)
    kinds = {name: kind for run in reversed(runs) for name, kind in run.parameters.items()}
    return [_one(name, kinds[name], [run for run in runs if name in run.parameters]) for name in names]


def _one(name: str, kind: str, runs: Sequence[RunMoves]) -> ParameterDynamics:
    by_run = [[move for move in run.moves if move.parameter == name] for run in runs]
    moves = [move for each in by_run for move in each]
    ups = sum(move.direction > 0 for move in moves)
    downs = len(moves) - ups
    transitions = sum(run.transitions for run in runs)
    best = [move.amount for move in moves if move.on_best]
    total = sum(map(abs, best))
    pairs = sum(move.before is not None for move in moves)
    reversals = sum(map(_reversals, by_run))
    expected, p = _null(name, by_run, reversals) if pairs else (0.0, None)
    interval = wilson(ups, len(moves))
    return ParameterDynamics(
        name, kind, transitions, ups, downs, interval, sum(best), abs(sum(best)) / total if total else None,
        pairs, reversals, expected, p,
        "rises by rule" if moves and any(name in run.rising for run in runs)
        else _verdict(transitions, len(moves), interval, p),
    )  # fmt: skip


def _reversals(moves: Iterable[ParameterMove], directions: Mapping[int, int] | None = None) -> int:
    moves = list(moves)
    told = directions or {move.node: move.direction for move in moves}
    return sum(move.before is not None and told[move.node] != told[move.before] for move in moves)


def _null(name: str, by_run: Sequence[Sequence[ParameterMove]], observed: int) -> tuple[float, float]:
    """Mean reversals with the directions of each run shuffled over its changes, and the share with as many or more."""
    rng = random.Random(f"dynamics/{name}")
    counts = []
    for _ in range(SHUFFLES):
        count = 0
        for moves in by_run:
            directions = [move.direction for move in moves]
            rng.shuffle(directions)
            count += _reversals(moves, dict(zip((move.node for move in moves), directions, strict=True)))
        counts.append(count)
    return sum(counts) / SHUFFLES, (1 + sum(count >= observed for count in counts)) / (1 + SHUFFLES)


def _verdict(transitions: int, moves: int, interval: tuple[float, float], p: float | None) -> str:
    if not moves:
        return "flat" if transitions >= LEAST_TRANSITIONS else "too few"
    if interval[0] > 0.5:
        return "accumulates"
    if interval[1] < 0.5:
        return "declines"
    return "oscillates" if p is not None and p <= SIGNIFICANT else "undecided"

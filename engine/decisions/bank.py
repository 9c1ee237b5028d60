"""The bank: decision points of real runs, each with several transitions whose gain over continuing was measured.

Asked by the bench and by whoever derives rules from it. A gain is the difference of two test scores on the same prompts
after as many steps, averaged over the training seeds that both were trained with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.advisors.base import Evidence
from engine.compare.records import lines_of
from engine.decisions import record
from engine.domain.score import Score, ScoreDifference, difference
from engine.domain.space import Transition
from engine.errors import UserError

FILE = Path(__file__).parent / "bank.jsonl"
"""The bank that is shipped, a link to assets/decisions."""
HORIZONS = (50, 100)
"""GRPO steps after which the transitions of the shipped bank are scored."""
WHAT = "the decision points of `python -m benchmarks.decisions`"
CONTINUE = "continue"
"""Origin of the transition that changes nothing: what every other is held against."""

Scores = Mapping[int, Mapping[int, Score]]
"""Training seed → GRPO steps → test score."""


@dataclass(frozen=True, slots=True)
class MeasuredTransition:
    """A transition of a point. `origin` says where it comes from: "continue", "rules 1", "slower", …"""

    origin: str
    transition: Transition
    scores: Scores


@dataclass(frozen=True, slots=True)
class DecisionPoint:
    """A place of a run at which something is to be decided, and what was measured from there.

    Attributes:
        name: unique in the bank. state: how the run was trained up to here. evidence: what an advisor gets.
        horizons: GRPO steps after which transitions are scored. measured: those with at least one score.
        whole: every transition of the point has at least one.
    """

    name: str
    task: str
    state: str
    evidence: Evidence
    horizons: tuple[int, ...]
    measured: tuple[MeasuredTransition, ...]
    whole: bool

    @property
    def continued(self) -> MeasuredTransition | None:
        """What continuing unchanged came to."""
        return next((each for each in self.measured if each.origin == CONTINUE), None)

    def gain(self, transition: MeasuredTransition, horizon: int) -> ScoreDifference | None:
        """What a transition gained over continuing after so many steps; None while one of them is not measured."""
        unchanged = self.continued
        if unchanged is None:
            return None
        both = [
            (ours[horizon], unchanged.scores[seed][horizon])
            for seed, ours in transition.scores.items()
            if horizon in ours and horizon in unchanged.scores.get(seed, {})
        ]
        return difference([ours for ours, _ in both], [theirs for _, theirs in both]) if both else None


@dataclass(slots=True)
class _Lines:
    """The lines of one point while the file is read."""

    point: Mapping[str, Any]
    branches: list[Mapping[str, Any]] = field(default_factory=list)


def load(path: Path = FILE) -> list[DecisionPoint]:
    """All points of a bank, those without any branch too. Raises UserError for a file that is no bank."""
    points: dict[str, _Lines] = {}
    try:
        for line in lines_of(path, (record.POINT, record.BRANCH, record.FAILED), WHAT):
            if line["kind"] == record.POINT:
                points[line["name"]] = _Lines(line)
            elif line["kind"] == record.BRANCH and line["point"] in points:
                points[line["point"]].branches.append(line)
        return [_point(each) for each in points.values()]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is no bank of decisions: {type(error).__name__}: {error}") from error


def _point(given: _Lines) -> DecisionPoint:
    point = given.point
    starts = {(node, step): _test(score) for node, step, score in point["starts"]}
    scores: list[dict[int, dict[int, Score]]] = [{} for _ in point["transitions"]]
    transitions = [record.transition_from_json(each["transition"]) for each in point["transitions"]]
    for line in given.branches:
        number = line["branch"]
        place = transitions[number].parent, transitions[number].step
        scores[number][line["seed"]] = _filled(line["scores"], point["horizons"], starts[place])
    measured = tuple(
        MeasuredTransition(each["origin"], transition, gained)
        for each, transition, gained in zip(point["transitions"], transitions, scores, strict=True)
        if gained
    )
    evidence = record.evidence_from_json(point["evidence"])
    horizons = tuple(point["horizons"])
    whole = len(measured) == len(transitions)
    return DecisionPoint(point["name"], point["task"], point["state"], evidence, horizons, measured, whole)


def _filled(items: Sequence[Sequence[Any]], horizons: Sequence[int], start: Score) -> dict[int, Score]:
    """Every horizon's score; a segment that failed leaves the policy of its last checkpoint, or where it began."""
    known = {item[0]: _test(item) for item in items}
    filled, last = {}, start
    for horizon in horizons:
        last = filled[horizon] = known.get(horizon, last)
    return filled


def _test(item: Sequence[Any]) -> Score:
    return record.score_from_json(item, record.measuring_prompts(item[1]))

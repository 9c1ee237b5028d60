"""A small bank of decisions with known gains, for tests: two points on the made-up run of `advice_cases`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from engine.advisors.base import Evidence
from engine.advisors.rules import RulesAdvisor
from engine.compare.records import append
from engine.decisions import record
from engine.decisions.bank import CONTINUE
from engine.domain.score import Score
from engine.domain.space import Intent, OptimizerState, Transition
from tests.unit import advice_cases

N = 90
NAMES = ("ladder/hot/0", "chain/slow/1")
ANOTHER = "knights/hot/2"
"""Of a point that a test may add."""


def evidence(number: int = 0) -> Evidence:
    """At #5, from which nothing was tried yet but by its children."""
    return replace(advice_cases.evidence(), seed=7 + number)


def score(right: int) -> Score:
    """The first prompts solved both times."""
    return Score(N, right, right, "3" * right + "0" * (N - right), (record.measuring_prompts(N),))


def transitions(given: Evidence) -> list[tuple[str, Transition]]:
    """Continue, the rules' first proposal, a higher temperature with Adam anew."""
    node, step = given.parent.id, given.step
    hotter = Transition(node, step, Intent.CHANGE, {"temperature": 1.3}, OptimizerState.RESET, label="T", rationale="-")
    rules = RulesAdvisor().advise(given).proposals[0]
    return [(CONTINUE, Transition(node, step, Intent.KEEP, label=CONTINUE, rationale="-")), ("rules 1", rules),
            ("hotter", hotter)]  # fmt: skip


RIGHT = {CONTINUE: (30, 33), "rules 1": (36, 42), "hotter": (27, 24)}
"""Prompts solved after 50 and after 100 steps, by seed 1; by seed 2 three more of each."""


def name_of(number: int) -> str:
    return (*NAMES, ANOTHER)[number]


def point(path: Path, number: int = 0) -> None:
    """Add the line of a point."""
    given = evidence(number)
    starts = [[node, step, record.score_to_json(0, score(29))] for node, step in ((5, 50), *given.candidates)]
    told = [{"origin": o, "transition": record.transition_to_json(t)} for o, t in transitions(given)]
    name = name_of(number)
    append(path, {
        "kind": record.POINT, "name": name, "task": name.split("/")[0], "state": name.split("/")[1],
        "horizons": [50, 100], "starts": starts, "transitions": told, "evidence": record.evidence_to_json(given),
    })  # fmt: skip


def branch(path: Path, number: int, origin: str, seed: int, end: str = "finished") -> None:
    """Add the line of a measured transition; one that did not finish has its first score only."""
    solved = [right + 3 * (seed - 1) for right in RIGHT[origin]]
    scores = [record.score_to_json(step, score(n)) for step, n in zip((50, 100), solved, strict=True)]
    append(path, {
        "kind": record.BRANCH, "point": name_of(number), "branch": list(RIGHT).index(origin), "seed": seed, "end": end,
        "scores": scores if end == "finished" else scores[:1],
    })  # fmt: skip


def whole(path: Path) -> Path:
    """Two points with everything measured by two seeds."""
    for number in range(len(NAMES)):
        point(path, number)
        for seed in (1, 2):
            for origin in RIGHT:
                branch(path, number, origin, seed)
    return path

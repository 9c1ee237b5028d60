"""How well the end of a branch is forecast from its beginning, on recorded searches; writes docs/forecast.md.

    python -m benchmarks.forecast [RESULTS.jsonl ...]      default: benchmarks/evidence/*.jsonl

Forecast is every branch trained on unchanged that has at least SCORES scores, from the first quarter, half and three
quarters of them, and held against the score that was measured at its end. Beside it stands the guess that the branch
stays where it is. The second table asks what stopping by forecast would have done to the same searches: a root run is
stopped when the upper end of its forecast for the end of the budget is below the lower end of the leader's. Nothing is
trained.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from engine.analysis.forecast import unchanged
from engine.analysis.learning_curve import INTERVAL, LEAST_SCORES, Forecast, forecast
from engine.compare.records import load, unpack
from engine.domain.score import Score, wilson
from engine.words import CONTINUING

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "forecast.md"
SCORES = 7
SHARES = (0.25, 0.5, 0.75)
Curve = list[tuple[int, Score]]


@dataclass(frozen=True)
class Search:
    """A recorded search: its nodes by number, and the scores of each by step, the start of the node first."""

    name: str
    nodes: dict[int, dict[str, Any]]
    scores: dict[int, Curve]
    best: int

    @classmethod
    def read(cls, line: dict[str, Any]) -> Search:
        scores: dict[int, Curve] = {}
        for node, step, n, greedy, sampled, *_, packed in line["scores"]:
            scores.setdefault(node, []).append((step, Score(n, greedy, sampled, unpack(packed, n))))
        nodes = {node["id"]: {**node, "parent_id": node.get("parent")} for node in line["nodes"]}
        name = f"{line['task']}/{line['strategy']}/{line['seed']}"
        return cls(name, nodes, {k: sorted(v, key=lambda p: p[0]) for k, v in scores.items()}, line["best"]["node"])

    def branches(self) -> Iterator[Curve]:
        """The curve of every branch: a first segment or a change, and what trained on from it unchanged."""
        for number, node in self.nodes.items():
            if node["intent"] not in {"base", *CONTINUING}:
                yield self.curve(unchanged(self.nodes, number))

    def curve(self, numbers: Sequence[int]) -> Curve:
        """Scores of successive nodes by steps since the first began, its start among them."""
        first = self.nodes[numbers[0]]
        at_start = [s for step, s in self.scores.get(first["parent_id"], []) if step == first["branch_step"]]
        points = [
            (self.nodes[n]["start_steps"] - first["start_steps"] + step, score)
            for n in numbers
            for step, score in self.scores.get(n, [])
        ]
        return [(0, at_start[0]), *points] if at_start else []

    def root_run(self, number: int) -> int:
        """The first segment that a node descends from."""
        while self.nodes[number]["parent_id"] != 0:
            number = self.nodes[number]["parent_id"]
        return number

    @property
    def total(self) -> int:
        """GRPO steps of the whole search."""
        return sum(node["steps"] for node in self.nodes.values())


@dataclass(frozen=True)
class Trial:
    """A forecast and what came of it: the score at the end, and that when it was made."""

    forecast: Forecast
    end: float
    last: float

    @property
    def held(self) -> bool:
        return self.forecast.low <= self.end <= self.forecast.high


def trials(searches: Sequence[Search], share: float) -> list[Trial]:
    """A forecast of every branch that is long enough, from that share of its scores."""
    made = []
    for search in searches:
        for curve in search.branches():
            seen = curve[: max(LEAST_SCORES, int(len(curve) * share))]
            if len(curve) >= SCORES and (made_of := forecast(seen, curve[-1][0])) is not None:
                made.append(Trial(made_of, curve[-1][1].value, seen[-1][1].value))
    return made


@dataclass(frozen=True)
class Stopping:
    """What stopping by forecast would have done to a search: steps of root runs that lost, how many of them are saved,
    whether the winner is lost."""

    lost: int
    saved: int
    killed: bool


def stopping(search: Search) -> Stopping | None:
    """None for a search of one root run."""
    winner = search.root_run(search.best)
    roots = [n for n, node in search.nodes.items() if node["parent_id"] == 0]
    if len(roots) < 2:
        return None
    stopped: set[int] = set()
    lost = saved = 0
    for number in sorted(set(search.nodes) - {0}):
        root, steps = search.root_run(number), search.nodes[number]["steps"]
        lost += steps * (root != winner)
        saved += steps * (root != winner and root in stopped)
        known = {r: f for r in roots if (f := _end(search, r, number)) is not None and r not in stopped}
        if known:
            leader = max(known.values(), key=lambda f: f.mean)
            stopped |= {r for r, f in known.items() if f.high < leader.low}
    return Stopping(lost, saved, winner in stopped)


def _end(search: Search, root: int, newest: int) -> Forecast | None:
    """A root run's score at the end of the budget, from what was known when a node had ended."""
    known = [n for n in unchanged(search.nodes, root) if n <= newest]
    return forecast(search.curve(known), search.total) if known else None


def page(searches: Sequence[Search], sources: Sequence[str]) -> str:
    """The page: both tables."""
    lines = [
        "# Forecasts of a branch's end, against what was measured",
        "",
        f"Written by `python -m benchmarks.forecast` from {', '.join(sources)}: {len(searches)} recorded searches "
        f"on {', '.join(sorted({s.name.split('/')[0] for s in searches}))}. The model is "
        "`engine/analysis/learning_curve.py`; its spread around the curve was chosen on some of the same searches.",
        "",
        f"| scores seen | branches | in the {INTERVAL:.0%} interval [95%] | mean width "
        "| mean error | last score's error |",
        "|---|---|---|---|---|---|",
    ]
    for share in SHARES:
        made = trials(searches, share)
        width = fmean(t.forecast.high - t.forecast.low for t in made)
        error, unchanged = fmean(abs(t.forecast.mean - t.end) for t in made), fmean(abs(t.last - t.end) for t in made)
        held = sum(t.held for t in made)
        low, high = wilson(held, len(made))
        lines.append(
            f"| first {share:.0%} | {len(made)} | {held / len(made):.2f} [{low:.2f}, {high:.2f}] "
            f"| {width:.2f} | {error:.3f} | {unchanged:.3f} |"
        )
    outcomes = [s for search in searches if (s := stopping(search)) is not None]
    lost, saved = sum(s.lost for s in outcomes), sum(s.saved for s in outcomes)
    lines += [
        "",
        f"Stopping root runs by forecast: in {len(outcomes)} searches with several root runs it would have stopped the "
        f"eventual winner in {sum(s.killed for s in outcomes)}, and saved {saved:,} of the {lost:,} steps "
        f"({saved / max(1, lost):.0%}) that went into root runs that lost.",
        "",
        "So forecasts are shown and nothing is stopped by them: the interval of one branch is too wide to tell it from "
        "another before most of its steps are spent.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Read, reckon, write."""
    paths = [Path(each) for each in sys.argv[1:]] or sorted((ROOT / "benchmarks" / "evidence").glob("*.jsonl"))
    searches = [Search.read(line) for path in paths for line in load(path)]
    text = page(searches, [path.name for path in paths])
    PAGE.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()

"""How well the end of a branch is forecast from its beginning, on recorded searches; writes docs/forecast.md.

    python -m benchmarks.forecast [RESULTS.jsonl ...]      default: benchmarks/evidence/earlier.jsonl and dev.jsonl

Forecast is every branch trained on unchanged that has at least SCORES scores, from the first quarter, half and three
quarters of them, with what the run's other branches had scored by then, and held against the score that was measured
at its end. Beside it stand the same without the other branches, and the guess that the branch stays where it is. The
second table asks what stopping by forecast would have done to the same searches: a root run is
stopped when the upper end of its forecast for the end of the budget is below the lower end of the leader's. Nothing is
trained.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from engine.analysis.forecast import Curve, branches, curve, unchanged
from engine.analysis.learning_curve import INTERVAL, LEAST_SCORES, Forecast, forecast
from engine.compare.packing import unpack
from engine.compare.records import load
from engine.domain.score import Score, wilson

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "forecast.md"
EVIDENCE = ROOT / "benchmarks" / "evidence"
SCORES = 7
SHARES = (0.25, 0.5, 0.75)


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

    def curve(self, numbers: Sequence[int], newest: int = sys.maxsize) -> Curve:
        """Scores of successive nodes by steps since the first began, its start among them, up to a node."""
        known = [n for n in numbers if n <= newest]
        return curve(self.nodes, self.scores, known) if known else []

    def others(self, branch: Sequence[int], newest: int) -> Iterator[Curve]:
        """What the other branches had scored when the node `newest` had ended."""
        return (self.curve(each, newest) for each in branches(self.nodes) if each[0] != branch[0])

    def node_at(self, branch: Sequence[int], step: int) -> int:
        """The node of a branch in which a step since its begin lies."""
        begun = self.nodes[branch[0]]["start_steps"]
        ends = ((n, self.nodes[n]["start_steps"] - begun + self.nodes[n]["steps"]) for n in branch)
        return next((n for n, end in ends if end >= step), branch[-1])

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
    """A forecast, the same without the other branches, and what came of it: the score at the end, that when it was
    made."""

    forecast: Forecast
    alone: Forecast
    end: float
    last: float


def held(made: Forecast, end: float) -> bool:
    """Whether the interval holds what was measured."""
    return made.low <= end <= made.high


def trials(searches: Sequence[Search], share: float) -> list[Trial]:
    """A forecast of every branch that is long enough, from that share of its scores."""
    made = []
    for search in searches:
        for branch in branches(search.nodes):
            whole = search.curve(branch)
            if len(whole) < SCORES:
                continue
            seen = whole[: max(LEAST_SCORES, int(len(whole) * share))]
            newest = search.node_at(branch, seen[-1][0])
            pooled = forecast(seen, whole[-1][0], search.others(branch, newest))
            alone = forecast(seen, whole[-1][0])
            assert pooled is not None
            assert alone is not None
            made.append(Trial(pooled, alone, whole[-1][1].value, seen[-1][1].value))
    return made


@dataclass(frozen=True)
class Stopping:
    """What stopping by forecast would have done to a search: steps of root runs that lost, how many of them are saved,
    whether the winner is lost."""

    lost: int
    saved: int
    killed: bool


def stopping(search: Search) -> Stopping | None:
    """None for a search of one root run, and for one that found nothing better than its base."""
    if search.best == 0:
        return None
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
    branch = unchanged(search.nodes, root)
    return forecast(search.curve(branch, newest), search.total, search.others(branch, newest))


def page(searches: Sequence[Search], sources: Sequence[str]) -> str:
    """The page: both tables."""
    lines = [
        "# Forecasts of a branch's end, against what was measured",
        "",
        f"Written by `python -m benchmarks.forecast` from {', '.join(sources)}: {len(searches)} recorded searches "
        f"on {', '.join(sorted({s.name.split('/')[0] for s in searches}))}. The model is "
        "`engine/analysis/learning_curve.py`; its spread around the curve was chosen on some of the same searches.",
        "",
        f"| scores seen | branches | in the {INTERVAL:.0%} interval [95%] | mean width | mean error "
        "| without the other branches: in the interval | width | error | last score's error |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for share in SHARES:
        made = trials(searches, share)
        right = sum(held(t.forecast, t.end) for t in made)
        low, high = wilson(right, len(made))
        lines.append(
            f"| first {share:.0%} | {len(made)} | {right / len(made):.2f} [{low:.2f}, {high:.2f}] "
            f"| {fmean(t.forecast.high - t.forecast.low for t in made):.2f} "
            f"| {fmean(abs(t.forecast.mean - t.end) for t in made):.3f} "
            f"| {fmean(held(t.alone, t.end) for t in made):.2f} "
            f"| {fmean(t.alone.high - t.alone.low for t in made):.2f} "
            f"| {fmean(abs(t.alone.mean - t.end) for t in made):.3f} | {fmean(abs(t.last - t.end) for t in made):.3f} |"
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="*", default=[EVIDENCE / "earlier.jsonl", EVIDENCE / "dev.jsonl"])
    paths: list[Path] = parser.parse_args().results
    lines = {(line["task"], line["strategy"], line["seed"], line["created"]): line for p in paths for line in load(p)}
    text = page([Search.read(line) for line in lines.values()], [path.name for path in paths])
    PAGE.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()

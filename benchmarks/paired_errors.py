"""How much smaller standard errors of differences are when policies are compared prompt by prompt, on recorded runs.

    python benchmarks/paired_errors.py RUN...        a run's directory or its run.duckdb; prints a Markdown table

Pairs along lines are a checkpoint and the one before it on its trajectory; pairs of siblings are checkpoints of two
segments from one branch point at equal steps. "Independent answers" is what the search did before schema 3, "by prompt"
takes a prompt's two answers as one observation, "paired" compares prompt by prompt. Reads, never writes.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import duckdb

from engine.domain.score import PromptSet, Score, ScoreDifference

Place = tuple[int, int]
"""Node and step of a checkpoint."""
CHECKPOINTS = "SELECT node_id, step, n, greedy, sampled, outcomes FROM checkpoints WHERE outcomes IS NOT NULL"
NODES = "SELECT node_id, parent_id, branch_step FROM nodes WHERE parent_id IS NOT NULL"


@dataclass(frozen=True)
class Pair:
    """A difference by the three reckonings: standard errors of the first two, and the paired difference itself."""

    independent: float
    by_prompt: float
    paired: ScoreDifference


def answers_error(score: Score) -> float:
    """Standard error of a score with its two accuracies as independent (add-one smoothing)."""
    parts = ((score.greedy, 1 / 3), (score.sampled, 2 / 3))
    shares = [((correct + 1) / (score.n + 2), weight) for correct, weight in parts]
    return math.sqrt(sum(weight**2 * p * (1 - p) / score.n for p, weight in shares))


def pair(later: Score, earlier: Score) -> Pair:
    return Pair(
        math.hypot(answers_error(later), answers_error(earlier)),
        math.hypot(later.standard_error, earlier.standard_error),
        later.minus(earlier),
    )


def read(path: Path) -> tuple[dict[Place, Score], dict[int, Place]]:
    """Scores by place, and where each node branched off."""
    file = path / "run.duckdb" if path.is_dir() else path
    with duckdb.connect(str(file), read_only=True) as connection:
        rows = connection.execute(CHECKPOINTS).fetchall()
        branched = {node: (parent, step) for node, parent, step in connection.execute(NODES).fetchall()}
    scores = {
        (node, step): Score(n, greedy, sampled, outcomes, (PromptSet("validation", 0, n),))
        for node, step, n, greedy, sampled, outcomes in rows
    }
    return scores, branched


def along_lines(scores: dict[Place, Score], branched: dict[int, Place]) -> Iterator[Pair]:
    for node, branch in branched.items():
        steps = sorted(step for other, step in scores if other == node)
        places = [branch, *((node, step) for step in steps)]
        for before, after in itertools.pairwise(places):
            if before in scores:
                yield pair(scores[after], scores[before])


def siblings(scores: dict[Place, Score], branched: dict[int, Place]) -> Iterator[Pair]:
    for first, second in itertools.combinations(sorted(branched), 2):
        if branched[first] == branched[second]:
            for node, step in sorted(scores):
                if node == first and (second, step) in scores:
                    yield pair(scores[second, step], scores[first, step])


def row(name: str, pairs: Sequence[Pair]) -> str:
    """Medians of the standard errors, and how many prompts pairing is worth."""
    independent = median(p.independent for p in pairs)
    by_prompt = median(p.by_prompt for p in pairs)
    paired = median(p.paired.standard_error for p in pairs)
    worth = median((p.by_prompt / p.paired.standard_error) ** 2 for p in pairs)
    cells = (
        name, str(len(pairs)), str(pairs[0].paired.n), f"{independent:.4f}", f"{by_prompt:.4f}", f"{paired:.4f}",
        f"{paired / independent:.2f}", f"{paired / by_prompt:.2f}", f"{worth:.1f}",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    heads = (
        "pairs", "number", "n", "independent answers", "by prompt", "paired", "paired / independent",
        "paired / by prompt", "prompts it is worth",
    )  # fmt: skip
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for path in parser.parse_args().runs:
        scores, branched = read(path)
        name = path.name if path.is_dir() else path.parent.name
        for kind, pairs in (("lines", along_lines(scores, branched)), ("siblings", siblings(scores, branched))):
            if found := list(pairs):
                print(row(f"{name}, {kind}", found))


if __name__ == "__main__":
    main()

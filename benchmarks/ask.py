"""How long the search thinks: CPU milliseconds of one question in trees that searches grew, and in bushy ones.

    python -m benchmarks.ask          two minutes; writes docs/benchmark-ask.md

A tree that a search grows is half as deep as it has nodes, for the main branch gets most of the segments; a bushy one,
three segments from each, is what many workers come near to. Each number is the least of `TRIES` questions.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from engine.domain.tree import Tree
from engine.search.base import BudgetLeft
from engine.search.registry import make
from engine.simulation.search import Simulation
from engine.testing.simulation import SPACE, World
from engine.testing.trees import bushy

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmark-ask.md"
GROWN, BUSHY = (250, 500, 1_000, 2_000), (1_000, 10_000)
SEGMENT_STEPS, TRIES = 4, 40


def grown(segments: int) -> Tree:
    """The tree of a simulated search of so many segments."""
    search = make("llmzero", seed=3, segment_steps=SEGMENT_STEPS, space=SPACE)
    budget = segments * SEGMENT_STEPS
    return Simulation(search, World(3, prompts=64), SPACE, budget, 1, SEGMENT_STEPS, 3).run().tree


def milliseconds(tree: Tree, explore_share: float) -> float:
    """CPU time of the quickest of several equal questions; with an `explore_share` of 1 the bounds are asked, too."""
    search = make("llmzero", seed=3, segment_steps=SEGMENT_STEPS, explore_share=explore_share, space=SPACE)
    taken = []
    for _ in range(TRIES):
        begun = time.process_time()
        search.ask(tree, BudgetLeft(len(tree) * SEGMENT_STEPS // 2, 0.6))
        taken.append(time.process_time() - begun)
    return 1000 * min(taken)


def rows() -> Iterator[tuple[str, ...]]:
    trees = {"grown by a search": (grown(size) for size in GROWN), "bushy": (bushy(size, SPACE) for size in BUSHY)}
    for kind, made in trees.items():
        for tree in made:
            depth = max(tree.depth(node.id) for node in tree)
            times = [f"{milliseconds(tree, share):.1f}" for share in (1 / 3, 1.0)]
            yield kind, f"{len(tree):,}", f"{depth:,}", *times


def page(table: Sequence[tuple[str, ...]]) -> str:
    header = ("tree", "nodes", "depth", "ms", "ms, where alternatives get all the steps")
    lines = [f"| {' | '.join(row)} |" for row in (header, ("---",) * len(header), *table)]
    return "\n".join([
        "# How long the search thinks", "",
        "Written by `python -m benchmarks.ask`. CPU milliseconds of one question to the strategy `llmzero`, the least",
        f"of {TRIES} equal ones. The tree is read anew for each, so the time grows with the nodes. Seconds to hours of",
        "training lie between two questions.", "", *lines, "",
    ])  # fmt: skip


def main() -> None:
    argparse.ArgumentParser(description=__doc__.split("\n", 1)[0]).parse_args()
    PAGE.write_text(page(list(rows())), encoding="utf-8")


if __name__ == "__main__":
    main()

"""How long the search thinks: CPU milliseconds of one question in trees that searches grew, and in bushy ones; and of
telling the tree of one more segment, which backs up what the questions need.

    python -m benchmarks.ask          two minutes; writes docs/benchmark-ask.md

A tree that a search grows is half as deep as it has nodes, for the main branch gets most of the segments; a bushy one,
three segments from each, is what many workers come near to. Each number is the least of `TRIES`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from engine.domain.score import Score
from engine.domain.space import Intent, Transition
from engine.domain.tree import Checkpoint, Node, NodeState, Tree
from engine.run.strategies import LLMZeroSettings
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


def milliseconds(act: Callable[[], object]) -> float:
    """CPU time of the quickest of several equal calls."""
    taken = []
    for _ in range(TRIES):
        begun = time.process_time()
        act()
        taken.append(time.process_time() - begun)
    return 1000 * min(taken)


def question(tree: Tree, explore_share: float) -> float:
    """Milliseconds of one question; with an `explore_share` of 1 the bounds are asked, too."""
    search = make("llmzero", seed=3, segment_steps=SEGMENT_STEPS, explore_share=explore_share, space=SPACE)
    return milliseconds(lambda: search.ask(tree, BudgetLeft(len(tree) * SEGMENT_STEPS // 2, 0.6)))


def telling(tree: Tree) -> float:
    """Milliseconds of telling a tree of a segment below its deepest node: its begin, two scores, its end."""
    deepest, grows = max(tree, key=lambda node: tree.depth(node.id)), tree.copy()
    place = Transition(deepest.id, SEGMENT_STEPS, Intent.KEEP)

    def tell() -> None:
        number = len(grows)
        grows.add(Node(number, place, {}, NodeState.RUNNING, deepest.total_steps, planned_steps=SEGMENT_STEPS))
        for at in (SEGMENT_STEPS // 2, SEGMENT_STEPS):
            grows.set_steps(number, at)
            grows.add_checkpoint(number, Checkpoint(at, Score(64, number % 64, 32)))
        grows.set_state(number, NodeState.FINISHED)

    return milliseconds(tell)


def rows() -> Iterator[tuple[str, ...]]:
    trees = {"grown by a search": (grown(size) for size in GROWN), "bushy": (bushy(size, SPACE) for size in BUSHY)}
    for kind, made in trees.items():
        for tree in made:
            depth = max(tree.depth(node.id) for node in tree)
            times = question(tree, LLMZeroSettings().explore_share), question(tree, 1.0), telling(tree)
            yield kind, f"{len(tree):,}", f"{depth:,}", *(f"{each:.1f}" for each in times)


def page(table: Sequence[tuple[str, ...]]) -> str:
    header = (
        "tree", "nodes", "depth", "a question", "one where alternatives get all the steps", "telling of a segment",
    )  # fmt: skip
    lines = [f"| {' | '.join(row)} |" for row in (header, ("---",) * len(header), *table)]
    return "\n".join([
        "# How long the search thinks", "",
        "Written by `python -m benchmarks.ask`. CPU milliseconds of one question to the strategy `llmzero`, the least",
        f"of {TRIES} equal ones, and of telling the tree of one more segment at its deepest end: its begin, two",
        "scores, its end. What is known of subtrees is backed up when the tree is told something; a question walks",
        "along the main branch and looks into the rest only where it must. Between two lie seconds to hours of",
        "training.",
        "", *lines, "",
    ])  # fmt: skip


def main() -> None:
    argparse.ArgumentParser(description=__doc__.split("\n", 1)[0]).parse_args()
    PAGE.write_text(page(list(rows())), encoding="utf-8")


if __name__ == "__main__":
    main()

"""The nulls: our tree search with its decisions replaced, to see what the decisions are worth.

`KeepOnly` has the same tree and changes nothing: what it gains, selection among noisy checkpoints gains.
`RandomChanges` has the same tree and draws its changes from the space: what it lacks, the advisor's knowledge is worth.
"""

from __future__ import annotations

import random
from dataclasses import replace

from engine.domain.space import Configuration, Intent, Space, Value
from engine.domain.tree import Tree
from engine.search.base import BudgetLeft, Expansion, SearchStrategy

MOST_CHANGES = 3
"""Parameters that one random change touches, at most."""
DRAWS = 64
"""After so many draws a random change gives up."""


class KeepOnly(SearchStrategy):
    """The inner search's tree in which every segment has the default configuration; siblings differ in the seed."""

    def __init__(self, inner: SearchStrategy) -> None:
        self._inner = inner

    def ask(self, tree: Tree, budget: BudgetLeft) -> Expansion | None:
        wish = self._inner.ask(tree, budget)
        if wish is None or wish.intent is Intent.REPAIR:
            return wish
        return replace(wish, changes={}, candidates=(), reason=f"{wish.reason}; no change, a different seed")


class RandomChanges(SearchStrategy):
    """The inner search's tree in which first segments (but the default) and changes are drawn from the space."""

    def __init__(self, inner: SearchStrategy, space: Space, seed: int) -> None:
        self._inner = inner
        self._space = space
        self._seed = seed

    def ask(self, tree: Tree, budget: BudgetLeft) -> Expansion | None:
        wish = self._inner.ask(tree, budget)
        if wish is None or wish.intent not in (Intent.ROOT, Intent.CHANGE):
            return wish
        rng = random.Random(f"random changes/{self._seed}/{len(tree)}")
        here = tree[wish.parent].configuration
        if wish.intent is Intent.ROOT:
            first = not tree.children(tree.root.id)
            changes = {} if first else self._space.changes(here, self._space.sample(rng))
        else:
            changes = random_changes(self._space, here, rng)
        return replace(wish, changes=changes, candidates=(), reason=f"{wish.reason}; drawn at random from the space")


def random_changes(space: Space, here: Configuration, rng: random.Random) -> dict[str, Value]:
    """New values for one to three parameters, drawn until one differs from what is `here` and does not fall where it
    may only rise. Nothing where `DRAWS` draws found none, as where every parameter is fixed."""
    free = [p for p in space if not p.fixed]
    for _ in range(DRAWS):
        chosen = rng.sample(free, min(len(free), rng.randint(1, MOST_CHANGES)))
        drawn = {p.name: p.sample(rng) for p in chosen}
        falling = {p.name for p in chosen if p.falls(here[p.name], drawn[p.name])}
        if changes := {name: v for name, v in drawn.items() if name not in falling and v != here[name]}:
            return changes
    return {}

"""What is reported at the end: the best few checkpoints for reranking, and the snapshots whose weights are averaged."""

from __future__ import annotations

from engine.domain.branch import checkpoints_along
from engine.domain.score import Score
from engine.domain.tree import Checkpoint, Node, NodeState, Tree

SOUP_LEAST, SOUP_MOST = 4, 12
"""Snapshots of a soup (docs/search.md): fewer do not average anything out, more reach back too far."""


def finalists(tree: Tree, k: int = 3) -> list[tuple[Node, Checkpoint]]:
    """The best checkpoint of each of the `k` best nodes whose files are there, best first; the base is one of them
    when nothing beats it."""
    places = []
    for node in tree:
        kept = [c for c in node.checkpoints if c.kept]
        if kept and node.state is not NodeState.REJECTED:
            places.append((node, max(kept, key=lambda c: (c.score.n, c.score.value, c.step))))
    places.sort(key=lambda pair: (-pair[1].score.n, -pair[1].score.value, pair[0].id))
    return places[:k]


def soup(
    tree: Tree, node_id: int, least: int = SOUP_LEAST, most: int = SOUP_MOST, errors: float = 2.0
) -> list[tuple[int, int]]:
    """The last snapshots (node id, step) along the branch that ends with `node_id`, newest first, the base left out.

    Only what lies on the branch counts: of a node that was branched from early, the checkpoints up to the branch. A dip
    is averaged out, but the climb is not part of it: two neighbours that both trail the branch's best by more than
    `errors` standard errors end the soup. Empty when fewer than `least` snapshots are left.
    """
    branch = _snapshots(tree, node_id)
    best = max((score for _, score in branch), key=lambda s: (s.n, s.value), default=None)
    if best is None:
        return []
    low = [score.trails(best, errors) for _, score in branch]
    climb = next((i for i in range(len(low) - 1) if low[i] and low[i + 1]), len(low))
    members = [place for place, _ in branch[:climb][:most]]
    return members if len(members) >= least else []


def _snapshots(tree: Tree, node_id: int) -> list[tuple[tuple[int, int], Score]]:
    """Every snapshot of the branch with files, newest first."""
    trained = reversed(checkpoints_along(tree.path(node_id)))
    return [((node.id, c.step), c.score) for node, c in trained if c.kept and node.transition is not None]

"""What is reported at the end: the best few checkpoints for reranking, and the snapshots whose weights are averaged."""

from __future__ import annotations

from engine.tree import Checkpoint, Node, State, Tree

SOUP_LEAST, SOUP_MOST = 4, 12
"""Snapshots of a soup (FACTS.md): fewer do not average anything out, more reach back too far."""


def finalists(tree: Tree, k: int = 3) -> list[tuple[Node, Checkpoint]]:
    """The best checkpoint of each of the `k` best nodes whose files are there, best first; the base is one of them
    when nothing beats it."""
    places = []
    for node in tree:
        kept = [c for c in node.checkpoints if c.kept]
        if kept and node.state is not State.REJECTED:
            places.append((node, max(kept, key=lambda c: (c.score.value, c.step))))
    places.sort(key=lambda pair: (-pair[1].score.value, pair[0].id))
    return places[:k]


def soup(tree: Tree, node_id: int, least: int = SOUP_LEAST, most: int = SOUP_MOST) -> list[tuple[int, int]]:
    """The last snapshots (node id, step) along the line that ends with `node_id`, newest first, the base left out.

    Only what lies on the line counts: of a node that was branched from early, the checkpoints up to the branch. Empty
    when fewer than `least` have their files.
    """
    found: list[tuple[int, int]] = []
    limit: int | None = None
    for node in reversed(tree.path(node_id)):
        if node.transition is None:
            break
        steps = [c.step for c in node.checkpoints if c.kept and (limit is None or c.step <= limit)]
        found += [(node.id, step) for step in sorted(steps, reverse=True)]
        limit = node.transition.step
    return found[:most] if len(found) >= least else []

"""The checkpoints of a branch: of a segment that was left before its end, only those up to where the next begins."""

from __future__ import annotations

from collections.abc import Iterable

from engine.domain.tree import Checkpoint, Node


def checkpoints_along(path: Iterable[Node], last_step: int | None = None) -> list[tuple[Node, Checkpoint]]:
    """Each checkpoint on a path with its node, in order of training.

    Args:
        path: nodes of which each is the parent of the next.
        last_step: into the last node, up to which its own count; None for all.
    """
    nodes = list(path)
    left = [node.transition.step if node.transition else None for node in nodes[1:]]
    return [
        (node, checkpoint)
        for node, until in zip(nodes, [*left, last_step], strict=False)
        for checkpoint in node.checkpoints
        if until is None or checkpoint.step <= until
    ]

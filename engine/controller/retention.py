"""Which checkpoints stay on disk, and whether there is room for more: a 0.6B policy with its Adam state is 6 GB.

Kept: the incumbent's trajectory, places that waiting or running segments branch from, the last checkpoint of every line
that may still grow, be it beside changes that were tried there, and the best `keep` scores. The rest is deleted by the
controller. Of what is kept in a pruned subtree, from which nothing is trained any more, the policy stays without the
optimizer's state.
"""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path

from engine.domain.tree import Node, NodeState, Tree
from engine.files import whole
from engine.training.events import MANIFEST, OPTIMIZER

OPEN_ENDS = 4
"""Ends from which changes were trained and nothing that continues, of which the last checkpoint stays: the newest."""
SPARE_BYTES = 256 * 2**20
"""Free space below which no segment starts, whatever its checkpoints weigh."""


def superfluous(tree: Tree, keep: int) -> list[tuple[int, int]]:
    """Checkpoints (node id, step) whose files may go.

    Args:
        keep: how many of the best-scored checkpoints stay whatever else is true.
    """
    needed = _branch_points(tree) | _incumbent_line(tree)
    present = [(n, c) for n in tree if n.id != tree.root.id for c in n.checkpoints if c.kept]
    ranked = sorted(present, key=lambda pair: (-pair[1].score.n, -pair[1].score.value, pair[0].id, pair[1].step))
    needed |= {(node.id, checkpoint.step) for node, checkpoint in ranked[:keep]}
    return [(n.id, c.step) for n, c in present if (n.id, c.step) not in needed and n.state is not NodeState.RUNNING]


def policies_only(tree: Tree) -> list[tuple[int, int]]:
    """Kept checkpoints (node id, step) from which no segment can begin, with or without the optimizer's state."""
    starts = {(n.transition.parent, n.transition.step) for n in tree if n.transition and n.state.in_flight}
    closed = [n for n in tree if n.pruned and not n.state.in_flight]
    return [(n.id, c.step) for n in closed for c in n.checkpoints if c.kept and (n.id, c.step) not in starts]


def discard(checkpoint: Path) -> None:
    """Delete a checkpoint as far as that is possible, its manifest first: half of it never passes for a whole one."""
    with suppress(OSError):
        (checkpoint / MANIFEST).unlink(missing_ok=True)
    shutil.rmtree(checkpoint, ignore_errors=True)


def drop_optimizer(checkpoint: Path) -> int:
    """Delete the optimizer's state of a checkpoint, which stays complete without it; the bytes that are freed, 0 where
    there is none.

    Raises:
        OSError: its directory cannot be written. ValueError: its manifest is damaged.
    """
    state, manifest = checkpoint / OPTIMIZER, checkpoint / MANIFEST
    if not state.is_file():
        return 0
    size = state.stat().st_size
    record = json.loads(manifest.read_text(encoding="utf-8"))
    record.get("files", {}).pop(OPTIMIZER, None)
    with whole(manifest) as file:  # before the file goes: a manifest never names what is not there
        file.write(json.dumps(record, indent=1, sort_keys=True).encode() + b"\n")
    state.unlink()
    return size


def _branch_points(tree: Tree) -> set[tuple[int, int]]:
    """Where a segment in flight starts, the newest checkpoint of each live leaf (the line may go on there), and the
    reference policies of both."""
    points = {
        (node.transition.parent, node.transition.step) for node in tree if node.transition and node.state.in_flight
    }
    for node in tree:
        taken_up = node.state is NodeState.QUEUED and node.steps  # it goes on from its own checkpoint
        if not node.pruned and node.last and (taken_up or not _trained_children(tree, node)):
            points.add((node.id, node.last.step))
    points |= _only_changed(tree)
    live = {node_id for node_id, _ in points} | {node.id for node in tree if node.state.in_flight}
    return points | {place for node_id in live if (place := tree.reference(node_id)) is not None}


def _only_changed(tree: Tree) -> set[tuple[int, int]]:
    """The last checkpoints of the nodes below which changes were trained last, and nothing that continues them yet."""
    tried = [(children[-1].id, n) for n in tree if not n.pruned and (children := _trained_children(tree, n))]
    newest = [n for _, n in sorted(tried, key=lambda pair: -pair[0]) if not _continued(tree, n)]
    return {(n.id, n.last.step) for n in newest[:OPEN_ENDS] if n.last}


def _continued(tree: Tree, node: Node) -> bool:
    return any(child.transition and child.transition.intent.continues for child in tree.children(node.id))


def _trained_children(tree: Tree, node: Node) -> list[Node]:
    return [child for child in tree.children(node.id) if child.state is NodeState.FINISHED]


def _incumbent_line(tree: Tree) -> set[tuple[int, int]]:
    """Every checkpoint on the path to the incumbent: the strategy can be replayed, resumed and averaged."""
    best, _ = tree.best()
    return {(node.id, checkpoint.step) for node in tree.path(best.id) for checkpoint in node.checkpoints}


def missing_bytes(directory: Path, checkpoint_bytes: int, checkpoints: int) -> int:
    """Bytes that lack for the next segment's checkpoints plus SPARE_BYTES; 0 when there is room."""
    needed = SPARE_BYTES + checkpoint_bytes * (checkpoints + 1)
    return max(0, needed - shutil.disk_usage(directory).free)

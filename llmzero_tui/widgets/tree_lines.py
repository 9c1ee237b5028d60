"""Which lines a tree has, and the guides before each: computed at once for all, without drawing any.

Used by the search tree. Pure: ten thousand lines are a few milliseconds, a line is drawn only when it is looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Set
from typing import NamedTuple

from rich.cells import cell_len

from engine.words import counted
from llmzero_tui.values.nodes import NodeRow, Nodes

TITLE = "Search tree"
GUIDE_CELLS = 2
PASS, GAP, FORK, END = "│ ", "  ", "├ ", "└ "


class TreeLine(NamedTuple):
    """A node and what stands before it."""

    node: int
    guide: str


def lines_of(nodes: Nodes, folded: Set[int], shown: Set[int] | None = None) -> list[TreeLine]:
    """The lines from the root down, without what is below `folded` nodes and outside of `shown` (None: all)."""
    root, lines = nodes.root, list[TreeLine]()
    if root is None or (shown is not None and root not in shown):
        return lines
    children = nodes.children
    rest = [(root, "", "")]
    take, keep = rest.pop, rest.append
    while rest:
        number, guide, indent = take()
        lines.append(TreeLine(number, guide))
        below = children.get(number)
        if below is None or number in folded:
            continue
        if shown is not None:
            below = [child for child in below if child in shown]
        if below:
            keep((below[-1], indent + END, indent + GAP))
            if len(below) > 1:
                fork, past = indent + FORK, indent + PASS
                rest += [(child, fork, past) for child in below[-2::-1]]
    return lines


def matching(nodes: Nodes, words: str) -> set[int]:
    """Nodes whose number, label, state or intent has `words` (in lower case), and the way to each."""
    numbers: set[int] = set()
    for node in nodes.values():
        at: NodeRow | None = node if words in f"#{node.id} {node.label} {node.state} {node.intent}".lower() else None
        while at is not None and at.id not in numbers:
            numbers.add(at.id)
            at = nodes.get(at.parent) if at.parent is not None else None
    if numbers and nodes.root is not None:
        numbers.add(nodes.root)
    return numbers


def shortened(guide: str, cells: int) -> str:
    """A guide in at most `cells`: of a deep one the end, so that what stands behind it can be read."""
    if len(guide) <= cells:
        return guide
    keep = max(GUIDE_CELLS, (cells - 2) // GUIDE_CELLS * GUIDE_CELLS)
    return "… " + guide[-keep:]


def heading(told: str, cells: int) -> str:
    """The name of the tree, and what is `told` of its best branch; of both what has room in `cells`."""
    both = f"{TITLE} · {told}" if told else TITLE
    return both if cell_len(both) <= cells else told or TITLE


def count_words(nodes: Nodes) -> str:
    """ "8 nodes · 1 proposed · 1 rejected": those that train or have trained, as the header counts, and the others."""
    states = Counter(node.state for node in nodes.values())
    never = [state for state in ("proposed", "rejected") if states[state]]
    begun = max(0, len(nodes) - 1 - sum(states[state] for state in never))
    return counted(begun, "node") + "".join(f" · {states[state]} {state}" for state in never)

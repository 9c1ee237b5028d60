"""A node and its best score; the nodes of a run as screens look at them: by number, by parent, which one trains; and
what can be marked to be compared.

Made by the run's feed in its worker thread, so that the thread of the screen never walks over ten thousand nodes to
answer a key. A `Nodes` is never changed once it is made: what changed is a new one that shares the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ShownScore:
    """A score in [0, 1] out of `n` prompts with its 95% interval, and whose it is: `policy` is its name (a soup has
    one, and for `node` and `step` those of its newest member)."""

    value: float
    low: float
    high: float
    n: int
    node: int | None = None
    step: int | None = None
    policy: str = ""


@dataclass(frozen=True, slots=True)
class NodeRow:
    """A node of the tree as it is drawn; `kept` are the steps whose files still exist. `human`: made or edited by one;
    `note` is a human's. Foreign text."""

    id: int
    parent: int | None
    branch_step: int | None
    state: str
    intent: str
    label: str
    trained: int
    planned: int
    start: int
    pruned: bool
    best: ShownScore | None = None
    kept: tuple[int, ...] = ()
    scores: tuple[tuple[int, float], ...] = ()
    human: bool = False
    note: str = ""


class Nodes(dict[int, NodeRow]):
    """Nodes by number, in its order. `children` gives the numbers below one, `running` what trains (the latest)."""

    __slots__ = ("children", "running")

    def __init__(
        self, nodes: Mapping[int, NodeRow] | None = None, children: Mapping[int, list[int]] | None = None
    ) -> None:
        super().__init__(nodes or {})
        self.children: Mapping[int, list[int]] = self._by_parent() if children is None else children
        self.running: NodeRow | None = next((n for n in reversed(self.values()) if n.state == "running"), None)

    @property
    def root(self) -> int | None:
        """The number of the base model; None while there is nothing."""
        return next(iter(self), None)

    def first_look(self, node: NodeRow) -> int:
        """Prompts of a node's best score where it got first looks alone, fewer than the base was asked; else 0."""
        base = self[self.root].best if self.root is not None else None
        return node.best.n if node.best is not None and base is not None and node.best.n < base.n else 0

    def changed(self, new: Iterable[NodeRow], gone: Iterable[int]) -> Nodes:
        """These nodes with some of them new or as they are now, and some gone; what is equal stays the same object."""
        nodes, shape, ordered = dict(self), False, True
        for number in gone:
            shape = nodes.pop(number, None) is not None or shape
        last = next(reversed(nodes), -1)
        for node in new:
            before = nodes.get(node.id)
            if before == node:
                continue
            shape = shape or before is None or before.parent != node.parent
            ordered = ordered and (before is not None or node.id > last)
            nodes[node.id] = node
            last = max(last, node.id)
        if not shape:
            return Nodes(nodes, self.children)
        return Nodes(nodes if ordered else dict(sorted(nodes.items())))

    def below(self, number: int) -> int:
        """How many nodes hang under one."""
        count, rest = 0, list(self.children.get(number, ()))
        while rest:
            count += 1
            rest.extend(self.children.get(rest.pop(), ()))
        return count

    def depth(self, number: int) -> int:
        """Segments between the root and the end of this node."""
        count, node = 0, self.get(number)
        while node is not None and node.parent is not None:
            count, node = count + 1, self.get(node.parent)
        return count

    def _by_parent(self) -> dict[int, list[int]]:
        root, children = self.root, dict[int, list[int]]()
        for number, node in self.items():
            parent = node.parent if node.parent in self else root
            if number != root and parent is not None:
                children.setdefault(parent, []).append(number)
        return children


MOST_MARKS = 4
LETTERS = "ABCD"


@dataclass(frozen=True, slots=True)
class Target:
    """What is compared: a node of a run, or (None) the best trajectory of a run."""

    path: Path
    node: int | None = None


def letters(marked: tuple[Target, ...]) -> dict[int, str]:
    """The letter of each marked node."""
    nodes = (target.node for target in marked if target.node is not None)
    return dict(zip(nodes, LETTERS, strict=False))

"""The search tree: nodes, checkpoints, visits. Pure values and arithmetic: no clock, no file, no torch.

The controller is the only one who changes a tree; strategies and advisors read it. A tree rebuilt from the database
equals the one that was killed, so a strategy asks the same question again after a resume.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, replace
from enum import StrEnum

from engine.domain.score import Score
from engine.domain.space import Configuration, Intent, KLReference, Transition
from engine.domain.subtrees import POINTS, Share, Subtrees

REWARD_STEPS = 10
"""GRPO steps at the end of a segment over which its training reward is averaged."""


class NodeState(StrEnum):
    """Life of a node. The last seven are ends: `engine.training.events.SegmentEnd`, and REJECTED, never trained."""

    PROPOSED = "proposed"
    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    STOPPED = "stopped"
    EARLY_STOPPED = "early-stopped"
    OUT_OF_MEMORY = "out-of-memory"
    NAN = "nan"
    CRASHED = "crashed"
    HUNG = "hung"
    REJECTED = "rejected"

    @property
    def in_flight(self) -> bool:
        """Waiting or training: counts as a visit without a value (WU-UCT)."""
        return self in IN_FLIGHT

    @property
    def begun(self) -> bool:
        """Trains or has trained."""
        return self not in (NodeState.PROPOSED, NodeState.QUEUED, NodeState.REJECTED)

    @property
    def failed(self) -> bool:
        """Ended by a fault: a visit without a value."""
        return self in (NodeState.OUT_OF_MEMORY, NodeState.NAN, NodeState.CRASHED, NodeState.HUNG)

    @property
    def goes_on(self) -> bool:
        """Ended so that training may go on from its end."""
        return self in (NodeState.FINISHED, NodeState.STOPPED)

    @property
    def branchable(self) -> bool:
        """Ended so that a segment may branch from its checkpoints."""
        return self.goes_on or self is NodeState.EARLY_STOPPED


IN_FLIGHT = (NodeState.PROPOSED, NodeState.QUEUED, NodeState.RUNNING)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A saved policy: `step` GRPO steps into its segment (0 for the root), its score, whether its files remain."""

    step: int
    score: Score
    kept: bool = True


@dataclass(frozen=True, slots=True)
class Node:
    """A segment of training, or the root (the base model, evaluated, untrained).

    Attributes:
        id: position in the order of proposal; the root is 0.
        transition: the edge that leads here; None for the root.
        configuration: value of every hyperparameter.
        start_steps: GRPO steps from the base to the beginning of this segment.
        steps: GRPO steps trained in this segment so far.
        planned_steps: GRPO steps this segment was given.
        checkpoints: in order of step.
        pruned: a human closed this subtree: not expanded any more.
        reward: mean training reward of its last steps (`REWARD_STEPS`); None while nothing is known.
    """

    id: int
    transition: Transition | None
    configuration: Configuration
    state: NodeState
    start_steps: int = 0
    steps: int = 0
    planned_steps: int = 0
    checkpoints: tuple[Checkpoint, ...] = ()
    pruned: bool = False
    reward: float | None = None

    @property
    def parent(self) -> int | None:
        return self.transition.parent if self.transition else None

    @property
    def total_steps(self) -> int:
        """GRPO steps from the base to the end of what was trained here."""
        return self.start_steps + self.steps

    @property
    def last(self) -> Checkpoint | None:
        return self.checkpoints[-1] if self.checkpoints else None

    @property
    def measured(self) -> tuple[Checkpoint, ...]:
        """The checkpoints that were asked the most prompts; at others there was no more than a first look."""
        most = max((c.score.n for c in self.checkpoints), default=0)
        return tuple(c for c in self.checkpoints if c.score.n == most)

    @property
    def best(self) -> Checkpoint | None:
        """The measured checkpoint with the highest steering value; the latest of equals."""
        return max(self.measured, key=lambda c: (c.score.value, c.step), default=None)

    def value(self, checkpoint: Checkpoint) -> float:
        """The steering value of a checkpoint of this node. After a first look it is that of the last measured one and
        the difference on the prompts of the look, which is surer than the few alone."""
        last = self.measured[-1]
        if checkpoint.score.n == last.score.n:
            return checkpoint.score.value
        return last.score.value + checkpoint.score.minus(last.score).value

    @property
    def share(self) -> Share:
        """What it adds to the subtrees that it is in."""
        happens = self.state is not NodeState.REJECTED
        planned = self.planned_steps if happens else 0
        values = tuple(c.score.value for c in self.measured)
        kept = not self.pruned and any(c.kept for c in self.checkpoints)
        passes = not self.pruned and self.state.goes_on
        return Share(
            visits=int(happens),
            planned=planned,
            claimed=planned if self.state.in_flight else self.steps * happens,
            scored=int(bool(values)),
            points=int(values[-1] * POINTS) if values else 0,
            places=int(kept and self.state.branchable),
            values=values,
            lives=(kept and passes) or (not self.pruned and self.state.in_flight),
            passes=passes,
        )


MARKS: Mapping[str, Callable[[Node], bool]] = {
    "in flight": lambda node: node.state.in_flight,
    "failed": lambda node: node.state.failed,
    "annealed": lambda node: node.transition is not None and node.transition.intent is Intent.ANNEAL,
}
"""By what a tree finds nodes without looking at all of them."""


class Tree:
    """All nodes of a run by id. Every change replaces one frozen Node.

    Attributes:
        subtrees: the shape, and what is backed up of every subtree; for readers.
    """

    def __init__(self, root: Node) -> None:
        self._nodes: dict[int, Node] = {}
        self._root = root.id
        self._marked: dict[str, set[int]] = {mark: set() for mark in MARKS}
        self._best: tuple[int, Checkpoint] | None = None
        self.subtrees = Subtrees(root.id)
        self._put(root)
        self._consider(root)

    @classmethod
    def of(cls, nodes: Iterable[Node]) -> Tree:
        """The tree of all these nodes, the root first and parents before children, in a time that grows with their
        number alone; added one by one each would be backed up along its whole branch.

        Raises ValueError as `add` does, and without any node.
        """
        root, *others = nodes
        tree = cls(root)
        for node in others:
            tree._place(node)
            tree._hold(node)
            tree._consider(node)
        tree.subtrees.fill({node.id: node.share for node in tree})
        return tree

    def __len__(self) -> int:
        return len(self._nodes)

    def __iter__(self) -> Iterator[Node]:
        return iter(self._nodes.values())

    def __reversed__(self) -> Iterator[Node]:
        """The newest node first."""
        return reversed(self._nodes.values())

    def __getitem__(self, node_id: int) -> Node:
        return self._nodes[node_id]

    @property
    def root(self) -> Node:
        return self._nodes[self._root]

    @property
    def nodes(self) -> Mapping[int, Node]:
        return dict(self._nodes)

    def add(self, node: Node) -> None:
        """Add a node below its parent. Raises ValueError for an id taken or a parent unknown."""
        self._place(node)
        self._put(node)
        self._consider(node)

    def _place(self, node: Node) -> None:
        if node.id in self._nodes:
            raise ValueError(f"node {node.id} is in the tree already")
        if node.parent is None or node.parent not in self._nodes:
            raise ValueError(f"node {node.id}: parent {node.parent} is not in the tree")
        self.subtrees.add(node.id, node.parent)

    def copy(self) -> Tree:
        """An independent tree of the same (frozen) nodes, for a reader in another thread."""
        tree = copy(self)
        tree._nodes, tree.subtrees = dict(self._nodes), self.subtrees.copy()
        tree._marked = {mark: set(node_ids) for mark, node_ids in self._marked.items()}
        return tree

    def without(self, node_ids: Collection[int]) -> Tree:
        """A copy that lacks some leaves: how the tree would look without proposals that may never train.

        Raises ValueError for a node that has children or is the root.
        """
        if any(self.subtrees.children[node_id] or node_id == self._root for node_id in node_ids):
            raise ValueError(f"only leaves can be left out, got {sorted(node_ids)}")
        tree = self.copy()
        for node_id in node_ids:
            tree.subtrees.remove(node_id)
            del tree._nodes[node_id]
            for marked in tree._marked.values():
                marked.discard(node_id)
        if self._best is not None and self._best[0] in node_ids:
            tree._find_best()
        return tree

    def set_state(self, node_id: int, state: NodeState) -> None:
        self._put(replace(self._nodes[node_id], state=state))

    def set_steps(self, node_id: int, steps: int) -> None:
        self._put(replace(self._nodes[node_id], steps=steps))

    def set_reward(self, node_id: int, reward: float) -> None:
        """The mean training reward of the segment's last steps."""
        self._put(replace(self._nodes[node_id], reward=reward))

    def set_planned(self, node_id: int, steps: int) -> None:
        """Another length for a segment that has not begun."""
        self._put(replace(self._nodes[node_id], planned_steps=steps))

    def cut(self, node_id: int, step: int) -> None:
        """Forget what a segment trained and saved after a step; it is trained again."""
        node = self._nodes[node_id]
        kept = tuple(c for c in node.checkpoints if c.step <= step)
        self._put(replace(node, steps=step, checkpoints=kept))
        if self._best is not None and self._best[0] == node_id and self._best[1].step > step:
            self._find_best()

    def replan(self, node_id: int, transition: Transition, configuration: Configuration) -> None:
        """Change a node that has not begun (a human edited the proposal). The parent stays.

        Raises ValueError when the node has begun or the parent differs.
        """
        node = self._nodes[node_id]
        if node.state not in (NodeState.PROPOSED, NodeState.QUEUED) or transition.parent != node.parent:
            raise ValueError(f"node {node_id} ({node.state}) cannot be changed to a child of {transition.parent}")
        self._put(replace(node, transition=transition, configuration=configuration))

    def prune(self, node_id: int) -> None:
        """Close a node and everything below it to expansion."""
        for each in self.subtree(node_id):
            self._put(replace(each, pruned=True))

    def add_checkpoint(self, node_id: int, checkpoint: Checkpoint) -> None:
        """Record a scored checkpoint; telling the same step twice changes nothing."""
        node = self._nodes[node_id]
        if any(c.step == checkpoint.step for c in node.checkpoints):
            return
        ordered = tuple(sorted((*node.checkpoints, checkpoint), key=lambda c: c.step))
        self._put(replace(node, checkpoints=ordered))
        self._consider(self._nodes[node_id])

    def forget_files(self, node_id: int, step: int) -> None:
        """The files of a checkpoint were deleted: it keeps its score and cannot be branched from."""
        node = self._nodes[node_id]
        kept = tuple(replace(c, kept=False) if c.step == step else c for c in node.checkpoints)
        self._put(replace(node, checkpoints=kept))

    def children(self, node_id: int) -> tuple[Node, ...]:
        return tuple(map(self._nodes.__getitem__, self.subtrees.children[node_id]))

    @property
    def in_flight(self) -> list[Node]:
        """Waiting and training nodes, in order."""
        return self._with("in flight")

    @property
    def failed(self) -> list[Node]:
        """Nodes that ended by a fault, in order."""
        return self._with("failed")

    @property
    def annealed(self) -> list[Node]:
        """Nodes of intent ANNEAL, in order."""
        return self._with("annealed")

    def path(self, node_id: int) -> tuple[Node, ...]:
        """The trajectory root … node."""
        path: list[Node] = []
        current: int | None = node_id
        while current is not None:
            path.append(self._nodes[current])
            current = self._nodes[current].parent
        return tuple(reversed(path))

    def reference(self, node_id: int) -> tuple[int, int] | None:
        """The checkpoint (node id, step) whose policy a node's KL penalty is measured against; None is the base."""
        while (edge := self._nodes[node_id].transition) is not None and edge.reference is KLReference.KEEP:
            node_id = edge.parent
        if edge is None or edge.reference is KLReference.BASE or edge.parent == self._root:
            return None
        return edge.parent, edge.step

    def moves_reference(self, node_id: int, reference: KLReference) -> bool:
        """Whether a segment below a node would measure its KL penalty against another policy than the node does."""
        return reference is KLReference.BRANCH or (
            reference is KLReference.BASE and self.reference(node_id) is not None
        )

    def depth(self, node_id: int) -> int:
        return self.subtrees.depths[node_id]

    def subtree(self, node_id: int) -> tuple[Node, ...]:
        """The node and all below it, parents before children."""
        nodes = [self._nodes[node_id]]
        for node in nodes:
            nodes.extend(self.children(node.id))
        return tuple(nodes)

    def visits(self, node_id: int) -> int:
        """Ended and in-flight segments in the subtree, itself included; rejected ones never happened."""
        return self.subtrees.visits[node_id]

    def best(self) -> tuple[Node, Checkpoint]:
        """The incumbent: of the checkpoints with the most prompts the one with the highest steering value in the whole
        tree, later nodes losing ties.

        Raises ValueError when not even the root has been scored.
        """
        if self._best is None:
            raise ValueError("the tree holds no scored checkpoint")
        node_id, checkpoint = self._best
        return self._nodes[node_id], next(c for c in self._nodes[node_id].checkpoints if c.step == checkpoint.step)

    def _put(self, node: Node) -> None:
        """Take a node in place of the one before, and back up what that changes; every change comes through here."""
        self._hold(node)
        self.subtrees.put(node.id, node.share)

    def _hold(self, node: Node) -> None:
        self._nodes[node.id] = node
        for mark, bears in MARKS.items():
            (self._marked[mark].add if bears(node) else self._marked[mark].discard)(node.id)

    def _with(self, mark: str) -> list[Node]:
        return [self._nodes[node_id] for node_id in sorted(self._marked[mark])]

    def _find_best(self) -> None:
        self._best = None
        for node in self:
            self._consider(node)

    def _consider(self, node: Node) -> None:
        """Keep the incumbent: the most prompts, the highest value, of equals the earlier node, within a node the later
        step."""

        def rank(place: tuple[int, Checkpoint]) -> tuple[int, float, int, int]:
            return place[1].score.n, place[1].score.value, -place[0], place[1].step

        for checkpoint in node.checkpoints:
            if self._best is None or rank((node.id, checkpoint)) > rank(self._best):
                self._best = (node.id, checkpoint)

"""What a tree means to the search: the runs that race from the root, the main branch, changes on trial, failures.

Built anew for every question from the tree alone, so that a killed run goes on as it was. Reads the tree, never changes
it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

from engine.domain.score import Score, difference
from engine.domain.space import Intent
from engine.domain.tree import Checkpoint, Node, NodeState, Tree

ENDED = (NodeState.FINISHED, NodeState.STOPPED)
"""States of a node that training may go on from."""

Curve = list[tuple[int, Score]]
"""Validation scores by total steps from the base, ascending."""


def place(node: Node) -> Checkpoint | None:
    """The latest checkpoint of a node that can still be branched from."""
    for checkpoint in reversed(node.checkpoints):
        if checkpoint.kept:
            return checkpoint
    return None


def score_at(branch: Sequence[Node], total_steps: int) -> Score | None:
    """The latest score along a branch up to `total_steps` from the base."""
    scores = [c.score for n in branch for c in n.checkpoints if n.start_steps + c.step <= total_steps]
    return scores[-1] if scores else None


class Lineage:
    """One look at a tree."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self._roles: dict[int, Intent] = {}
        self._continued: dict[int, Node | None] = {}
        self.failures: list[Node] = []
        """Failed nodes that nobody has tried to repair, oldest first; their places may still be branched from."""
        for node in tree:
            self._assign_roles(node)
        self.failures.sort(key=lambda n: n.id)

    def role(self, node: Node) -> Intent:
        """The intent of a node; a repair has the intent of what it repairs."""
        return self._roles.get(node.id, Intent.CHANGE)

    def _assign_roles(self, parent: Node) -> None:
        unrepaired: dict[int, list[Node]] = {}
        children = self.tree.children(parent.id)
        if not children:
            return
        for child in children:
            if child.transition is None:
                continue
            step, intent = child.transition.step, child.transition.intent
            waiting = unrepaired.setdefault(step, [])
            if child.state is NodeState.REJECTED:
                if intent is Intent.REPAIR and waiting:  # the human wants no repair
                    waiting.pop(0)
                continue
            if intent is Intent.REPAIR and waiting:
                intent = self._roles[waiting.pop(0).id]
            elif child.state.failed and intent is not Intent.REPAIR:
                waiting.append(child)
            self._roles[child.id] = intent
        branchable = {c.step for c in parent.checkpoints if c.kept}
        if not parent.pruned:
            self.failures += [
                n for step, nodes in unrepaired.items() if step in branchable for n in nodes if not n.pruned
            ]

    # ---- single nodes -------------------------------------------------------------------------------------------

    def busy(self) -> bool:
        """Whether anything is waiting or training."""
        return any(node.state.in_flight for node in self.tree)

    def grows(self, node: Node) -> bool:
        """Whether training may go on from the end of this node."""
        return node.state in ENDED and not node.pruned and place(node) is not None

    def lives(self, node: Node) -> bool:
        """In flight, or to be gone on from: at its own end or, where its files were deleted since, somewhere below."""
        return node.id in self._living

    @cached_property
    def _living(self) -> set[int]:
        living, continued = set[int](), set[int | None]()
        for node in reversed(tuple(self.tree)):  # children come after their parents
            if node.pruned:
                continue
            ended = node.state in ENDED
            if (node.id in continued or place(node) is not None) if ended else node.state.in_flight:
                living.add(node.id)
                continued.add(node.parent)
        return living

    def continued_by(self, node: Node) -> Node | None:
        """The living child that trains on, as it is or by a curriculum; of several the one with the larger subtree."""
        if node.id not in self._continued:
            children = [c for c in self.tree.children(node.id) if self.role(c).continues and self.lives(c)]
            self._continued[node.id] = max(children, key=lambda c: (self.tree.visits(c.id), -c.id), default=None)
        return self._continued[node.id]

    def continuation_closed(self, node: Node) -> bool:
        """Whether training on cannot be asked for: it was tried, or refused unchanged, or the end's files are gone."""
        if self.continued_by(node) is not None:
            return False
        tried = (
            c.transition.intent for c in self.tree.children(node.id) if c.transition and not self._refused_curriculum(c)
        )
        gone = not node.state.in_flight and place(node) is None
        return gone or any(intent.continues for intent in tried)

    def may_change_difficulty(self, node: Node) -> bool:
        """Whether no human refused here that the difficulty moves."""
        return not any(self._refused_curriculum(child) for child in self.tree.children(node.id))

    def _refused_curriculum(self, node: Node) -> bool:
        """Whether it is a move of the difficulty that a human refused."""
        moved = node.transition is not None and node.transition.intent is Intent.CURRICULUM
        return moved and node.state is NodeState.REJECTED

    def changes(self, node: Node) -> list[Node]:
        """Living children under changed hyperparameters."""
        return [c for c in self.tree.children(node.id) if self.role(c) is Intent.CHANGE and self.lives(c)]

    # ---- branches -----------------------------------------------------------------------------------------------

    @cached_property
    def root_runs(self) -> list[Node]:
        """Living children of the root, in order: the first segments that race."""
        return [n for n in self.tree.children(self.tree.root.id) if self.lives(n)]

    @property
    def roots_begun(self) -> int:
        """First segments begun from the base, failed ones included, repairs not counted twice."""
        return sum(
            n.transition is not None and n.transition.intent is not Intent.REPAIR and n.state is not NodeState.REJECTED
            for n in self.tree.children(self.tree.root.id)
        )

    def continuation(self, node: Node) -> list[Node]:
        """The node and what trained on from it unchanged."""
        nodes = [node]
        while (child := self.continued_by(nodes[-1])) is not None:
            nodes.append(child)
        return nodes

    def ended(self, continuation: Sequence[Node]) -> list[Node]:
        """The part of a continuation that is not in flight."""
        return [n for n in continuation if not n.state.in_flight and n.checkpoints]

    def main_branch(self, root_run: Node, trial_steps: int, window: int, errors: float) -> list[Node]:
        """The main branch below a root run: unchanged segments, and the changed ones that earned their place.

        Args:
            trial_steps: GRPO steps over which a change must be measured. window: the last steps of those, compared.
            errors: standard errors of the difference by which a change must lead.
        """
        path = [root_run]
        while True:
            here = path[-1]
            keep = self.continued_by(here)
            leads = [(self.lead(here, c, trial_steps, window), -c.id, c) for c in self.changes(here)]
            best = max(leads, default=None, key=lambda ranked: ranked[:2])
            if best is not None and best[0] > errors:
                path.append(best[2])
            elif keep is not None:
                path.append(keep)
            elif self.continuation_closed(here) and (change := self._best_change(here)) is not None:
                path.append(change)
            else:
                return path

    def lead(self, node: Node, change: Node, trial_steps: int, window: int) -> float:
        """By how many standard errors a changed child leads what trained on unchanged, at equal total steps.

        −inf while the two have less than `trial_steps` in common: then nothing is known.
        """
        if change.transition is None:
            return float("-inf")
        theirs = self._curve(self.continuation(change))
        branch = node.start_steps + change.transition.step
        last = theirs[-1][0] if theirs else branch
        ours = self._curve(self._until(node, last), after=branch)
        common = min(last, ours[-1][0] if ours else branch)
        if common - branch < trial_steps:
            return float("-inf")
        after = max(branch, common - window)
        ours_late = [s for t, s in ours if after < t <= common]
        theirs_late = [s for t, s in theirs if after < t <= common]
        if not ours_late or not theirs_late:
            return float("-inf")
        return difference(theirs_late, ours_late).errors

    def _best_change(self, node: Node) -> Node | None:
        """Where training on is closed: the changed child with the best score, or one in flight."""
        children = self.changes(node)
        return max(children, key=lambda c: (c.best.score.value if c.best else -1.0, -c.id), default=None)

    def _until(self, node: Node, total_steps: int) -> list[Node]:
        nodes = [node]
        while nodes[-1].total_steps < total_steps and (child := self.continued_by(nodes[-1])) is not None:
            nodes.append(child)
        return nodes

    def _curve(self, continuation: Iterable[Node], after: int = -1) -> Curve:
        return [
            (n.start_steps + c.step, c.score)
            for n in continuation
            for c in n.checkpoints
            if n.start_steps + c.step > after
        ]

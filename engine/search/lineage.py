"""What a tree means to the search: the runs that race from the root, the main branch, changes on trial, failures.

Made anew for every question from the tree alone, so that a killed run goes on as it was; it looks only where it is
asked, and at no node twice. Reads the tree, never changes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

from engine.domain.branch import checkpoints_along
from engine.domain.score import Score, difference
from engine.domain.space import Intent, Transition
from engine.domain.tree import Checkpoint, Node, NodeState, Tree

Curve = list[tuple[int, Score]]
"""Validation scores by total steps from the base, ascending."""


def place(node: Node) -> Checkpoint | None:
    """The latest checkpoint of a node that can still be branched from."""
    for checkpoint in reversed(node.checkpoints):
        if checkpoint.kept:
            return checkpoint
    return None


def scores_along(branch: Iterable[Node]) -> Curve:
    """The scores on a branch, see `checkpoints_along`."""
    return [(node.start_steps + checkpoint.step, checkpoint.score) for node, checkpoint in checkpoints_along(branch)]


def score_at(branch: Sequence[Node], total_steps: int) -> Score | None:
    """The latest score along a branch up to `total_steps` from the base."""
    return next((score for total, score in reversed(scores_along(branch)) if total <= total_steps), None)


class Lineage:
    """One look at a tree."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self._below: dict[int, tuple[Node | None, list[Node]]] = {}
        self._repaired: dict[int, tuple[dict[int, Intent], list[Node]]] = {}

    @cached_property
    def failures(self) -> list[Node]:
        """Failed nodes that nobody has tried to repair, oldest first; their places may still be branched from."""
        failures = []
        for parent_id in {n.parent for n in self.tree.failed if n.parent is not None}:
            parent = self.tree[parent_id]
            branchable = {c.step for c in parent.checkpoints if c.kept and not parent.pruned}
            unrepaired = self._repairs(parent_id)[1]
            failures += [n for n in unrepaired if n.transition and n.transition.step in branchable and not n.pruned]
        return sorted(failures, key=lambda n: n.id)

    def role(self, node: Node) -> Intent:
        """The intent of a node; a repair has the intent of what it repairs."""
        if node.transition is None or node.state is NodeState.REJECTED:
            return Intent.CHANGE
        intent = node.transition.intent
        return intent if intent is not Intent.REPAIR else self._repairs(node.transition.parent)[0].get(node.id, intent)

    def _repairs(self, parent: int) -> tuple[dict[int, Intent], list[Node]]:
        """Below a node: the intents that repairs took over, and the failed segments left to repair."""
        if parent not in self._repaired:
            taken: dict[int, Intent] = {}
            waiting: list[tuple[Transition, Node]] = []
            for child in self.tree.children(parent):
                there = child.transition
                if there is not None and there.intent is Intent.REPAIR:
                    here = sorted((each for each in waiting if each[0].step == there.step), key=lambda f: f[1].pruned)
                    failed = here[0] if here else None  # of a pruned one no repair is asked
                    if failed is not None:
                        waiting.remove(failed)  # also where the human wants no repair
                        taken[child.id] = failed[0].intent
                elif there is not None and child.state.failed:
                    waiting.append((there, child))
            self._repaired[parent] = taken, [child for _, child in waiting]
        return self._repaired[parent]

    # ---- single nodes -------------------------------------------------------------------------------------------

    def busy(self) -> bool:
        """Whether anything is waiting or training."""
        return bool(self.tree.in_flight)

    def grows(self, node: Node) -> bool:
        """Whether training may go on from the end of this node."""
        return node.state.goes_on and not node.pruned and place(node) is not None

    def lives(self, node: Node) -> bool:
        """In flight, or to be gone on from: at its own end or, where its files were deleted since, somewhere below."""
        return node.id in self.tree.subtrees.living

    def continued_by(self, node: Node) -> Node | None:
        """The living child that trains on, as it is or by a curriculum; of several the one with the larger subtree."""
        return self._children(node)[0]

    def changes(self, node: Node) -> list[Node]:
        """Living children under changed hyperparameters."""
        return self._children(node)[1]

    def _children(self, node: Node) -> tuple[Node | None, list[Node]]:
        """The child that trains on, and the changed ones."""
        if node.id not in self._below:
            living, keeps, changes = self.tree.subtrees.living, list[Node](), list[Node]()
            for child in self.tree.children(node.id):
                if child.id in living:
                    role = self.role(child)
                    if role is Intent.CHANGE:
                        changes.append(child)
                    elif role.continues:
                        keeps.append(child)
            if len(keeps) > 1:
                keeps.sort(key=lambda c: (-self.tree.visits(c.id), c.id))
            self._below[node.id] = keeps[0] if keeps else None, changes
        return self._below[node.id]

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

    def annealed(self) -> list[Node]:
        """Living nodes of the annealed end, oldest first."""
        parents = {n.parent for n in self.tree.annealed if n.parent is not None}
        children = [c for parent in parents for c in self.tree.children(parent)]
        living = (c for c in children if self.role(c) is Intent.ANNEAL and self.lives(c))
        return sorted(living, key=lambda n: n.id)

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
            keep, changes = self._children(here)
            earned = self._earned(here, changes, trial_steps, window, errors) if changes else None
            if earned is not None:
                path.append(earned)
            elif keep is not None:
                path.append(keep)
            elif self.continuation_closed(here) and (change := self._best_change(here)) is not None:
                path.append(change)
            else:
                return path

    def _earned(self, node: Node, changes: Sequence[Node], trial_steps: int, window: int, errors: float) -> Node | None:
        """The changed child that leads most, when it does so by more than `errors`; of equals the earliest."""
        lead, _, change = max((self.lead(node, c, trial_steps, window), -c.id, c) for c in changes)
        return change if lead > errors else None

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
        return [(total, score) for total, score in scores_along(continuation) if total > after]

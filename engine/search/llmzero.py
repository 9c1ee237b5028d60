"""The search: diverse roots race, then one branch goes deep while changes beside it must earn their place.

Depth wins most, slow starters must not be killed early, and a late annealed end helps: that is what the order of
`LLMZeroPolicy.decide` encodes (README.md beside this module works through one tree; docs/search.md has the
measurements). Values are in units of `segment_steps`, so that a demo of twelve segments and a run of hundreds follow
the same plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import takewhile

from engine.domain.score import difference
from engine.domain.space import Intent, Space
from engine.domain.tree import Checkpoint, Node, NodeState, Tree
from engine.run.strategies import LLMZeroSettings
from engine.search.base import BudgetLeft, Expansion, SearchStrategy, segment_length, shortest_segment
from engine.search.curriculum import Curriculum
from engine.search.lineage import Lineage, place, score_at, scores_along
from engine.search.race import RootRace, standing
from engine.search.uct import UCTBounds
from engine.words import counted

CURRICULUM_SENSITIVITY = 2.0
"""How quickly the difficulty moves with the distance of the training reward from its target (AdaRFT, 2504.05520)."""

MOST_ANNEALED = 4
"""Segments of the annealed end, at most."""


def most_roots(segments: float) -> int:
    """Root runs that a budget of so many segments is divided among, at most: one for every seven, and no race below
    six. In simulated worlds two were best from 6 to 24 segments, whatever the default was worth (docs/search.md)."""
    return max(2, round(segments / 7)) if segments >= 6 else 1


class LLMZero(SearchStrategy):
    """The strategy `llmzero`: one `LLMZeroPolicy` for every question.

    Args:
        segment_steps: GRPO steps of a segment.
        roots: first segments that race; fewer in a small budget, see `most_roots`.
        space: has the difficulty that a curriculum moves; without it none does.
    """

    def __init__(
        self,
        segment_steps: int,
        settings: LLMZeroSettings | None = None,
        *,
        roots: int = 4,
        space: Space | None = None,
    ) -> None:
        self.segment_steps = segment_steps
        self.settings = settings or LLMZeroSettings()
        self.roots = roots
        self.curriculum = (
            Curriculum(space, self.settings.curriculum_target, self.settings.curriculum_rate, CURRICULUM_SENSITIVITY)
            if space is not None and self.settings.curriculum_rate
            else None
        )

    def ask(self, tree: Tree, budget: BudgetLeft) -> Expansion | None:
        if tree.root.last is None:
            return None
        policy = LLMZeroPolicy(self, Lineage(tree), budget)
        return policy.decide() if policy.steps else None


class LLMZeroPolicy:
    """What LLMZero does next with one tree and one budget. Made anew for every question; nothing is remembered.

    Attributes:
        lineage, tree: what is there. left, total: GRPO steps that may still be spent, and of the whole budget.
        roots, race_segments: first segments, and the segments after which their race is over at the latest, scaled to
            the budget.
        reserve: GRPO steps kept for the annealed end; 0 in a small budget, and where several workers spend the rest of
            the budget while it trains. ending: only those are left. closing: so few that each worker has no more.
        steps: GRPO steps of the next segment; 0 when nothing more is worth beginning.
        exploration: the constant of the upper confidence bounds, falling to 0 as the budget is spent.
    """

    def __init__(self, strategy: LLMZero, lineage: Lineage, budget: BudgetLeft) -> None:
        settings = self.settings = strategy.settings
        size = self.size = strategy.segment_steps
        self.curriculum = strategy.curriculum
        self.lineage = lineage
        self._main_branches: dict[int, list[Node]] = {}
        self.tree = lineage.tree
        self.left = budget.steps
        self.exploration = settings.exploration * (1 - budget.fraction_spent)
        self.total = budget.steps + self.tree.subtrees.claimed[self.tree.root.id]
        half = max(1, size // 2)
        share = round(settings.anneal_share * self.total / half) * half
        enough = self.total >= settings.anneal_from * size
        anneals = budget.workers > 1 and any(lineage.role(n) is Intent.ANNEAL for n in self.tree.in_flight)
        self.reserve = min(max(share, half), MOST_ANNEALED * size) if enough and not anneals else 0
        self.closing = budget.workers > 1 and self.left <= budget.workers * self.reserve
        self.asked_roots = strategy.roots
        self.roots = min(strategy.roots, most_roots(self.total / size))
        self.spare_roots = min(budget.workers, round(self.total / (4 * size)))
        self.race_segments = min(settings.race_segments, max(1, self.total // (6 * size)))
        available = self.left - self.reserve
        self.ending = self.reserve > 0 and available < max(half, shortest_segment(size))
        first = self.tree.visits(self.tree.root.id) == 1
        self.steps = segment_length(size, self.left if self.ending else available, first=first)

    # ---- what is decided, in this order ---------------------------------------------------------------------------

    def decide(self) -> Expansion | None:
        """The next expansion: repair, anneal, start a root, race, then continue or explore; None: wait."""
        expansion = self._planned()
        if expansion is None and not self.lineage.busy():
            return self.fall_back()
        return expansion

    def _planned(self) -> Expansion | None:
        if self.lineage.failures:
            return self.repair(self.lineage.failures[0])
        if self._scored_roots and (self.ending or self.closing):
            anneal = self.anneal()
            if anneal is not None or self.ending:
                return anneal
        if self.lineage.roots_begun < self.roots:
            return self.start_root()
        if self.race.winner is None:
            return self.continue_race()
        return self.continue_or_explore(self.race.winner, self.race.runner_up)

    def repair(self, failed: Node) -> Expansion:
        """A failed segment once more, from the same place, made safe by the advisor."""
        assert failed.transition is not None  # the root does not fail
        where, steps = failed.transition, segment_length(failed.planned_steps, self.left) or self.steps
        after = counted(failed.steps, "step")
        reason = (
            f"#{failed.id} failed ({failed.state}) after {after}: retry from the same checkpoint with safer settings"
        )
        return Expansion(where.parent, where.step, Intent.REPAIR, steps, reason, failed=failed.id)

    def anneal(self) -> Expansion | None:
        """The last steps at a low learning rate: once, from the best end, when all of its branch has come in."""
        lineage = self.lineage
        annealed = lineage.annealed()
        if annealed:
            last = lineage.continuation(annealed[-1])[-1]
            if last.state.in_flight:
                return None
            return self._keep(last, f"{counted(self.left, 'step')} are left of the annealing phase")
        branch = self._best_branch()
        if branch[-1].state.in_flight:
            return None
        node, checkpoint = self._anneal_from(branch)
        if any(lineage.role(c) is Intent.ANNEAL for c in self.tree.children(node.id)):
            return self._keep(branch[-1], "annealing failed: training continues from the segment before it")
        steps = self.left if self.ending else segment_length(self.reserve, self.left)
        which = f"the last {steps}" if steps == self.left else f"{steps} of the last {self.left}"
        reason = (
            f"anneal: {which} of {counted(self.total, 'step')} use a low learning rate, "
            f"from #{node.id} step {checkpoint.step}, which scores {checkpoint.score.value:.3f}"
        )
        return Expansion(node.id, checkpoint.step, Intent.ANNEAL, steps, reason)

    def start_root(self) -> Expansion | None:
        """The next first segment, under settings of its own."""
        number = f"root run {self.lineage.roots_begun + 1} of {self.roots}: different settings are compared"
        return self._root((number if self.roots > 1 else "the first segment") + self._fewer_roots())

    def spare_root(self) -> Expansion | None:
        """One first segment more than was asked for, while all of those train and a worker has nothing to do."""
        begun = self.lineage.roots_begun
        if self.roots < 2 or begun >= self.spare_roots or self._scored_roots:
            return None
        return self._root(f"root run {begun + 1}, one for each of {self.spare_roots} workers")

    @cached_property
    def race(self) -> RootRace:
        """How the race of the roots stands."""
        return standing(self.lineage, self.race_segments, self.settings.drop_errors)

    def continue_race(self) -> Expansion | None:
        """The root run whose turn it is; while all of those train, a change below them."""
        race = self.race
        if race.next is not None:
            return self._keep(race.next, race.reason)
        begun = [n for n in race.survivors if n.checkpoints]
        if not begun:
            return self.spare_root()
        return self._change(begun, "the race waits for a slower root run", self.settings.children)

    def continue_or_explore(self, winner: Node, runner_up: Node | None) -> Expansion | None:
        """Depth first; an alternative when the main branch trains already, is closed, or when their share is due."""
        branch = self._main_branch(winner)
        if runner_up is not None and self._overtakes(runner_up, branch):
            branch, runner_up = self._main_branch(runner_up), winner
        tip, stalls = branch[-1], self._stalls(branch)
        raced = self.lineage.continuation(runner_up)[: self.race.segments] if runner_up is not None else []
        revived, deep = self._beside(raced), _steps(branch[self.race.segments :])
        aside = self._beside(branch) + revived
        share = self.settings.stalled_share if stalls else self.settings.explore_share
        due = self._affords(share, aside, deep) and (
            self._affords(share, aside, tip.planned_steps) or self._is_turn(share, branch, raced)
        )
        grows = self.lineage.grows(tip) and not self.lineage.continuation_closed(tip)
        if due or not grows:
            spent = f"{aside} of {counted(aside + deep, 'step')} since the race were spent on alternatives"
            why = f"#{tip.id} is still training" if tip.state.in_flight else spent
            revive = runner_up if runner_up is not None and stalls and revived <= aside - revived else None
            expansion = self.explore(
                branch, revive, f"the main branch {'no longer improves' if stalls else 'continues'}, and {why}"
            )
            if expansion is not None or not grows:
                return expansion
        return self._keep(tip, f"the main branch continues from #{tip.id}: {_value(tip):.3f} at step {tip.total_steps}")

    def explore(self, branch: Sequence[Node], revive: Node | None, why: str) -> Expansion | None:
        """A second segment for a promising change, then `revive` (the runner-up, if the branch stalls), then a new
        change."""
        trial = self._trial(branch)
        if trial is not None:
            return self._keep(
                trial, f"{why}: the change #{trial.id} ({_value(trial):.3f}) is tested for another segment"
            )
        if revive is not None:
            end = self._main_branch(revive)[-1]
            if self.lineage.grows(end) and not self.lineage.continuation_closed(end):
                return self._keep(end, f"{why}: the second-best root run #{revive.id} continues from {_value(end):.3f}")
        return self._change([branch[0]], why, self.settings.children)

    def fall_back(self) -> Expansion | None:
        """Budget is left and nothing trains: what is open, and at last the limit on children set aside."""
        lineage, children = self.lineage, self.tree.children(self.tree.root.id)
        leaves = [n for n in self.tree if n.id != self.tree.root.id and lineage.grows(n)]
        leaves = [n for n in leaves if lineage.continued_by(n) is None and not lineage.continuation_closed(n)]
        best = max(leaves, key=lambda n: (_value(n), -n.id), default=None)
        return (
            self._change(lineage.root_runs, "no other branch point is open", self.settings.children)
            or (self._keep(best, "no other branch point is open") if best is not None else None)
            or self._change(children, "only closed branches are left", self.settings.children)
            or self._root("a new root run: no other branch point is open")
            or self._change(children, "no other branch point is open", len(self.tree) + 1)
        )

    # ---- the main branch and its alternatives ---------------------------------------------------------------------

    @property
    def _scored_roots(self) -> list[Node]:
        """Root runs whose first segment has ended."""
        return [n for n in self.lineage.root_runs if n.checkpoints and not n.state.in_flight]

    def _main_branch(self, root_run: Node) -> list[Node]:
        if root_run.id not in self._main_branches:
            size, settings = self.size, self.settings
            trial = settings.trial_segments * size
            branch = self.lineage.main_branch(root_run, trial, size, settings.earn_errors)
            self._main_branches[root_run.id] = branch
        return self._main_branches[root_run.id]

    def _best_branch(self) -> list[Node]:
        """The main branch; while the race is undecided, that of the root run with the best end."""
        winner, runner_up = self.race.winner, self.race.runner_up
        if winner is not None:
            branch = self._main_branch(winner)
            if runner_up is not None and self._overtakes(runner_up, branch):
                return self._main_branch(runner_up)
            return branch
        branches = [self._main_branch(n) for n in self._scored_roots]
        return max(branches, key=lambda b: (_value(self.lineage.ended(b)[-1]), -b[0].id))

    def _anneal_from(self, branch: Sequence[Node]) -> tuple[Node, Checkpoint]:
        """The end of a branch, or the incumbent where the end trails it by more than a standard error."""
        best, top = self.tree.best()
        places = [(n, c) for n in reversed(branch) if not n.pruned and (c := place(n)) is not None]
        good = top.kept and not best.pruned and best.transition is not None and not best.state.in_flight
        if not places:
            return best, top
        return (best, top) if good and places[0][1].score.trails(top.score, 1.0) else places[0]

    def _overtakes(self, runner_up: Node, branch: Sequence[Node]) -> bool:
        """Whether the runner-up leads the branch by more than a standard error where both have been."""
        ours, theirs = self.lineage.ended(branch), self.lineage.ended(self._main_branch(runner_up))
        if not ours or not theirs:
            return False
        common = min(ours[-1].total_steps, theirs[-1].total_steps)
        our_score, their_score = score_at(ours, common), score_at(theirs, common)
        if our_score is None or their_score is None:
            return False
        return our_score.trails(their_score, self.settings.stall_errors)

    def _stalls(self, branch: Sequence[Node]) -> bool:
        """Whether the last segments of a branch do not lead those before them."""
        k, ended = self.settings.stall_segments, self.lineage.ended(branch)
        if len(ended) < 2 * k:
            return False
        scores, middle = scores_along(ended[-2 * k :]), ended[-k].start_steps
        later = [score for total, score in scores if total > middle]
        earlier = [score for total, score in scores if total <= middle]
        return difference(later, earlier).errors <= self.settings.stall_errors

    def _beside(self, line: Sequence[Node]) -> int:
        """GRPO steps of what was tried beside a line, below its beginning."""
        return self.tree.subtrees.planned[line[0].id] - _steps(line) if line else 0

    def _affords(self, share: float, aside: int, own: int) -> bool:
        """Whether one more alternative stays within its share of the steps spent aside and on the branch's own."""
        return aside + self.steps <= share * (aside + own + self.steps)

    def _is_turn(self, share: float, branch: Sequence[Node], raced: Sequence[Node]) -> bool:
        """Whether what began aside since the end of the branch leaves it its share: by turns, so that what is tried
        beside the end has a control."""
        tip, lines = branch[-1], {n.id for n in (*branch, *raced)}
        since = 0
        for node in takewhile(lambda n: n.id > tip.id, reversed(self.tree)):
            below = self.tree.subtrees.root_runs[node.id] in lines
            if below and node.id not in lines and node.state is not NodeState.REJECTED:
                since += node.planned_steps
                if not self._affords(share, since, tip.planned_steps):
                    return False
        return True

    def _trial(self, branch: Sequence[Node]) -> Node | None:
        """The end of the changed child that leads the branch most, short of its trial and not clearly behind."""
        on_branch = {n.id for n in branch}
        candidates: list[tuple[float, int, Node]] = []
        for node in branch:
            for change in self.lineage.changes(node):
                if change.id in on_branch or (end := self._on_trial(node, change)) is None:
                    continue
                lead = self.lineage.lead(node, change, 1, self.size)
                if lead > -self.settings.earn_errors:
                    candidates.append((lead, -end.id, end))
        return max(candidates, key=lambda each: each[:2])[2] if candidates else None

    def _on_trial(self, node: Node, change: Node) -> Node | None:
        """The end of a change of `node` that may train on and has not had its trial yet."""
        end = self.lineage.continuation(change)[-1]
        assert change.transition is not None
        trained = end.total_steps - node.start_steps - change.transition.step
        may_continue = self.lineage.grows(end) and not self.lineage.continuation_closed(end)
        return end if may_continue and trained < self.settings.trial_segments * self.size else None

    # ---- expansions ---------------------------------------------------------------------------------------------

    def _root(self, why: str) -> Expansion | None:
        base = place(self.tree.root)
        if base is None or self.tree.root.pruned:
            return None
        reason = f"{why}, from the base model, which scores {base.score.value:.3f}"
        return Expansion(self.tree.root.id, base.step, Intent.ROOT, self.steps, reason)

    def _fewer_roots(self) -> str:
        """Why there are fewer roots than the run file asks for, where there are."""
        if self.roots == self.asked_roots:
            return ""
        asked = f"search.roots asks for {self.asked_roots}"
        return f" ({asked}; {self.total} steps are divided among {self.roots})"

    def _keep(self, node: Node, reason: str) -> Expansion | None:
        end = place(node)
        if end is None or not self.lineage.grows(node) or self.lineage.continuation_closed(node):
            return None
        if self.lineage.continued_by(node) is not None:
            return None
        harder = self.curriculum.next(node) if self.curriculum and self.lineage.may_change_difficulty(node) else None
        if harder is None:
            return Expansion(node.id, end.step, Intent.KEEP, self.steps, reason)
        changes, why = harder
        return Expansion(node.id, end.step, Intent.CURRICULUM, self.steps, f"{reason}; {why}", changes=changes)

    def _change(self, root_runs: Sequence[Node], why: str, most: int) -> Expansion | None:
        bounds = UCTBounds(self.lineage, root_runs, self.exploration, most)
        arm = bounds.best()
        if arm is None:
            return None
        reason = (
            f"{why}: try a change from #{arm.node} step {arm.step} ({counted(arm.begun, 'other')} tried there; "
            f"estimated value {arm.value:.2f}, upper bound {arm.bound:.2f})"
        )
        return Expansion(arm.node, arm.step, Intent.CHANGE, self.steps, reason, bounds.others(arm))


def _steps(nodes: Iterable[Node]) -> int:
    return sum(n.planned_steps for n in nodes)


def _value(node: Node) -> float:
    return node.last.score.value if node.last else -1.0

"""The search: diverse roots race, then one line goes deep while changes beside it must earn their place
(docs/search.md).

Depth wins most, slow starters must not be killed early, and a late annealed end helps: that is what the order of the
questions below encodes. Values are in units of `segment_steps`, so that a demo of twelve segments and a run of hundreds
follow the same plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from engine.domain.score import difference
from engine.domain.space import Intent
from engine.domain.tree import Checkpoint, Node, NodeState, Tree
from engine.run.strategies import LLMZeroSettings
from engine.search.base import BudgetLeft, Expansion, SearchStrategy, segment_length, shortest_segment
from engine.search.lineage import Lineage, place, score_at
from engine.search.race import RootRace, standing
from engine.search.uct import UCTBounds
from engine.words import counted


class LLMZero(SearchStrategy):
    """See the module.

    Args:
        segment_steps: GRPO steps of a segment.
        roots: first segments that race; fewer when the whole budget is under four segments a root.
    """

    def __init__(self, segment_steps: int, settings: LLMZeroSettings | None = None, *, roots: int = 4) -> None:
        self.segment_steps = segment_steps
        self.settings = settings or LLMZeroSettings()
        self.roots = roots

    def ask(self, tree: Tree, budget: BudgetLeft) -> Expansion | None:
        if tree.root.last is None:
            return None
        question = LLMZeroPolicy(self, Lineage(tree), budget)
        return question.answer() if question.steps else None


class LLMZeroPolicy:
    """One question, answered from one look at the tree."""

    def __init__(self, strategy: LLMZero, lines: Lineage, budget: BudgetLeft) -> None:
        settings = self.settings = strategy.settings
        size = self.size = strategy.segment_steps
        self.lines = lines
        self.tree = lines.tree
        self.left = budget.steps
        self.exploration = settings.exploration * (1 - budget.fraction_spent)
        begun = [n for n in self.tree if n.transition is not None and n.state is not NodeState.REJECTED]
        self.total = budget.steps + sum(n.planned_steps if n.state.in_flight else n.steps for n in begun)
        self.half = max(1, size // 2)
        share = round(settings.anneal_share * self.total / self.half) * self.half
        enough = self.total >= settings.anneal_from * size
        self.reserve = min(max(share, self.half), 2 * size) if enough else 0
        self.asked_roots = strategy.roots
        self.roots = min(strategy.roots, max(1, round(self.total / (4 * size))))
        self.race_segments = min(settings.race_segments, max(1, self.total // (6 * size)))
        available = self.left - self.reserve
        self.ending = self.reserve > 0 and available < max(self.half, shortest_segment(size))
        self.steps = segment_length(size, self.left if self.ending else available, first=not begun)

    @cached_property
    def race(self) -> RootRace:
        return standing(self.lines, self.race_segments, self.settings.drop_errors)

    @property
    def _raced(self) -> list[Node]:
        """Lanes whose first segment has ended."""
        return [n for n in self.lines.lanes if n.checkpoints and not n.state.in_flight]

    # ---- the order of the questions -----------------------------------------------------------------------------

    def answer(self) -> Expansion | None:
        expansion = self._settle()
        if expansion is None and not self.lines.busy():
            return self._anything()
        return expansion

    def _settle(self) -> Expansion | None:
        if self.lines.failures:
            return self._repair(self.lines.failures[0])
        if self.ending and self._raced:
            return self._end()
        if self.lines.roots_begun < self.roots:
            number = f"start {self.lines.roots_begun + 1} of {self.roots}: different settings are compared"
            return self._root((number if self.roots > 1 else "the first segment") + self._fewer_roots())
        if self.race.winner is None:
            return self._race()
        return self._go_on(self.race.winner, self.race.runner_up)

    def _repair(self, failed: Node) -> Expansion:
        assert failed.transition is not None  # the root does not fail
        where, steps = failed.transition, segment_length(failed.planned_steps, self.left) or self.steps
        after = counted(failed.steps, "step")
        reason = f"#{failed.id} ended {failed.state} after {after}: the same place once more, made safe"
        return Expansion(where.parent, where.step, Intent.REPAIR, steps, reason, failed=failed.id)

    def _fewer_roots(self) -> str:
        """Why there are fewer roots than the run file asks for, where there are."""
        if self.roots == self.asked_roots:
            return ""
        asked = f"{self.asked_roots} starts are asked for (search.roots)"
        return f" ({asked}, {self.total} steps have room for {self.roots}: each start gets four segments' worth)"

    def _root(self, why: str) -> Expansion | None:
        base = place(self.tree.root)
        if base is None or self.tree.root.pruned:
            return None
        reason = f"{why}, from the base model, which scores {base.score.value:.3f}"
        return Expansion(self.tree.root.id, base.step, Intent.ROOT, self.steps, reason)

    def _end(self) -> Expansion | None:
        """The annealed end: once, from the line's best place, when all of the line has come in."""
        lines = self.lines
        annealed = [n for n in self.tree if lines.role(n) is Intent.ANNEAL and lines.lives(n)]
        if annealed:
            last = lines.chain(annealed[-1])[-1]
            return (
                None
                if last.state.in_flight
                else self._keep(last, f"{counted(self.left, 'step')} of the low-rate end are left")
            )
        trunk = self._line()
        if trunk[-1].state.in_flight:
            return None
        node, checkpoint = self._summit(trunk)
        if any(lines.role(c) is Intent.ANNEAL for c in self.tree.children(node.id)):
            return self._keep(trunk[-1], "the end at a low learning rate failed: training continues as before it")
        reason = (
            f"the last {self.left} of {counted(self.total, 'step')} are trained at a low learning rate, "
            f"from #{node.id} step {checkpoint.step}, which scores {checkpoint.score.value:.3f}"
        )
        return Expansion(node.id, checkpoint.step, Intent.ANNEAL, self.left, reason)

    def _race(self) -> Expansion | None:
        race = self.race
        if race.next is not None:
            return self._keep(race.next, race.reason)
        leader = max(race.survivors, key=lambda n: (_value(n), -n.id), default=None)
        if leader is None or not leader.checkpoints:
            return None
        return self._change([leader], "the comparison waits for a slower start", self.settings.children)

    def _go_on(self, winner: Node, runner: Node | None) -> Expansion | None:
        """Depth first; beside the line when it trains already, when it is closed, or when that share is due."""
        trunk = self._trunk(winner)
        if runner is not None and self._overtakes(runner, trunk):
            trunk, runner = self._trunk(runner), winner
        tip, stalls = trunk[-1], self._stalls(trunk)
        after_race = sum(n.planned_steps for n in trunk[self.race_segments :])
        beside, revived = self._beside(trunk, runner)
        share = self.settings.stalled_share if stalls else self.settings.explore_share
        due = beside + self.steps <= share * (beside + after_race + self.steps)
        grows = self.lines.grows(tip) and not self.lines.keep_is_closed(tip)
        if due or not grows:
            spent = f"{beside} of {counted(beside + after_race, 'step')} so far went into alternatives"
            why = f"#{tip.id} still trains" if tip.state.in_flight else spent
            revive = runner if runner is not None and stalls and revived <= beside - revived else None
            expansion = self._explore(
                trunk, revive, f"the best line {'no longer improves' if stalls else 'goes on'}, and {why}"
            )
            if expansion is not None or not grows:
                return expansion
        return self._keep(tip, f"the best line continues from #{tip.id}: {_value(tip):.3f} at step {tip.total_steps}")

    def _anything(self) -> Expansion | None:
        """Budget is left and nothing trains: what is open, and at last the limit on children set aside."""
        lines, children = self.lines, self.tree.children(self.tree.root.id)
        leaves = [n for n in self.tree if n.id != self.tree.root.id and lines.grows(n) and lines.kept_on(n) is None]
        leaves = [n for n in leaves if not lines.keep_is_closed(n)]
        best = max(leaves, key=lambda n: (_value(n), -n.id), default=None)
        return (
            self._change(lines.lanes, "nothing else is open", self.settings.children)
            or (self._keep(best, "nothing else is open") if best is not None else None)
            or self._change(children, "only closed lines are left", self.settings.children)
            or self._root("a new start: nothing else is open")
            or self._change(children, "nothing else is open", len(self.tree) + 1)
        )

    # ---- the line and what is beside it -------------------------------------------------------------------------

    def _trunk(self, lane: Node) -> list[Node]:
        size, settings = self.size, self.settings
        return self.lines.trunk(lane, settings.trial_segments * size, size, settings.earn_errors)

    def _line(self) -> list[Node]:
        """The line, or while the race is undecided that of the lane with the best end."""
        winner = self.race.winner
        if winner is not None:
            trunk = self._trunk(winner)
            runner = self.race.runner_up
            return self._trunk(runner) if runner is not None and self._overtakes(runner, trunk) else trunk
        trunks = [self._trunk(n) for n in self._raced]
        return max(trunks, key=lambda t: (_value(self.lines.ended(t)[-1]), -t[0].id))

    def _summit(self, trunk: Sequence[Node]) -> tuple[Node, Checkpoint]:
        """The end of the line, or the incumbent where the end trails it by more than a standard error."""
        best, top = self.tree.best()
        places = [(n, c) for n in reversed(trunk) if not n.pruned and (c := place(n)) is not None]
        good = top.kept and not best.pruned and best.transition is not None and not best.state.in_flight
        if not places:
            return best, top
        return (best, top) if good and places[0][1].score.trails(top.score, 1.0) else places[0]

    def _overtakes(self, runner: Node, trunk: Sequence[Node]) -> bool:
        """Whether the parked lane leads the line by more than a standard error where both have been."""
        ours, theirs = self.lines.ended(trunk), self.lines.ended(self._trunk(runner))
        if not ours or not theirs:
            return False
        common = min(ours[-1].total_steps, theirs[-1].total_steps)
        line, parked = score_at(ours, common), score_at(theirs, common)
        return line is not None and parked is not None and line.trails(parked, self.settings.stall_errors)

    def _stalls(self, trunk: Sequence[Node]) -> bool:
        k, ended = self.settings.stall_segments, self.lines.ended(trunk)
        if len(ended) < 2 * k:
            return False
        later = [c.score for n in ended[-k:] for c in n.checkpoints]
        earlier = [c.score for n in ended[-2 * k : -k] for c in n.checkpoints]
        return difference(later, earlier).errors <= self.settings.stall_errors

    def _beside(self, trunk: Sequence[Node], runner: Node | None) -> tuple[int, int]:
        """GRPO steps that went beside the line after the race, and how many of them into the parked lane."""
        on_line = {n.id for n in trunk}
        real = [n for n in self.tree.subtree(trunk[0].id) if n.state is not NodeState.REJECTED and n.id not in on_line]
        changed = sum(n.planned_steps for n in real)
        if runner is None:
            return changed, 0
        raced = {n.id for n in self.lines.chain(runner)[: self.race_segments]}
        revived = sum(n.planned_steps for n in self.tree.subtree(runner.id) if n.id not in raced)
        return changed + revived, revived

    def _explore(self, trunk: Sequence[Node], revive: Node | None, why: str) -> Expansion | None:
        """A second segment for a promising change, then the parked lane if the line stalls, then a new change."""
        trial = self._trial(trunk)
        if trial is not None:
            return self._keep(
                trial, f"{why}: the change #{trial.id} ({_value(trial):.3f}) is tried for another segment"
            )
        if revive is not None:
            end = self._trunk(revive)[-1]
            if self.lines.grows(end) and not self.lines.keep_is_closed(end):
                return self._keep(end, f"{why}: the second-best start #{revive.id} continues from {_value(end):.3f}")
        return self._change([trunk[0]], why, self.settings.children)

    def _trial(self, trunk: Sequence[Node]) -> Node | None:
        """The end of the changed child that leads the line most, short of its trial and not clearly behind."""
        size, on_line = self.size, {n.id for n in trunk}
        found: list[tuple[float, int, Node]] = []
        for node in trunk:
            for change in self.lines.changes(node):
                end = self.lines.chain(change)[-1]
                assert change.transition is not None
                trained = end.total_steps - node.start_steps - change.transition.step
                open_ = self.lines.grows(end) and not self.lines.keep_is_closed(end) and change.id not in on_line
                if open_ and trained < self.settings.trial_segments * size:
                    found.append((self.lines.lead(node, change, 1, size), -end.id, end))
        found = [f for f in found if f[0] > -self.settings.earn_errors]
        return max(found, key=lambda f: f[:2])[2] if found else None

    # ---- expansions ---------------------------------------------------------------------------------------------

    def _keep(self, node: Node, reason: str) -> Expansion | None:
        end = place(node)
        if end is None or not self.lines.grows(node) or self.lines.keep_is_closed(node):
            return None
        if self.lines.kept_on(node) is not None:
            return None
        return Expansion(node.id, end.step, Intent.KEEP, self.steps, reason)

    def _change(self, lanes: Sequence[Node], why: str, most: int) -> Expansion | None:
        bounds = UCTBounds(self.lines, lanes, self.exploration, most)
        arm = bounds.best()
        if arm is None:
            return None
        reason = (
            f"{why}: a change is tried from #{arm.node} step {arm.step} ({counted(arm.begun, 'other')} tried there; "
            f"value {arm.value:.2f} of 1, at best {arm.bound:.2f})"
        )
        return Expansion(arm.node, arm.step, Intent.CHANGE, self.steps, reason, bounds.others(arm))


def _value(node: Node) -> float:
    return node.last.score.value if node.last else -1.0

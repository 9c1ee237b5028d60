"""A whole search without training: the real strategy, tree and advisor over a world that says how policies learn.

Used by `expected_gain`, whose world is fitted to recorded runs, by `engine.testing`, whose world is made up, and by
`benchmarks.constants`, whose world was recorded.
Nothing here says anything about a model of a user's.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, Protocol

from engine.advisors.base import Advisor, Evidence
from engine.advisors.rules import RulesAdvisor
from engine.controller.retention import superfluous
from engine.domain.first_look import enough
from engine.domain.score import PromptSet, Score, outcomes_of
from engine.domain.space import Configuration, Space, Transition
from engine.domain.tree import REWARD_STEPS, Checkpoint, Node, NodeState, Tree
from engine.search.base import BudgetLeft, Expansion, SearchStrategy, shortest_segment


class LearningWorld(Protocol):
    """How policies of one task learn. A state is what a policy can do; only the world looks into it."""

    def begin(self) -> Any:
        """The state of the base model."""

    def step(self, state: Any, configuration: Configuration) -> Any:
        """After one GRPO step."""

    def accuracy(self, state: Any, configuration: Configuration) -> float:
        """True accuracy in [0, 1] of a policy that is trained so."""

    def entropy(self, state: Any) -> float:
        """Of the policy, in nats."""

    def score(self, state: Any, configuration: Configuration, rng: random.Random) -> Score:
        """Answers of a policy that is trained so to the validation prompts, the same ones every time."""


def answered(accuracy: float, hardness: Sequence[float], rng: random.Random) -> Score:
    """The score of a policy on prompts of a hardness each, in 0..1: half of what decides an answer is how hard its
    prompt is."""

    def correct(p: float) -> list[bool]:
        bar = math.sqrt(p / 2) if p < 0.5 else 1 - math.sqrt((1 - p) / 2)  # of a sum of two uniform numbers
        return [(hard + rng.random()) / 2 < bar for hard in hardness]

    greedy, sampled = correct(min(1.0, accuracy + 0.05)), correct(accuracy)
    prompts = PromptSet("validation", 0, len(hardness))
    return Score(len(hardness), sum(greedy), sum(sampled), outcomes_of(greedy, sampled), (prompts,))


@dataclass
class Simulation:
    """The controller's part: ask, advise, train, tell. Everything that happened is in `tree` and `asked`.

    `steps`: the budget, in GRPO steps. `first_look`: prompts of a first look at a checkpoint, 0 asks all at once.
    `keep`: the best checkpoints whose files stay (`training.keep_checkpoints`), besides those that are needed.
    """

    strategy: SearchStrategy
    world: LearningWorld
    space: Space
    steps: int
    workers: int = 1
    segment_steps: int = 50
    seed: int = 0
    first_look: int = 0
    keep: int = 8
    advisor: Advisor = field(default_factory=RulesAdvisor)
    fault: Callable[[Node], NodeState | None] = lambda node: None
    files_kept: Callable[[Node], bool] = lambda node: True
    asked: list[tuple[Expansion | None, BudgetLeft]] = field(default_factory=list)
    tree: Tree = field(init=False)

    def __post_init__(self) -> None:
        configuration, begun = self.space.default(), self.world.begin()
        base = self.world.score(begun, configuration, random.Random(f"base/{self.seed}"))
        root = Node(0, None, configuration, NodeState.FINISHED, checkpoints=(Checkpoint(0, base),))
        self.tree = Tree(root)
        self.skills: dict[tuple[int, int], Any] = {(0, 0): begun}
        self._metrics: dict[int, dict[str, list[tuple[int, float]]]] = {0: {}}
        self._clock = 0
        self._running: list[tuple[int, int]] = []

    # ---- the loop -----------------------------------------------------------------------------------------------

    def run(self) -> Simulation:
        """Until the budget is spent; every wait is for something in flight."""
        while True:
            while len(self._running) < self.workers and (expansion := self.ask()) is not None:
                self.begin(expansion)
            if not self._running:
                assert self.left().steps < shortest_segment(self.segment_steps), f"stopped with {self.left()} left"
                return self
            self.finish_one()

    def left(self) -> BudgetLeft:
        begun = [n for n in self.tree if n.transition]
        spent = sum(n.steps for n in begun)
        taken = spent + sum(n.planned_steps for n in begun if n.state.in_flight)
        return BudgetLeft(self.steps - taken, spent / self.steps, workers=self.workers)

    def ask(self) -> Expansion | None:
        left = self.left()
        expansion = self.strategy.ask(self.tree, left)
        self.asked.append((expansion, left))
        return expansion

    def begin(self, expansion: Expansion) -> Node:
        transition = self.transition(expansion)
        parent = self.tree[transition.parent]
        node = Node(
            len(self.tree), transition, self.space.apply(parent.configuration, transition.changes), NodeState.RUNNING,
            start_steps=parent.start_steps + transition.step, planned_steps=expansion.steps,
        )  # fmt: skip
        self.tree.add(node)
        heapq.heappush(self._running, (self._clock + expansion.steps, node.id))
        return node

    def transition(self, expansion: Expansion) -> Transition:
        if expansion.changes is not None:
            return Transition(
                expansion.parent, expansion.step, expansion.intent, expansion.changes,
                expansion.optimizer, expansion.reference, "given", expansion.reason,
            )  # fmt: skip
        return self.advisor.advise(self.evidence(expansion)).proposals[0]

    def evidence(self, expansion: Expansion) -> Evidence:
        parent = self.tree[expansion.parent]
        curves = self._metrics.get(parent.id, {})
        metrics = {name: [p for p in points if p[0] <= expansion.step] for name, points in curves.items()}
        return Evidence(
            tree=self.tree, space=self.space, parent=parent, step=expansion.step, intent=expansion.intent,
            metrics=metrics, completions=(), candidates=expansion.candidates,
            tried=tuple(c.transition for c in self.tree.children(parent.id) if c.transition),
            steps=expansion.steps, fraction_spent=self.left().fraction_spent, seed=self.seed + len(self.tree),
            failed=None if expansion.failed is None else self.tree[expansion.failed],
        )  # fmt: skip

    def finish_one(self) -> None:
        """The segment that ends first: its checkpoints are scored, its state is told."""
        self._clock, node_id = heapq.heappop(self._running)
        node = self.tree[node_id]
        assert node.transition is not None
        rng = random.Random(f"segment/{self.seed}/{node.parent}/{node.transition.step}/{node_id}")
        fault = self.fault(node)
        if fault is not None and fault.failed:
            self.tree.set_steps(node_id, 1)
            self.tree.set_state(node_id, fault)
            return
        skill = self.skills[(node.transition.parent, node.transition.step)]
        every = max(1, self.segment_steps // 2)
        curves: dict[str, list[tuple[int, float]]] = {"reward": [], "entropy": [], "reward_std": []}
        for step in range(1, node.planned_steps + 1):
            skill = self.world.step(skill, node.configuration)
            accuracy = self.world.accuracy(skill, node.configuration)
            curves["reward"].append((step, accuracy + rng.gauss(0, 0.05)))
            curves["reward_std"].append((step, 0.4))
            curves["entropy"].append((step, self.world.entropy(skill) + rng.gauss(0, 0.05)))
            if step % every == 0 or step == node.planned_steps:
                self.skills[(node_id, step)] = skill
                whole = self.world.score(skill, node.configuration, rng)
                score = self._scored(node, whole, ends=step == node.planned_steps)
                self.tree.add_checkpoint(node_id, Checkpoint(step, score))
                if not self.files_kept(node):
                    self.tree.forget_files(node_id, step)
        self._metrics[node_id] = curves
        self.tree.set_reward(node_id, fmean(reward for _, reward in curves["reward"][-REWARD_STEPS:]))
        self.tree.set_steps(node_id, node.planned_steps)
        self.tree.set_state(node_id, fault or NodeState.FINISHED)
        for place in superfluous(self.tree, self.keep):
            self.tree.forget_files(*place)

    def _scored(self, node: Node, whole: Score, *, ends: bool) -> Score:
        """What is asked of a checkpoint, of all that it would answer."""
        if not self.first_look or (ends and all(c.score.n < whole.n for c in self.tree[node.id].checkpoints)):
            return whole
        look = whole.first(self.first_look)
        begun = next((c.score for c in self.tree[node.parent or 0].checkpoints if c.step == _branch_step(node)), None)
        return look if enough(look, begun, ends=ends) else whole

    # ---- the outcome --------------------------------------------------------------------------------------------

    @property
    def clock(self) -> int:
        """Steps that one worker could have trained one after another by the end of the last segment."""
        return self._clock

    def truth(self) -> float:
        """True accuracy of the incumbent."""
        node, checkpoint = self.tree.best()
        return self.world.accuracy(self.skills[(node.id, checkpoint.step)], node.configuration)


def _branch_step(node: Node) -> int:
    return node.transition.step if node.transition else 0

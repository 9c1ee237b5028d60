"""A world of synthetic learning curves and a small controller loop over it, to test strategies and advisors in no time.

Only the search, the advisor and the tree are real. The curves have what docs/search.md says of real ones: slow starters
that win, shallow fast gains, collapses under a learning rate that is too high, noise that falls with the learning rate,
binomial scores.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import fmean

from engine.advisors.base import Advisor, Evidence
from engine.advisors.rules import RulesAdvisor
from engine.domain.first_look import enough
from engine.domain.score import PromptSet, Score, outcomes_of
from engine.domain.space import Configuration, Intent, KLReference, OptimizerState, Space, Transition, numeric
from engine.domain.tree import REWARD_STEPS, Checkpoint, Node, NodeState, Tree
from engine.search.base import BudgetLeft, Expansion, SearchStrategy, shortest_segment

SPACE = Space.build(
    {},
    {
        "learning_rate": {"low": 1e-5, "high": 5e-4, "default": 1e-4},
        "beta": {"low": 0.0, "high": 0.1, "default": 0.0},
        "temperature": {"low": 0.7, "high": 1.3, "default": 1.0},
        "max_completion_length": {"low": 24, "high": 64, "default": 64},
        "num_generations": {"choices": [4, 8, 16], "default": 8},
    },
    batch_size=32,
)


@dataclass(frozen=True)
class Skill:
    """What a policy can do: `shallow` and `deep` in 0..1; deep skill grows like a logistic, late."""

    shallow: float = 0.0
    deep: float = 0.02


@dataclass
class World:
    """Learning curves of one made-up task.

    Attributes:
        best_rate: learning rate at which deep skill grows fastest at first. falls: how much lower (factor) the best
            rate is once the skill is there; 1 is a world in which a constant is best.
        tolerance: width of the bell around the best rate, in natural-log units.
        limit: learning rate beyond which a policy collapses.
    """

    seed: int
    prompts: int = 256
    falls: float = 4.0
    best_rate: float = field(init=False)
    warmth: float = field(init=False)
    hardness: list[float] = field(init=False)
    tolerance: float = 0.9

    def __post_init__(self) -> None:
        rng = random.Random(f"world/{self.seed}")
        self.best_rate = math.exp(rng.uniform(math.log(3e-5), math.log(1.2e-4)))
        self.warmth = rng.uniform(0.8, 1.2)
        self.limit = 5 * self.best_rate
        self.hardness = [rng.random() for _ in range(self.prompts)]

    def step(self, skill: Skill, configuration: Configuration) -> Skill:
        rate = numeric(configuration["learning_rate"])
        best = self.best_rate * self.falls**-skill.deep
        bell = math.exp(-0.5 * (math.log(rate / best) / self.tolerance) ** 2)
        heat = math.exp(-0.5 * ((numeric(configuration["temperature"]) - self.warmth) / 0.25) ** 2)
        deep = skill.deep + 0.035 * bell * heat * skill.deep * (1 - skill.deep)
        shallow = skill.shallow + 0.03 * min(1.5, rate / self.best_rate) * (1 - skill.shallow)
        if rate > self.limit:
            shallow, deep = shallow * 0.95, deep * 0.97
        return Skill(shallow, deep)

    def accuracy(self, skill: Skill, configuration: Configuration) -> float:
        """True accuracy: noise of large steps costs up to some points, as annealing shows."""
        noise = 0.04 * min(1.5, numeric(configuration["learning_rate"]) / self.best_rate) * skill.deep
        return min(0.98, 0.08 + 0.2 * skill.shallow + 0.65 * skill.deep - noise)

    def score(self, accuracy: float, rng: random.Random) -> Score:
        """On the same prompts every time: half of what decides an answer is how hard its prompt is."""

        def correct(p: float) -> list[bool]:
            bar = math.sqrt(p / 2) if p < 0.5 else 1 - math.sqrt((1 - p) / 2)  # of a sum of two uniform numbers
            return [(hardness + rng.random()) / 2 < bar for hardness in self.hardness]

        greedy, sampled = correct(min(1.0, accuracy + 0.05)), correct(accuracy)
        prompts = PromptSet("validation", 0, self.prompts)
        return Score(self.prompts, sum(greedy), sum(sampled), outcomes_of(greedy, sampled), (prompts,))


@dataclass
class Simulation:
    """The controller's part: ask, advise, train, tell. Everything that happened is in `tree` and `asked`.

    `first_look`: prompts of a first look at a checkpoint, 0 asks all of the world's at once.
    """

    strategy: SearchStrategy
    world: World
    steps: int
    workers: int = 1
    segment_steps: int = 50
    seed: int = 0
    space: Space = SPACE
    first_look: int = 0
    advisor: Advisor = field(default_factory=RulesAdvisor)
    fault: Callable[[Node], NodeState | None] = lambda node: None
    files_kept: Callable[[Node], bool] = lambda node: True
    asked: list[tuple[Expansion | None, BudgetLeft]] = field(default_factory=list)
    tree: Tree = field(init=False)

    def __post_init__(self) -> None:
        configuration = self.space.default()
        base = self.world.score(self.world.accuracy(Skill(), configuration), random.Random(f"base/{self.seed}"))
        root = Node(0, None, configuration, NodeState.FINISHED, checkpoints=(Checkpoint(0, base),))
        self.tree = Tree(root)
        self.skills: dict[tuple[int, int], Skill] = {(0, 0): Skill()}
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
                OptimizerState.KEEP, KLReference.BASE, "given", expansion.reason,
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
            curves["entropy"].append((step, 2 - skill.deep + rng.gauss(0, 0.05)))
            if step % every == 0 or step == node.planned_steps:
                self.skills[(node_id, step)] = skill
                score = self._scored(node, self.world.score(accuracy, rng), ends=step == node.planned_steps)
                self.tree.add_checkpoint(node_id, Checkpoint(step, score))
                if not self.files_kept(node):
                    self.tree.forget_files(node_id, step)
        self._metrics[node_id] = curves
        self.tree.set_reward(node_id, fmean(reward for _, reward in curves["reward"][-REWARD_STEPS:]))
        self.tree.set_steps(node_id, node.planned_steps)
        self.tree.set_state(node_id, fault or NodeState.FINISHED)

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


def intents(tree: Tree) -> Mapping[Intent, int]:
    """How many nodes of each intent a tree holds."""
    counts: dict[Intent, int] = {}
    for node in tree:
        if node.transition:
            counts[node.transition.intent] = counts.get(node.transition.intent, 0) + 1
    return counts

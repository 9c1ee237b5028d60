"""Which decision points the bank has: the states that are trained into, and the transitions that are measured there.

Read by `benchmarks.decisions`. Values are shares of a parameter's range, so that a state means the same on every task.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from engine.advisors.applying import apply
from engine.advisors.base import Evidence, canonical
from engine.advisors.moves import TASK, MovePlan, MoveStep
from engine.advisors.rules import RulesAdvisor
from engine.decisions.bank import CONTINUE
from engine.domain.space import Intent, KLReference, OptimizerState, Space, Transition, Value
from engine.search.optimizers import decode, encode, free

TASKS = (("ladder", "chain", "knights", "dedup"), ("countdown",))
"""In the order in which they are gone round; the last takes as long as two of the others."""
SEGMENT = 50
"""GRPO steps of a stage of the history."""
RULES = 2
"""Proposals of the rules that are measured at a point."""
PROBED = 2
"""Transitions beside them whose kind goes round, so that every kind is measured about equally often."""


@dataclass(frozen=True, slots=True)
class Stage:
    """So many steps of a history: where parameters are moved to, as a share of their range; others stay as they are."""

    steps: int = SEGMENT
    to: Mapping[str, float] = field(default_factory=dict)


STATES: Mapping[str, Sequence[Stage]] = {
    "young": (Stage(),),
    "high rate": (Stage(), Stage(to={"learning_rate": 1.0})),
    "short": (Stage(to={"max_completion_length": 0.1}), Stage()),
    "no penalty": (Stage(to={"beta": 0.0, "learning_rate": 0.7}), Stage(to={"learning_rate": 1.0, "temperature": 1.0})),
    "slow": (Stage(to={"learning_rate": 0.0}), Stage()),
    "healthy": (Stage(), Stage()),
    "hot": (Stage(), Stage(to={"temperature": 1.0, "learning_rate": 0.8})),
    "easy": (Stage(to={"difficulty": 0.0, "learning_rate": 0.7}), Stage(to={"beta": 0.0})),
    "penalized": (Stage(to={"beta": 1.0, "learning_rate": 0.7}), Stage()),
    "cold": (Stage(), Stage(to={"temperature": 0.0, "learning_rate": 0.8, "num_generations": 0.0})),
    "late": (Stage(100, {"learning_rate": 0.6}), Stage(100)),
}
"""By name; young, healthy and late are meant to be well, the others to be ill in one way each."""


@dataclass(frozen=True, slots=True)
class PlannedPoint:
    """A point to be: `number` is its place in the plan, from which its seed follows."""

    number: int
    task: str
    state: str

    @property
    def name(self) -> str:
        return f"{self.task}/{self.state}/{self.number}"

    @property
    def seed(self) -> int:
        """Of the run that leads there."""
        return 1000 + self.number

    @property
    def stages(self) -> Sequence[Stage]:
        return STATES[self.state]


def plan() -> Iterator[PlannedPoint]:
    """Every task in every state, going round both, so that the bank is balanced at every moment."""
    states, number = list(STATES), itertools.count()
    for tasks in TASKS:
        for turn in range(len(states)):
            for place, task in enumerate(tasks):
                yield PlannedPoint(next(number), task, states[(turn + 2 * place) % len(states)])


def moved(space: Space, configuration: Mapping[str, Value], to: Mapping[str, float]) -> dict[str, Value]:
    """The configuration with some parameters at a share of their range on its scale."""
    at = dict(zip((p.name for p in free(space)), encode(space, configuration), strict=True))
    wanted = decode(space, [to.get(name, place) for name, place in at.items()])
    return {**configuration, **{name: wanted[name] for name in to if name in at}}


# ---- the transitions of a point -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Probe:
    """A transition that is no rule's: a plan of moves, Adam and reference, perhaps from the earliest place offered."""

    title: str
    steps: tuple[MoveStep, ...] = ()
    optimizer: OptimizerState = OptimizerState.KEEP
    reference: KLReference = KLReference.KEEP
    earlier: bool = False


def _move(name: str, by: float) -> MoveStep:
    return MoveStep(name, by, "measured for the bank")


RATE, BETA, HEAT, LENGTH, GROUP = (
    "learning_rate", "beta", "temperature", "max_completion_length", "num_generations",
)  # fmt: skip

PROBES: Sequence[Probe] = (
    Probe("slower", (_move(RATE, 1 / 3),)),
    Probe("faster", (_move(RATE, 3),)),
    Probe("hotter", (_move(HEAT, 0.2),)),
    Probe("harder", (_move(TASK, 0.34),)),
    Probe("refined", (_move(RATE, 1 / 3), _move(BETA, 0.5), _move(HEAT, -0.1))),
    Probe("colder", (_move(HEAT, -0.2),)),
    Probe("longer", (_move(LENGTH, 1.5),)),
    Probe("weaker penalty", (_move(BETA, 0.3),)),
    Probe("grown", (_move(TASK, 0.34), _move(LENGTH, 1.5), _move(RATE, 0.5))),
    Probe("larger groups", (_move(GROUP, 1),)),
    Probe("stronger penalty", (_move(BETA, 3),)),
    Probe("new reference", (_move(RATE, 0.7),), reference=KLReference.BRANCH),
    Probe("earlier, slower", (_move(RATE, 1 / 3),), earlier=True),
    Probe("explored", (_move(HEAT, 0.2), _move(GROUP, 1), _move(RATE, 0.7))),
    Probe("Adam anew", (_move(RATE, 0.5),), OptimizerState.RESET),
)
BAD: Sequence[Probe] = (
    Probe("bad: highest rate", (_move(RATE, 100), _move(BETA, 0.001))),
    Probe("bad: frozen", (_move(RATE, 0.001),)),
    Probe("bad: shortest", (_move(LENGTH, 0.01), _move(HEAT, -9))),
    Probe("bad: hottest and fast", (_move(HEAT, 9), _move(RATE, 10))),
)
"""What hardly anyone would do: the bench must be able to tell a bad advisor."""


def transitions(point: PlannedPoint, evidence: Evidence) -> list[tuple[str, Transition]]:
    """(origin, transition) of everything that is measured at a point, continuing first; none twice."""
    found = [(CONTINUE, Transition(evidence.parent.id, evidence.step, Intent.KEEP, label=CONTINUE, rationale="—"))]
    advice = RulesAdvisor().advise(evidence)
    candidates = [(f"rules {n}", proposal) for n, proposal in enumerate(advice.proposals, 1)]
    _take(evidence, found, candidates, RULES)
    first = PROBED * point.number
    probes = [PROBES[(first + i) % len(PROBES)] for i in range(len(PROBES))]
    _take(evidence, found, [(p.title, t) for p in probes if (t := _probe(evidence, p)) is not None], PROBED)
    bad = [BAD[(point.number + i) % len(BAD)] for i in range(len(BAD))]
    _take(evidence, found, [(p.title, t) for p in bad if (t := _probe(evidence, p)) is not None], 1)
    return found


def _take(
    evidence: Evidence, found: list[tuple[str, Transition]], candidates: Sequence[tuple[str, Transition]], most: int
) -> None:
    """Add the first valid ones that are no repeats of those found."""
    space, taken = evidence.space, 0
    for origin, given in candidates:
        parent = evidence.tree[given.parent]
        proposal = canonical(given, evidence.tree, space)
        repeats = any(other.parent == proposal.parent and other.repeats(proposal) for _, other in found)
        if taken < most and not repeats and not space.check_transition(parent.configuration, proposal):
            found.append((origin, proposal))
            taken += 1


def _probe(evidence: Evidence, probe: Probe) -> Transition | None:
    """None where nothing of it can move, or no earlier place is offered."""
    parent, step = evidence.parent.id, evidence.step
    if probe.earlier:
        if not evidence.candidates:
            return None
        parent, step = evidence.candidates[-1]
    configuration = evidence.tree[parent].configuration
    applied = apply(evidence.space, configuration, MovePlan(probe.title, probe.steps, ""))
    if applied is None:
        return None
    label = evidence.space.describe(configuration, applied.changes)
    given = Transition(parent, step, Intent.CHANGE, applied.changes, probe.optimizer, probe.reference, label)
    return replace(given, rationale=probe.title, expected="higher validation")

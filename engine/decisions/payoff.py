"""What paid: the measured gains of the bank by diagnosis and kind of change, and how far that carries to another task.

Asked by the bench. The unit is the decision point: transitions of one kind at one point are averaged first. Nothing
here changes the rules (`engine.advisors.moves`); a human does, where a verdict supports it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from engine.advisors.rules import RulesAdvisor, look
from engine.compare.statistics import SeedMean, mean
from engine.decisions.bank import CONTINUE, DecisionPoint, MeasuredTransition
from engine.decisions.effects import GainModel, KindsOfChange
from engine.domain.space import KLReference, OptimizerState, direction

ANY = "any"
"""Stands for every diagnosis."""
LEAST_POINTS, LEAST_TASKS = 6, 3
"""Below these a kind is open, whatever its interval."""
Gains = Mapping[tuple[str, str], Mapping[str, float]]
"""(diagnosis, kind of change) → point → mean gain over continuing."""


@dataclass(frozen=True, slots=True)
class Payoff:
    """What a kind of change gained where a diagnosis was the worst.

    Attributes:
        gain: mean over points, with its 95% interval. tasks: on how many. without: the lowest and the highest mean when
            one task is left out; None on one task.
    """

    diagnosis: str
    kind: str
    gain: SeedMean
    tasks: int
    without: tuple[float, float] | None

    @property
    def verdict(self) -> str:
        """ "pays" or "costs" where interval and every task left out agree on enough points and tasks, else "open"."""
        if self.gain.interval is None or self.without is None:
            return "open"
        enough = self.gain.n >= LEAST_POINTS and self.tasks >= LEAST_TASKS
        low, high = min(self.gain.interval[0], self.without[0]), max(self.gain.interval[1], self.without[1])
        return "pays" if enough and low > 0 else "costs" if enough and high < 0 else "open"


def kinds(point: DecisionPoint, measured: MeasuredTransition) -> frozenset[str]:
    """What kinds of change a transition is made of: "learning_rate ↓", "reset Adam", "new reference", "earlier"; one
    that is bad on purpose is of no kind, because nobody is to learn its size."""
    if measured.origin == CONTINUE or measured.origin.startswith("bad: "):
        return frozenset()
    given, tree = measured.transition, point.evidence.tree
    before = tree[given.parent].configuration
    names = {f"{name} {direction(before[name], value)}" for name, value in given.changes.items() if name in before}
    if given.optimizer is OptimizerState.RESET:
        names.add("reset Adam")
    if given.reference is KLReference.BRANCH:
        names.add("new reference")
    if (given.parent, given.step) != (point.evidence.parent.id, point.evidence.step):
        names.add("earlier")
    return frozenset(names)


def gains(points: Sequence[DecisionPoint], horizon: int) -> Gains:
    """Every (diagnosis, kind) that was measured, by point; each also under "any"."""
    several: dict[tuple[str, str], dict[str, list[float]]] = {}
    for point in points:
        worst = worst_of(point)
        for measured in point.measured:
            gain = point.gain(measured, horizon)
            if gain is None:
                continue
            for kind in kinds(point, measured):
                for diagnosis in (worst, ANY):
                    several.setdefault((diagnosis, kind), {}).setdefault(point.name, []).append(gain.value)
    return {key: {name: fmean(values) for name, values in by_point.items()} for key, by_point in several.items()}


def payoffs(points: Sequence[DecisionPoint], horizon: int) -> list[Payoff]:
    """What paid, the best measured first, "any" before single diagnoses."""
    tasks = {p.name: p.task for p in points}
    rows = [_payoff(*key, by_point, tasks) for key, by_point in gains(points, horizon).items()]
    return sorted(rows, key=lambda p: (p.diagnosis != ANY, p.diagnosis, -p.gain.value, p.kind))


def _payoff(diagnosis: str, kind: str, by_point: Mapping[str, float], tasks: Mapping[str, str]) -> Payoff:
    on = sorted({tasks[name] for name in by_point})
    left = [fmean(gain for name, gain in by_point.items() if tasks[name] != task) for task in on] if len(on) > 1 else []
    without = (min(left), max(left)) if left else None
    return Payoff(diagnosis, kind, mean(list(by_point.values())), len(on), without)


def chosen_elsewhere(points: Sequence[DecisionPoint], horizon: int) -> dict[str, MeasuredTransition]:
    """What rules corrected by the other tasks' points choose at each point; nothing where all are of one task.

    They take the measured transition of which most is expected (`engine.decisions.effects`), and continue where that is
    not above 0. Points without a measured continuation are left out.
    """
    seen = {point.name: _seen(point, horizon) for point in points}
    tasks = {point.task for point in points}
    models = {
        task: GainModel([(change, gain) for p in points if p.task != task for _, change, gain in seen[p.name]])
        for task in tasks
    }
    chosen: dict[str, MeasuredTransition] = {}
    for point in points if len(tasks) > 1 else ():
        if (unchanged := point.continued) is not None:
            expected = [(models[point.task].gain(change), measured) for measured, change, _ in seen[point.name]]
            chosen[point.name] = max([(0.0, unchanged), *expected], key=lambda pair: pair[0])[1]
    return chosen


def _seen(point: DecisionPoint, horizon: int) -> list[tuple[MeasuredTransition, KindsOfChange, float]]:
    """The measured transitions that change something, with their gains; not those that are bad on purpose."""
    diagnosis, proposed = worst_of(point), RulesAdvisor().advise(point.evidence).proposals[0]
    wanted = kinds(point, MeasuredTransition("rules", proposed, {}))
    changes = []
    for measured in point.measured:
        own, gain = kinds(point, measured), point.gain(measured, horizon)
        if own and gain is not None:
            likeness = len(own & wanted) / len(own | wanted)
            changes.append((measured, KindsOfChange(diagnosis, own, likeness), gain.value))
    return changes


def worst_of(point: DecisionPoint) -> str:
    """The most severe diagnosis of the segment that leads to a point."""
    return look(point.evidence)[0].pathology

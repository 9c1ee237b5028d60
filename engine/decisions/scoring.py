"""What a proposed transition is worth at a point: as measured where it was, else as the nearest one that was.

Nearest in the distance below, which the page of the bench states. Pure values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from engine.advisors.base import Evidence, canonical
from engine.decisions.bank import DecisionPoint, MeasuredTransition
from engine.domain.space import Transition
from engine.search.optimizers import encode

ADAM, REFERENCE = 0.25, 0.25
"""What another choice of Adam's state, or of the KL reference, adds to a distance, beside coordinates in [0, 1]."""
PLACE = 0.25
"""What a segment's length between two branch points adds."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a transition came to.

    Attributes:
        origin: of the measured transition that stands for it. distance: to it, 0 where it is the very one.
        gains: GRPO steps → gain over continuing.
    """

    origin: str
    distance: float
    gains: Mapping[int, float]

    @property
    def exact(self) -> bool:
        """Whether the transition itself was measured."""
        return self.distance == 0


def distance(ours: Transition, other: Transition, evidence: Evidence) -> float:
    """How far two transitions of a point are apart: Euclidean over the free parameters of the resulting configurations,
    each scaled to [0, 1] on its scale, with Adam's state, the reference and the place as further coordinates."""
    there, tree = evidence.space, evidence.tree

    def point(given: Transition) -> list[float]:
        configuration = there.apply(tree[given.parent].configuration, given.changes)
        at = (tree[given.parent].start_steps + given.step) / evidence.steps
        adam, reference = ADAM * (given.optimizer == "reset"), REFERENCE * (given.reference == "branch point")
        return [*encode(there, configuration), adam, reference, PLACE * at]

    return math.dist(point(ours), point(other))


def outcome(point: DecisionPoint, proposal: Transition) -> Outcome:
    """What a proposal is worth. Raises ValueError where nothing of the point was measured beside continuing."""
    evidence = point.evidence
    wanted = canonical(proposal, evidence.tree, evidence.space)
    measured = [each for each in point.measured if _gains(point, each)]
    far, _, nearest = min((distance(wanted, m.transition, evidence), n, m) for n, m in enumerate(measured))
    return Outcome(nearest.origin, round(far, 4), _gains(point, nearest))


def best(point: DecisionPoint, horizon: int) -> float:
    """The highest measured gain, continuing among them. It is the best of several noisy ones, hence too high."""
    return max(_gains(point, each).get(horizon, 0.0) for each in point.measured)


def attainable(point: DecisionPoint, horizon: int) -> float | None:
    """What choosing the best transition by one training seed gains with the others, mean over the seeds: what could be
    known, without the luck of the draw. None with fewer than two seeds."""
    unchanged = point.continued
    seeds = sorted(unchanged.scores) if unchanged else []
    whole = [m for m in point.measured if all(seed in m.scores for seed in seeds)]
    if unchanged is None or len(seeds) < 2:
        return None

    def gain(given: MeasuredTransition, seed: int) -> float:
        return given.scores[seed][horizon].value - unchanged.scores[seed][horizon].value

    values = []
    for seed in seeds:
        chosen = max(whole, key=lambda each: gain(each, seed))
        values += [gain(chosen, other) for other in seeds if other != seed]
    return sum(values) / len(values)


def _gains(point: DecisionPoint, measured: MeasuredTransition) -> dict[int, float]:
    """The gain after each horizon that is known."""
    by_horizon = {horizon: point.gain(measured, horizon) for horizon in point.horizons}
    return {horizon: gain.value for horizon, gain in by_horizon.items() if gain is not None}

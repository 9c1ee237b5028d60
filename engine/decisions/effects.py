"""What a transition is expected to gain: what the rules' table says, corrected by what was measured.

Bayesian linear regression on the measured transitions of a bank. The gain of a transition is what the table expects of
it, and what each kind of change in it does, anywhere and under a diagnosis; kinds of which nothing is known do nothing.
Asked by `payoff`. Pure values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

EXPECTED = 0.1
"""What a transition gains that is of the very kinds that the rules would change: the prior from the literature."""
ANYWHERE, UNDER_DIAGNOSIS = 0.05, 0.1
"""Standard deviations of the effects of a kind of change, before anything is measured."""
NOISE = 0.1
"""Standard deviation of a gain around what is expected of it: other states of the same diagnosis, training seeds."""


@dataclass(frozen=True, slots=True)
class KindsOfChange:
    """A transition as the model sees it.

    Attributes:
        kinds: what it changes, as `payoff.kinds` names it. likeness: how like it is to what the rules propose there,
            kinds in common over kinds of either, 0 to 1.
    """

    diagnosis: str
    kinds: frozenset[str]
    likeness: float

    @property
    def effects(self) -> list[tuple[str, str]]:
        """(diagnosis, kind) of every effect in it; "" stands for any diagnosis."""
        return [(diagnosis, kind) for kind in sorted(self.kinds) for diagnosis in ("", self.diagnosis)]


class GainModel:
    """The posterior means of the effects, given what was measured."""

    def __init__(self, measured: Sequence[tuple[KindsOfChange, float]]) -> None:
        """`measured`: transitions with their gains; none at all leaves the prior."""
        names = sorted({effect for change, _ in measured for effect in change.effects})
        place = {name: i for i, name in enumerate(names)}
        design = np.zeros((len(measured), len(names)))
        for row, (change, _) in enumerate(measured):
            design[row, [place[effect] for effect in change.effects]] = 1
        beyond = np.array([gain - EXPECTED * change.likeness for change, gain in measured])
        spread = np.array([UNDER_DIAGNOSIS if diagnosis else ANYWHERE for diagnosis, _ in names])
        precision = np.diag(spread**-2.0) + design.T @ design / NOISE**2
        self._effects = dict(zip(names, np.linalg.solve(precision, design.T @ beyond / NOISE**2), strict=True))

    def gain(self, change: KindsOfChange) -> float:
        """What a transition is expected to gain over continuing."""
        return EXPECTED * change.likeness + sum(float(self._effects.get(effect, 0.0)) for effect in change.effects)

"""Stops a segment that collapses, and only that: a slow start is no reason, for it may win (docs/search.md).

Asked by the controller at every checkpoint of a running segment. Pure; whether the verdict is carried out or only
written down (shadow) is the caller's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.domain.score import Score

Curve = Sequence[tuple[int, Score]]
"""Validation scores by total steps from the base, ascending."""


@dataclass(frozen=True, slots=True)
class StopVerdict:
    """The segment should be stopped; `text` is the evidence in one line."""

    step: int
    text: str


def judge(
    curve: Curve,
    references: Sequence[Curve],
    *,
    guaranteed_steps: int = 100,
    errors: float = 2.0,
    large: float = 4.0,
) -> StopVerdict | None:
    """Whether a running segment has collapsed.

    It has when its score is below the one it branched from and below the best other trajectory at the same step, by
    more than `errors` standard errors of the difference both times, at two checkpoints running; or once by more than
    `large`.

    Args:
        curve: of the running segment, the branch point first, the latest checkpoint last.
        references: of the other segments.
        guaranteed_steps: total steps from the base before which nothing is stopped.
    """
    if len(curve) < 2 or curve[-1][0] <= guaranteed_steps:
        return None
    now, best = _deficit(curve, len(curve) - 1, references)
    lasting = len(curve) > 2 and _deficit(curve, len(curve) - 2, references)[0] > errors
    if now <= errors or (now <= large and not lasting):
        return None
    (step, score), start = curve[-1], curve[0][1]
    how = "at two consecutive checkpoints" if lasting else "at one checkpoint"
    other = (
        "no other trajectory has reached this step"
        if best is None
        else f"the best trajectory has {best.value:.3f} at this step"
    )
    return StopVerdict(
        step,
        f"collapsed {how}: {score.value:.3f} at step {step} (n {score.n}), {start.value:.3f} at its branch point, "
        f"{other}: at least {now:.1f} standard errors below",
    )


def _deficit(curve: Curve, index: int, references: Sequence[Curve]) -> tuple[float, Score | None]:
    """Standard errors below the branch point and below the best reference, the smaller; and that reference.

    Where no other trajectory has come so far, the branch point alone counts.
    """
    step, score = curve[index]
    own = curve[0][1].minus(score).errors
    at_step = [s for reference in references if (s := _at(reference, step)) is not None]
    best = max(at_step, key=lambda s: s.value, default=None)
    return (own if best is None else min(own, best.minus(score).errors)), best


def _at(curve: Curve, step: int) -> Score | None:
    """The score of a trajectory at a step: the latest up to it, when the trajectory covers it."""
    if not curve or curve[0][0] > step or curve[-1][0] < step:
        return None
    return max((point for point in curve if point[0] <= step), key=lambda point: point[0])[1]

"""When a first look at a checkpoint, on few of the steering prompts, is enough.

Asked by the worker that scores it. A look is held against the policy that the segment began from, on the same prompts:
in the middle of a segment all goes as it should unless the policy fell behind, which calls for a decision. At its end
the score decides how the search goes on: all prompts are asked at once, unless the segment fell behind before and may
be lost. Pure.
"""

from __future__ import annotations

from engine.domain.score import Score

DOUBT = 1.0
"""Standard errors behind at which the middle of a segment is asked all prompts."""
HOPELESS = 4.0
"""Standard errors behind at which the end of a segment is asked no more."""


def enough(look: Score, begun: Score | None, *, ends: bool) -> bool:
    """Whether the other prompts need not be asked.

    Args:
        begun: of the policy that the segment began from; None where it is not known.
        ends: whether the segment ends at this checkpoint.
    """
    behind = -look.minus(begun).errors if begun is not None else 0.0
    return behind > HOPELESS if ends else behind <= DOUBT

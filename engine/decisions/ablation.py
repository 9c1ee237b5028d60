"""What a model's share of the decisions, and each part of its prompt, are worth on the bank.

Used by `engine.decisions.bench`. A part is worth what a model gains with it more than without it, point by point.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from engine.advisors.context import text_tokens
from engine.advisors.evidence import describe
from engine.advisors.evidence_sections import PARTS
from engine.advisors.rules import look
from engine.decisions.bank import DecisionPoint
from engine.errors import UserError

ANALYST, PLOTS = "analyst", "plots"
EVERY_PART = (ANALYST, PLOTS, *PARTS)
"""What a model can be asked without."""
SHARES = (0.0, 0.15, 0.3, 0.5, 1.0)
"""Values of `advisor.share` that are told."""
WITHOUT = " without "
"""Between the name of an advisor and the parts that it did not get."""
Gains = Mapping[str, float]
"""Gain by point."""


def check_parts(without: Collection[str]) -> None:
    """Raises UserError for what is no part of a prompt."""
    for part in without:
        if part not in EVERY_PART:
            raise UserError(f"--without {part}: allowed: {', '.join(EVERY_PART)}")


def at_shares(model: Gains, rules: Gains) -> dict[float, list[float]]:
    """Share → expected gain at each point where the model answered.

    A turn is drawn without a look at the evidence, so the expectation is a mean of the two, weighted by the share.
    """
    return {
        share: [share * gain + (1 - share) * rules[point] for point, gain in model.items() if point in rules]
        for share in SHARES
    }


def tokens(points: Sequence[DecisionPoint]) -> dict[str, list[int]]:
    """Part of the text → its estimated tokens at each point that has it."""
    found: dict[str, list[int]] = {}
    for point in points:
        signals = look(point.evidence)
        whole = describe(point.evidence, signals)
        for part in PARTS:
            less = len(whole) - len(describe(point.evidence, signals, without=(part,)))
            if less:
                found.setdefault(part, []).append(text_tokens(less))
    return found


def worth(gains: Mapping[str, Gains]) -> dict[str, dict[str, list[float]]]:
    """Part → advisor → at each point what it gains more with the part than without; `gains` are by advisor."""
    found: dict[str, dict[str, list[float]]] = {}
    for name, less in gains.items():
        whole, _, part = name.partition(WITHOUT)
        if part in EVERY_PART and whole in gains:
            with_it = gains[whole]
            found.setdefault(part, {})[whole] = [with_it[point] - less[point] for point in less if point in with_it]
    return found

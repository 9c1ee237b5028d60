"""A configuration as a point of the unit cube, for optimisers that know numbers only; fixed parameters are left out."""

from __future__ import annotations

import math
from collections.abc import Sequence

from engine.domain.space import Configuration, Parameter, ParameterScale, Space, Value, numeric

OFF = 0.1
"""Share of the axis that stands for "off", where a parameter allows 0."""


def free(space: Space) -> list[Parameter]:
    """The parameters that can vary, in the order of the space."""
    return [p for p in space if not p.fixed]


def encode(space: Space, configuration: Configuration) -> list[float]:
    """A coordinate in [0, 1] for each free parameter, on its scale; "off" has the lower end."""
    return [_place(p, configuration[p.name]) for p in free(space)]


def decode(space: Space, point: Sequence[float]) -> dict[str, Value]:
    """The allowed configuration nearest to a point; fixed parameters at their value."""
    configuration = space.default()
    for p, at in zip(free(space), point, strict=True):
        at = min(1.0, max(0.0, at))
        if p.choices:
            configuration[p.name] = p.choices[min(int(at * len(p.choices)), len(p.choices) - 1)]
        elif p.zero and at < OFF:
            configuration[p.name] = p.coerce(0.0)
        elif p.scale is ParameterScale.LOG:
            at = (at - OFF) / (1 - OFF) if p.zero else at
            configuration[p.name] = p.nearest(math.exp(math.log(p.low) + at * math.log(p.high / p.low)))
        else:
            configuration[p.name] = p.nearest(p.low + at * (p.high - p.low))
    return configuration


def _place(p: Parameter, value: Value) -> float:
    if p.choices:
        return (p.choices.index(p.nearest(value)) + 0.5) / len(p.choices)
    if p.high == p.low:
        return 0.5
    value = numeric(value)
    if p.zero and value == 0:
        return OFF / 2
    if p.scale is ParameterScale.LOG:
        at = math.log(value / p.low) / math.log(p.high / p.low)
        return OFF + (1 - OFF) * at if p.zero else at
    return (value - p.low) / (p.high - p.low)

"""What a human writes for the range of a hyperparameter, as the command `space` takes it.

Used by the command line and by the run screen. Whether the range fits is the engine's to say.
"""

from __future__ import annotations

import math
import tomllib
from typing import Any

from engine.domain.parameters import Parameter, format_value
from engine.errors import UserError, short

FORM = "give LOW..HIGH, LOW.. or ..HIGH, or choices as in 4,8,16"


def read_range(text: str) -> dict[str, Any]:
    """ "1e-5..1e-4" as {"low": 1e-5, "high": 1e-4}, "4,8" as {"choices": [4, 8]}.

    Raises:
        UserError: it is neither; one line that says what is allowed.
    """
    low, dots, high = text.strip().partition("..")
    if dots:
        given = {"low": _value(low), "high": _value(high)}
        if any(isinstance(value, str) and value for value in given.values()) or not (low.strip() or high.strip()):
            raise UserError(f"{short(text)} is no range; {FORM}")
        if not all(_finite(value) for value in given.values()):
            raise UserError(f"{short(text)} is no range of finite numbers; {FORM}")
        return {key: value for key, value in given.items() if value != ""}
    choices = [_value(each) for each in text.split(",")]
    if "" in choices or not all(map(_finite, choices)):
        raise UserError(f"{short(text)} is no range; {FORM}")
    return {"choices": choices}


def range_text(parameter: Parameter) -> str:
    """The range of now, in the form that `read_range` reads."""
    if parameter.choices:
        return ",".join(map(format_value, parameter.choices))
    low = 0 if parameter.zero else parameter.low
    return f"{format_value(low)}..{format_value(parameter.high)}"


def _finite(value: Any) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def _value(text: str) -> Any:
    """A number, a truth value or a name, as TOML has it; a name needs no quotes."""
    try:
        return tomllib.loads(f"value = {text.strip()}")["value"] if text.strip() else ""
    except tomllib.TOMLDecodeError:
        return text.strip()

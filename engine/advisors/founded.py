"""Whether the numbers that a model quotes stand in the evidence it was given.

Called for every rationale of a language model. It only marks: nothing is refused for its prose.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_NUMBER = re.compile(r"(?<![\w.])[-−+]?(\d+(?:\.\d*)?|\.\d+)(e[-−+]?\d+)?(%?)(?!\w)", re.IGNORECASE)
TELLING = 10
"""A whole number below it says nothing: every evidence holds one."""
NAMED = 3
"""At most so many numbers are named."""


def marked(text: str, evidence: str, own: Iterable[float] = ()) -> str:
    """`text`, or "Unfounded (why): text" where it rests on no number of the evidence.

    Args:
        own: numbers that may stand in it beside those of the evidence, such as the values it proposes.
    """
    why = unfounded(text, evidence, own)
    return f"Unfounded ({why}): {text}" if why else text


def unfounded(text: str, evidence: str, own: Iterable[float]) -> str:
    """Why a text is not founded on the evidence, or ""."""
    known = sorted({abs(value) for value in own} | {value for value, _, _ in _numbers(evidence)})
    quoted = [(value, width, word) for value, width, word in _numbers(text) if width < 1 or value >= TELLING]
    if not quoted:
        return "it quotes no number of the evidence"
    missing = [word for value, width, word in quoted if not any(_same(value, width, each) for each in known)]
    if not missing:
        return ""
    named = ", ".join(dict.fromkeys(missing[:NAMED]))
    return f"{named} {'is' if len(missing) == 1 else 'are'} not in the evidence"


def _numbers(text: str) -> list[tuple[float, float, str]]:
    """(absolute value, half a unit of its last digit times two, as written); a percentage also as a share."""
    numbers = []
    for match in _NUMBER.finditer(text):
        digits, power, percent = match[1], (match[2] or "").replace("−", "-"), match[3]
        if len(digits) > 15 or len(power) > 4:
            continue
        places = len(digits.partition(".")[2])
        exponent = int(power[1:]) if power else 0
        value, width = float(f"{digits}{power}"), 10.0 ** (exponent - places)
        numbers.append((value, width, match[0]))
        if percent:
            numbers.append((value / 100, width / 100, match[0]))
    return numbers


def _same(value: float, width: float, known: float) -> bool:
    """Whether a known number is the quoted one, rounded as that is written."""
    return abs(value - known) <= width * 0.500001

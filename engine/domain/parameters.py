"""A hyperparameter: what values it may have, how they are ordered, moved, drawn and said.

Used through `engine.domain.space`, which offers these names too. Pure values: where the ranges of a run come from is in
`engine.domain.ranges`, which hyperparameters there are in `engine.domain.hyperparameters`.
"""

from __future__ import annotations

import difflib
import math
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

Value = float | int | bool | str
"""A number, or one of the names or truth values of a categorical hyperparameter."""

OFF = 0.1
"""Share of the axis that stands for "off", where a parameter allows 0; see `Parameter.place`."""

Configuration = Mapping[str, Value]
"""A value for every hyperparameter of a space, by name."""


class ParameterKind(StrEnum):
    """Capacity parameters tend to accumulate, regularization parameters to oscillate (arXiv 2606.18388)."""

    CAPACITY = "capacity"
    REGULARIZATION = "regularization"


class ParameterScale(StrEnum):
    """How a step in a parameter is measured: by difference, by ratio, by position in a list of numbers; a category has
    names or truth values instead, of which none is more than another."""

    LINEAR = "linear"
    LOG = "log"
    CHOICE = "choice"
    CATEGORY = "category"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One hyperparameter.

    Attributes:
        name: as in the run file, in tables and on screens (TRL's name where there is one).
        label: short form for narrow columns, e.g. "lr".
        kind: capacity or regularization.
        low, high: inclusive range of a numeric parameter (of the positive values, when `zero` is set); 0 of a category.
        default: the value of the untouched configuration; inside the range.
        scale: how steps are measured.
        integer: values are whole numbers.
        zero: 0 is allowed besides low..high ("off": the KL coefficient).
        choices: the allowed values: ascending numbers of a CHOICE, names or truth values of a CATEGORY.
        trl: field of trl.GRPOConfig it sets, alone or with others; None for a parameter that belongs to the task
            (difficulty).
        rising: a segment never has a lower value than its parent; roots are free.
        doc: meaning and unit, one line.
        source: where it comes from, e.g. "DAPO, arXiv 2503.14476"; "" where it is common knowledge.
    """

    name: str
    label: str
    kind: ParameterKind
    low: float
    high: float
    default: Value
    scale: ParameterScale
    doc: str
    integer: bool = False
    zero: bool = False
    choices: tuple[Value, ...] = ()
    trl: str | None = None
    rising: bool = False
    source: str = ""

    @property
    def fixed(self) -> bool:
        """Whether the run file left no choice."""
        return len(self.choices) == 1

    @property
    def categorical(self) -> bool:
        """Whether its values are names or truth values, which have no order."""
        return self.scale is ParameterScale.CATEGORY

    @property
    def allowed(self) -> str:
        """What a value may be, for messages: "1e-5 to 5e-4", "0 or 0.001 to 0.5", "4, 8, 16", "grpo, dapo"."""
        if self.choices:
            return ", ".join(map(format_value, self.choices))
        words = f"{format_value(self.low)} to {format_value(self.high)}"
        words = f"0 or {words}" if self.zero else words
        return f"a whole number, {words}" if self.integer else words

    def allows(self, value: object) -> bool:
        """Whether a value is of the right sort (a finite number, a name, a truth value) and allowed."""
        if self.categorical:
            return any(type(value) is type(choice) and value == choice for choice in self.choices)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return False
        if self.choices:
            return value in self.choices
        if self.integer and value != int(value):
            return False
        return self.low <= value <= self.high or (self.zero and value == 0)

    def coerce(self, value: Value) -> Value:
        """The value as it is stored: whole numbers of an integer parameter as int, others unchanged."""
        if isinstance(value, str | bool):
            return value
        whole = self.integer and math.isfinite(value) and value == int(value)
        return int(value) if whole else value

    def read(self, text: str) -> Value:
        """What a human wrote as a value of this parameter; whether it is allowed is not looked at.

        Raises ValueError for what is no number where one is needed.
        """
        if self.categorical:
            return next((c for c in self.choices if format_value(c) == text.strip()), text.strip())
        return self.coerce(float(text))

    def rank(self, value: Value) -> float:
        """Where a value stands among others: a number is its own rank, a category's is its place in the list, -1
        outside it. For axes and arrows: a higher rank of a category means nothing."""
        if self.categorical:
            return next((i for i, choice in enumerate(self.choices) if value == choice), -1)
        return numeric(value)

    def falls(self, before: Value, after: Value) -> bool:
        """Whether a parameter that only rises would fall."""
        return self.rising and self.rank(after) < self.rank(before)

    def nearest(self, value: Value) -> Value:
        """The allowed value nearest to `value`, rounded to two significant digits on a log scale, else three; of a
        category the value itself, or the first."""
        if self.categorical:
            return value if self.allows(value) else self.choices[0]
        value = numeric(value)
        if self.choices:
            return min(map(numeric, self.choices), key=lambda choice: (abs(choice - value), choice))
        if self.zero and value < self.low:
            return self.coerce(0.0)
        rounded = float(f"{value:.{2 if self.scale is ParameterScale.LOG else 3}g}")
        within = min(max(rounded, self.low), self.high)
        return round(within) if self.integer else within

    def moved(self, value: Value, by: float) -> Value:
        """See `Space.move`."""
        if self.categorical:
            return self.choices[(self.choices.index(self.nearest(value)) + round(by)) % len(self.choices)]
        value = numeric(value)
        if self.choices:
            here = self.choices.index(self.nearest(value))
            return self.choices[min(max(here + round(by), 0), len(self.choices) - 1)]
        if self.scale is ParameterScale.LINEAR:
            return self.nearest(value + by)
        if value == 0 and by > 1:
            return self.nearest(self.default or math.sqrt(self.low * self.high))
        moved = numeric(self.nearest(value * by))
        return moved if (moved > value) == (by > 1) else self.coerce(value)  # rounding must not turn a move round

    def place(self, value: Value) -> float:
        """Where a value stands in the range, on the parameter's scale: 0 at its lower end, 1 at its upper one. "Off"
        has the lower end, choices the middle of equal parts."""
        if self.choices:
            return (self.choices.index(self.nearest(value)) + 0.5) / len(self.choices)
        if self.high == self.low:
            return 0.5
        value = numeric(value)
        if self.zero and value == 0:
            return OFF / 2
        if self.scale is ParameterScale.LINEAR:
            return (value - self.low) / (self.high - self.low)
        at = math.log(value / self.low) / math.log(self.high / self.low)
        return OFF + (1 - OFF) * at if self.zero else at

    def at(self, place: float) -> Value:
        """The allowed value nearest to a place, the inverse of `place`; places beyond the ends are the ends."""
        place = min(1.0, max(0.0, place))
        if self.choices:
            return self.choices[min(int(place * len(self.choices)), len(self.choices) - 1)]
        if self.zero and place < OFF:
            return self.coerce(0.0)
        if self.scale is ParameterScale.LINEAR:
            return self.nearest(self.low + place * (self.high - self.low))
        at = (place - OFF) / (1 - OFF) if self.zero else place
        return self.nearest(math.exp(math.log(self.low) + at * math.log(self.high / self.low)))

    def sample(self, rng: random.Random) -> Value:
        """A value drawn uniformly on the parameter's scale; 0 one time in four where allowed."""
        if self.choices:
            return rng.choice(self.choices)
        if self.zero and rng.random() < 0.25:
            return self.coerce(0.0)
        if self.scale is ParameterScale.LOG:
            return self.nearest(math.exp(rng.uniform(math.log(self.low), math.log(self.high))))
        return self.nearest(rng.uniform(self.low, self.high))


def numeric(value: Value) -> float | int:
    """A value that is known to be a number. Raises TypeError for a name or a truth value."""
    if isinstance(value, bool | str):
        raise TypeError(f"{value!r} is no number")
    return value


def format_value(value: Value) -> str:
    """Short text of a value: "1e-4", "2.5e-5", "0.02", "1.2", "48", "0"; at most three significant digits. A truth
    value is written as in the run file, a name as it is."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value
    if isinstance(value, int) or (math.isfinite(value) and value == int(value) and abs(value) < 1e6):
        return str(int(value))
    if not math.isfinite(value):
        return str(value)
    if abs(value) < 1e-3 or abs(value) >= 1e6:
        mantissa, exponent = f"{value:.2e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.4g}"


def direction(before: Value | None, after: Value) -> str:
    """An arrow up or down for a number that changed, to the right for a name or a truth value."""
    if isinstance(after, bool | str) or isinstance(before, bool | str):
        return "→"
    return "↑" if before is None or after > before else "↓"


MOST_NAMES = 8
"""Names of a message that lists what is known."""


def nearest_names(name: str, known: Iterable[str]) -> str:
    """The known names most like `name`, for a message; when none is like it, the first of them and how many more."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=2, cutoff=0.5) or names[:MOST_NAMES]
    more = f", … ({len(names)} in all)" if len(near) == MOST_NAMES < len(names) else ""
    return ", ".join(near) + more

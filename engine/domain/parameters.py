"""A hyperparameter and where its range comes from: general defaults, the task's suggestion, the run file.

Used through `engine.domain.space`, which offers these names too. Pure values; every mistake in a table is a UserError
that names the table, the key, the value and what is allowed.
"""

from __future__ import annotations

import difflib
import math
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from engine.errors import UserError, short, short_name

Value = float | int
Configuration = Mapping[str, Value]
"""A value for every hyperparameter of a space, by name."""


class ParameterKind(StrEnum):
    """Capacity parameters tend to accumulate, regularization parameters to oscillate (arXiv 2606.18388)."""

    CAPACITY = "capacity"
    REGULARIZATION = "regularization"


class ParameterScale(StrEnum):
    """How a step in a parameter is measured: by difference, by ratio, or by position in a list of choices."""

    LINEAR = "linear"
    LOG = "log"
    CHOICE = "choice"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One hyperparameter.

    Attributes:
        name: as in the run file, in tables and on screens (TRL's name where there is one).
        label: short form for narrow columns, e.g. "lr".
        kind: capacity or regularization.
        low, high: inclusive range of a numeric parameter (of the positive values, when `zero` is set).
        default: the value of the untouched configuration; inside the range.
        scale: how steps are measured.
        integer: values are whole numbers.
        zero: 0 is allowed besides low..high ("off": the KL coefficient).
        choices: the allowed values of a CHOICE parameter, ascending.
        trl: field of trl.GRPOConfig it sets; None for a parameter that belongs to the task (difficulty).
        rising: a segment never has a lower value than its parent; roots are free.
        doc: meaning and unit, one line.
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

    @property
    def fixed(self) -> bool:
        """Whether the run file left no choice."""
        return len(self.choices) == 1

    @property
    def allowed(self) -> str:
        """What a value may be, for messages: "1e-5 to 5e-4", "0 or 0.001 to 0.5", "4, 8, 16"."""
        if self.choices:
            return ", ".join(map(format_value, self.choices))
        words = f"{format_value(self.low)} to {format_value(self.high)}"
        words = f"0 or {words}" if self.zero else words
        return f"a whole number, {words}" if self.integer else words

    def allows(self, value: object) -> bool:
        """Whether a value is a finite number of the right sort, inside the range."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return False
        if self.choices:
            return value in self.choices
        if self.integer and value != int(value):
            return False
        return self.low <= value <= self.high or (self.zero and value == 0)

    def coerce(self, value: Value) -> Value:
        """The value as it is stored: whole numbers of an integer parameter as int, others unchanged."""
        whole = self.integer and math.isfinite(value) and value == int(value)
        return int(value) if whole else value

    def nearest(self, value: float) -> Value:
        """The allowed value nearest to `value`, rounded to two significant digits on a log scale, else three."""
        if self.choices:
            return min(self.choices, key=lambda choice: (abs(choice - value), choice))
        if self.zero and value < self.low:
            return 0.0
        rounded = float(f"{value:.{2 if self.scale is ParameterScale.LOG else 3}g}")
        within = min(max(rounded, self.low), self.high)
        return round(within) if self.integer else within

    def moved(self, value: Value, by: float) -> Value:
        """See `Space.move`."""
        if self.choices:
            here = self.choices.index(self.nearest(value))
            return self.choices[min(max(here + round(by), 0), len(self.choices) - 1)]
        if self.scale is ParameterScale.LINEAR:
            return self.nearest(value + by)
        if value == 0 and by > 1:
            return self.nearest(self.default or math.sqrt(self.low * self.high))
        moved = self.nearest(value * by)
        return moved if (moved > value) == (by > 1) else self.coerce(value)  # rounding must not turn a move round

    def sample(self, rng: random.Random) -> Value:
        """A value drawn uniformly on the parameter's scale; 0 one time in four where allowed."""
        if self.choices:
            return rng.choice(self.choices)
        if self.zero and rng.random() < 0.25:
            return 0.0
        if self.scale is ParameterScale.LOG:
            return self.nearest(math.exp(rng.uniform(math.log(self.low), math.log(self.high))))
        return self.nearest(rng.uniform(self.low, self.high))


GENERAL: Mapping[str, Parameter] = {
    p.name: p
    for p in (
        Parameter(
            "learning_rate", "lr", ParameterKind.REGULARIZATION, 1e-7, 1e-3, 2e-6, ParameterScale.LOG,
            "step size of Adam, constant within a segment", trl="learning_rate",
        ),
        Parameter(
            "beta", "kl", ParameterKind.REGULARIZATION, 1e-3, 0.5, 0.02, ParameterScale.LOG,
            "weight of the KL penalty against the reference policy; 0 is off", zero=True, trl="beta",
        ),
        Parameter(
            "temperature", "temp", ParameterKind.REGULARIZATION, 0.6, 1.5, 1.0, ParameterScale.LINEAR,
            "sampling temperature of the rollouts", trl="temperature",
        ),
        Parameter(
            "max_completion_length", "length", ParameterKind.CAPACITY, 64, 2048, 512, ParameterScale.LOG,
            "tokens a rollout may have", integer=True, trl="max_completion_length",
        ),
        Parameter(
            "num_generations", "group", ParameterKind.CAPACITY, 4, 32, 8, ParameterScale.CHOICE,
            "completions per prompt: the size of a group; divides the batch",
            integer=True, choices=(4, 8, 16, 32), trl="num_generations",
        ),
        Parameter(
            "max_grad_norm", "grad", ParameterKind.REGULARIZATION, 0.1, 5.0, 1.0, ParameterScale.LOG,
            "the gradient's norm is clipped to this", trl="max_grad_norm",
        ),
    )
}  # fmt: skip
"""Searched in every run: few, each with an effect that a segment can show."""

OPTIONAL: Mapping[str, Parameter] = {
    "epsilon_high": Parameter(
        "epsilon_high", "clip", ParameterKind.REGULARIZATION, 0.2, 0.4, 0.2, ParameterScale.LINEAR,
        "upper clipping range of the policy ratio; acts only when rollouts are used more than once",
        trl="epsilon_high",
    )
}  # fmt: skip
"""Searched when the task or the run file names them: with one update per rollout the ratio is 1 and nothing clips."""

LIMITS: Mapping[str, tuple[float, float]] = {
    "learning_rate": (1e-10, 1e-2),
    "beta": (1e-6, 10.0),
    "temperature": (0.05, 5.0),
    "max_completion_length": (1, 131_072),
    "num_generations": (2, 1024),
    "max_grad_norm": (1e-3, 100.0),
    "epsilon_high": (0.01, 10.0),
}
"""Beyond these a value is a mistake, whatever the run file says (TRL takes lr 10 without a word)."""

_KEYS = ("low", "high", "default", "choices", "fixed", "rising")
_TASK_KEYS = (*_KEYS, "label", "kind", "scale", "integer", "doc")


def format_value(value: Value) -> str:
    """Short text of a value: "1e-4", "2.5e-5", "0.02", "1.2", "48", "0"; at most three significant digits."""
    if isinstance(value, int) or (math.isfinite(value) and value == int(value) and abs(value) < 1e6):
        return str(int(value))
    if not math.isfinite(value):
        return str(value)
    if abs(value) < 1e-3 or abs(value) >= 1e6:
        mantissa, exponent = f"{value:.2e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.4g}"


def nearest_names(name: str, known: Iterable[str]) -> str:
    """The known names most like `name`, for a message; all of them when none is like it."""
    names = list(known)
    return ", ".join(difflib.get_close_matches(name, names, n=2, cutoff=0.5) or names)


LORA_RATE = 10
"""An adapter wants some ten times the learning rate of full training (docs/lora.md)."""


def resolve(
    settings: Mapping[str, Mapping[str, Any]],
    suggested: Mapping[str, Mapping[str, Any]],
    batch_size: int,
    rate: float = 1,
) -> tuple[Parameter, ...]:
    """The parameters of a run; see `engine.domain.space.Space.build`."""
    known = {**GENERAL, **OPTIONAL}
    found = dict(GENERAL)
    for name, table in suggested.items():
        where = f"the task's suggested [space.{name}]"
        if name in known:
            found[name] = _replaced(found.get(name, known[name]), table, where)
        else:
            found[name] = _task_parameter(name, table, where)
    found["learning_rate"] = _scaled(found["learning_rate"], rate)
    for name, table in settings.items():
        if name not in found and name not in known:
            raise UserError(
                f"[space.{short_name(name)}] is unknown; nearest: {nearest_names(name, {**known, **found})}"
            )
        found[name] = _replaced(found.get(name) or known[name], table, f"[space.{name}]")
    groups = settings.get("num_generations", {})
    found["num_generations"] = _dividing(found["num_generations"], groups, batch_size)
    return tuple(found.values())


def _scaled(parameter: Parameter, factor: float) -> Parameter:
    """A parameter with all its values so many times as large."""
    low, high, default = (_two_digits(value * factor) for value in (parameter.low, parameter.high, parameter.default))
    choices = tuple(_two_digits(value * factor) for value in parameter.choices)
    return parameter if factor == 1 else replace(parameter, low=low, high=high, default=default, choices=choices)


def _two_digits(value: float) -> float:
    return float(f"{value:.2g}")


def _task_parameter(name: str, table: Mapping[str, Any], where: str) -> Parameter:
    """A parameter that only the task knows, such as its difficulty."""
    _check_keys(table, _TASK_KEYS, where)
    if "fixed" not in table and "choices" not in table and not {"low", "high"} <= table.keys():
        raise UserError(f"{where} needs low and high, or choices")
    values = [v for key in ("low", "high", "default", "fixed") if (v := table.get(key)) is not None]
    integer = bool(table.get("integer", all(isinstance(v, int) for v in values)))
    try:
        kind, scale = ParameterKind(table.get("kind", "capacity")), ParameterScale(table.get("scale", "linear"))
    except ValueError as error:
        raise UserError(f"{where}: {error}; kinds: capacity, regularization; scales: linear, log") from error
    low = _number(table, "low", where) if "low" in table else -math.inf
    high = _number(table, "high", where) if "high" in table else math.inf
    if scale is ParameterScale.LOG and low <= 0 and "choices" not in table:
        raise UserError(f"{where} low = {short(low)} is not allowed on a log scale; allowed: above 0")
    middle = math.sqrt(low * high) if scale is ParameterScale.LOG else (low + high) / 2
    default = (round(middle) if integer else middle) if math.isfinite(middle) else 0
    label, doc = str(table.get("label", name))[:12], str(table.get("doc", f"{name} of the task"))
    blank = Parameter(name, label, kind, low, high, default, scale, doc, integer)
    return _replaced(blank, {k: v for k, v in table.items() if k in _KEYS}, where)


def _replaced(parameter: Parameter, table: Mapping[str, Any], where: str) -> Parameter:
    """A parameter with what a table says written over it."""
    _check_keys(table, _KEYS, where)
    if "fixed" in table:
        return _fixed(parameter, table, where)
    if not isinstance(rising := table.get("rising", parameter.rising), bool):
        raise UserError(f"{where} rising = {short(rising)} is not allowed; allowed: true, false")
    parameter = replace(parameter, rising=rising)
    if "choices" in table:
        changed = _chosen(parameter, table, where)
    elif parameter.choices:
        changed = _cut(parameter, table, where)
    else:
        changed = _ranged(parameter, table, where)
    if "default" not in table:
        return replace(changed, default=changed.nearest(parameter.default))
    default = _number(table, "default", where)
    if not changed.allows(default):
        raise UserError(f"{where} default = {short(default)} is not allowed; allowed: {changed.allowed}")
    return replace(changed, default=changed.coerce(default))


def _fixed(parameter: Parameter, table: Mapping[str, Any], where: str) -> Parameter:
    if len(table) > 1:
        others = ", ".join(sorted(set(table) - {"fixed"}))
        raise UserError(f"{where} fixed = {short(table['fixed'])} leaves no room for {others}; give one or the other")
    value = _limited(parameter, table, "fixed", where)
    return replace(
        parameter, low=value, high=value, default=value, choices=(value,), scale=ParameterScale.CHOICE, zero=False
    )


def _chosen(parameter: Parameter, table: Mapping[str, Any], where: str) -> Parameter:
    if extra := {"low", "high"} & table.keys():
        raise UserError(f"{where} gives choices and {', '.join(sorted(extra))}; give one or the other")
    values = table["choices"]
    if not isinstance(values, list | tuple) or not values:
        raise UserError(f"{where} choices = {short(values)} is not allowed; allowed: a list of numbers")
    choices = sorted({_limited(parameter, {"choices": v}, "choices", where) for v in values})
    return replace(
        parameter, low=choices[0], high=choices[-1], choices=tuple(choices), scale=ParameterScale.CHOICE, zero=False
    )


def _cut(parameter: Parameter, table: Mapping[str, Any], where: str) -> Parameter:
    """Choices narrowed by low and high."""
    low = _number(table, "low", where) if "low" in table else -math.inf
    high = _number(table, "high", where) if "high" in table else math.inf
    choices = tuple(c for c in parameter.choices if low <= c <= high)
    if not choices:
        given = ", ".join(f"{k} = {short(table[k])}" for k in ("low", "high") if k in table)
        raise UserError(f"{where} {given} leaves none of the choices {parameter.allowed}")
    return replace(parameter, low=choices[0], high=choices[-1], choices=choices)


def _ranged(parameter: Parameter, table: Mapping[str, Any], where: str) -> Parameter:
    zero, low, high = parameter.zero, parameter.low, parameter.high
    if "high" in table:
        high = _limited(replace(parameter, zero=False), table, "high", where)
    if "low" in table:
        low = _limited(parameter, table, "low", where)
        zero = zero and low == 0
        if zero:  # "from 0 on": the smallest positive value is the general one
            low = min(parameter.low, high / 10)
    if low > high:
        raise UserError(f"{where} low = {short(low)} is above high = {short(high)}; allowed: low up to high")
    return replace(parameter, low=low, high=high, zero=zero)


def _dividing(parameter: Parameter, given: Mapping[str, Any], batch_size: int) -> Parameter:
    """Group sizes that divide the batch; one that the user asked for and does not is the user's mistake."""
    divisors = ", ".join(str(d) for d in range(2, batch_size + 1) if batch_size % d == 0)
    asked = [given["fixed"]] if "fixed" in given else [*given.get("choices", ())]
    asked += [given["default"]] if "default" in given else []
    for group in asked:
        if batch_size % group:
            raise UserError(
                f"[space.num_generations] {group}: a batch of {batch_size} completions is not divisible by the "
                f"group size; allowed: {divisors}"
            )
    choices = tuple(c for c in parameter.choices if batch_size % c == 0)
    if not choices:
        raise UserError(
            f"a batch of {batch_size} completions is not divisible by a group size of {parameter.allowed}; "
            f"allowed in [space.num_generations] choices: {divisors}"
        )
    cut = replace(parameter, choices=choices, low=choices[0], high=choices[-1])
    return replace(cut, default=cut.nearest(parameter.default))


def _check_keys(table: Mapping[str, Any], allowed: Iterable[str], where: str) -> None:
    if not isinstance(table, Mapping):
        raise UserError(f"{where} = {short(table)} is not allowed; allowed: a table with low, high, default")
    for key in table:
        if key not in allowed:
            raise UserError(f"{where} has no key {short(key)}; nearest: {nearest_names(str(key), allowed)}")


def _number(table: Mapping[str, Any], key: str, where: str) -> Value:
    value = table[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UserError(f"{where} {key} = {short(value)} is not allowed; allowed: a number")
    return value


def _limited(parameter: Parameter, table: Mapping[str, Any], key: str, where: str) -> Value:
    """A number of the parameter's sort, inside the hard limits."""
    value = _number(table, key, where)
    low, high = LIMITS.get(parameter.name, (-math.inf, math.inf))
    if parameter.integer and value != int(value):
        raise UserError(f"{where} {key} = {short(value)} is not allowed; allowed: a whole number")
    if not (low <= value <= high or (parameter.zero and value == 0)):
        zero = "0 or " if parameter.zero else ""
        limits = f"{zero}{format_value(low)} to {format_value(high)}"
        raise UserError(f"{where} {key} = {short(value)} is not allowed; allowed: {limits}")
    return parameter.coerce(value)

"""Where the range of a hyperparameter comes from: general defaults, the task's suggestion, the run file.

Called by `Space.build`. Every mistake in a table is a UserError that names the table, the key, the value and what is
allowed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from engine.domain.hyperparameters import GENERAL, LIMITS, NAMES, OPTIONAL, PROMPTS
from engine.domain.parameters import (
    Parameter,
    ParameterKind,
    ParameterScale,
    Value,
    format_value,
    nearest_names,
    numeric,
)
from engine.errors import UserError, short, short_name

_KEYS = ("low", "high", "default", "choices", "fixed", "rising")
_CATEGORY_KEYS = ("choices", "default", "fixed")
_TASK_KEYS = (*_KEYS, "label", "kind", "scale", "integer", "doc")


def resolve(
    settings: Mapping[str, Mapping[str, Any]],
    suggested: Mapping[str, Mapping[str, Any]],
    batch_size: int,
    rate: float = 1,
) -> tuple[Parameter, ...]:
    """The parameters of a run; see `engine.domain.space.Space.build`."""
    known = {**GENERAL, **OPTIONAL}
    parameters = dict(GENERAL)
    for name, table in suggested.items():
        where = f"the task's suggested [space.{name}]"
        if name in known:
            parameters[name] = _replaced(parameters.get(name, known[name]), table, where)
        else:
            parameters[name] = _task_parameter(name, table, where)
    parameters["learning_rate"] = _scaled(parameters["learning_rate"], rate)
    for name, table in settings.items():
        if name not in parameters and name not in known:
            raise UserError(
                f"[space.{short_name(name)}] is unknown; nearest: {nearest_names(name, {**known, **parameters})}"
            )
        before = parameters.get(name) or known[name]
        parameters[name] = _replaced(before, table, f"[space.{name}]")
        if name not in known:
            _within(before, parameters[name], table, f"[space.{name}]")
    groups = parameters["num_generations"]
    if PROMPTS in parameters:
        given = {**suggested.get(PROMPTS, {}), **settings.get(PROMPTS, {})}
        parameters[PROMPTS] = _starting(parameters[PROMPTS], given, batch_size, numeric(groups.default))
    else:
        parameters["num_generations"] = _dividing(groups, settings.get("num_generations", {}), batch_size)
    return tuple(parameters.values())


def _within(tasks: Parameter, parameter: Parameter, table: Mapping[str, Any], where: str) -> None:
    """Raises UserError for values of a task's own parameter that the task has not."""
    if parameter.low >= tasks.low and parameter.high <= tasks.high:
        return
    given = ", ".join(f"{key} = {short(table[key])}" for key in ("low", "high", "choices", "fixed") if key in table)
    raise UserError(f"{where} {given} is not allowed; the task allows {tasks.allowed}")


def _scaled(parameter: Parameter, factor: float) -> Parameter:
    """A parameter with all its values so many times as large."""
    low, high, default, *choices = (
        _two_digits(numeric(value) * factor)
        for value in (parameter.low, parameter.high, parameter.default, *parameter.choices)
    )
    if factor == 1:
        return parameter
    return replace(parameter, low=low, high=high, default=default, choices=tuple(choices))


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
    _check_keys(table, _CATEGORY_KEYS if parameter.categorical else _KEYS, where)
    if "fixed" in table:
        return _fixed(parameter, table, where)
    if not isinstance(rising := table.get("rising", parameter.rising), bool):
        raise UserError(f"{where} rising = {short(rising)} is not allowed; allowed: true, false")
    parameter = replace(parameter, rising=rising)
    if "choices" in table:
        changed = _chosen(parameter, table, where)
    elif parameter.categorical:
        changed = parameter
    elif parameter.choices:
        changed = _cut(parameter, table, where)
    else:
        changed = _ranged(parameter, table, where)
    if "default" not in table:
        return replace(changed, default=changed.nearest(parameter.default))
    default = table["default"] if changed.categorical else _number(table, "default", where)
    if not changed.allows(default):
        raise UserError(f"{where} default = {short(default)} is not allowed; allowed: {changed.allowed}")
    return replace(changed, default=changed.coerce(default))


def _fixed(parameter: Parameter, table: Mapping[str, Any], where: str) -> Parameter:
    if len(table) > 1:
        others = ", ".join(sorted(set(table) - {"fixed"}))
        raise UserError(f"{where} fixed = {short(table['fixed'])} leaves no room for {others}; give one or the other")
    if parameter.categorical:
        name = _name(parameter, table["fixed"], "fixed", where)
        return replace(parameter, default=name, choices=(name,))
    value = _limited(parameter, table, "fixed", where)
    return replace(
        parameter, low=value, high=value, default=value, choices=(value,), scale=ParameterScale.CHOICE, zero=False
    )


def _chosen(parameter: Parameter, table: Mapping[str, Any], where: str) -> Parameter:
    if extra := {"low", "high"} & table.keys():
        raise UserError(f"{where} gives choices and {', '.join(sorted(extra))}; give one or the other")
    values = table["choices"]
    if not isinstance(values, list | tuple) or not values:
        sort = "its values" if parameter.categorical else "numbers"
        raise UserError(f"{where} choices = {short(values)} is not allowed; allowed: a list of {sort}")
    if parameter.categorical:
        names = [_name(parameter, each, "choices", where) for each in values]
        return replace(parameter, choices=tuple(dict.fromkeys(names)))
    choices = sorted({_limited(parameter, {"choices": v}, "choices", where) for v in values})
    return replace(
        parameter, low=choices[0], high=choices[-1], choices=tuple(choices), scale=ParameterScale.CHOICE, zero=False
    )


def _name(parameter: Parameter, value: object, key: str, where: str) -> Value:
    """One of the names or truth values that a category may have."""
    wide = replace(parameter, choices=NAMES.get(parameter.name, parameter.choices))
    if not wide.allows(value):
        raise UserError(f"{where} {key} = {short(value)} is not allowed; allowed: {wide.allowed}")
    assert isinstance(value, str | bool)
    return value


def _cut(parameter: Parameter, table: Mapping[str, Any], where: str) -> Parameter:
    """Choices narrowed by low and high."""
    low = _number(table, "low", where) if "low" in table else -math.inf
    high = _number(table, "high", where) if "high" in table else math.inf
    choices = tuple(c for c in map(numeric, parameter.choices) if low <= c <= high)
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


def _starting(parameter: Parameter, given: Mapping[str, Any], batch_size: int, group: float) -> Parameter:
    """Prompts per step that begin with the batch of the run file, where no table has a default."""
    return parameter if "default" in given else replace(parameter, default=parameter.nearest(batch_size / group))


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
    choices = tuple(c for c in map(numeric, parameter.choices) if batch_size % c == 0)
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


def _number(table: Mapping[str, Any], key: str, where: str) -> float | int:
    value = table[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UserError(f"{where} {key} = {short(value)} is not allowed; allowed: a number")
    return value


def _limited(parameter: Parameter, table: Mapping[str, Any], key: str, where: str) -> float | int:
    """A number of the parameter's sort, inside the hard limits."""
    value = _number(table, key, where)
    low, high = LIMITS.get(parameter.name, (-math.inf, math.inf))
    if parameter.integer and value != int(value):
        raise UserError(f"{where} {key} = {short(value)} is not allowed; allowed: a whole number")
    if not (low <= value <= high or (parameter.zero and value == 0)):
        zero = "0 or " if parameter.zero else ""
        limits = f"{zero}{format_value(low)} to {format_value(high)}"
        raise UserError(f"{where} {key} = {short(value)} is not allowed; allowed: {limits}")
    return numeric(parameter.coerce(value))

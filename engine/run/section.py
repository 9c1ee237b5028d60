"""The base of every table of a file of the user's (run file, plan, schedule), and what is wrong with one in one line.

Imported by what describes a table; knows no key. The line says key, value and what is allowed, in words of ours:
pydantic's own are for programmers.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from datetime import date, time
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticKnownError
from pydantic_core.core_schema import ValidationInfo

from engine.errors import one_line, short, short_name


class RunFileSection(BaseModel):
    """Base of every table of the run file: unknown keys are errors, neither true nor a text is a number."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _truth_and_numbers_differ(cls, value: Any, info: ValidationInfo) -> Any:
        kind = cls.model_fields[str(info.field_name)].annotation
        if isinstance(value, bool | str) and kind in (int, float):
            raise PydanticKnownError("int_type" if kind is int else "float_type")
        if kind is bool and not isinstance(value, bool):  # pydantic would take "yes" and 1 for true
            raise PydanticKnownError("bool_type")
        return value


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """The first error of validating a file as `model`, in one line: key, value, what is allowed; and which other keys
    are wrong."""
    errors = error.errors(include_url=False)
    first = min(errors, key=lambda e: e["type"] != "extra_forbidden")  # a misspelt key explains a missing one
    parts = place(first)
    key = ".".join(map(short_name, parts))
    if first["type"] == "extra_forbidden":
        line = f"unknown key {key}{_nearest(first['loc'], model)}"
    elif first["type"] == "missing":
        line = f"{key} is missing"
    elif key == "name" and first["type"] == "string_pattern_mismatch":
        line = f"name = {short(first['input'])}: {_of_name(first)}"
    elif first["type"] in ("model_type", "dict_type"):
        line = f"{key} = {given(first['input'])}: must be a table, [{key}]"
    else:
        value = "" if isinstance(first["input"], dict | BaseModel) else f" = {given(first['input'])}"
        line = f"{key}{value}: {must_be(first, _field(parts, model))}" if key else must_be(first)
    return one_line(line) + _others([".".join(map(short_name, place(each))) for each in errors], key)


def _others(keys: Iterable[str], told: str) -> str:
    """Which keys are wrong besides the one that is told; of many the first."""
    others = [key for key in dict.fromkeys(keys) if key != told]
    if not others:
        return ""
    shown = ", ".join(key or "the file" for key in others[:MOST_NAMED])
    more = f" and {len(others) - MOST_NAMED} more" if len(others) > MOST_NAMED else ""
    return f" (also wrong: {one_line(shown)}{more})"


def given(value: object) -> str:
    """A value as the line quotes it: truth values and dates as they stand in the file."""
    if isinstance(value, bool):
        return str(value).lower()
    return short(str(value) if isinstance(value, date | time) else value)


def _of_name(error: ErrorDetails) -> str:
    """What a name may be, from a pattern such as ^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$."""
    most = int(str(error["ctx"]["pattern"]).rpartition(",")[2].partition("}")[0]) + 1
    return f"letters, digits, '.', '_' and '-' are allowed, the first a letter or a digit, at most {most}"


MOST_NAMED = 8
"""Keys that are named besides the first that is wrong."""

_ANY = "a number, a text, true or false"
_KINDS = {
    "int": "a whole number", "float": "a number", "finite": "a finite number", "bool": "true or false",
    "string": "a text", "list": "a list", "tuple": "a list",
}  # fmt: skip
_LIMITS = ("ge", "gt", "le", "lt")


def must_be(error: ErrorDetails, field: FieldInfo | None = None) -> str:
    """What is wrong with a value: what it must be, "must be a whole number from 1 to 64", or what a check of ours said.

    Args:
        field: where the error is; without it only the limit that was passed is known.
    """
    if words := _allowed(error, field):
        return f"must be {words}"
    message = error["msg"].removeprefix("Value error, ")
    return f"{message[:1].lower()}{message[1:]}"


def _allowed(error: ErrorDetails, field: FieldInfo | None) -> str:
    """What may stand there, in words; "" where pydantic's message is all there is."""
    context = error.get("ctx", {})
    match error["type"]:
        case _ if _of_union(error):
            return "a text or a list" if field is not None and field.annotation == str | list[str] else _ANY
        case "literal_error" | "enum" | "union_tag_invalid":
            return str(context.get("expected") or context["expected_tags"])
        case "missing":
            return "given"
        case "extra_forbidden":
            return "left out: it is not known"
        case "invalid-json-value":
            return f"{_ANY}, a list or a table"
        case "string_pattern_mismatch":
            return "of letters, digits, '.', '_' and '-'"
        case "string_too_short" | "string_too_long":
            return "a text of " + _size(context, "character", "characters")
        case "too_short" | "too_long":
            return "a list of " + _size(context, "entry", "entries")
        case "greater_than" | "greater_than_equal" | "less_than" | "less_than_equal":
            return _number(field, context)
    kind = error["type"].partition("_")[0]
    return _KINDS.get(kind, "") + (_range(_limits(field)) if kind in ("int", "float", "finite") else "")


def _number(field: FieldInfo | None, context: Mapping[str, Any]) -> str:
    if field is None:
        return _range(context).removeprefix(", ")
    return _KINDS["int" if field.annotation is int else "float"] + _range(_limits(field) or context)


def _limits(field: FieldInfo | None) -> dict[str, Any]:
    """The limits of a field's range, by pydantic's names."""
    metadata = field.metadata if field is not None else []
    return {name: getattr(each, name) for each in metadata for name in _LIMITS if hasattr(each, name)}


def _range(limits: Mapping[str, Any]) -> str:
    """Behind "a number": " from 0 to 1", ", above 0 and at most 3600"."""
    if "ge" in limits and "le" in limits:
        return f" from {limits['ge']} to {limits['le']}"
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    ends = [f"{words[name]} {limits[name]}" for name in _LIMITS if name in limits]
    return f", {' and '.join(ends)}" if ends else ""


def _size(context: Mapping[str, Any], one: str, many: str) -> str:
    least, most = context.get("min_length"), context.get("max_length")
    size = most if least is None else least
    return f"at {'most' if least is None else 'least'} {size:,} {one if size == 1 else many}"


def place(error: ErrorDetails) -> tuple[int | str, ...]:
    """The keys that lead to an error."""
    return error["loc"][:-1] if _of_union(error) else error["loc"]


def _of_union(error: ErrorDetails) -> bool:
    """Whether the last part of the place is no key, but the type that pydantic tried of several."""
    return (
        bool(error["loc"])
        and error["loc"][-1] in ("bool", "int", "float", "str", "list[str]")
        and error["type"] != "missing"
    )


def _field(location: tuple[int | str, ...], model: type[BaseModel]) -> FieldInfo | None:
    """The field at a place; None within lists and tables of anything."""
    return _fields(location[:-1], model).get(str(location[-1])) if location else None


def _fields(location: tuple[int | str, ...], model: type[BaseModel]) -> Mapping[str, FieldInfo]:
    """The fields of the table at a place; none where it is a list, or a table of anything."""
    kind: Any = model
    for part in location:
        kind = _inside(kind, part)
    return kind.model_fields if _is_table(kind) else {}


def _is_table(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _inside(kind: Any, part: int | str) -> Any:
    """The type of what stands at a key or number within a value of this type; None where that can be anything."""
    if _is_table(kind):
        field = kind.model_fields.get(part)
        return field.annotation if field is not None else None
    types = [each for each in get_args(kind) if each not in (NoneType, Ellipsis)]
    if get_origin(kind) in (Union, UnionType):
        return _inside(types[0], part) if len(types) == 1 else None
    return types[-1] if types else None  # of dict[str, T], list[T] and tuple[T, ...]


def _nearest(location: tuple[int | str, ...], model: type[BaseModel]) -> str:
    """The known keys beside an unknown one: the nearest, or all of them."""
    known = sorted(_fields(location[:-1], model))
    close = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else f"; known here: {', '.join(known) or 'none'}"

"""What pydantic found wrong with a file or a command of the user's, in one line: key, value, what is allowed.

Used by the run file, plans of comparisons, strategy files and the commands of a live run.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from engine.errors import one_line, short, short_name

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_MUST = {
    "int_type": "be a whole number", "int_parsing": "be a whole number", "int_from_float": "be a whole number",
    "float_type": "be a number", "float_parsing": "be a number",
    "finite_number": "be a finite number", "bool_type": "be true or false", "bool_parsing": "be true or false",
    "string_type": "be a text", "list_type": "be a list", "greater_than_equal": "be at least {ge}",
    "greater_than": "be above {gt}", "less_than_equal": "be at most {le}", "less_than": "be below {lt}",
    "literal_error": "be {expected}", "string_too_short": "not be empty", "too_short": "not be empty",
}  # fmt: skip
"""What a value must, by pydantic's type of the error."""


def must_be(error: ErrorDetails) -> str:
    """What is wrong with one value: what it must be, "must be at least 1", or what the check of ours said."""
    if (words := _MUST.get(error["type"])) is not None:
        return f"must {words.format(**error.get('ctx', {}))}"
    message = error["msg"].removeprefix("Value error, ")
    return message[:1].lower() + message[1:]


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """The first error of validating a file as `model`, in one line: key, value, what is allowed; and how many more."""
    errors = error.errors(include_url=False)
    first = min(errors, key=lambda e: e["type"] != "extra_forbidden")  # a misspelt key explains a missing one
    key = ".".join(short_name(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        line = f"unknown key {key}{_nearest(first['loc'], model)}"
    elif first["type"] == "missing":
        line = f"{key} is missing"
    elif key == "name" and first["type"] == "string_pattern_mismatch":
        line = f"name = {short(first['input'])}: letters, digits, '.', '_' and '-' are allowed, at most 64"
    elif first["type"] in ("model_type", "dict_type"):
        line = f"{key} = {short(first['input'])}: must be a table, [{key}]"
    else:
        given = "" if isinstance(first["input"], dict | BaseModel) else f" = {short(first['input'])}"
        line = f"{key}{given}: {must_be(first)}" if key else first["msg"].removeprefix("Value error, ")
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return one_line(line) + more


def _nearest(location: tuple[int | str, ...], model: type[BaseModel]) -> str:
    """The known keys beside an unknown one: the nearest, or all of them."""
    fields: Any = model.model_fields
    for part in location[:-1]:
        fields = fields[part].annotation.model_fields
    known = sorted(fields)
    close = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else f"; known here: {', '.join(known)}"

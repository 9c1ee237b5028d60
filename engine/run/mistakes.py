"""What pydantic found wrong with a file of the user's, in one line: key, value, what is allowed.

Used by the run file and by plans of comparisons.
"""

from __future__ import annotations

import difflib
from typing import Any

from pydantic import BaseModel, ValidationError

from engine.errors import one_line, short, short_name


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
        message = first["msg"].removeprefix("Value error, ")
        given = "" if isinstance(first["input"], dict | BaseModel) else f" = {short(first['input'])}"
        line = f"{key}{given}: {message[:1].lower()}{message[1:]}" if key else message
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

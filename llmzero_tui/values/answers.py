"""The answer of a query as values: its rows a piece at a time, unique names, JSON that cannot drive a terminal.

Shown by grids, written by commands and into files.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from engine.store.base import to_rows

if TYPE_CHECKING:
    import pyarrow as pa

EVERY_ROW = 1 << 40
"""A limit that no answer reaches: what then bounds an answer is its size in bytes."""
PIECE = 5_000
"""Rows that are Python objects at a time."""
_DRIVING = re.compile("[\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
"""C1 control characters and what reorders or hides text."""


def values(answer: pa.Table) -> Iterator[tuple[Any, ...]]:
    """The rows as tuples, a piece at a time: two columns of one name are two values."""
    numbered = answer.rename_columns([str(i) for i in range(answer.num_columns)])
    for start in range(0, numbered.num_rows, PIECE):
        for row in to_rows(numbered.slice(start, PIECE)):
            yield tuple(row.values())


def unique(names: list[str]) -> list[str]:
    """Names of which none is twice: a, a_2, …, for formats that need it."""
    names_so_far: list[str] = []
    for name in names:
        number, candidate = 1, name
        while candidate in names_so_far:
            number += 1
            candidate = f"{name}_{number}"
        names_so_far.append(candidate)
    return names_so_far


def is_number(kind: pa.DataType) -> bool:
    """Whether values of a type are aligned to the right."""
    import pyarrow.types as types

    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))


def to_json(value: Any, indent: int | None = 2, *, ascii: bool | None = None) -> str:
    """A value of a query or a listing as JSON; times as ISO 8601, what JSON has no word for as null or text.

    `ascii`: other letters as escapes; by default where stdout is not UTF-8.
    """
    if ascii is None:
        ascii = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "") != "utf8"
    text = json.dumps(_jsonable(value), indent=indent, ensure_ascii=ascii, allow_nan=False)
    return _DRIVING.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def _jsonable(value: Any) -> Any:
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case Decimal():
            return float(value)
        case bytes():
            return value.hex()
        case Mapping():
            return {str(key): _jsonable(each) for key, each in value.items()}
        case list() | tuple() | set():
            return [_jsonable(each) for each in value]
        case _:
            return str(value)

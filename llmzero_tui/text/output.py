"""Text for pipes and people: lines, aligned tables and JSON on stdout, remarks on stderr.

Used by the commands. Whatever a model, a file or a user wrote goes through `llmzero_tui.format.plain` before it is
shown; JSON escapes the control characters of C1 too, so that neither can drive a terminal.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from rich.cells import cell_len

from llmzero_tui.format import fit, plain

_DRIVING = re.compile("[\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
LINE = 4000
COLUMN = 60
"""Cells of the widest column that a table for people has."""


def emit(*lines: str) -> None:
    """Data: lines on stdout."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))


def note(line: str) -> None:
    """A remark: one line on stderr."""
    sys.stderr.write(f"{plain(line, LINE)}\n")
    sys.stderr.flush()


def table(
    header: Sequence[str], rows: Iterable[Sequence[object]], right: Collection[int] = (), indents: Sequence[int] = ()
) -> list[str]:
    """Aligned lines: a header and rows, columns two blanks apart, those named in `right` aligned to the right.

    `indents` are blanks before the first cell of each row.
    """
    header = [plain(cell, COLUMN) for cell in header]
    cells = [[plain(cell, COLUMN) for cell in row] for row in rows]
    for row, blanks in zip(cells, indents, strict=False):
        row[0] = " " * blanks + row[0]
    widths = [max(map(cell_len, column)) for column in zip(header, *cells, strict=True)]

    def line(row: Sequence[str]) -> str:
        fitted = (fit(cell, widths[i], right=i in right) for i, cell in enumerate(row))
        return "  ".join(fitted).rstrip()

    return [line(header), *(line(row) for row in cells)]


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

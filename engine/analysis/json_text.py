"""JSON columns of a run as they are needed: of a file that another version or another hand wrote, what can be read.

Used by the analysis. It never raises for what a column says.
"""

from __future__ import annotations

import json
from typing import Any


def numbers(text: str | None) -> dict[str, Any]:
    """The names and numbers of a JSON object; nothing where there is none."""
    return {name: value for name, value in values(text).items() if isinstance(value, int | float)}


def values(text: str | None) -> dict[str, Any]:
    """The names and values of a JSON object: numbers, texts and truth values; nothing where there is none."""
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: value for name, value in found.items() if isinstance(value, int | float | str)}


def checkpoints(text: str | None) -> tuple[tuple[int, int], ...]:
    """The pairs (node, step) of a JSON list; none where it is no list of such pairs."""
    try:
        return tuple((int(node), int(step)) for node, step in json.loads(text or "[]"))
    except (ValueError, TypeError, RecursionError):
        return ()

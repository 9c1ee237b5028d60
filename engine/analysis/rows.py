"""What the questions about a run have in common: how rows are asked for, and the one row of the run itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.errors import UserError

Rows = Callable[..., list[dict[str, Any]]]
"""`Reader.rows` or `Writer.rows`: SQL and parameters to a dictionary per row."""


def only_row(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The one row of a question about the run. Raises UserError where the engine has not written the run's row yet."""
    if not found:
        raise UserError("the run has not begun: its engine has not written anything about it yet")
    return found[0]

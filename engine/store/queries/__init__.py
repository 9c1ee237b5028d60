"""The questions the program asks, one .sql file each, with the question in a comment on top; each runs as is in a
DuckDB shell.

Called by the face and by the analysis. SQL is never built from what a user or a model wrote: values are parameters.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

HERE = Path(__file__).parent


def names() -> list[str]:
    """The names of all stored queries."""
    return sorted(path.stem for path in HERE.glob("*.sql"))


@cache
def load(name: str) -> str:
    """The text of one query. Raises KeyError for a name that is not there (our bug)."""
    if name not in names():
        raise KeyError(f"no query named {name!r}; there are {', '.join(names())}")
    return (HERE / f"{name}.sql").read_text(encoding="utf-8")

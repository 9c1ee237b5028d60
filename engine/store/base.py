"""What every reader of a run can do, and what the readers share.

Used by the two readers; everyone else imports from `engine.store.reader`. It imports neither duckdb nor pyarrow.
"""

from __future__ import annotations

import getpass
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

from engine.errors import UserError
from engine.store.protocol import COMMAND_KINDS, Parameters
from engine.store.query_process import QueryLimits

if TYPE_CHECKING:
    import pyarrow as pa


class Reader(Protocol):
    """Questions to one run. One query at a time; `interrupt` and `close` may come from any thread."""

    limits: QueryLimits
    """Of ad-hoc queries."""

    @property
    def live(self) -> bool:
        """Whether an engine runs this search now."""

    @property
    def truncated(self) -> bool:
        """Whether the last answer was cut at its limit."""

    def query(self, sql: str, params: Parameters = (), lane: str = "tick", limit: int | None = None) -> pa.Table:
        """The answer as Arrow.

        Args:
            lane: "tick" for the program's own quick questions, "long" for its long ones (threads of their own), "adhoc"
                for what a human typed: in a process of its own, within `limits`, 100,000 rows.
            limit: the most rows; `truncated` says whether there were more.

        Raises:
            QueryError: wrong SQL, or SQL that would write. QueryInterrupted. EngineGone: the engine ended meanwhile.
        """

    def rows(
        self, sql: str, params: Parameters = (), lane: str = "tick", limit: int | None = None
    ) -> list[dict[str, Any]]:
        """The answer as a dictionary per row. Raises as `query` does."""

    def command(
        self,
        kind: str,
        *,
        node_id: int | None = None,
        proposal_id: int | None = None,
        revision: int | None = None,
        payload: Mapping[str, object] | None = None,
        author: str | None = None,
    ) -> int:
        """Asks the engine for something; returns the command's id once it is on disk. What comes of it is in
        command_results.

        Args:
            author: who asks; by default the login name of whoever runs this program.

        Raises:
            UserError: an unknown kind, or a run that is not live.
        """

    def tables(self) -> Iterator[tuple[str, pa.Table]]:
        """Every table in pieces, all as of one moment, for a copy of the run."""

    def interrupt(self) -> None:
        """Stops the query that runs in another thread, if any."""

    def close(self) -> None:
        """Lets the engine or the file go."""


def to_rows(table: pa.Table) -> list[dict[str, Any]]:
    """A dictionary per row. Sums of integers (HUGEINT in DuckDB) are integers again, intervals are text."""
    import pyarrow as pa

    rows: list[dict[str, Any]] = table.to_pylist()
    for name in [f.name for f in table.schema if pa.types.is_interval(f.type)]:
        for row in rows:
            row[name] = None if row[name] is None else interval(row[name])
    whole = [f.name for f in table.schema if str(f.type).startswith("decimal") and f.type.scale == 0]
    for name in whole:
        for row in rows:
            if isinstance(row[name], Decimal):
                row[name] = int(row[name])
    return rows


def interval(value: Any) -> str:
    """A difference of times (months, days, nanoseconds) as DuckDB's shell writes it, e.g. "2 days 00:01:09.5"."""
    months, days, nanoseconds = value
    seconds = abs(nanoseconds) / 1e9
    clock = f"{seconds // 3600:02.0f}:{seconds % 3600 // 60:02.0f}:{seconds % 60:09.6f}".rstrip("0").rstrip(".")
    words = [f"{count} {unit}" + "s" * (abs(count) != 1) for count, unit in ((months, "month"), (days, "day")) if count]
    return " ".join([*words, ("-" if nanoseconds < 0 else "") + clock])


def login() -> str:
    """The login name of the human at this program; "human" where the machine knows none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # no variable says it and the user has no entry, as in some containers
        return "human"


def check_kind(kind: str) -> None:
    """Raises UserError for a command that does not exist."""
    if kind not in COMMAND_KINDS:
        raise UserError(f"unknown command {kind!r}: one of {', '.join(COMMAND_KINDS)}")

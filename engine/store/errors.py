"""What can go wrong between a question and the database, as types with one-line messages.

Raised by every reader, by the writer and by the server. A database's message is hostile text (it quotes what a user or
a model wrote), so it is never passed on raw: one line, printable characters, bounded.
"""

from __future__ import annotations

import re

from engine.errors import Fault, UserError

MESSAGE_LIMIT = 400
"""Longest message, in characters."""


class QueryError(UserError):
    """The SQL was refused or wrong: syntax, an unknown table, a type, an attempt to write."""


class QueryInterrupted(QueryError):
    """The query was stopped on request before it ended."""


class StoreFault(Fault):
    """The database cannot be written now (disk full, I/O error). What was to be written is kept and retried."""


class EngineGone(Fault):
    """The engine stopped answering in the middle of a conversation. Open the run again to go on."""


def printable(text: str) -> str:
    """The text on one line: control and other unprintable characters become spaces, runs of space one."""
    return re.sub(r" +", " ", "".join(c if c.isprintable() else " " for c in text)).strip()


def one_line(error: BaseException | str) -> str:
    """A database error as one line: what DuckDB says, with its candidates, without the excerpt of the query."""
    head = re.split(r"\n\s*\n|\nLINE \d", str(error), maxsplit=1)[0]
    line = printable(head)
    return line if len(line) <= MESSAGE_LIMIT else line[: MESSAGE_LIMIT - 1] + "…"

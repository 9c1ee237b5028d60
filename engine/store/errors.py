"""What can go wrong between a question and the database, as types with one-line messages.

Raised by every reader, by the writer and by the server. A database's message is hostile text (it quotes what a user or
a model wrote), so it is never passed on raw: one line, printable characters, bounded.
"""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from engine.errors import Fault, UserError

MESSAGE_LIMIT = 400
"""Longest message, in characters."""


class DamagedDatabase(UserError):
    """There is something at the place of a run's database that is none, or not whole."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path} is damaged: {why}")
        self.why = why


class NotBegun(UserError):
    """The engine of a run has written nothing about it yet."""

    def __init__(self) -> None:
        how = "then `llmzero resume` begins it, or delete its directory"
        super().__init__(f"the run has not begun: its engine is starting, or ended before it wrote anything; {how}")


class EngineUnreachable(UserError):
    """An engine that is stopped, or another user's: asking again is of no use."""


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
    """A database error as one line: what DuckDB says, with its candidates, and the place instead of the excerpt."""
    head = re.split(r"\n\s*\n|\nLINE \d", str(error), maxsplit=1)[0]
    line = printable(head)
    line = line if len(line) <= MESSAGE_LIMIT else line[: MESSAGE_LIMIT - 1] + "…"
    place = _place(str(error))
    return f"{line} ({place})" if place else line


def _place(message: str) -> str:
    """Where in the query the error is, as "line 2, column 8" from 1, when DuckDB shows it: an excerpt and a caret."""
    match = re.search(r"\nLINE (\d+): ([^\n]*)\n( *)\^[^\n]*\s*\Z", message)
    if match is None:
        return ""
    number, excerpt, blanks = match.groups()
    if excerpt.startswith("..."):
        return f"line {number}"  # a long line: DuckDB shows only its middle
    left, column = len(blanks) - len(f"LINE {number}: "), 0
    while left > 0 and column < len(excerpt):
        left -= _cells(excerpt[column])
        column += 1
    return f"line {number}, column {column + 1}"


def _cells(character: str) -> int:
    """Columns that DuckDB thinks a character takes where it sets its caret."""
    if character == "\t" or unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1

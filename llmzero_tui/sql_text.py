"""SQL as text: its tokens for colours, where an error is, and cleaning of what is pasted.

Pure; used by the editor and by the lists of queries. The lexer is DuckDB's; colours never decide what a text may do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from rich.text import Text

from llmzero_tui.styles.themes import Palette

TOO_LONG = 100_000
"""Characters from which on a text stays without colours."""

COLOURED = {"comment": "comment", "string_const": "string", "numeric_const": "number", "keyword": "keyword"}
"""DuckDB's kinds of token that have a colour, and its name in `style`."""
COLUMNS = frozenset(
    ["configuration", "error", "key", "label", "level", "milliseconds", "name", "policy", "role", "seconds", "value"]
)
"""Columns of a run's tables that DuckDB's lexer calls keywords; nobody means the keyword."""
Span = tuple[int, int, str]
"""From, to (without), and what it is: comment, string, number, keyword or function."""


def tokens(text: str) -> Iterator[Span]:
    """The parts of a query that have a colour of their own, as DuckDB's own lexer sees them."""
    import duckdb

    data = text.encode(errors="replace")  # the lexer counts bytes; a lone surrogate is no SQL and stays one character
    marks = [(begin, kind.name) for begin, kind in duckdb.tokenize(data.decode())]
    begin_character, begin_byte = 0, 0
    for (begin, kind), (end, _) in pairwise([*marks, (len(data), "")]):
        begin_character += len(data[begin_byte:begin].decode())
        begin_byte = begin
        token = data[begin:end].decode().rstrip()
        colour = COLOURED.get(kind) if token.lower() not in COLUMNS else None
        if kind == "identifier" and not token.startswith('"') and data[end : end + 1] == b"(":
            colour = "function"
        if token and colour:
            yield begin_character, begin_character + len(token), colour


def style(kind: str, colours: Palette) -> str:
    """The style of a kind of token."""
    return {
        "comment": f"italic {colours.muted}", "string": colours.good, "number": colours.star,
        "keyword": f"bold {colours.live}", "function": colours.warn,
    }[kind]  # fmt: skip


def by_line(text: str) -> dict[int, list[Span]]:
    """The tokens of each line, in columns of that line; a token over several lines is in each of them."""
    spans_of: dict[int, list[Span]] = {}
    if len(text) > TOO_LONG:
        return spans_of
    line, begins = 0, 0
    for start, end, kind in tokens(text):
        line += text.count("\n", begins, start)
        begins = text.rfind("\n", 0, start) + 1
        here = begins
        while True:
            stop = text.find("\n", here, end)
            spans_of.setdefault(line, []).append((max(0, start - here), (end if stop < 0 else stop) - here, kind))
            if stop < 0:
                break
            line, here = line + 1, stop + 1
        begins = here
    return spans_of


def coloured(text: str, colours: Palette) -> Text:
    """A query in colours, for lists."""
    shown = Text(text, style=colours.text)
    if len(text) <= TOO_LONG:
        for start, end, kind in tokens(text):
            shown.stylize(style(kind, colours), start, end)
    return shown


def clean(text: str) -> str:
    """Text that may stand in an editor: no control, format or bidirectional characters; odd blanks are blanks."""
    if text.isascii() and text.isprintable():
        return text
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(c if c.isprintable() or c in "\n\t" else " " if c.isspace() else "" for c in text)


_PLACE = re.compile(r"\(line (\d+), column (\d+)\)\Z")
_NAMED = re.compile(r'(?:name|[Cc]olumn) "?([\w.]+)"? (?:does not exist|not found)')


def error_span(message: str, text: str) -> tuple[int, int, int] | None:
    """(line, from, to) of what an error is about: where the database says it is, else the name it cannot find."""
    lines = text.split("\n")
    place = _PLACE.search(message)
    if place:
        line, column = int(place[1]) - 1, int(place[2]) - 1
        if line < len(lines) and column <= len(lines[line]):
            word = re.compile(r"\w+|\S|$").match(lines[line], column)
            return line, column, word.end() if word and word.end() > column else column + 1
    named = _NAMED.search(message)
    if named:
        for line, words in enumerate(lines):
            named_there = re.search(rf"(?<!\w){re.escape(named[1])}(?!\w)", words)
            if named_there:
                return line, *named_there.span()
    return None

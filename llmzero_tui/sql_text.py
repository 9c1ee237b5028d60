"""SQL as text: its tokens for colours, where an error is, and cleaning of what is pasted.

Pure; used by the editor and by the lists of queries. It guesses at syntax for colours only and never decides what a
text may do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rich.text import Text

from llmzero_tui.styles.themes import Palette

TOO_LONG = 100_000
"""Characters from which on a text stays without colours."""

_WORDS = """
all and any anti array as asc asof between by case cast columns count_star create cross current_date
current_timestamp cube date desc describe distinct else end escape except exclude exists explain extract false
fetch filter first following for from full glob group grouping having if ilike in inner intersect interval into is
isnull join json last lateral left like limit list macro map natural not notnull null nulls offset on or order outer
over partition percent pivot positional preceding qualify range recursive replace respect right rollup row rows
sample select semi sets show similar struct summarize table tablesample text then time timestamp to true try_cast
unbounded union unnest unpivot using values varchar when where window with within analyze bigint boolean double
integer
"""
KEYWORDS = frozenset(_WORDS.split())
_TOKEN = re.compile(
    r"""
    (?P<comment>--[^\n]*|/\*.*?(?:\*/|\Z))
    |(?P<string>'(?:[^']|'')*(?:'|\Z)|(?P<tag>\$[A-Za-z_]*\$).*?(?:(?P=tag)|\Z))
    |(?P<quoted>"(?:[^"]|"")*(?:"|\Z))
    |(?P<number>(?<![\w.])(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<word>[^\W\d]\w*)(?P<call>\s*\()?
    """,
    re.VERBOSE | re.DOTALL,
)
Span = tuple[int, int, str]
"""From, to (without), and what it is: comment, string, number, keyword or function."""


def tokens(text: str) -> Iterator[Span]:
    """The parts of a query that have a colour of their own."""
    for found in _TOKEN.finditer(text):
        kind = found.lastgroup or ""
        if kind in ("word", "call"):
            start, end = found.span("word")
            if found["word"].lower() in KEYWORDS:
                yield start, end, "keyword"
            elif found["call"]:
                yield start, end, "function"
        elif kind == "tag":
            yield *found.span("string"), "string"
        elif kind != "quoted":
            yield *found.span(), kind


def style(kind: str, colours: Palette) -> str:
    """The style of a kind of token."""
    return {
        "comment": f"italic {colours.muted}", "string": colours.good, "number": colours.star,
        "keyword": f"bold {colours.live}", "function": colours.warn,
    }[kind]  # fmt: skip


def by_line(text: str) -> dict[int, list[Span]]:
    """The tokens of each line, in columns of that line; a token over several lines is in each of them."""
    found: dict[int, list[Span]] = {}
    if len(text) > TOO_LONG:
        return found
    line, begins = 0, 0
    for start, end, kind in tokens(text):
        line += text.count("\n", begins, start)
        begins = text.rfind("\n", 0, start) + 1
        here = begins
        while True:
            stop = text.find("\n", here, end)
            found.setdefault(line, []).append((max(0, start - here), (end if stop < 0 else stop) - here, kind))
            if stop < 0:
                break
            line, here = line + 1, stop + 1
        begins = here
    return found


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
            found = re.search(rf"(?<!\w){re.escape(named[1])}(?!\w)", words)
            if found:
                return line, *found.span()
    return None

"""Numbers, times and foreign text as the screens show them: one way each, everywhere.

Called by every screen and widget. `plain` is the only door for text written by models, files or users; nothing here
reads a store or a clock.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size

from engine.domain.parameters import format_value

_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[PX^_][^\x1b]*(?:\x1b\\)?|[@-Z\\-_])")
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_COMBINING = frozenset({"Mn", "Me"})
SPARKS = "▁▂▃▄▅▆▇█"
ASCII_SPARKS = "_.-=+*#@"
_LEADING_ZERO = re.compile(r"(?<![\d.])0\.(?=\d)")
MISSING = "–"


def plain(text: object, limit: int | None = None, *, lines: bool = False) -> str:
    """Foreign text with nothing in it that a terminal or a reader's eye could be fooled by.

    Escape sequences, control and format characters (bidirectional marks too) go, marks that pile up on one letter are
    cut to two. `lines` keeps line breaks, otherwise all white space becomes single spaces. `limit` cuts to that many
    characters with an ellipsis. The result is text: whoever shows it must not parse it as markup.
    """
    source = str(text)
    if limit is not None and len(source) > 8 * limit + 1000:
        source = source[: 8 * limit + 1000]
    if not (source.isascii() and source.isprintable()):
        source = _ESCAPE.sub("", source)
        source = "".join(_visible(source))
    if lines:  # no pattern: on a long run of blanks a search for those before a line's end takes quadratic time
        source = "\n".join(line.rstrip(" \t") for line in source.split("\n")).strip("\n")
    else:
        source = " ".join(source.split())
    if limit is not None and len(source) > limit:
        return source[: limit - 1] + "…"
    return source


READ_LIMIT = 16_000
READ_LINES = 1000
"""Characters and lines of one text that are laid out to be read; the rest stays in the database, and the screen says
so."""


def beginning(text: str) -> str:
    """As much of a text as is laid out to be read."""
    text, place = text[:READ_LIMIT], -1
    for _ in range(READ_LINES):
        place = text.find("\n", place + 1)
        if place < 0:
            return text
    return text[:place]


def readable(text: str) -> str:
    """A foreign text to be read, line by line: its beginning, made harmless."""
    return plain(beginning(text), lines=True)


def _visible(source: str) -> Iterable[str]:
    marks = 0
    for character in source:
        if character in "\n\t":
            yield "\n" if character == "\n" else "  "
            continue
        category = unicodedata.category(character)
        marks = marks + 1 if category in _COMBINING else 0
        if category not in _HIDDEN and marks <= 2:
            yield character


def fit(text: str, width: int, *, right: bool = False) -> str:
    """`text` in exactly `width` terminal cells: cut with an ellipsis or padded (on the left when `right`)."""
    if width <= 0:
        return ""
    length = cell_len(text)
    if length > width:
        return set_cell_size(text, width - 1) + "…"
    padding = " " * (width - length)
    return padding + text if right else text + padding


def ending(text: str, width: int) -> str:
    """`text` in at most `width` terminal cells: its end, which tells a file's function from another's."""
    if cell_len(text) <= width:
        return text
    while cell_len(text) > width - 1:
        text = text[1:]
    return f"…{text}" if width > 0 else ""


def share(value: float | None, digits: int = 3) -> str:
    """A number of [0, 1]: 0.431, 1.00; a dash for nothing."""
    if value is None or not math.isfinite(value):
        return MISSING
    text = f"{value:.{digits}f}"
    return f"{value:.{digits - 1}f}" if text.startswith("1") else text


def score(value: float | None, low: float | None, high: float | None) -> str:
    """A score with its 95% interval, 18 cells at most: 0.431 [0.37, 0.49]."""
    if value is None or low is None or high is None:
        return MISSING
    return f"{share(value)} [{low:.2f}, {high:.2f}]"


def narrow(text: str) -> str:
    """Numbers of a narrow column without their leading zeros: .431 [.37, .49]."""
    return _LEADING_ZERO.sub(".", text)


def number(value: float | None) -> str:
    """Any metric in at most seven characters, for narrow cells: .0041, 1.83, 412, 1.2e-06."""
    if value is None:
        return MISSING
    if not math.isfinite(value):
        return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")
    size = abs(value)
    if size == 0:
        return "0"
    if size < 0.0005 or size >= 1e6:
        return f"{value:.1e}".replace(".0e", "e").replace("e-0", "e-").replace("e+0", "e")
    if size < 1:
        text = f"{value:.3g}" if size >= 0.01 else f"{value:.2g}"
        return text.replace("0.", ".", 1)
    return f"{value:.3g}" if size < 1000 else f"{value:.0f}"


def parameter(value: float | int | bool | str | None) -> str:
    """A hyperparameter's value as one writes it in the run file: 5e-5, 0.02, 64, true, dr_grpo."""
    return MISSING if value is None else plain(format_value(value), 40)


def duration(seconds: float | None) -> str:
    """Seconds as two units: 41s, 2m14s, 3h05m, 2d4h."""
    if seconds is None or not math.isfinite(seconds):
        return MISSING
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86_400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86_400}d{whole % 86_400 // 3600}h"


def age(seconds: float | None) -> str:
    """How old data is: 0.4s, 3s, 2m14s."""
    if seconds is None:
        return MISSING
    if seconds < 1:
        return f"{share(max(0.0, seconds), 1)}s"
    return duration(seconds)


def spark(
    values: Sequence[float | None], low: float | None = None, high: float | None = None, *, ascii: bool = False
) -> str:
    """One character per value between `low` and `high` (their own extremes by default); a blank where there is none."""
    levels = ASCII_SPARKS if ascii else SPARKS
    known = [v for v in values if v is not None and math.isfinite(v)]
    if not known:
        return " " * len(values)
    floor = min(known) if low is None else low
    top = max(known) if high is None else high
    span = top / 2 - floor / 2  # halves: the whole may not fit a float
    cells = []
    for value in values:
        if value is None or not math.isfinite(value):
            cells.append(" ")
        elif span <= 0:
            cells.append(levels[len(levels) // 2 - 1])
        else:
            place = min(1.0, max(0.0, (value / 2 - floor / 2) / span))
            cells.append(levels[min(len(levels) - 1, int(place * len(levels)))])
    return "".join(cells)


def bar(fraction: float, width: int, *, ascii: bool = False) -> tuple[str, str]:
    """A bar of `width` cells as (spent, left) so that each can have its colour."""
    filled = max(0, min(width, round(max(0.0, min(1.0, fraction)) * width)))
    return ("=" if ascii else "━") * filled, ("-" if ascii else "─") * (width - filled)


@dataclass(frozen=True, slots=True)
class StateMark:
    """How a state looks: a glyph of one cell, the same in ASCII, and the name of a colour of the palette."""

    glyph: str
    ascii: str
    colour: str


MARKS: dict[str, StateMark] = {
    "proposed": StateMark("○", "o", "muted"),
    "queued": StateMark("◌", ".", "muted"),
    "running": StateMark("●", "*", "live"),
    "interrupted": StateMark("◑", "~", "warn"),
    "finished": StateMark("✓", "+", "good"),
    "stopped": StateMark("■", "#", "muted"),
    "early-stopped": StateMark("✂", "%", "warn"),
    "out-of-memory": StateMark("▲", "M", "bad"),
    "nan": StateMark("≠", "N", "bad"),
    "crashed": StateMark("✗", "x", "bad"),
    "hung": StateMark("◷", "H", "bad"),
    "rejected": StateMark("⊘", "-", "muted"),
    "starting": StateMark("◌", ".", "live"),
    "training": StateMark("●", "*", "live"),
    "paused": StateMark("‖", "|", "wait"),
    "finishing": StateMark("◐", "*", "live"),
    "failed": StateMark("✗", "x", "bad"),
    "pending": StateMark("?", "?", "wait"),
    "lost": StateMark("✗", "x", "bad"),
    "damaged": StateMark("✗", "x", "bad"),
    "unreadable": StateMark("✗", "x", "bad"),
    "stale": StateMark("↻", "r", "warn"),
}
HUMAN, NOTE = "✎", "¶"
"""Marks of a node that a human made or edited, and of a human's note."""
UNKNOWN = StateMark("·", ".", "muted")
SHORT_STATES = {"out-of-memory": "memory", "early-stopped": "early stop"}


def mark(state: str) -> StateMark:
    """The look of a state of a run or a node."""
    return MARKS.get(state, UNKNOWN)


_ASCII = {ord(each.glyph): each.ascii for each in MARKS.values()} | str.maketrans(
    "★→·…–±▾▸│×−↑↓≥≤⚠‖ε“”’—┤└┬─←‹›⌫◆✓✗⇒┐┘┌┼✎¶▒",
    '*>-~-+v>|x-^v><!|e""\'-|`+-<<><x+x>.\'.+@":',
)


def to_ascii(text: str) -> str:
    """The same text for a terminal that lacks glyphs, as wide: known ones replaced, the rest a question mark."""
    text = text.replace(" ±", "+-")
    return text.translate(_ASCII).encode("ascii", "replace").decode("ascii")


def toml_value(value: object) -> str:
    """A value as TOML writes it: JSON's texts, numbers, truth values and lists are TOML's too."""
    import json  # no screen needs it before its first paint

    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")

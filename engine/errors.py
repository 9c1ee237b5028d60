"""The two kinds of expected trouble: a user's mistake and a fault of the world. All else is our bug and propagates.

Raised anywhere in the engine and the face; the command line prints a UserError as one line and exits with 2. Imported
before anything is on screen: needs nothing itself.
"""

from __future__ import annotations

import re


class UserError(Exception):
    """A mistake of the user. The message is one line: what, which value, what is allowed or what to do."""


class Fault(Exception):
    """A fault of the world (Ollama down, disk full, worker killed): typed, logged, shown, survived."""


def last_line(text: str) -> str:
    """What a process said last, in one line; "" when it said nothing."""
    return one_line(text.strip().rpartition("\n")[2])


def one_line(text: str) -> str:
    """`text` with line breaks and control characters replaced by spaces."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\s]+", " ", text).strip()


LONGEST_QUOTE = 80
"""Characters of what a user wrote that a message repeats at most."""


def short(value: object) -> str:
    """A given value, quoted, at most 80 characters."""
    text = repr(value)
    return text if len(text) <= LONGEST_QUOTE else f"{text[: LONGEST_QUOTE - 1]}…"


def short_name(name: object) -> str:
    """A given name as it stands, at most 80 characters."""
    text = one_line(str(name))
    return text if len(text) <= LONGEST_QUOTE else f"{text[: LONGEST_QUOTE - 1]}…"


def short_path(path: object) -> str:
    """A path as it stands; of a very long one the beginning and, more of it, the end."""
    text = one_line(str(path))
    return text if len(text) <= 2 * LONGEST_QUOTE else f"{text[:30]}…{text[-49:]}"


def bounded(text: str) -> str:
    """A message in which no word and nothing in quotes is endless: what it repeats without `short` is cut here."""
    text = _QUOTED.sub(lambda match: f"{match[0][: LONGEST_QUOTE - 1]}…{match[1]}", text)
    return _ENDLESS.sub(lambda match: (short_path if "/" in match[1] else short_name)(match[1]) + match[2], text)


_QUOTED = re.compile(rf"(?<![^\s(\[=:])(['\"])(?:(?!\1)[^/…]){{{LONGEST_QUOTE},}}\1")
_ENDLESS = re.compile(rf"(\S{{{LONGEST_QUOTE},}}[^\s:;,.])([:;,.]*)(?!\S)")

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


def one_line(text: str) -> str:
    """`text` with line breaks and control characters replaced by spaces."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\s]+", " ", text).strip()


def short(value: object) -> str:
    """A given value, quoted, at most 80 characters."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"

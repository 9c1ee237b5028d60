"""The two kinds of expected trouble: a user's mistake and a fault of the world. All else is our bug and propagates.

Raised anywhere in the engine and the face; the command line prints a UserError as one line and exits with 2.
"""

from __future__ import annotations


class UserError(Exception):
    """A mistake of the user. The message is one line: what, which value, what is allowed or what to do."""


class Fault(Exception):
    """A fault of the world (Ollama down, disk full, worker killed): typed, logged, shown, survived."""

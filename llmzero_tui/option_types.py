"""What the text of an option may be: numbers in their ranges, a node, a port. Used by `llmzero_tui.arguments` alone.

Each raises argparse.ArgumentTypeError, which names the text and what is allowed.
"""

from __future__ import annotations

import argparse


def positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1e7:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} must be a number above 0")
    return value


def filled(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError(f"{text[:40]!r} must not be empty; leave the option out for its default")
    return text


def count(text: str) -> int:
    return _whole_number(text, 0, 100_000)


def port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text[:6]) > 65535:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} must be a port, 1 to 65535, or 0 for a free one")
    return int(text)


def node(text: str) -> int:
    """A node as it is written on the screen, "#12", or its number."""
    return count(text.removeprefix("#"))


def limit(text: str) -> int | float:
    if text.isascii() and text.isdigit() and len(text) < 10:
        return int(text)
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1e9:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} must be a number, 0 to 1e9")
    return value


def some(text: str) -> int:
    return _whole_number(text, 1, 1024)


def nice(text: str) -> int:
    return _whole_number(text, 0, 19)


def _whole_number(text: str, low: int, high: int) -> int:
    if not text.isascii() or not text.isdigit() or not low <= int(text[:7]) <= high:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} must be a whole number, {low} to {high}")
    return int(text)

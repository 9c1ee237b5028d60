"""Numbers in sentences: one way to say how many of a thing there are. Pure, used by every room and by the face."""

from __future__ import annotations


def counted(number: float, thing: str, things: str = "") -> str:
    """ "1 node", "2 nodes", "0 nodes"; `things` is the plural where an s does not make it."""
    return f"{number} {thing}" if number == 1 else f"{number} {things or thing + 's'}"

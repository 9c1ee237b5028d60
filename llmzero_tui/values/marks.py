"""What can be marked to be compared. Apart from the comparison itself, which the first paint does not need.

Used by the screens with marks and by the feed of the comparison. Pure values.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MOST = 4
LETTERS = "ABCD"


@dataclass(frozen=True, slots=True)
class Target:
    """What is compared: a node of a run, or (None) the best trajectory of a run."""

    path: Path
    node: int | None = None


def letters(marked: tuple[Target, ...]) -> dict[int, str]:
    """The letter of each marked node."""
    nodes = (target.node for target in marked if target.node is not None)
    return dict(zip(nodes, LETTERS, strict=False))

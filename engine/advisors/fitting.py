"""Sections of evidence made to fit: what is longest and says least about the decision gives way first.

Called by `evidence.describe` for a model whose context is short, and for a tree that has grown large.
"""

from __future__ import annotations

from collections.abc import Mapping

GIVES_WAY = (
    "Rollouts of the segment", "Best segments of the whole search",
    "How parameters moved in this run, and what validation did", "Tried from here, and the results",
    "Checkpoints with validation scores", "What the rules propose", "The analyst's reading",
    "Trajectory from the base to here", "Named signals, computed from the metrics", "Metrics of the segment",
)  # fmt: skip
"""What is left out first where a model's context is short: what is longest and says least about the decision."""
LEAST_LINES = 4
"""A table keeps its head and so many lines before a whole section goes."""


def fitted(sections: Mapping[str, str], characters: int) -> str:
    """The sections as one text of at most `characters`: first the ends of tables go, then whole sections (GIVES_WAY).

    Rollouts go as a whole, because their end closes the quotation.
    """
    kept = {title: body for title, body in sections.items() if body}
    if 0 < characters < len(_joined(kept)):
        _shorten(kept, characters)
    return _joined(kept)


def _joined(sections: Mapping[str, str]) -> str:
    return "\n\n".join(f"## {title}\n{body}" for title, body in sections.items())


def _shorten(kept: dict[str, str], characters: int) -> None:
    kept.pop(GIVES_WAY[0], None)
    for title in GIVES_WAY:
        lines = kept.get(title, "").splitlines()
        while len(lines) > LEAST_LINES and len(_joined(kept)) > characters:
            lines.pop()
            kept[title] = "\n".join(lines)
    for title in GIVES_WAY:
        if len(_joined(kept)) <= characters:
            return
        kept.pop(title, None)

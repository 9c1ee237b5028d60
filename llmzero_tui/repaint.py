"""What goes to the terminal, less what stands there already: a slow line carries what changed, not whole panels.

The app passes every update of the screen through one `Repaint`. A panel that draws itself anew writes only the cells
that differ; a full update (another screen, another size) is written whole, and is what later ones are compared with.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from rich.console import Console
from rich.control import Control
from rich.style import Style
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.strip import Strip

UNCERTAIN = re.compile(
    "[^ -~\u00a1-\u00ac\u00ae-\u02ff\u0370-\u03ff\u2010-\u2027\u2030-\u203e\u2190-\u22ff"
    "\u2500-\u25fc★✂✓✗⚠\u2800-\u28ff]"
)
"""Beyond Latin and Greek, punctuation, arrows, mathematics, boxes, blocks, symbols and braille."""
COLUMNS = 1 << 16


class Repaint:
    """What the terminal shows: of every row, the strips that were written, by where they begin."""

    def __init__(self) -> None:
        self._rows: dict[int, dict[int, Strip]] = {}

    def less(self, update: Any) -> Any:
        """The same update without what is there already; nothing is noted before it is written."""
        return _PartialUpdate(self, update) if isinstance(update, ChopsUpdate | LayoutUpdate) else update

    def whole(self, update: LayoutUpdate, console: Console) -> str:
        """A full update as it is."""
        self._rows.clear()
        for y, strips in enumerate(update.strips, update.region.y):
            x, row = update.region.x, self._rows.setdefault(y, {})
            for strip in strips:
                row[x] = strip
                x += strip.cell_length
            for place in [place for place, strip in row.items() if not _certain(strip)]:
                _replace(row, place, COLUMNS, None)
        return update.render_segments(console)

    def changes(self, update: ChopsUpdate, console: Console) -> str:
        """The cells of an update that are not on the terminal."""
        written = []
        for y, first, last in update.spans:
            row = self._rows.setdefault(y, {})
            for end, (x, strip) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
                if strip is None or x > last or end <= first:
                    continue
                piece: tuple[int, Strip] | None = (0, strip)
                if x < first or end > last:
                    piece = 0, strip.crop(0, min(end, last) - x)
                    _replace(row, x, end, None)
                elif not _certain(strip):
                    _replace(row, x, COLUMNS, None)  # it may reach farther than it should
                else:
                    piece = _difference(row.get(x), strip)
                    _replace(row, x, end, strip)
                if piece is not None:
                    written.append(Control.move_to(x + piece[0], y).segment.text + piece[1].render(console))
        return "".join(written)


class _PartialUpdate(CompositorUpdate):
    """An update that leaves out what the terminal shows."""

    def __init__(self, repaint: Repaint, update: ChopsUpdate | LayoutUpdate) -> None:
        self._repaint, self._update = repaint, update

    def render_segments(self, console: Console) -> str:
        if isinstance(self._update, LayoutUpdate):
            return self._repaint.whole(self._update, console)
        return self._repaint.changes(self._update, console)


def _replace(row: dict[int, Strip], x: int, end: int, strip: Strip | None) -> None:
    """Note what stands from `x` to `end`; what overlapped it does not any more."""
    for start in [s for s, old in row.items() if s < end and s + old.cell_length > x]:
        del row[start]
    if strip is not None:
        row[x] = strip


def _difference(old: Strip | None, new: Strip) -> tuple[int, Strip] | None:
    """From which cell on to write what; None when nothing differs."""
    if old is None or old.cell_length != new.cell_length:
        return 0, new
    if old == new:
        return None
    before, after = _cells(old), _cells(new)
    different = [place for place, (one, other) in enumerate(zip(before, after, strict=True)) if one != other]
    if not different:
        return None
    return different[0], new.crop(different[0], different[-1] + 1)


def _cells(strip: Strip) -> list[tuple[str, Style | None]]:
    """A strip cell by cell."""
    return [(character, segment.style) for segment in strip for character in segment.text]


def _certain(strip: Strip) -> bool:
    """Whether every terminal gives every character of it one cell; about other scripts and emoji they disagree."""
    return all(not segment.control and _plain_cells(segment.text) for segment in strip)


@lru_cache(maxsize=4096)
def _plain_cells(text: str) -> bool:
    return text.isascii() or not UNCERTAIN.search(text)

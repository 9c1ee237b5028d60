"""A picture of terminal cells: lines and areas of braille dots, glyphs, one colour a cell. Called by `drawing` alone.

Everything comes in fractions of the canvas, 0 to 1 from left to right and from bottom to top, and is cut off at its
edges. A cell belongs to what was drawn there last. Without braille (ASCII) a cell has two dots, one over the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from rich.segment import Segment
from rich.style import Style

BRAILLE = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
STACKED = ((0x01, 0x02),)
STACKED_SIGNS = {0x01: "'", 0x02: ".", 0x03: ":"}


class Canvas:
    """`width` × `height` cells."""

    def __init__(self, width: int, height: int, *, ascii: bool) -> None:
        self.width, self.height, self.ascii = width, height, ascii
        self._bits = STACKED if ascii else BRAILLE
        self._across, self._down = len(self._bits), len(self._bits[0])
        self._dots = [0] * (width * height)
        self._signs: list[str] = [""] * (width * height)
        self._colours: list[str] = [""] * (width * height)

    def line(self, points: Sequence[tuple[float, float]], colour: str) -> None:
        """A line through points that are in order; a single one is a dot."""
        places = [(self._dot(x, self._across * self.width), self._dot(y, self._down * self.height)) for x, y in points]
        if len(places) == 1:
            self._set(*places[0], colour)
        for (x, y), (to_x, to_y) in pairwise(places):
            far = max(abs(to_x - x), abs(to_y - y), 1)
            for i in range(far + 1):
                self._set(x + round((to_x - x) * i / far), y + round((to_y - y) * i / far), colour)

    def area(self, first: float, last: float, bottom: float, top: float, colour: str) -> None:
        """Every dot from `first` to `last` and from `bottom` to `top`."""
        wide, tall = self._across * self.width, self._down * self.height
        lowest, highest = self._dot(bottom, tall), self._dot(top, tall)
        for x in range(self._dot(first, wide), self._dot(last, wide) + 1):
            bits, column = self._bits[x % self._across], x // self._across
            whole, first_row, last_row = sum(bits), lowest // self._down, highest // self._down
            for row in range(first_row, last_row + 1):
                mask = whole
                if row in (first_row, last_row):
                    low, high = max(0, lowest - row * self._down), min(self._down - 1, highest - row * self._down)
                    mask = sum(bits[self._down - 1 - high : self._down - low])
                self._put((self.height - 1 - row) * self.width + column, mask, colour)

    def bar(self, x: float, low: float, high: float, colour: str) -> None:
        """An upright line of glyphs, over whatever is there."""
        column = self.column(x)
        for row in range(self.row(high), self.row(low) + 1):
            self._sign(column, row, "I" if self.ascii else "│", colour)

    def rule(self, column: int, colour: str) -> None:
        """A thin upright line from top to bottom, behind whatever comes later."""
        for row in range(self.height):
            self._sign(column, row, "|" if self.ascii else "┊", colour)

    def text(self, column: int, row: int, words: str, colour: str) -> None:
        """Words over whatever is there; what does not fit is cut off. One cell a character."""
        for i, sign in enumerate(words):
            if 0 <= column + i < self.width and 0 <= row < self.height:
                self._sign(column + i, row, sign, colour)

    def column(self, x: float) -> int:
        """The column of a fraction of the width."""
        return self._dot(x, self._across * self.width) // self._across

    def row(self, y: float) -> int:
        """The row, from the top, of a fraction of the height."""
        return self.height - 1 - self._dot(y, self._down * self.height) // self._down

    def segments(self, row: int, background: str) -> list[Segment]:
        """A row as styled text; neighbours of one colour are one segment."""
        found: list[Segment] = []
        run, colour = "", ""
        for at in range(row * self.width, (row + 1) * self.width):
            sign = self._signs[at] or self._dotted(self._dots[at])
            if sign != " " and self._colours[at] != colour:
                if run:
                    found.append(Segment(run, style(colour, background)))
                run, colour = "", self._colours[at]
            run += sign
        found.append(Segment(run, style(colour, background)))
        return found

    def _dotted(self, dots: int) -> str:
        if not dots:
            return " "
        return STACKED_SIGNS[dots] if self.ascii else chr(0x2800 + dots)

    @staticmethod
    def _dot(share: float, count: int) -> int:
        return min(count - 1, max(0, int(share * count)))

    def _set(self, x: int, y: int, colour: str) -> None:
        at = (self.height - 1 - y // self._down) * self.width + x // self._across
        self._put(at, self._bits[x % self._across][self._down - 1 - y % self._down], colour)

    def _put(self, at: int, dots: int, colour: str) -> None:
        if self._colours[at] == colour and not self._signs[at]:
            self._dots[at] |= dots
        else:  # another line's dots would take on this one's colour
            self._dots[at], self._colours[at], self._signs[at] = dots, colour, ""

    def _sign(self, column: int, row: int, sign: str, colour: str) -> None:
        at = row * self.width + column
        self._signs[at], self._colours[at], self._dots[at] = sign, colour, 0


_STYLES: dict[tuple[str, str], Style] = {}


def style(colour: str, background: str, *, bold: bool = False) -> Style:
    """A style by its colours ("#rrggbb"; none for the terminal's own), made once."""
    key = (f"{'bold ' if bold else ''}{colour}", background)
    if key not in _STYLES:
        _STYLES[key] = Style(color=colour or None, bgcolor=background or None, bold=bold or None)
    return _STYLES[key]

"""What the screen looks like with NO_COLOR: no colour at all; what a colour said is said by bold, dim or reverse.

Applied by the app to every line that is drawn. Textual's own filter leaves shades of grey, which are colours too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter

from llmzero_tui.styles.themes import Palette


class ColourlessFilter(LineFilter):
    """Keeps what the cursor stands on visible by reversing it. `palette` says what the colours mean now."""

    def __init__(self, palette: Callable[[], Palette]) -> None:
        super().__init__()
        self._palette = palette

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        colours = self._palette()
        return [
            Segment(text, None if style is None else _bare(style, colours), control)
            for text, style, control in segments
        ]


@lru_cache(4096)
def _bare(style: Style, colours: Palette) -> Style:
    """A style without its colours."""
    ground = style.bgcolor.triplet.hex if style.bgcolor is not None and style.bgcolor.triplet else ""
    ink = style.color.triplet.hex if style.color is not None and style.color.triplet else ""
    chosen = ground in (colours.cursor, colours.selection)
    return style.without_color + Style(
        reverse=bool(style.reverse) or chosen,
        dim=ink in (colours.faint, colours.trail, colours.raw),
        bold=style.bold or ink in (colours.wait, colours.star),
    )

"""How every widget gets its colours, glyphs and names of keys (the palette of the theme, whether the terminal lacks
glyphs, the user's keys), and how foreign texts are drawn with them.

The app owns one `Appearance` and replaces it when one of them changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, cast

from rich.text import Text
from textual.content import Content
from textual.dom import DOMNode

from llmzero_tui.actions import DEFAULT_KEYS, Action, Keymap, key_name
from llmzero_tui.format import beginning, fit, mark, plain, readable, spark, to_ascii
from llmzero_tui.styles.themes import Palette
from llmzero_tui.values.difference import Span


@dataclass(frozen=True, slots=True)
class Appearance:
    """The palette, `ascii` for terminals without glyphs, and the user's keys."""

    palette: Palette
    ascii: bool = False
    keymap: Keymap = DEFAULT_KEYS

    def key(self, action: Action, screen: str) -> str:
        """The first key of an action as it is shown; "" where it has none."""
        return next((key_name(key) for key in self.keymap.of(action, screen)), "")

    def answers(self, *keys: tuple[str, str]) -> Text:
        """The last line of a dialog: each key and what it does."""
        line = Text(no_wrap=True)
        for key, label in keys:
            line.append(f"{key} ", style=f"bold {self.palette.wait}").append(f"{label}   ", style=self.palette.muted)
        return self.done(line)

    def glyph(self, state: str) -> tuple[str, str]:
        """The glyph of a state and its colour."""
        shown = mark(state)
        return (shown.ascii if self.ascii else shown.glyph), self.palette[shown.colour]

    def state(self, state: str, word: str | None = None) -> Text:
        """Glyph and word in the state's colour."""
        glyph, colour = self.glyph(state)
        return Text(f"{glyph} {plain(word or state, 40)}", style=colour)

    def spark(self, values: tuple[float | None, ...], low: float | None = None, high: float | None = None) -> str:
        """A sparkline of one cell per value."""
        return spark(values, low, high, ascii=self.ascii)

    def done(self, text: Text) -> Text:
        """The text as it can be shown here; spans stay where they are."""
        if self.ascii:
            text.plain = to_ascii(text.plain)
        return text

    def line(self, *parts: tuple[str, str]) -> Text:
        """Texts, each in its style, one behind the other."""
        return self.done(Text.assemble(*parts))

    def title(self, text: str) -> Content:
        """A border title of foreign text: never markup."""
        shown = plain(text)
        return Content(to_ascii(shown) if self.ascii else shown)


class _HasAppearance(Protocol):
    look: Appearance


def look(node: DOMNode) -> Appearance:
    """The look of the app a widget lives in."""
    return cast(_HasAppearance, node.app).look


def row(left: Text, right: Text, width: int) -> Text:
    """One line with `left` and `right` at its ends; the left gives way."""
    space = width - right.cell_len
    line = left.copy()
    if line.cell_len > space - 1:
        line.truncate(max(0, space - 1), overflow="ellipsis")
    line.append(" " * max(0, space - line.cell_len))
    return line.append_text(right)


def cell(text: str, width: int, style: str = "", *, right: bool = False) -> Text:
    """Foreign text in exactly `width` cells."""
    return Text(fit(plain(text, 400), width, right=right), style=style)


def prose(
    text: str, length: int, appearance: Appearance, style: str, *, where: str, apart: tuple[Span, ...] = ()
) -> Text:
    """A foreign text; `length` counts the characters of the whole, of which `text` may be the beginning.

    `where` says how to get all of it. The spans `apart` of the text as it is shown stand out by colour and a line.
    """
    drawn = Text(readable(text), style=style)
    for first, last in apart:
        drawn.stylize(f"{appearance.palette.wait} underline", first, last)
    left = length - len(beginning(text))
    if left > 0:
        words = f"\n… cut here: {left:,} more characters; the whole text is in {where} (llmzero sql)"
        drawn.append(words, style=appearance.palette.warn)
    return appearance.done(drawn)

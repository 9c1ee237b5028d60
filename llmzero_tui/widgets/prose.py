"""Foreign texts to be read at length: whole, or their beginning with a mark that says how much was cut.

Used by the samples and the agents screen. Everything goes through `format.readable`; nothing here reads a store.
"""

from __future__ import annotations

from rich.text import Text

from llmzero_tui.format import beginning, readable
from llmzero_tui.values.difference import Span
from llmzero_tui.widgets.appearance import Appearance


def prose(text: str, length: int, dress: Appearance, style: str, *, where: str, apart: tuple[Span, ...] = ()) -> Text:
    """A foreign text; `length` counts the characters of the whole, of which `text` may be the beginning.

    `where` says how to get all of it. The spans `apart` of the text as it is shown stand out by colour and a line.
    """
    drawn = Text(readable(text), style=style)
    for first, last in apart:
        drawn.stylize(f"{dress.palette.wait} underline", first, last)
    left = length - len(beginning(text))
    if left > 0:
        words = f"\n… cut here: {left:,} more characters; the whole text is in {where} (llmzero sql)"
        drawn.append(words, style=dress.palette.warn)
    return dress.done(drawn)

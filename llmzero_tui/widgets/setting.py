"""One line of the settings: what it is called, its value, what it means. Arrows change it.

Used by the settings screen, which hears `Changed` and `Wanted` and owns the values.
"""

from __future__ import annotations

from typing import Any, ClassVar

from rich.text import Text
from textual import events
from textual.app import RenderResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widget import Widget

from llmzero_tui.format import fit, plain
from llmzero_tui.widgets.appearance import look

NAME_CELLS, VALUE_CELLS = 15, 25


class Setting(Widget):
    """A setting with a few values (`options`: value → word), or one whose value is written elsewhere (no options)."""

    can_focus = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "step(-1)", show=False),
        Binding("right,l,space", "step(1)", show=False),
        Binding("enter", "choose", show=False),
        Binding("up,k", "walk(-1)", show=False),
        Binding("down,j", "walk(1)", show=False),
    ]

    class Changed(Message):
        """Another value is wanted."""

        def __init__(self, key: str, value: Any) -> None:
            super().__init__()
            self.key = key
            self.value = value

    class Wanted(Message):
        """A value is to be written."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    def __init__(self, key: str, name: str, doc: str, options: dict[Any, str], value: Any) -> None:
        super().__init__(id=f"setting-{key.replace('_', '-')}", classes="setting")
        self.key = key
        self.title = name
        self.doc = doc
        self.options = options
        self.value = value

    def show(self, value: Any) -> None:
        """Take a value."""
        self.value = value
        self.refresh()

    def action_step(self, by: int) -> None:
        """The next or the previous value."""
        values = list(self.options)
        if values:
            place = values.index(self.value) if self.value in values else 0
            self.post_message(self.Changed(self.key, values[(place + by) % len(values)]))

    def action_choose(self) -> None:
        """The next value; a written one is asked for."""
        if self.options:
            self.action_step(1)
        else:
            self.post_message(self.Wanted(self.key))

    def action_walk(self, by: int) -> None:
        """To the setting above or below."""
        if by > 0:
            self.screen.focus_next()
        else:
            self.screen.focus_previous()

    def on_click(self, event: events.Click) -> None:
        self.focus()
        self.action_choose()

    def render(self) -> RenderResult:
        colours = look(self).palette
        focus = self.has_focus
        arrows = colours.wait if focus else colours.faint
        word = self.options.get(self.value, str(self.value))
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append(fit(self.title, NAME_CELLS), style=f"bold {colours.text}" if focus else colours.text)
        text.append(" ‹ " if self.options else "   ", style=arrows)
        shown = plain(word, VALUE_CELLS)
        text.append(shown, style=f"bold {colours.cursor_text}" if focus else colours.text)
        text.append(" › " if self.options else "", style=arrows)
        text.append(" " * max(1, NAME_CELLS + VALUE_CELLS + 6 - text.cell_len)).append(self.doc, style=colours.muted)
        text.truncate(self.size.width, overflow="ellipsis")
        return look(self).done(text)

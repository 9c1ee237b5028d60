"""A field with a few values, walked with the arrows: small enough for a line of a form."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import RenderResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widget import Widget

from llmzero_tui.format import plain
from llmzero_tui.widgets.appearance import look


class Choice(Widget):
    """One of `options`; posts `Changed`."""

    can_focus = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "move(-1)", show=False),
        Binding("right,l,space", "move(1)", show=False),
    ]

    class Changed(Message):
        """Another option is chosen."""

    def __init__(self, options: tuple[str, ...], value: str, *, id: str) -> None:
        super().__init__(id=id, classes="choice")
        self.options = options
        self.value = value if value in options else options[0]

    def action_move(self, by: int) -> None:
        """The next or the previous option."""
        place = self.options.index(self.value)
        self.value = self.options[(place + by) % len(self.options)]
        self.refresh()
        self.post_message(self.Changed())

    def choose(self, value: str) -> None:
        """Take one of the options, without a message."""
        if value in self.options:
            self.value = value
            self.refresh()

    def on_click(self) -> None:
        self.focus()
        self.action_move(1)

    def render(self) -> RenderResult:
        colours = look(self).palette
        arrows = colours.wait if self.has_focus else colours.faint
        several = len(self.options) > 1
        text = Text("‹ " if several else "  ", style=arrows)
        text.append(plain(self.value, 24), style=f"bold {colours.text}" if self.has_focus else colours.text)
        return look(self).done(text.append(" ›" if several else "", style=arrows))

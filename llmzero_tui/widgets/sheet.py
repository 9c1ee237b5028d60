"""A panel of text that scrolls by lines; the frame says how much more there is. For whoever has a long text.

It keeps its lines itself: a new text costs a repaint, not a layout. What it is given is Text, never markup.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from rich.console import RenderableType
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from llmzero_tui.widgets.appearance import look

Drawer = Callable[[int], RenderableType]
"""Draws the text for a width in cells."""


class Sheet(Widget):
    """`show` takes a key and a drawer: while the key and the width stay, nothing is drawn anew."""

    can_focus = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("home,g", "move(-100000)", show=False),
        Binding("end,G", "move(100000)", show=False),
    ]

    class Grown(Message):
        """Its text has another number of lines now."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id, classes="sheet")
        self._key: object = None
        self._draw: Drawer | None = None
        self._lines: list[Strip] = []
        self._top = 0
        self._ground: Style | None = None

    @property
    def lines(self) -> int:
        """How many lines the text has at this width."""
        return len(self._lines)

    def show(self, key: object, draw: Drawer, title: str | None) -> None:
        """Take a text; it is drawn anew when `key`, the look or the width differ from what is shown.

        Without a `title` the frame keeps its own.
        """
        if title is not None:
            self.border_title = look(self).title(title)
        if (key, look(self)) == self._key and self._draw is not None:
            self._draw = draw
            return
        self._key, self._draw = (key, look(self)), draw
        self._lay_out()

    def top(self, line: int = 0) -> None:
        """Scroll so that a line stands first."""
        self._top = line
        self.action_move(0)

    def seek(self, beginning: str) -> None:
        """Scroll so that the first line that begins so stands on top."""
        for index, line in enumerate(self._lines):
            if line.text.startswith(beginning):
                self.top(index)
                return

    def on_resize(self) -> None:
        self._lay_out()

    def _lay_out(self) -> None:
        width = self.size.width
        if width < 1 or self._draw is None:
            return
        console = self.app.console
        options = console.options.update(width=width, height=None, highlight=False, markup=False)
        before = len(self._lines)
        self._lines = [Strip(line) for line in console.render_lines(self._draw(width), options, pad=False)]
        if len(self._lines) != before:
            self.post_message(self.Grown())
        self.action_move(0)

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._ground = None

    def render_line(self, y: int) -> Strip:
        if self._ground is None:
            self._ground = self.rich_style  # costs as much as the line itself
        width, style = self.size.width, self._ground
        place = self._top + y
        if place >= len(self._lines):
            return Strip.blank(width, style)
        return self._lines[place].crop(0, width).apply_style(style).extend_cell_length(width, style)

    def action_move(self, by: int) -> None:
        """Scroll by lines."""
        height = max(1, self.size.height)
        self._top = max(0, min(len(self._lines) - height, self._top + by))
        more = len(self._lines) - height - self._top
        self.border_subtitle = look(self).title(f"{more} more line{'s' if more > 1 else ''}" if more > 0 else "")
        self.refresh()

    def action_page(self, by: int) -> None:
        """Scroll by a panel."""
        self.action_move(by * max(1, self.size.height - 1))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.action_move(2)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.action_move(-2)

"""A list of one-line rows with a cursor: only the rows on screen are drawn, so that a page of hundreds costs nothing.

Used by the samples and the agents screen. Rows are known by a number; it says which one is chosen and when one would go
beyond the page. It never reads a store.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from llmzero_tui.format import to_ascii
from llmzero_tui.widgets.appearance import Appearance, look

Draw = Callable[[int, int, Appearance], Text]
"""Draws row `index` for a width in cells."""


class Rows(Widget):
    """Rows by number; the cursor stays on its number when rows come and go."""

    can_focus = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("home", "move(-1000000)", show=False),
        Binding("G,end", "move(1000000)", show=False),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"rows--cursor"}

    @dataclass
    class Picked(Message):
        """Another row is under the cursor."""

        number: int

    @dataclass
    class Beyond(Message):
        """The cursor was moved over an end of the page: -1 or 1."""

        by: int

    def __init__(self, id: str) -> None:
        super().__init__(id=id, classes="rows")
        self._numbers: tuple[int, ...] = ()
        self._key: object = None
        self._draw: Draw | None = None
        self._empty = ""
        self._cursor = 0
        self._top = 0

    @property
    def current(self) -> int | None:
        """The number of the row under the cursor."""
        return self._numbers[self._cursor] if self._cursor < len(self._numbers) else None

    def show(self, numbers: Sequence[int], key: object, draw: Draw, chosen: int | None, empty: str) -> None:
        """Take rows; drawn anew when `key` or the chosen one differ. `empty` is said where there is none."""
        numbers = tuple(numbers)
        at = numbers.index(chosen) if chosen in numbers else min(self._cursor, max(0, len(numbers) - 1))
        if (numbers, key, empty, at) == (self._numbers, self._key, self._empty, self._cursor):
            return
        self._numbers, self._key, self._draw, self._empty, self._cursor = numbers, key, draw, empty, at
        self._scroll()

    def head(self, columns: str) -> None:
        """Name the columns, in the frame: `columns` begins where the second cell of a row does."""
        self.border_title = Content(to_ascii(columns) if look(self).ascii else columns)

    def first(self) -> None:
        """The cursor to the top, for another list."""
        self._cursor = self._top = 0

    def _scroll(self) -> None:
        """Keep the cursor on screen."""
        height = max(1, self.size.height)
        self._top = max(min(self._top, self._cursor, max(0, len(self._numbers) - height)), self._cursor - height + 1)
        self.refresh()

    def on_resize(self) -> None:
        self._scroll()

    def render_line(self, y: int) -> Strip:
        width, appearance, style = self.size.width, look(self), self.rich_style
        if not self._numbers:
            words = Text(self._empty, style=appearance.palette.faint)
            said = list(words.wrap(self.app.console, max(1, width))) if words else []
            return self._strip(appearance.done(said[y]) if y < len(said) else Text(), style)
        index = self._top + y
        if index >= len(self._numbers) or self._draw is None:
            return Strip.blank(width, style)
        if index == self._cursor:
            style = self.get_component_rich_style("rows--cursor")
        return self._strip(self._draw(index, width, appearance), style)

    def _strip(self, text: Text, style: Style) -> Strip:
        """One line of text over a ground, as wide as the list."""
        segments = [Segment(s.text, s.style) for s in text.render(self.app.console, end="")]
        return Strip(segments).crop(0, self.size.width).apply_style(style).extend_cell_length(self.size.width, style)

    def action_move(self, by: int) -> None:
        """The cursor up or down; over an end it asks for another page."""
        if abs(by) == 1 and not 0 <= self._cursor + by < len(self._numbers):
            self.post_message(self.Beyond(by))
            return
        self._go(self._cursor + by)

    def action_page(self, by: int) -> None:
        """The cursor by a screen of rows."""
        self._go(self._cursor + by * max(1, self.size.height - 1))

    def _go(self, index: int) -> None:
        before, self._cursor = self._cursor, max(0, min(len(self._numbers) - 1, index))
        self._scroll()
        if self.current is not None and self._cursor != before:
            self.post_message(self.Picked(self.current))

    def on_click(self, event: events.Click) -> None:
        place = event.get_content_offset(self)
        if place is not None and self._top + place.y < len(self._numbers):
            self._go(self._top + place.y)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self._go(self._cursor + 2)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self._go(self._cursor - 2)

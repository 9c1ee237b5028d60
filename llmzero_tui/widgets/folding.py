"""A sheet whose text comes in sections that fold: one of them is the current one, its heading marked.

Used by the agents screen. What is folded is not laid out, so that a request of a megabyte costs nothing until it is
looked at. It never reads a store.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.console import Group, RenderableType
from rich.style import Style
from rich.text import Text

from llmzero_tui.widgets.appearance import Appearance, look
from llmzero_tui.widgets.sheet import Sheet

Body = Callable[[], RenderableType]


class Folding(Sheet):
    """`take` gives it sections as (key, title, note, open at first, body). What a reader folded stays so while the
    subject does."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._subject: object = None
        self._sections: tuple[tuple[str, str, str, bool, Body], ...] = ()
        self._head: RenderableType = Text("")
        self._toggled: set[str] = set()
        self._current = 0

    def take(
        self, subject: object, key: object, head: RenderableType, sections: Sequence[tuple[str, str, str, bool, Body]],
        title: str,
    ) -> None:  # fmt: skip
        """Show the sections of a subject below `head`; drawn anew only when `key` differs."""
        new = subject != self._subject
        if new:
            self._subject, self._current = subject, 0
            self._toggled.clear()
        self._head, self._sections = head, tuple(sections)
        self._current = min(self._current, max(0, len(self._sections) - 1))
        self._redraw(key, title)
        if new:
            self.top()

    def _redraw(self, key: object, title: str) -> None:
        self._content, self._heading = key, title
        shown = (key, frozenset(self._toggled), self._current)
        self.show(shown, lambda _width: self._drawn(look(self)), title)

    def _open(self, index: int) -> bool:
        key, _, _, opened, _ = self._sections[index]
        return opened != (key in self._toggled)

    def _drawn(self, appearance: Appearance) -> RenderableType:
        colours = appearance.palette
        parts: list[RenderableType] = [self._head]
        for index, (_, title, note, _, body) in enumerate(self._sections):
            glyph = "▾" if self._open(index) else "▸"
            style = f"bold {colours.wait}" if index == self._current else colours.text
            heading = Text("\n")
            heading.append(f"{glyph} {title}", style=Style.parse(style) + Style(meta={"section": index}))
            heading.append(f"  {note}" if note else "", style=colours.faint)
            parts.append(appearance.done(heading))
            if self._open(index):
                parts.append(body())
        return Group(*parts)

    def _line_of(self, index: int) -> int:
        """Where the heading of a section stands."""
        for place, strip in enumerate(self._lines):
            if any(s.style is not None and s.style.meta.get("section") == index for s in strip if s.style):
                return place
        return 0

    def go(self, by: int) -> None:
        """To the next section, or the one before."""
        if self._sections:
            self._current = (self._current + by) % len(self._sections)
            self._redraw(self._content, self._heading)
            self._reveal()

    def _reveal(self) -> None:
        """Bring the current heading on screen."""
        place, height = self._line_of(self._current), max(1, self.size.height)
        if not self._top <= place < self._top + height - 1 or self._open(self._current):
            self.top(max(0, place - 1))

    def toggle(self) -> None:
        """Fold or unfold the current section."""
        if self._sections:
            self._toggled ^= {self._sections[self._current][0]}
            self._redraw(self._content, self._heading)
            self._reveal()

    def toggle_all(self) -> None:
        """Unfold every section, or fold them if all are open."""
        everything = all(self._open(index) for index in range(len(self._sections)))
        self._toggled = {key for key, _, _, opened, _ in self._sections if opened == everything}
        self._redraw(self._content, self._heading)
        self._reveal()

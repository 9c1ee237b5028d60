"""The editor of a query: colours for SQL, a mark where the database found an error.

Used by the SQL screen. What is pasted or loaded is cleaned first, since a text area sends its text to the terminal as
it is.
"""

from __future__ import annotations

from rich.text import Text
from textual.widgets import TextArea
from textual.widgets.text_area import Edit, EditResult

from llmzero_tui.sql_text import Span, by_line, clean, style
from llmzero_tui.widgets.appearance import look


class SqlEditor(TextArea):
    """A text area whose lines are coloured while they are drawn; only what changed is looked at again."""

    def __init__(self, text: str, *, id: str) -> None:
        # A highlighted line of the cursor would take the colours away.
        super().__init__(
            clean(text), id=id, show_line_numbers=False, compact=True, tab_behavior="focus", highlight_cursor_line=False
        )
        self._lexed: list[str] = []
        self._spans: dict[int, list[Span]] = {}
        self._wrong: tuple[int, int, int] | None = None

    def load_text(self, text: str) -> None:
        """Replace the whole text; what was there can be had back by undo of the history."""
        self._wrong = None
        super().load_text(clean(text))

    def edit(self, edit: Edit) -> EditResult:
        """Every change of a user comes through here."""
        edit.text = clean(edit.text)
        self._wrong = None
        return super().edit(edit)

    def put(self, text: str) -> None:
        """Another text in the place of all of it, which undo brings back."""
        self.replace(text, self.document.start, self.document.end)
        self.move_cursor((0, 0))

    def mark(self, wrong: tuple[int, int, int] | None) -> None:
        """Mark (line, from, to) until the text changes."""
        self._wrong = wrong
        self._line_cache.clear()
        self.refresh()

    def get_line(self, line_index: int) -> Text:
        line = super().get_line(line_index)
        lines = self.document.lines
        if lines != self._lexed:
            self._lexed = list(lines)
            self._spans = by_line("\n".join(lines))
        colours = look(self).palette
        for start, end, kind in self._spans.get(line_index, ()):
            line.stylize(style(kind, colours), start, end)
        if self._wrong is not None and self._wrong[0] == line_index:
            _, start, end = self._wrong
            if start >= len(line.plain):
                line.append(" ")
            line.stylize(f"bold underline {colours.bad}", start, end)
        return line

    def restyle(self) -> None:
        """Draw in other colours."""
        self._line_cache.clear()
        self.refresh()

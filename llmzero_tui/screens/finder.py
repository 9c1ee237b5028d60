"""A list to choose from by typing: saved queries, the history, tables and columns.

Opened over the SQL screen, which gives the entries and gets the chosen one. What is typed narrows the list; arrows move
in it all the while. Everything shown is foreign text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from llmzero_tui.format import fit, plain
from llmzero_tui.sql_text import clean, coloured
from llmzero_tui.widgets.appearance import look

NAME_CELLS = 26
SHOWN = 500
"""Entries of a list; a longer one is to be narrowed."""


@dataclass(frozen=True, slots=True)
class FinderEntry:
    """One thing to choose: `value` is what the caller gets, `preview` what is shown of it. `mark` stands in front."""

    name: str
    words: str
    value: str
    preview: str
    mark: str = ""
    sql: bool = True


class Finder(ModalScreen[str | None]):
    """Enter chooses, escape does not."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", show=False),
        Binding("down", "move(1)", show=False, priority=True),
        Binding("up", "move(-1)", show=False, priority=True),
        Binding("pagedown", "move(8)", show=False, priority=True),
        Binding("pageup", "move(-8)", show=False, priority=True),
    ]

    def __init__(self, title: str, entries: Sequence[FinderEntry], *, button: str, empty: str) -> None:
        super().__init__()
        self._heading = title
        self._entries = entries
        self._shown: list[FinderEntry] = []
        self._button = button
        self._empty = empty

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog finder"):
            yield Input(id="find", placeholder="type to narrow the list", compact=True)
            yield OptionList(id="entries", markup=False)
            with VerticalScroll(id="preview", can_focus=False):
                yield Static(id="shown", markup=False)
            yield Static(id="answers", markup=False)

    def on_mount(self) -> None:
        appearance = look(self)
        self.query_one(".dialog").border_title = appearance.title(self._heading)
        self.query_one(OptionList).can_focus = False
        self.query_one("#answers", Static).update(
            appearance.answers(("enter", self._button), ("↑↓", "Move"), ("esc", "Cancel"))
        )
        self.query_one(Input).focus()
        self._narrow("")

    def on_resize(self) -> None:
        """A low screen has less room for a preview beside a list, a very low one none."""
        preview = self.query_one("#preview")
        preview.display = self.size.height >= 20
        preview.set_class(self.size.height < 34, "-low")

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        self._narrow(event.value)

    def _narrow(self, needle: str) -> None:
        """Show the entries that have every word of the needle."""
        words = needle.casefold().split()
        matching = [e for e in self._entries if all(w in f"{e.name} {e.words} {e.value}".casefold() for w in words)]
        self._shown = matching[:SHOWN]
        entries = self.query_one(OptionList)
        entries.clear_options()
        entries.add_options([Option(self._line(entry)) for entry in self._shown])
        entries.highlighted = 0 if self._shown else None
        self.query_one(".dialog").border_subtitle = look(self).title(f"{len(matching)} of {len(self._entries)}")
        self._preview()

    def _line(self, entry: FinderEntry) -> Text:
        appearance = look(self)
        colours = appearance.palette
        line = Text(no_wrap=True, overflow="ellipsis")
        if entry.name:
            indent = "  " if entry.name.startswith("  ") else ""
            line.append(f"{fit(indent + plain(entry.name, 60), NAME_CELLS)}  ", style=colours.text)
        if entry.mark:
            line.append(f"{entry.mark} ", style=colours.star)
        return appearance.done(line.append(plain(entry.words, 200), style=colours.muted))

    def _preview(self) -> None:
        appearance, place = look(self), self.query_one(OptionList).highlighted
        if place is None or place >= len(self._shown):
            words = self._empty if not self._entries else "no entry has all these words"
            shown = Text(words, style=appearance.palette.muted)
        else:
            entry = self._shown[place]
            text = clean(entry.preview)[:4000]
            shown = coloured(text, appearance.palette) if entry.sql else Text(text, style=appearance.palette.text)
        self.query_one("#shown", Static).update(appearance.done(shown))
        self.query_one("#preview").scroll_home(animate=False)

    @on(OptionList.OptionHighlighted)
    def _moved(self) -> None:
        self._preview()

    def action_move(self, by: int) -> None:
        """Along the list, without leaving the field."""
        entries = self.query_one(OptionList)
        if self._shown:
            entries.highlighted = max(0, min(len(self._shown) - 1, (entries.highlighted or 0) + by))

    @on(Input.Submitted)
    @on(OptionList.OptionSelected)
    def _chosen(self) -> None:
        place = self.query_one(OptionList).highlighted
        if place is None or place >= len(self._shown):
            self.app.bell()
        else:
            self.dismiss(self._shown[place].value)

    def action_cancel(self) -> None:
        """Close, and nothing changes."""
        self.dismiss(None)

"""Asks for the name and the line of explanation under which a query is kept. Saves it, or says why not."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from engine.errors import UserError
from llmzero_tui.format import plain
from llmzero_tui.user import queries
from llmzero_tui.user.places import short
from llmzero_tui.widgets.appearance import look


class SaveQuery(ModalScreen[str | None]):
    """Two lines; enter in the second saves, once more over a query of that name. Its outcome is the file's path."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", show=False),
        Binding("down", "app.focus_next", show=False),
        Binding("up", "app.focus_previous", show=False),
    ]

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text
        self._confirmed = ""

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static("Name", classes="head", markup=False)
            yield Input(id="name", compact=True, max_length=40, placeholder="which-lines-climb")
            yield Static("\nWhat it answers, in one line", classes="head", markup=False)
            yield Input(
                plain(queries.explanation(self._text), 200), id="explanation", compact=True, max_length=200,
                select_on_focus=False,
            )  # fmt: skip
            yield Static(id="wrong", markup=False)
            yield Static(id="answers", markup=False)

    def on_mount(self) -> None:
        dress = look(self)
        colours = dress.palette
        self.query_one(".dialog").border_title = dress.title("Save the query")
        self.query_one("#answers", Static).update(dress.answers(("enter", "Save"), ("↑↓", "Fields"), ("esc", "Cancel")))
        self._say(f"saved in {short(queries.own_dir())}", colours.muted)
        self.query_one("#name", Input).focus()

    def _say(self, words: str, style: str) -> None:
        self.query_one("#wrong", Static).update(look(self).done(Text(plain(words, 300), style=style)))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        name, words = self.query_one("#name", Input).value, self.query_one("#explanation", Input).value
        if event.input.id == "name" and not words.strip():
            self.query_one("#explanation").focus()
            return
        exists = (queries.own_dir() / f"{name.strip()}.sql").exists()
        if exists and self._confirmed != name:
            self._confirmed = name
            self._say(f"{plain(name, 40)} exists: press enter again to replace it", look(self).palette.warn)
            return
        try:
            path = queries.save(name, words, self._text, overwrite=exists)
        except UserError as error:
            self._say(f"✗ {error}", look(self).palette.bad)
            self.app.bell()
        else:
            self.dismiss(short(path))

    def action_cancel(self) -> None:
        """Close, and nothing is kept."""
        self.dismiss(None)

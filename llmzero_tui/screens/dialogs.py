"""Small questions over a screen: a line of text, one of a few, the name of a query. Escape always means: nothing
happens."""

from __future__ import annotations

from typing import ClassVar, Generic, TypeVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from engine.errors import UserError
from llmzero_tui.format import plain
from llmzero_tui.user import queries
from llmzero_tui.user.places import short
from llmzero_tui.widgets.appearance import look

Answer = TypeVar("Answer")


class _Dialog(ModalScreen[Answer | None], Generic[Answer]):
    """A titled box in the middle; the last line names its keys."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", show=False)]
    keys: tuple[tuple[str, str], ...] = (("enter", "Choose"), ("esc", "Cancel"))

    def __init__(self, title: str, words: str) -> None:
        super().__init__()
        self._heading = title
        self._words = words

    def on_mount(self) -> None:
        self.query_one(".dialog").border_title = look(self).title(self._heading)
        colours = look(self).palette
        words = Text(plain(self._words, 600, lines=True), style=colours.text)
        self.query_one("#words", Static).update(look(self).done(words))
        self.query_one("#words").display = bool(words)
        line = Text()
        for key, label in self.keys:
            line.append(f"{key} ", style=f"bold {colours.wait}").append(f"{label}   ", style=colours.muted)
        self.query_one("#answers", Static).update(look(self).done(line))
        # At once: what is typed ahead over a slow line must not be lost.
        self.set_focus(next(iter(self.query("Input, OptionList")), None))

    def action_cancel(self) -> None:
        """Close, and nothing happens."""
        self.dismiss(None)


class AskText(_Dialog[str]):
    """A line of text, at first `text`. With `must_be`, only exactly that is accepted."""

    def __init__(self, title: str, words: str, *, button: str, must_be: str | None = None, text: str = "") -> None:
        super().__init__(title, words)
        self.keys = (("enter", button), ("esc", "Cancel"))
        self._must_be = must_be
        self._text = text

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(id="words", markup=False)
            yield Input(plain(self._text), id="answer", compact=True, max_length=4000, select_on_focus=False)
            yield Static(id="wrong", markup=False)
            yield Static(id="answers", markup=False)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        text = event.value.strip()
        if self._must_be is not None and text != self._must_be:
            wrong = Text(f"that is not {plain(self._must_be, 64)}: nothing was sent", style=look(self).palette.bad)
            self.query_one("#wrong", Static).update(look(self).done(wrong))
            return
        self.dismiss(text)


class Choose(_Dialog[str]):
    """One of a few named options, each with a word of explanation."""

    def __init__(self, title: str, options: tuple[tuple[str, str], ...], now: str) -> None:
        super().__init__(title, f"now: {now}" if now else "")
        self._options = options
        self._now = now

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(id="words", markup=False)
            wide = max(10, *(len(name) + 2 for name, _ in self._options))
            options = (Option(f"{name:<{wide}}{words}", id=name) for name, words in self._options)
            yield OptionList(*options, markup=False)
            yield Static(id="answers", markup=False)

    def on_mount(self) -> None:
        super().on_mount()
        names = [name for name, _ in self._options]
        self.query_one(OptionList).highlighted = names.index(self._now) if self._now in names else 0

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option.id)


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
        appearance = look(self)
        colours = appearance.palette
        self.query_one(".dialog").border_title = appearance.title("Save the query")
        self.query_one("#answers", Static).update(
            appearance.answers(("enter", "Save"), ("↑↓", "Fields"), ("esc", "Cancel"))
        )
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

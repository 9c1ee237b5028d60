"""Asks a human for a file: the name is checked while it is typed, an existing file is only taken when confirmed.

Opened by every screen that writes files; it writes nothing itself. Relative names are below the directory the program
was started in.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from engine.errors import UserError
from llmzero_tui.files.exporting import ExportTarget, file_size, target
from llmzero_tui.format import plain
from llmzero_tui.user.places import short
from llmzero_tui.widgets.appearance import look


class AskFile(ModalScreen[ExportTarget | None]):
    """Enter writes, once more over an existing file; escape does not."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", show=False)]

    def __init__(
        self,
        title: str,
        words: str,
        name: str,
        *,
        suffixes: tuple[str, ...] = (),
        replaceable: bool = True,
        directory: bool = False,
    ) -> None:
        """`replaceable`: an existing file may give way. `directory`: a directory is made, never replaced."""
        super().__init__()
        self._heading = title
        self._words = words
        self._proposed = name
        self._suffixes = suffixes
        self._replaceable = replaceable and not directory
        self._directory = directory
        self._confirmed: Path | None = None

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(id="words", markup=False)
            yield Input(self._proposed, id="answer", compact=True, select_on_focus=False)
            yield Static(id="wrong", markup=False)
            yield Static(id="answers", markup=False)

    def on_mount(self) -> None:
        appearance = look(self)
        colours = appearance.palette
        self.query_one(".dialog").border_title = appearance.title(self._heading)
        words = Text(plain(self._words, 400, lines=True), style=colours.text)
        self.query_one("#words", Static).update(appearance.done(words))
        self.query_one("#answers", Static).update(appearance.answers(("enter", "Write"), ("esc", "Cancel")))
        self.query_one(Input).focus()
        self._judge()

    def _say(self, words: str, style: str) -> None:
        self.query_one("#wrong", Static).update(look(self).done(Text(plain(words, 300), style=style)))

    def _read(self) -> Path | None:
        """The file, or None when its name is wrong, which is said."""
        try:
            return target(self.query_one(Input).value, suffixes=self._suffixes, directory=self._directory)
        except UserError as error:
            self._say(f"✗ {error}", look(self).palette.bad)
            return None

    @on(Input.Changed)
    def _judge(self) -> None:
        self._confirmed = None
        path = self._read()
        if path is not None:
            colours = look(self).palette
            if not path.exists():
                self._say(f"writes {short(path.absolute())}", colours.muted)
            elif self._replaceable:
                self._say(f"exists: {file_size(path.stat().st_size)}", colours.warn)
            else:
                self._say(f"✗ {path} exists and is not overwritten; choose another name", colours.bad)

    @on(Input.Submitted)
    def _submitted(self) -> None:
        path = self._read()
        if path is None:
            self.app.bell()
        elif not path.exists():
            self.dismiss(ExportTarget(path, overwrite=False))
        elif not self._replaceable:
            self._judge()
            self.app.bell()
        elif self._confirmed == path:
            self.dismiss(ExportTarget(path, overwrite=True))
        else:
            self._confirmed = path
            self._say(f"{path} exists: press enter again to replace it", look(self).palette.warn)

    def action_cancel(self) -> None:
        """Close, and nothing is written."""
        self.dismiss(None)

"""What a screen may ask of the app: its settings and its look, to read a run, to send a command, to open a screen.

`LLMZeroApp` is built on it. Screens know this class instead of the app itself, which knows all of them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.app import App
from textual.screen import Screen

from engine.store.reader import OpenRun
from llmzero_tui.widgets.appearance import Appearance

if TYPE_CHECKING:
    from llmzero_tui.user.preferences import TerminalSettings
    from llmzero_tui.values.snapshot import News


class HostApp(App[int]):
    """The app as its screens see it. `clock` says the time in UTC, naive as in the database; with
    `only_watches` nothing that lasts is done."""

    runs_dir: Path
    clock: Callable[[], datetime]
    opener: OpenRun
    settings: TerminalSettings
    look: Appearance
    only_watches: bool

    @abstractmethod
    def poll(self, *, quick: bool = False) -> None:
        """Read the feed of the screen in front; `quick`: only what the screen looks at now."""

    @abstractmethod
    def left(self, screen: Screen[Any], feed: Any) -> None:
        """A screen is gone: let go of the run that its feed reads."""

    @abstractmethod
    def send(self, path: Path, kind: str, fields: dict[str, Any]) -> None:
        """Write a command row into a run."""

    @abstractmethod
    def copy(self, text: str, what: str = "it") -> None:
        """Give a text to the clipboard; a notification says that `what` is there."""

    @abstractmethod
    def change(self, changes: dict[str, Any]) -> str:
        """Use other settings at once and keep them; why they cannot be, or ""."""

    @abstractmethod
    def tell_news(self, news: tuple[News, ...]) -> None:
        """Tell news inside and outside of the terminal."""

    @abstractmethod
    def open_run(self, path: Path) -> None:
        """Show one run."""

    @abstractmethod
    def close_run(self) -> None:
        """From a run back to the list."""

    @abstractmethod
    def open_sql(self, path: Path) -> None:
        """The SQL screen over one run."""

    @abstractmethod
    def open_help(self, kind: str) -> None:
        """Every key of a kind of screen."""

    @abstractmethod
    def start_tour(self) -> None:
        """Point at the parts of the run screen in front."""

    def show(self, screen: Screen[Any]) -> None:
        """Put a screen that lives from a feed in front, and read its feed."""
        self.push_screen(screen)
        self.call_after_refresh(self.poll)

"""The Textual app: screens, theme, the one tick that reads and shows, and the way commands go out.

Started by the command line through `run`. It never imports torch, never trains, and ends when its terminal is gone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from textual import on, work
from textual.app import App
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.scrollbar import ScrollBar, ScrollBarRender
from textual.worker import Worker, WorkerState

from engine.errors import Fault, UserError
from llmzero_tui.data import Lost
from llmzero_tui.feeds import OpenRun, RunFeed, RunsFeed, open_run
from llmzero_tui.format import plain
from llmzero_tui.screens.base import Face, Polled
from llmzero_tui.styles.themes import DARK, LIGHT, palette
from llmzero_tui.widgets.look import Look

TICK_SECONDS = 1.0


def utc_now() -> datetime:
    """The time in UTC, naive as in the database."""
    return datetime.now(UTC).replace(tzinfo=None)


def _palette() -> Any:
    from llmzero_tui.screens.palette import ActionProvider

    return ActionProvider


class AsciiScrollBars(ScrollBarRender):
    """Scroll bars of colour alone, without block glyphs."""

    VERTICAL_BARS: ClassVar[list[str]] = [" "] * 8
    HORIZONTAL_BARS: ClassVar[list[str]] = [" "] * 8


class LLMZeroApp(App[int]):
    """The face. Screens get snapshots; only this class starts workers."""

    CSS_PATH = Path(__file__).parent / "styles" / "app.tcss"
    TITLE = "LLMZero"
    ENABLE_COMMAND_PALETTE = True
    COMMANDS: ClassVar[set[Any]] = {_palette}
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+c", "detach", show=False, priority=True)]

    @dataclass
    class Looked(Message):
        """A feed was read: a snapshot, or Lost."""

        screen: Polled
        found: Any

    @dataclass
    class Sent(Message):
        """A command is a row now, or could not be written."""

        kind: str
        error: str = ""

    @dataclass
    class Kept(Message):
        """A copy is in its file, or could not be written."""

        what: str
        copied: Any

    def __init__(
        self,
        runs_dir: Path,
        run: Path | None = None,
        *,
        ascii: bool = False,
        clock: Callable[[], datetime] = utc_now,
        opener: OpenRun = open_run,
    ) -> None:
        super().__init__()
        self.runs_dir = runs_dir
        self.first_run = run
        self.clock = clock
        self.opener = opener
        self.look = Look(palette(DARK.name), ascii)
        self.set_class(ascii, "-ascii")
        ScrollBar.renderer = AsciiScrollBars if ascii else ScrollBarRender
        self._reading = False
        self._again = ""

    def on_mount(self) -> None:
        for theme in (DARK, LIGHT):
            self.register_theme(theme)
        self.theme = DARK.name
        if self.first_run is not None:
            self.open_run(self.first_run)
        else:
            self._open_list()
        self.set_interval(TICK_SECONDS, self.poll)

    def watch_theme(self, name: str) -> None:
        self.look = Look(palette(name), self.look.ascii)

    # ---- screens ----------------------------------------------------------------------------------------------------

    def _open_list(self) -> None:
        from llmzero_tui.screens.runs import RunsScreen

        self.push_screen(RunsScreen(RunsFeed(self.runs_dir, self.clock, self.opener)))
        self.call_after_refresh(self.poll)

    def open_run(self, path: Path) -> None:
        """Show one run."""
        from llmzero_tui.screens.run import RunScreen

        self.push_screen(RunScreen(RunFeed(path, self.clock, self.opener)))
        self.call_after_refresh(self.poll)

    def close_run(self) -> None:
        """From a run back to the list."""
        from llmzero_tui.screens.runs import RunsScreen

        if any(isinstance(s, RunsScreen) for s in self.screen_stack):
            self.pop_screen()
            self.call_after_refresh(self.poll)
        else:
            self.pop_screen()
            self._open_list()

    def open_sql(self, path: Path) -> None:
        """The SQL screen over one run."""
        from llmzero_tui.screens.sql import SqlScreen

        self.push_screen(SqlScreen(path, self.opener))

    # ---- the tick ---------------------------------------------------------------------------------------------------

    @property
    def polled(self) -> Polled | None:
        """The screen that lives from a feed: the uppermost one."""
        return next((s for s in reversed(self.screen_stack) if isinstance(s, Polled)), None)

    def poll(self, *, quick: bool = False) -> None:
        """Read the feed of the screen in front, unless a read is under way: then once more after it.

        `quick` reads only what the screen looks at now; the tick brings the rest.
        """
        screen = self.polled
        if screen is None or not screen.ready:
            return
        if self._reading:
            self._again = "quick" if quick and self._again != "full" else "full"
            return
        self._reading = True
        self._read(screen, screen.view(), quick)

    @work(thread=True, group="tick", exit_on_error=False)
    def _read(self, screen: Polled, view: Any, quick: bool) -> None:
        try:
            found = screen.feed.read(view, quick=quick)
        except (Fault, UserError) as error:
            found = Lost(str(error))
        self.post_message(self.Looked(screen, found))

    @on(Looked)
    def _looked(self, event: Looked) -> None:
        self._reading = False
        screen, now = event.screen, self.clock()
        if screen.ready and screen in self.screen_stack:
            with self.batch_update():
                if isinstance(event.found, Lost):
                    screen.lost(event.found, now)
                else:
                    screen.apply(event.found, now)
        else:
            screen.feed.close()
        again, self._again = self._again, ""
        if again:
            self.poll(quick=again == "quick")

    @on(Worker.StateChanged)
    def _worker_ended(self, event: Worker.StateChanged) -> None:
        """A bug in a worker ends the app as a bug anywhere else does."""
        if event.state is WorkerState.ERROR and event.worker.error is not None:
            raise event.worker.error

    # ---- commands ---------------------------------------------------------------------------------------------------

    def send(self, path: Path, kind: str, fields: dict[str, Any]) -> None:
        """Write a command row; `Sent` says whether it is there."""
        self._send(path, kind, fields)

    @work(thread=True, group="command", exit_on_error=False)
    def _send(self, path: Path, kind: str, fields: dict[str, Any]) -> None:
        try:
            reader = self.opener(path)
            try:
                reader.command(kind, **fields)
            finally:
                reader.close()
        except (Fault, UserError) as error:
            self.post_message(self.Sent(kind, str(error)))
        else:
            self.post_message(self.Sent(kind))

    @on(Sent)
    def _sent(self, event: Sent) -> None:
        if event.error:
            words = f"{event.kind} not sent: {plain(event.error, 200)}"
            self.notify(words, severity="error", timeout=10, markup=False)
        self.poll()

    # ---- the clipboard ----------------------------------------------------------------------------------------------

    def copy(self, text: str, what: str = "it") -> None:
        """Give a text to the terminal's clipboard, and put it into a file; a notification says where.

        Args:
            text: foreign text may be in it; control characters are left out. what: what it is, for "copied …".
        """
        from llmzero_tui import clipboard

        text = clipboard.harmless(text)
        self._clipboard = text
        if self._driver is not None and clipboard.fits(text):
            self._driver.write(clipboard.sequence(text, tmux=clipboard.in_tmux()))
        self._keep(text, what)

    def copy_to_clipboard(self, text: str) -> None:
        """The same for what Textual itself copies: a selection."""
        self.copy(text, "the selection")

    @work(thread=True, group="copy", exit_on_error=False)
    def _keep(self, text: str, what: str) -> None:
        from llmzero_tui import clipboard

        self.post_message(self.Kept(what, clipboard.keep(text)))

    @on(Kept)
    def _kept(self, event: Kept) -> None:
        from llmzero_tui.clipboard import describe

        words, severity = describe(event.what, event.copied)
        self.notify(plain(words, 300), severity=severity, markup=False)

    # ---- actions everywhere -----------------------------------------------------------------------------------------

    def action_detach(self) -> None:
        """Leave; whatever trains goes on."""
        self.exit(0)

    def action_theme(self) -> None:
        """Dark or light."""
        self.theme = LIGHT.name if self.theme == DARK.name else DARK.name
        for screen in self.screen_stack:
            if isinstance(screen, Face):
                screen.restyle()


def run(runs_dir: Path, run: Path | None = None, ascii: bool = False) -> int:
    """Show the runs of a directory, or one run, until the user leaves.

    Args:
        runs_dir: the directory of runs. run: one of them, to open at once. ascii: no glyphs beyond ASCII.

    Returns:
        0 after `q`, 129 when the terminal went away.
    """
    from llmzero_tui.terminal import watch_terminal

    app = LLMZeroApp(runs_dir, run, ascii=ascii)
    with watch_terminal(app):
        code = app.run()
    return code or app.return_code or 0

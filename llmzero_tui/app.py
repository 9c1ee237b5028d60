"""The Textual app: screens, theme, the one tick that reads and shows, and the way commands go out.

Started by the command line through `run`. It never imports torch, never trains, and ends when its terminal is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on, work
from textual.actions import ActionParseResult, parse
from textual.binding import Binding, BindingType
from textual.dom import DOMNode
from textual.message import Message
from textual.screen import Screen
from textual.timer import Timer
from textual.worker import Worker, WorkerState

from engine.errors import Fault, UserError
from engine.store.reader import OpenRun, open_run
from llmzero_tui import garbage
from llmzero_tui.actions import allowed, find, lasting
from llmzero_tui.base_app import StyledApp
from llmzero_tui.format import plain
from llmzero_tui.screens.base import FeedScreen, KeyedScreen
from llmzero_tui.values.snapshot import FeedFailure

if TYPE_CHECKING:
    from llmzero_tui.feeds.news import NewsFeed
    from llmzero_tui.user.notify import Notifier
    from llmzero_tui.user.preferences import TerminalSettings
    from llmzero_tui.values.snapshot import News


def utc_now() -> datetime:
    """The time in UTC, naive as in the database."""
    return datetime.now(UTC).replace(tzinfo=None)


def _palette() -> Any:
    from llmzero_tui.screens.palette import ActionProvider

    return ActionProvider


SEVERITY = {
    "failed": "error", "lost": "error", "waiting": "warning", "collapsed": "warning", "no signal": "warning",
}  # fmt: skip
"""How news are shown; the others are information."""


ONLY_WATCHES = "this view only watches"


FirstScreen = Callable[["LLMZeroApp"], FeedScreen]
"""Makes the screen that an app begins with."""


class LLMZeroApp(StyledApp):
    """The face. Screens get snapshots; only this class starts workers. With `watch` it changes nothing: `run_action`
    refuses whatever would."""

    CSS_PATH = Path(__file__).parent / "styles" / "app.tcss"
    TITLE = "LLMZero"
    ENABLE_COMMAND_PALETTE = True
    COMMANDS: ClassVar[set[Any]] = {_palette}
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+c", "detach", show=False, priority=True)]

    @dataclass
    class Looked(Message):
        """A feed was read: a snapshot, or Lost."""

        screen: FeedScreen
        found: Any

    @dataclass
    class Sent(Message):
        """A command is a row now, or could not be written."""

        kind: str
        error: str = ""

    @dataclass
    class Happened(Message):
        """News of some run."""

        news: tuple[News, ...]

    @dataclass
    class HookFailed(Message):
        """What should have told the user did not work."""

        why: str

    def __init__(
        self,
        runs_dir: Path,
        run: Path | None = None,
        *,
        first: FirstScreen | None = None,
        ascii: bool = False,
        clock: Callable[[], datetime] = utc_now,
        opener: OpenRun = open_run,
        settings: TerminalSettings | None = None,
        tour: bool = False,
        watch: bool = False,
    ) -> None:
        super().__init__(settings, ascii=ascii)
        self.runs_dir = runs_dir
        self.first_run = run
        self.first_screen = first
        self.clock = clock
        self.opener = opener
        self.tour_due = tour and not watch
        self.only_watches = watch
        self._notifier: Notifier | None = None
        self._ticker: Timer | None = None
        self._reading: FeedScreen | None = None
        self._again = ""
        self._drafts: dict[Path, str] = {}

    def on_mount(self) -> None:
        self.apply_appearance()
        if self.first_screen is not None:
            self.show(self.first_screen(self))
        elif self.first_run is not None:
            self.open_run(self.first_run)
        else:
            self._open_list()
        self._ticker = self.set_interval(self.settings.refresh_seconds, self.poll)

    def use(self, settings: TerminalSettings) -> None:
        before = self.settings
        super().use(settings)
        self._notifier = None
        if self._ticker is not None and settings.refresh_seconds != before.refresh_seconds:
            self._ticker.stop()
            self._ticker = self.set_interval(settings.refresh_seconds, self.poll)

    # ---- screens ----------------------------------------------------------------------------------------------------

    def _open_list(self) -> None:
        from llmzero_tui.feeds.runs import RunsFeed
        from llmzero_tui.screens.runs import RunsScreen

        self.show(RunsScreen(RunsFeed(self.runs_dir, self.clock, self.opener)))

    def open_run(self, path: Path) -> None:
        """Show one run."""
        from llmzero_tui.feeds.run import RunFeed
        from llmzero_tui.screens.run import RunScreen

        self.show(RunScreen(RunFeed(path, self.clock, self.opener)))

    def close_run(self) -> None:
        """From a run back to what is below it: the list or a comparison; where nothing is, the list opens."""
        self.pop_screen()
        if self.polled is not None:
            self.call_after_refresh(self.poll)
        else:
            self._open_list()

    def open_sql(self, path: Path) -> None:
        """The SQL screen over one run."""
        from llmzero_tui.screens.sql import SqlScreen

        self.push_screen(SqlScreen(path, self.opener, self._drafts))

    def open_help(self, kind: str) -> None:
        """Every key of a kind of screen."""
        from llmzero_tui.screens.help import HelpScreen

        self.push_screen(HelpScreen(kind))

    def start_tour(self) -> None:
        """Point at the parts of the run screen in front; not a second time by itself."""
        from llmzero_tui.screens.run import RunScreen
        from llmzero_tui.screens.tour import TourScreen

        if self.tour_due:
            self.tour_due = False
            self._remember_tour()
        if isinstance(self.screen, RunScreen):
            self.push_screen(TourScreen(self.screen))

    @work(thread=True, group="settings", exit_on_error=False)
    def _remember_tour(self) -> None:
        from llmzero_tui.screens.tour import remember

        try:
            remember()
        except UserError as error:
            self.post_message(self.Saved(f"the tour: {error}"))

    # ---- the tick ---------------------------------------------------------------------------------------------------

    @property
    def polled(self) -> FeedScreen | None:
        """The screen that lives from a feed: the uppermost one."""
        return next((s for s in reversed(self.screen_stack) if isinstance(s, FeedScreen)), None)

    def left(self, screen: Screen[Any], feed: Any) -> None:
        """A screen is gone: its run is let go of, at once or after the read that is under way."""
        if self._reading is not screen:
            feed.close()

    def poll(self, *, quick: bool = False) -> None:
        """Read the feed of the screen in front, unless a read is under way: then once more after it.

        `quick` reads only what the screen looks at now; the tick brings the rest.
        """
        screen = self.polled
        if screen is None or not screen.ready or not self.is_running:
            return
        if self._reading is not None:
            self._again = "quick" if quick and self._again != "full" else "full"
            return
        self._reading = screen
        self._read(screen, screen.view(), quick, self.run_in_front)

    @work(thread=True, group="tick", exit_on_error=False)
    def _read(self, screen: FeedScreen, view: Any, quick: bool, run: Path | None) -> None:
        try:
            snapshot = screen.feed.read(view, quick=quick)
        except (Fault, UserError) as error:
            snapshot = FeedFailure(str(error))
        self.post_message(self.Looked(screen, snapshot))
        if not quick and (news := self.news.read(run)):
            self.post_message(self.Happened(news))

    @on(Looked)
    def _looked(self, event: Looked) -> None:
        garbage.keep_what_is_loaded()
        self._reading = None
        screen, now = event.screen, self.clock()
        standing = self.is_running and screen.display  # neither it nor the app is being taken down
        if standing and screen.ready and screen in self.screen_stack:
            with self.batch_update():
                if isinstance(event.found, FeedFailure):
                    screen.lost(event.found, now)
                else:
                    screen.apply(event.found, now)
            if (
                self.tour_due
                and screen is self.screen
                and screen.kind == "run"
                and not isinstance(event.found, FeedFailure)
            ):
                self.start_tour()
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

    @cached_property
    def news(self) -> NewsFeed:
        """What happened in any run; read by the tick alone."""
        from llmzero_tui.feeds.news import NewsFeed

        return NewsFeed(self.runs_dir, self.opener)

    # ---- news -------------------------------------------------------------------------------------------------------

    @property
    def run_in_front(self) -> Path | None:
        """The run that is open, below whatever lies over it."""
        screens = (s for s in reversed(self.screen_stack) if isinstance(s, FeedScreen) and s.kind == "run")
        return next((s.feed.path for s in screens), None)

    @on(Happened)
    def _happened(self, event: Happened) -> None:
        self.tell_news(event.news)

    def tell_news(self, news: tuple[News, ...]) -> None:
        """Tell each piece of news once, inside and outside of the terminal."""
        from llmzero_tui.user.notify import Notifier, sentence

        if self._notifier is None:
            self._notifier = Notifier(self.settings, self.bell, self._hook_trouble)
        for each in news:
            severity: Any = SEVERITY.get(each.kind, "information")
            self.notify(sentence(each), severity=severity, timeout=10, markup=False)
            if not self.only_watches:
                self._notifier.tell(each)

    def _hook_trouble(self, why: str) -> None:
        self.post_message(self.HookFailed(why))

    @on(HookFailed)
    def _hook_failed(self, event: HookFailed) -> None:
        self.notify(f"notification: {plain(event.why, 200)}", severity="warning", timeout=10, markup=False)

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

    # ---- actions everywhere -----------------------------------------------------------------------------------------

    def action_command_palette(self) -> None:
        """Over a dialog there is nothing to choose from, so it stays shut."""
        if isinstance(self.screen, KeyedScreen):
            super().action_command_palette()

    async def run_action(
        self,
        action: str | ActionParseResult,
        default_namespace: DOMNode | None = None,
        namespaces: Mapping[str, DOMNode] | None = None,
    ) -> bool:
        """As Textual does, for keys, mouse and palette; here a view that only watches refuses what would last."""
        name = parse(action)[1] if isinstance(action, str) else action[1]
        if self.only_watches and self._would_last(name, default_namespace):
            self.notify(ONLY_WATCHES, severity="warning", markup=False)
            return True
        return await super().run_action(action, default_namespace, namespaces)

    def _would_last(self, name: str, namespace: DOMNode | None) -> bool:
        """Whether an action of a screen, of the one in front unless it is named, does something now that stays."""
        screen = namespace if isinstance(namespace, KeyedScreen) else self.screen
        if not isinstance(screen, KeyedScreen):
            return False
        action = find(name, screen.kind)
        return action is not None and lasting(action) and allowed(name, screen.context())

    def action_detach(self) -> None:
        """Leave; whatever trains goes on."""
        self.exit(0)


def run(
    runs_dir: Path, run: Path | None = None, ascii: bool = False, tour: bool = False, watch: bool = False,
    first: FirstScreen | None = None,
) -> int:  # fmt: skip
    """Show the runs of a directory, one run, or another screen, until the user leaves.

    Args:
        runs_dir: the directory of runs. run: one of them, to open at once. ascii: no glyphs beyond ASCII.
        tour: whether to show the tour over the first run that is opened, if it was never shown here.
        watch: only look: no commands, no files, no settings. first: makes the screen to begin with instead.

    Returns:
        0 after `q`, 129 when the terminal went away or SIGHUP came, 143 after SIGTERM.

    Raises:
        UserError: the user's settings are wrong.
    """
    from llmzero_tui.screens.tour import shown
    from llmzero_tui.terminal import leave_on_signals, watch_terminal
    from llmzero_tui.user.places import passing_state
    from llmzero_tui.user.settings import load

    settings = load()
    tour = tour and not shown()
    app = LLMZeroApp(runs_dir, run, first=first, ascii=ascii, settings=settings, tour=tour, watch=watch)
    try:
        with passing_state() if watch else nullcontext(), watch_terminal(app), leave_on_signals(app):
            code = app.run(mouse=settings.mouse)
    finally:
        garbage.let_go()
    return code or app.return_code or 0

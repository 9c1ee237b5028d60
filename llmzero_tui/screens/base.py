"""What the main screens have in common: bindings from the registry, guards, the footer, a feed to be polled.

A screen is composed of parts (`screens.parts`) and names them in PARTS; what a part can do, the screen can do.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from time import monotonic
from typing import Any, ClassVar

from textual import events, getters, on
from textual.screen import Screen
from textual.timer import Timer
from textual.worker import Worker, WorkerState

from llmzero_tui.actions import ActionContext, allowed, lacking
from llmzero_tui.screens.host import HostApp
from llmzero_tui.values.snapshot import FeedFailure
from llmzero_tui.widgets.appearance import look
from llmzero_tui.widgets.keybar import KeyBar

PAINT_SECONDS = 1 / 250
"""The least time between two paints."""

NEEDS_SECONDS = 4.0
"""How long it stands on the screen what a key needs."""


def _of_part(attribute: str, action: str) -> Callable[[Any], None]:
    """An action of a screen that a part of it does."""
    return lambda screen: getattr(getattr(screen, attribute), action)()


class KeyedScreen(Screen[None]):
    """A screen whose keys come from the registry. `kind` is its name there; PARTS are its parts by their attribute:
    their `action_…` methods become actions of the screen, where it has none of that name itself."""

    app = getters.app(HostApp)
    kind: ClassVar[str] = ""
    PARTS: ClassVar[dict[str, type]] = {}
    _painter: Timer | None = None
    _needs: tuple[str, float] = ("", 0.0)
    """What was last said that a key needs, and until when it stands on the screen."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for attribute, part in cls.PARTS.items():
            for action in (name for name in dir(part) if name.startswith("action_")):
                if action not in vars(cls):
                    setattr(cls, action, _of_part(attribute, action))

    @property
    def _update_timer(self) -> Timer:
        """What paints: as Textual's own, but what a key brings about in a second step (a filter's lines after its
        letter) does not wait for a sixtieth of a second. Only changes are painted, so at rest this costs nothing."""
        if self._painter is None:
            self._painter = self.set_interval(PAINT_SECONDS, self._on_timer_update, name="screen_update", pause=True)
        return self._painter

    def context(self) -> ActionContext:
        """What the guards see now."""
        return ActionContext(self.kind)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return allowed(action, self.context())

    def on_key(self, event: events.Key) -> None:
        """A key that nothing took."""
        self.tell_lacking(event.key)

    def tell_lacking(self, key: str) -> None:
        """Where the action of a key cannot be done now, say what it needs."""
        words, now = lacking(key, self.context(), look(self).keymap), monotonic()
        said, until = self._needs
        if words and (words != said or now > until):
            self._needs = words, now + NEEDS_SECONDS
            self.notify(words, severity="warning", timeout=NEEDS_SECONDS, markup=False)

    @on(Worker.StateChanged)
    def _worker_ended(self, event: Worker.StateChanged) -> None:
        """A bug in a worker ends the app, as a bug anywhere else does."""
        if event.state is WorkerState.ERROR and event.worker.error is not None:
            raise event.worker.error

    def action_help(self) -> None:
        """Every key of this screen."""
        self.app.open_help(self.kind)

    async def action_theme(self) -> None:
        """The next theme."""
        await self.app.run_action("theme")

    async def action_settings(self) -> None:
        """The settings."""
        await self.app.run_action("settings")

    def action_tour(self) -> None:
        """The tour of the run screen."""
        self.app.start_tour()

    async def action_detach(self) -> None:
        """Leave; whatever trains goes on."""
        await self.app.run_action("detach")

    def restyle(self) -> None:
        """Draw everything anew: the palette is another one."""
        for widget in self.query("*"):
            widget.refresh()

    def refresh_keys(self) -> None:
        """Draw the footer for the context of now."""
        for bar in self.query(KeyBar):
            bar.show(self.context(), watching=self.app.only_watches)


class FeedScreen(KeyedScreen):
    """A screen that lives from snapshots of a feed. The app reads the feed in a worker and hands over what it found."""

    feed: Any
    ready = False
    """Whether its widgets are there: a snapshot can be shown."""

    def on_unmount(self) -> None:
        """Let go of the run: nobody looks at it from here any more."""
        self.app.left(self, self.feed)

    def poll_now(self) -> None:
        """Ask for a snapshot without waiting for the tick, once what the key did is on the screen."""
        self.call_after_refresh(self.app.poll, quick=True)

    def view(self) -> Any:
        """What the feed is to look at."""
        return None

    def apply(self, snapshot: Any, now: datetime) -> None:
        """Take a snapshot (called within a batch update)."""
        raise NotImplementedError

    def lost(self, why: FeedFailure, now: datetime) -> None:
        """There was nothing to read this time."""
        raise NotImplementedError

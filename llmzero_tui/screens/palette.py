"""The palette (ctrl+p): the registry's actions that do something now, by name, each with its key."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from rich.markup import escape
from rich.text import Text
from textual.command import DiscoveryHit, Hit, Hits, Provider

from llmzero_tui.actions import Action, of
from llmzero_tui.screens.base import KeyedScreen
from llmzero_tui.widgets.appearance import look


class ActionProvider(Provider):
    """Offers what the guards of the screen allow."""

    def _now(self) -> Iterator[tuple[Action, KeyedScreen]]:
        screen = self.screen
        if isinstance(screen, KeyedScreen):
            context = screen.context()
            for action in of(screen.kind):
                if action.palette and action.guard(context):
                    yield action, screen

    def _help(self, action: Action, screen: KeyedScreen) -> str:
        """The line below a name: its key, and what it does."""
        appearance = look(screen)
        key = appearance.key(action, screen.kind)
        words = Text(f"{key}  {action.help}" if key else action.help)
        return escape(appearance.done(words).plain)  # Textual reads it as markup

    async def discover(self) -> Hits:
        for action, screen in self._now():
            run = partial(screen.run_action, action.id)
            yield DiscoveryHit(action.label, run, help=self._help(action, screen))

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for action, screen in self._now():
            score = max(matcher.match(action.label), matcher.match(action.help) * 0.8)
            if score > 0:
                run = partial(screen.run_action, action.id)
                yield Hit(score, matcher.highlight(action.label), run, help=self._help(action, screen))

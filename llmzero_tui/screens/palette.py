"""The palette (ctrl+p): the registry's actions that do something now, by name."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from textual.command import DiscoveryHit, Hit, Hits, Provider

from llmzero_tui.actions import Action, of
from llmzero_tui.screens.base import Face


class ActionProvider(Provider):
    """Offers what the guards of the screen allow."""

    def _now(self) -> Iterator[tuple[Action, Face]]:
        screen = self.screen
        if isinstance(screen, Face):
            context = screen.context()
            for action in of(screen.kind):
                if action.palette and action.guard(context):
                    yield action, screen

    async def discover(self) -> Hits:
        for action, screen in self._now():
            yield DiscoveryHit(action.label, partial(screen.run_action, action.id), help=action.help)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for action, screen in self._now():
            score = max(matcher.match(action.label), matcher.match(action.help) * 0.8)
            if score > 0:
                run = partial(screen.run_action, action.id)
                yield Hit(score, matcher.highlight(action.label), run, help=action.help)

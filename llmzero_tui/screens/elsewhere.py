"""From the run screen to the screens that read at length: samples, and the calls of advisors. Mixed into it.

It opens screens and nothing else; each has a feed of its own on the same run.
"""

from __future__ import annotations

from typing import Any

from llmzero_tui.screens.base import FeedScreen


class Elsewhere(FeedScreen):
    """The actions of a run screen that open another screen about the selected node."""

    selected: int | None = None

    def action_samples(self) -> None:
        """What the selected node's policy wrote."""
        from llmzero_tui.feeds.samples import SamplesFeed
        from llmzero_tui.screens.samples import SamplesScreen

        app: Any = self.app
        self._visit(SamplesScreen(SamplesFeed(self.feed.path, app.clock, app.opener), self.selected))

    def action_agents(self) -> None:
        """Every call of every advisor."""
        from llmzero_tui.feeds.agents import AgentsFeed
        from llmzero_tui.screens.agents import AgentsScreen

        app: Any = self.app
        self._visit(AgentsScreen(AgentsFeed(self.feed.path, app.clock, app.opener)))

    def _visit(self, screen: FeedScreen) -> None:
        app: Any = self.app
        app.push_screen(screen)
        app.call_after_refresh(app.poll)

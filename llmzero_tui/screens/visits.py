"""From the run screen to the screens about the same run: a proposal, the best path, samples, the calls of advisors.

Each opens one screen with a feed of its own, and does nothing else.
"""

from __future__ import annotations

from llmzero_tui.screens.base import FeedScreen
from llmzero_tui.screens.parts.decisions import DecisionMemory


def open_decision(screen: FeedScreen, node: int | None, memory: DecisionMemory) -> None:
    """What was proposed for a node, in full; None: the oldest proposal that waits."""
    from llmzero_tui.feeds.decision import DecisionFeed
    from llmzero_tui.screens.decision import DecisionScreen

    app = screen.app
    app.show(DecisionScreen(DecisionFeed(screen.feed.path, app.clock, app.opener), node, memory))


def open_trajectory(screen: FeedScreen, node: int | None) -> None:
    """The best path as stages, or that to a node."""
    from llmzero_tui.feeds.trajectory import TrajectoryFeed
    from llmzero_tui.screens.trajectory import TrajectoryScreen

    app = screen.app
    app.show(TrajectoryScreen(TrajectoryFeed(screen.feed.path, app.clock, app.opener), node))


def open_samples(screen: FeedScreen, node: int | None) -> None:
    """What a node's policy wrote."""
    from llmzero_tui.feeds.samples import SamplesFeed
    from llmzero_tui.screens.samples import SamplesScreen

    app = screen.app
    app.show(SamplesScreen(SamplesFeed(screen.feed.path, app.clock, app.opener), node))


def open_agents(screen: FeedScreen) -> None:
    """Every call of every advisor."""
    from llmzero_tui.feeds.agents import AgentsFeed
    from llmzero_tui.screens.agents import AgentsScreen

    app = screen.app
    app.show(AgentsScreen(AgentsFeed(screen.feed.path, app.clock, app.opener)))

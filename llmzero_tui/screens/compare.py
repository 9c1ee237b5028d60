"""Two to four trajectories over each other: curves with letters, a legend with scores, and only the values that differ.

Opened from the tree (nodes of one run) and from the list (the best trajectories of several runs). It decides nothing.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from llmzero_tui.actions import ActionContext, bindings
from llmzero_tui.feeds.compare import CompareFeed
from llmzero_tui.format import plain
from llmzero_tui.screens.base import FeedScreen
from llmzero_tui.screens.parts.plot_panel import PlotPanel
from llmzero_tui.values.comparison import CompareView, Comparison
from llmzero_tui.values.curves import Axis, AxisWindow, DrawingStyle, Smoothing
from llmzero_tui.values.snapshot import FeedFailure
from llmzero_tui.widgets.appearance import look
from llmzero_tui.widgets.comparing import legend, table
from llmzero_tui.widgets.keybar import KeyBar
from llmzero_tui.widgets.plot import DrawnCurve, MetricPlot, PlotContent
from llmzero_tui.widgets.plot.widget import PENDING, describe
from llmzero_tui.widgets.strip import order

FRAME = 7
"""Columns of the frame around the table, of its padding and of its scroll bar."""


class ComparePanel(PlotPanel):
    """The plot of a comparison: one metric of all of them, in their colours."""

    comparison: Comparison | None = None

    def take(self, comparison: Comparison) -> None:
        """Show what was read."""
        self.comparison = comparison
        self.draw()

    def metrics(self) -> tuple[str, ...]:
        return order(self.comparison.metrics) if self.comparison else ()

    def draw(self) -> None:
        """Bring the plot to the latest curves, if they are those of the metric; else say what is on its way."""
        if self.comparison is None:
            return
        known = [(c, c.trace) for c in self.comparison.contenders if c.trace is not None]
        title = self.metric
        if not known or any(trace.metric != self.metric for _, trace in known):
            self.plot.pend(title)
            return
        first = known[0][1]
        here = first.selection.axis is self.selection.axis
        window = self.selection.window if here else first.selection.window
        since = self.comparison.apart(first.selection.axis)
        lines = tuple(DrawnCurve(trace, c.colour, c.letter, since) for c, trace in known)
        notes = describe(max((t for _, t in known), key=lambda t: t.width), self.style, window)
        self.plot.take((PlotContent(lines, self.style, window),), title if here else f"{title} {PENDING}", notes)


class CompareScreen(FeedScreen):
    """Two to four trajectories beside each other."""

    kind = "compare"
    PARTS: ClassVar[dict[str, type]] = {"panel": ComparePanel}
    BINDINGS: ClassVar[list[BindingType]] = bindings("compare")

    def __init__(self, feed: CompareFeed, metric: str = "reward") -> None:
        super().__init__(id="compare")
        self.feed = feed
        self.panel = ComparePanel(self, metric, DrawingStyle(Smoothing.AVERAGE))
        self.snapshot: Comparison | None = None

    def compose(self) -> ComposeResult:
        yield Static(id="title", markup=False)
        yield self.panel.plot
        yield Static(id="legend", markup=False)
        with VerticalScroll(id="differences"):
            yield Static(id="values", markup=False)
        yield KeyBar()

    def on_mount(self) -> None:
        self.query_one("#differences").border_title = "Differences"
        self._title("")
        self.panel.plot.focus()
        self.ready = True
        self.refresh_keys()

    # ---- snapshots --------------------------------------------------------------------------------------------------

    def view(self) -> CompareView:
        return CompareView(self.panel.metric, max(20, self.panel.plot.size.width), self.panel.selection)

    def apply(self, snapshot: Comparison, now: datetime) -> None:
        self.snapshot = snapshot
        self._title("")
        self._words()
        self.panel.take(snapshot)
        self.refresh_keys()

    def lost(self, why: FeedFailure, now: datetime) -> None:
        self._title(why.reason)

    def restyle(self) -> None:
        super().restyle()
        self._title("")
        self._words()
        self.panel.draw()

    def on_resize(self) -> None:
        self._words()

    @on(MetricPlot.Panned)
    def _panned(self, event: MetricPlot.Panned) -> None:
        self.panel.pan(event.share)

    def _title(self, problem: str) -> None:
        colours = look(self).palette
        paths = dict.fromkeys(target.path.name for target in self.feed.targets)
        text = Text.assemble(("LLMZero ", f"bold {colours.text}"), ("compare", colours.muted))
        text.append("  " + plain(" · ".join(paths), 100), style=colours.text)
        if problem:
            text.append("  " + plain(problem, 200), style=colours.bad)
        self.query_one("#title", Static).update(look(self).done(text))

    def _words(self) -> None:
        """The legend and the table."""
        shown, appearance = self.snapshot, look(self)
        if shown is None:
            return
        self.query_one("#legend", Static).update(legend(shown, self.size.width, appearance))
        self.query_one("#values", Static).update(table(shown, self.size.width - FRAME, appearance))

    # ---- actions ----------------------------------------------------------------------------------------------------

    def context(self) -> ActionContext:
        shown = self.snapshot
        return ActionContext(
            self.kind, plotted=shown is not None, found=bool(shown and shown.apart(self.panel.selection.axis))
        )

    def action_from_branch(self) -> None:
        """From where they part to the end, or everything again."""
        apart = self.snapshot.apart(self.panel.selection.axis) if self.snapshot else 0.0
        if self.panel.selection.window is not None or not 0 < apart < self.panel.plot.whole - Axis.STEPS.least / 2:
            self.panel.see(replace(self.panel.selection, window=None))
        else:
            self.panel.see(replace(self.panel.selection, window=AxisWindow(apart, self.panel.plot.whole)))

    def action_back(self) -> None:
        """Back to where one came from."""
        self.dismiss()
        self.app.call_after_refresh(self.app.poll)

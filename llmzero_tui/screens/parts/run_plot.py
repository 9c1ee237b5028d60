"""The plot of the run screen: the selected node's metrics, one big, the others small in the strip below it.

The run screen says which node is selected and hands over what was read of it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from llmzero_tui.screens.base import FeedScreen
from llmzero_tui.screens.parts.plot_panel import PlotPanel
from llmzero_tui.values.ahead import forecast_of
from llmzero_tui.values.curves import CurveSelection
from llmzero_tui.values.snapshot import NodeDetail, RunSnapshot
from llmzero_tui.values.standing import without_training
from llmzero_tui.widgets.strip import Strip

if TYPE_CHECKING:
    from engine.analysis.forecast import BranchForecast


class RunPlotPanel(PlotPanel):
    """`metric` of `node` is plotted; `beside` are drawn with it while the plot is `zoomed` to the whole screen."""

    def __init__(self, screen: FeedScreen) -> None:
        super().__init__(screen)
        self.strip = Strip()
        self.node: int | None = None
        self.beside: tuple[str, ...] = ()
        self.zoomed = False
        self._detail: NodeDetail | None = None
        self._empty = ""
        self._ahead: BranchForecast | None = None

    def wanted(self) -> CurveSelection:
        """What of the curves has to be read now."""
        also = tuple(metric for metric in self.beside if metric != self.metric) if self.zoomed else ()
        return replace(self.selection, also=also)

    def metrics(self) -> tuple[str, ...]:
        return self.strip.names

    def take(self, detail: NodeDetail, snapshot: RunSnapshot) -> None:
        """Show what was read of a node of the run, if it is the selected one."""
        self._detail, self._empty = detail, without_training(snapshot, snapshot.nodes.get(detail.node))
        self._ahead = forecast_of(snapshot.forecasts, snapshot.nodes, detail.node)
        self._show()

    def select(self, node: int) -> None:
        """Make another node the one that is plotted; its curve follows."""
        self.node = node
        self.announce()

    def announce(self) -> None:
        """Say at once which node, metric and axis were asked for."""
        if self.node is not None:
            self.plot.announce(self.node, self.metric, self.selection.axis)

    def _show(self) -> None:
        detail = self._detail
        if detail is not None and detail.node == self.node:
            self.strip.show(detail.strip, self.metric, self.beside, self._empty)
            self.draw()

    def draw(self) -> None:
        detail = self._detail
        if detail is None or (detail.node, detail.trace.metric) != (self.node, self.metric):
            return
        traces = detail.traces if self.zoomed else detail.traces[:1]
        self.plot.show(traces, self.style, self.selection, self._ahead)
        self.announce()

    def plot_metric(self, metric: str) -> None:
        self.metric = metric
        self._show()
        self.announce()
        self.screen.poll_now()

    def action_beside(self) -> None:
        """Draw a metric beside the plotted one when the plot has the screen, or no more."""
        metric = self.strip.current if self.strip.has_focus else self.metric
        if metric is None:
            return
        rest = tuple(m for m in self.beside if m != metric)
        self.beside = rest if metric in self.beside else (*rest, metric)
        self._show()
        if self.zoomed:
            self.screen.poll_now()

    def action_parent(self) -> None:
        """How the parent went on, in grey, or not."""
        self.see(replace(self.selection, beyond=not self.selection.beyond))

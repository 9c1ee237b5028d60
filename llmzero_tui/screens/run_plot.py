"""The plot of the run screen, and what is compared from there: the selected node's metrics, and marks in its tree.

Mixed into the run screen, which says what is selected and takes the snapshots.
"""

from __future__ import annotations

from dataclasses import replace

from llmzero_tui.screens.marking import Marking
from llmzero_tui.screens.plotting import Plotting
from llmzero_tui.values.curves import CurveSelection
from llmzero_tui.values.marks import LETTERS, Target
from llmzero_tui.values.snapshot import RunSnapshot
from llmzero_tui.widgets.strip import Strip
from llmzero_tui.widgets.tree import SearchTree


class RunPlot(Plotting, Marking):
    """`metric` is plotted, `beside` are drawn with it while the plot is `zoomed` to the whole screen."""

    snapshot: RunSnapshot | None = None
    selected: int | None = None
    metric = "reward"
    beside: tuple[str, ...] = ()
    zoomed = False

    def show_detail(self) -> None:
        """Bring everything about the selected node to the latest snapshot."""
        raise NotImplementedError

    def wanted(self) -> CurveSelection:
        """What of the curves has to be read now."""
        also = tuple(metric for metric in self.beside if metric != self.metric) if self.zoomed else ()
        return replace(self.sight, also=also)

    def draw_plot(self) -> None:
        """Bring the plot to the latest curves, if they are those of the selected node and metric."""
        detail = self.snapshot.detail if self.snapshot else None
        if detail is None or (detail.node, detail.trace.metric) != (self.selected, self.metric):
            return
        self.plot.show(detail.traces if self.zoomed else detail.traces[:1], self.manner, self.sight)
        self.announce()

    def announce(self) -> None:
        """Say at once which node, metric and axis were asked for."""
        if self.selected is not None:
            self.plot.announce(self.selected, self.metric, self.sight.axis)

    # ---- which metrics ----------------------------------------------------------------------------------------------

    def plot_metric(self, metric: str) -> None:
        """Plot another metric."""
        self.metric = metric
        self.show_detail()
        self.announce()
        self.poll_now()

    def _step_metric(self, by: int) -> None:
        names = self.query_one(Strip).names
        if names:
            place = names.index(self.metric) if self.metric in names else 0
            self.plot_metric(names[(place + by) % len(names)])

    def action_next_metric(self) -> None:
        """Plot the next metric."""
        self._step_metric(1)

    def action_previous_metric(self) -> None:
        """Plot the metric before."""
        self._step_metric(-1)

    def action_beside(self) -> None:
        """Draw a metric beside the plotted one when the plot has the screen, or no more."""
        strip = self.query_one(Strip)
        metric = strip.current if strip.has_focus else self.metric
        if metric is None:
            return
        rest = tuple(m for m in self.beside if m != metric)
        self.beside = rest if metric in self.beside else (*rest, metric)
        self.show_detail()
        if self.zoomed:
            self.poll_now()

    def action_parent(self) -> None:
        """How the parent went on, in grey, or not."""
        self.see(replace(self.sight, beyond=not self.sight.beyond))

    # ---- what is compared -------------------------------------------------------------------------------------------

    def under_cursor(self) -> Target | None:
        focused = next((tree for tree in self.query(SearchTree) if tree.has_focus), None)
        # Keys may come faster than the tree says where its cursor is.
        node = self.selected if focused is None else focused.cursor
        return None if node is None else Target(self.feed.path, node)

    def draw_marks(self) -> None:
        """The letters of the marked nodes, in the tree."""
        marked = (target.node for target in self.marked if target.node is not None)
        self.query_one(SearchTree).letter(dict(zip(marked, LETTERS, strict=False)))

    def compared_metric(self) -> str:
        return self.metric

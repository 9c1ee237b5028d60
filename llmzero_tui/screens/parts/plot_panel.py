"""Looking at a plot: which metric, on which scale, along which axis, through which window. Its keys are the same on
every screen that has a plot.

A part of the run screen and of the comparison. A key is answered at once from what was read; what the new window needs
comes from the database with the next quick look.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace

from llmzero_tui.screens.base import FeedScreen
from llmzero_tui.values.curves import PLAIN, AxisWindow, CurveSelection, DrawingStyle, other_axis, pan, zoom
from llmzero_tui.widgets.plot import MetricPlot

ZOOM = 2.0


class PlotPanel(ABC):
    """The plot of a screen. `metric` is plotted; `selection`: what of it is read, `style`: how that is drawn."""

    def __init__(self, screen: FeedScreen, metric: str = "reward", style: DrawingStyle | None = None) -> None:
        self.screen = screen
        self.plot = MetricPlot()
        self.metric = metric
        self.selection: CurveSelection = PLAIN
        self.style = style or DrawingStyle()

    @abstractmethod
    def draw(self) -> None:
        """Bring the plot to what was read, as it is to be drawn now."""

    @abstractmethod
    def metrics(self) -> tuple[str, ...]:
        """What can be plotted, in the order in which it is offered."""

    def plot_metric(self, metric: str) -> None:
        """Plot another metric."""
        self.metric = metric
        self.draw()
        self.screen.poll_now()

    def see(self, selection: CurveSelection) -> None:
        """Look at something else: at once as far as it is there, in full after a look."""
        if selection != self.selection:
            self.selection = selection
            # Not after the paint: the database works in another thread while what is there is drawn.
            self.screen.app.poll(quick=True)
            self.draw()
            self.screen.refresh_keys()

    def pan(self, share: float) -> None:
        """Move the window by a share of its length."""
        if self.plot.axis is self.selection.axis:
            self._through(pan(self.selection.window, self.plot.furthest, share))

    def _zoom(self, factor: float) -> None:
        if self.plot.axis is self.selection.axis:  # else the curve along this axis is still on its way
            plot, selection = self.plot, self.selection
            self._through(zoom(selection.window, plot.whole, factor, selection.axis, plot.furthest))

    def _through(self, window: AxisWindow | None) -> None:
        self.see(replace(self.selection, window=window))

    def _step_metric(self, by: int) -> None:
        names = self.metrics()
        if names:
            place = names.index(self.metric) if self.metric in names else 0
            self.plot_metric(names[(place + by) % len(names)])

    def action_next_metric(self) -> None:
        """Plot the next metric."""
        self._step_metric(1)

    def action_previous_metric(self) -> None:
        """Plot the metric before."""
        self._step_metric(-1)

    def action_zoom_in(self) -> None:
        """Half of what is seen now."""
        self._zoom(1 / ZOOM)

    def action_zoom_out(self) -> None:
        """Twice as much."""
        self._zoom(ZOOM)

    def action_everything(self) -> None:
        """The whole trajectory."""
        self._through(None)

    def action_axis(self) -> None:
        """Steps or time."""
        self.see(other_axis(self.selection))

    def action_log_scale(self) -> None:
        """Logarithmic, or linear again."""
        self.style = replace(self.style, log=not self.style.log)
        self.draw()

    def action_smoothing(self) -> None:
        """Average with raw, average, raw."""
        self.style = replace(self.style, smoothing=self.style.smoothing.after())
        self.draw()

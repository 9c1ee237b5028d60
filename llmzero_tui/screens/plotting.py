"""Looking at a plot: on which scale, along which axis, through which window. Its keys are the same on every screen that
has a plot.

Mixed into the run screen and the comparison. A key is answered at once from what was read; what the new window needs
comes from the database with the next quick look.
"""

from __future__ import annotations

from dataclasses import replace

from textual import on

from llmzero_tui.screens.base import FeedScreen
from llmzero_tui.values.curves import PLAIN, AxisWindow, CurveSelection, DrawingStyle, other_axis, pan, zoom
from llmzero_tui.widgets.plot import MetricPlot

ZOOM = 2.0


class Plotting(FeedScreen):
    """The actions of a screen with a plot. `sight` is what has to be read, `manner` how that is drawn."""

    sight: CurveSelection = PLAIN
    manner: DrawingStyle = DrawingStyle()

    @property
    def plot(self) -> MetricPlot:
        """The plot."""
        return self.query_one(MetricPlot)

    def draw_plot(self) -> None:
        """Bring the plot to what was read, as it is to be drawn now."""
        raise NotImplementedError

    def poll_now(self) -> None:
        """Ask for a snapshot without waiting for the tick, once what the key did is on the screen."""
        self.call_after_refresh(self.app.poll, quick=True)  # type: ignore[attr-defined]

    def see(self, sight: CurveSelection) -> None:
        """Look at something else: at once as far as it is there, in full after a look."""
        if sight != self.sight:
            self.sight = sight
            # Not after the paint: the database works in another thread while what is there is drawn.
            self.app.poll(quick=True)  # type: ignore[attr-defined]
            self.draw_plot()
            self.refresh_keys()

    def _through(self, window: AxisWindow | None) -> None:
        self.see(replace(self.sight, window=window))

    @on(MetricPlot.Panned)
    def _panned(self, event: MetricPlot.Panned) -> None:
        if self.plot.axis is self.sight.axis:
            self._through(pan(self.sight.window, self.plot.whole, event.share))

    def _zoom(self, factor: float) -> None:
        if self.plot.axis is self.sight.axis:  # else the curve along this axis is still on its way
            self._through(zoom(self.sight.window, self.plot.whole, factor, self.sight.axis))

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
        self.see(other_axis(self.sight))

    def action_log_scale(self) -> None:
        """Logarithmic, or linear again."""
        self.manner = replace(self.manner, log=not self.manner.log)
        self.draw_plot()

    def action_smoothing(self) -> None:
        """Average with raw, average, raw."""
        self.manner = replace(self.manner, smoothing=self.manner.smoothing.after())
        self.draw_plot()

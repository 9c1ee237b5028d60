"""Plots of metrics: `figure` is plotext's, `scale` the axes, `drawing` makes the picture, `widget` shows it."""

from llmzero_tui.widgets.plot.drawing import DrawnCurve, PlotContent
from llmzero_tui.widgets.plot.widget import MetricPlot

__all__ = ["DrawnCurve", "MetricPlot", "PlotContent"]

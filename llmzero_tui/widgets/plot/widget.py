"""The plot as a widget: one picture or several in one frame, drawn once for each size, and the keys that move it.

A screen shows curves in it and moves the window (`screens.parts.plot_panel`); the widget itself reads nothing and keeps
no state of a run.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from llmzero_tui.format import number
from llmzero_tui.values.ahead import predicted, reach
from llmzero_tui.values.curves import Axis, AxisWindow, CurveSelection, CurveTrace, DrawingStyle
from llmzero_tui.widgets.appearance import Appearance, look
from llmzero_tui.widgets.plot.drawing import DrawnCurve, PlotContent, draw
from llmzero_tui.widgets.plot.scale import moment_label
from llmzero_tui.widgets.strip import short

if TYPE_CHECKING:
    from engine.analysis.forecast import BranchForecast

PENDING = "…"
BAND = "▒"
PANEL_ROWS = 7
WIDE = 110
LEGEND = 60
"""Cells from which on the frame explains the marks in it."""
PAN_SHARE = 0.25


class MetricPlot(Widget):
    """The focused plot. `show` takes curves of one trajectory, `overlay` the curves of several."""

    can_focus = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", f"pan(-{PAN_SHARE})", show=False),
        Binding("right,l", f"pan({PAN_SHARE})", show=False),
        Binding("pageup", "pan(-1.0)", show=False),
        Binding("pagedown", "pan(1.0)", show=False),
    ]

    class Panned(Message):
        """Move the window by a share of its length."""

        def __init__(self, share: float) -> None:
            super().__init__()
            self.share = share

    def __init__(self) -> None:
        super().__init__(id="plot")
        self._curve: CurveTrace | None = None
        self._pictures: tuple[PlotContent, ...] = ()
        self._drawn: object = None
        self._strips: dict[tuple[int, int], list[Strip]] = {}
        self._titled: tuple[str, str, object] = ("", "", None)

    # ---- what it shows ----------------------------------------------------------------------------------------------

    def show(
        self, curves: tuple[CurveTrace, ...], style: DrawingStyle, selection: CurveSelection,
        forecast: BranchForecast | None = None,
    ) -> None:  # fmt: skip
        """Curves of one trajectory, the first one big. A window that is not read yet is drawn from what is there. The
        forecast stands where its scores do."""
        first = curves[0]
        window = selection.window if selection.axis is first.selection.axis else first.selection.window
        scored = [curve for curve in curves if curve.checks and curve.selection.axis is Axis.STEPS]
        ahead = forecast.points if forecast is not None and scored else ()
        until = reach(max(curve.whole for curve in curves), ahead)
        pictures = tuple(
            PlotContent(
                (DrawnCurve(curve, since=own_since(curve), ahead=ahead if curve in scored else ()),), style, window,
                heading(curve) if len(curves) > 1 else "", until,
            )
            for curve in curves
        )  # fmt: skip
        self._curve = first
        notes = describe(first, style, window)
        if forecast is not None and ahead:
            notes.insert(0, f"{BAND} {predicted(forecast)}")
        if any(curve.checks for curve in curves) and self.size.width >= LEGEND + cell_len(notes[0]) * bool(ahead):
            notes.append("◆ validation score")
        self.take(pictures, f"#{first.node} · {first.metric}", notes)

    def take(self, pictures: tuple[PlotContent, ...], title: str, notes: list[str]) -> None:
        """Pictures with a title and notes about them; nothing is drawn when they are what is drawn already."""
        wanted = (pictures, look(self))
        if wanted != self._drawn:
            self._drawn = wanted
            self._pictures = pictures
            self._strips = {}
            self.refresh()
        hidden = len(pictures) - sum(panels(len(pictures), *self.size))
        if hidden > 0 and self.size.height:
            notes = [f"no room for {hidden} more", *notes]
        self._entitle(title, " · ".join(notes))

    def _entitle(self, title: str, subtitle: str | None = None) -> None:
        """Set the frame's words if they are others: to set them draws the whole panel."""
        appearance = look(self)
        words = (title, self._titled[1] if subtitle is None else subtitle, appearance)
        if words != self._titled:
            self._titled = words
            self.border_title, self.border_subtitle = appearance.title(title), appearance.title(words[1])

    def announce(self, node: int, metric: str, axis: Axis = Axis.STEPS) -> None:
        """Name at once what was asked for; its curve follows from the database, and takes the ellipsis away."""
        curve = self._curve
        if curve is not None and (node, metric, axis) != (curve.node, curve.metric, curve.selection.axis):
            self.pend(f"#{node} · {metric}")

    def pend(self, title: str) -> None:
        """Say that what is named so is on its way."""
        self._entitle(f"{title} {PENDING}")

    @property
    def axis(self) -> Axis | None:
        """The axis of what is drawn; None while nothing is."""
        return self._pictures[0].axis if self._pictures else None

    @property
    def whole(self) -> float:
        """Where the axis ends when everything is shown."""
        return max((picture.whole for picture in self._pictures), default=0.0)

    @property
    def furthest(self) -> float:
        """Where the axis can end: with all that is forecast."""
        ahead = (line.ahead[-1].steps for picture in self._pictures for line in picture.lines if line.ahead)
        return max((self.whole, *ahead))

    # ---- drawing ----------------------------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        """A line of the plot; the whole is built once, when something in it has changed."""
        size = (self.size.width, self.size.height)
        if size not in self._strips:
            self._meet(size)
        strips = self._strips[size]
        if y < len(strips) and strips[y].cell_length == size[0]:
            return strips[y]
        style = self.rich_style
        return strips[y].adjust_cell_length(size[0], style) if y < len(strips) else Strip.blank(size[0], style)

    def _meet(self, size: tuple[int, int]) -> None:
        """Drawing takes longer than laying out: the picture of the old size stands in for the first paint."""
        old = next(reversed(self._strips.values()), None)
        if old is None:
            self._strips[size] = composed(self._pictures, *size, look(self))
        else:
            self._strips[size] = old
            self.call_after_refresh(self._redraw, size)

    def _redraw(self, size: tuple[int, int]) -> None:
        if size in self._strips and size == (self.size.width, self.size.height):
            self._strips[size] = composed(self._pictures, *size, look(self))
            self.refresh()
        else:
            self._strips.pop(size, None)

    def action_pan(self, share: float) -> None:
        """Move the window."""
        self.post_message(self.Panned(share))


def panels(count: int, width: int, height: int) -> list[int]:
    """How many pictures stand in each row: beside each other where it is wide, as many rows as have room."""
    if count <= 1 or height < 2 * PANEL_ROWS:
        return [min(count, 1)]
    across = 2 if width >= WIDE and (count > 2 or height < 3 * PANEL_ROWS) else 1
    rows = min(height // PANEL_ROWS, -(-count // across))
    return [min(across, count - across * row) for row in range(rows)]


def composed(pictures: tuple[PlotContent, ...], width: int, height: int, appearance: Appearance) -> list[Strip]:
    """All pictures that have room, in one block of lines."""
    if not pictures:
        return draw(PlotContent(()), width, height, appearance)
    grid = panels(len(pictures), width, height)
    if len(grid) == 1 and grid[0] == 1:
        return draw(replace(pictures[0], heading=""), width, height, appearance)
    blocks_of_lines: list[Strip] = []
    rest, below, gap = list(pictures), height, Strip.blank(1, Style(bgcolor=appearance.palette.surface))
    for place, across in enumerate(grid):
        rows = -(-below // (len(grid) - place))
        below -= rows
        each = (width - (across - 1)) // across
        blocks = [draw(picture, each, rows, appearance) for picture in rest[:across]]
        del rest[:across]
        for lines in zip(*blocks, strict=True):
            blocks_of_lines.append(Strip.join([part for line in lines for part in (line, gap)][:-1]))
    return blocks_of_lines


# ---- words ---------------------------------------------------------------------------------------------------------


def own_since(curve: CurveTrace) -> float:
    """Where the selected node's own segment begins on the axis."""
    return next((bound.x for bound in reversed(curve.bounds) if bound.node == curve.node), 0.0)


def heading(curve: CurveTrace) -> str:
    """The line over one of several plots."""
    last = number(curve.points[-1].value) if curve.points else ""
    return f" {short(curve.metric)}  {last}"


def describe(curve: CurveTrace, style: DrawingStyle, window: AxisWindow | None) -> list[str]:
    """What is drawn and how, the most particular first."""
    notes = [seen_words(window, curve.selection.axis)] if window is not None else []
    if curve.selection.axis is Axis.CLOCK:
        notes.append("training time")
    if style.log:
        notes.append("log")
    notes.append(str(style.smoothing))
    if curve.beyond_nodes:
        way = "→".join(f"#{node}" for node in dict.fromkeys(curve.beyond_nodes))
        notes.append(f"grey: {way} continued")
    elif curve.selection.beyond:
        notes.append("the parent has no later steps")
    if curve.width > 1 or curve.selection.axis is Axis.CLOCK:
        notes.append(f"{bucket_words(curve)} per point")
    if curve.broken:
        notes.append(f"{curve.broken} not finite")
    return notes


def seen_words(window: AxisWindow, axis: Axis) -> str:
    """The window in words."""
    if axis is Axis.CLOCK:
        return f"{moment_label(window.first)}–{moment_label(window.last)}"
    return f"{axis} {window.first:.0f}–{window.last:.0f}"


def bucket_words(curve: CurveTrace) -> str:
    """The width of a bucket in words."""
    if curve.selection.axis is Axis.CLOCK:
        return f"{curve.width:g}s" if curve.width < 60 else moment_label(curve.width)
    return f"{curve.width:.0f} steps"

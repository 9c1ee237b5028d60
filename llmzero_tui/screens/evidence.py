"""A comparison as it goes on: how far the plan is, its tables one at a time, and the anytime curves of a task.

The first screen of `llmzero compare PLAN --screen`. Another process works the plan off; this one only looks, and opens
runs.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import DataTable, Static

from engine.compare.figure import AXIS
from engine.compare.report import RUNS
from llmzero_tui.actions import ActionContext, bindings
from llmzero_tui.feeds.evidence import EvidenceFeed
from llmzero_tui.format import ending, plain
from llmzero_tui.screens.base import FeedScreen
from llmzero_tui.screens.parts.plot_panel import PlotPanel
from llmzero_tui.values.curves import CurveSelection, CurveTrace, DrawingStyle, Smoothing
from llmzero_tui.values.evidence import AXES, EvidenceSnapshot, EvidenceView
from llmzero_tui.values.snapshot import FeedFailure
from llmzero_tui.widgets.appearance import Appearance, look, row
from llmzero_tui.widgets.evidence import EvidenceTable, beside, cell_line, legend, pages, progress, time_left
from llmzero_tui.widgets.keybar import KeyBar
from llmzero_tui.widgets.plot import DrawnCurve, MetricPlot, PlotContent
from llmzero_tui.widgets.plot.widget import seen_words
from llmzero_tui.widgets.rows import Rows

if TYPE_CHECKING:
    from pathlib import Path

    from engine.compare.statistics import Against

WIDE, HIGH = 110, 30
"""From so many columns on the progress stands beside the name, from so many lines on there is room for the notes."""
FRAME = 2
CAPTION = " · best validation score so far, mean over seeds"
"""Of the plot, behind its task."""


class AnytimePanel(PlotPanel):
    """The plot of the screen: the anytime curves of one task, its "metric", along one measure of compute."""

    def __init__(self, screen: FeedScreen, against: Against) -> None:
        super().__init__(screen, "", DrawingStyle(Smoothing.RAW))
        self.selection = CurveSelection(next(axis for axis, name in AXES.items() if name == against))
        self.legend = Static(id="legend", markup=False)
        self.evidence: EvidenceSnapshot | None = None
        self.page = 0

    def take(self, evidence: EvidenceSnapshot) -> None:
        """Show what was read."""
        self.evidence = evidence
        self.metric = self.metric or evidence.task
        self.draw()

    def metrics(self) -> tuple[str, ...]:
        return self.evidence.tasks if self.evidence else ()

    def draw(self) -> None:
        """Bring the plot to the latest curves, if they are those of the task and the axis; else say what follows."""
        shown, axis = self.evidence, self.selection.axis
        if shown is None:
            return
        if (shown.task, shown.axis) != (self.metric, axis):
            self.plot.pend(self.metric)
            return
        lettered = beside(shown.curves, self.page)
        nothing = DrawnCurve(CurveTrace(self.metric, 1.0, 0, selection=CurveSelection(axis)))
        content = PlotContent(tuple(each.drawn for each in lettered) or (nothing,), self.style, self.selection.window)
        notes = [seen_words(self.selection.window, axis)] if self.selection.window else []
        notes.append(AXIS[AXES[axis]])
        if pages(shown.curves) > 1:
            notes.append(f"{len(lettered)} of {len(shown.curves)} strategies")
        task = ending(plain(self.metric), max(8, self.plot.size.width - len(CAPTION) - 2 * FRAME))
        self.plot.take((content,), f"{task}{CAPTION}", notes)
        self.legend.display = bool(lettered)
        self.legend.update(legend(lettered, self.selection.window, self.screen.size.width - FRAME, look(self.plot)))

    def action_next_task(self) -> None:
        """Plot the next task."""
        self._through(None)
        self.action_next_metric()

    def action_previous_task(self) -> None:
        """Plot the task before."""
        self._through(None)
        self.action_previous_metric()

    def action_axis(self) -> None:
        """Seconds, steps, tokens."""
        axes = list(AXES)
        self.see(CurveSelection(axes[(axes.index(self.selection.axis) + 1) % len(axes)]))

    def action_strategies(self) -> None:
        """Plot other strategies beside the first."""
        self.page = (self.page + 1) % pages(self.evidence.curves if self.evidence else ())
        self.draw()


class EvidenceScreen(FeedScreen):
    """What a comparison has shown so far."""

    kind = "evidence"
    PARTS: ClassVar[dict[str, type]] = {"panel": AnytimePanel}
    BINDINGS: ClassVar[list[BindingType]] = bindings("evidence")

    def __init__(self, feed: EvidenceFeed, against: Against = "seconds") -> None:
        super().__init__(id="evidence")
        self.feed = feed
        self.panel = AnytimePanel(self, against)
        self.snapshot: EvidenceSnapshot | None = None
        self.zoomed = False
        self._wanted = ""
        self._lost = ""

    def compose(self) -> ComposeResult:
        yield Static(id="title", markup=False)
        yield Rows("cells")
        yield EvidenceTable()
        yield Static(id="note", markup=False)
        yield self.panel.plot
        yield self.panel.legend
        yield KeyBar()

    def on_mount(self) -> None:
        self.query_one("#cells").border_title = "Cells that are not measured yet"
        self.query_one("#rows").border_title = look(self).title("reading …")
        self._arrange()
        self.query_one(EvidenceTable).focus()
        self.ready = True
        self.refresh_keys()

    # ---- snapshots --------------------------------------------------------------------------------------------------

    def view(self) -> EvidenceView:
        return EvidenceView(self._wanted, self.panel.metric, self.panel.selection.axis)

    def apply(self, snapshot: EvidenceSnapshot, now: datetime) -> None:
        self.snapshot, self._lost = snapshot, ""
        self._show()
        self.panel.take(snapshot)
        self.refresh_keys()
        if snapshot.table is None:
            self.call_after_refresh(self.app.poll, quick=True)

    def lost(self, why: FeedFailure, now: datetime) -> None:
        self._lost = why.reason
        self._title()

    def restyle(self) -> None:
        super().restyle()
        self._show()
        self.panel.draw()

    def on_resize(self) -> None:
        self._show()
        self.panel.draw()

    @on(MetricPlot.Panned)
    def _panned(self, event: MetricPlot.Panned) -> None:
        self.panel.pan(event.share)

    def _show(self) -> None:
        self._title()
        self._cells()
        self._table()
        self._arrange()

    def _title(self) -> None:
        """One line where it is wide, else two; a reason why nothing can be read may take another."""
        appearance, shown, title = look(self), self.snapshot, self.query_one("#title", Static)
        colours, plan = appearance.palette, self.feed.comparison.plan.name
        name = Text.assemble(("LLMZero ", f"bold {colours.text}"), ("evidence  ", colours.muted), (plan, colours.text))
        lines = [name]
        if self._lost:
            lines.append(Text(plain(self._lost, 200), style=colours.bad))
        elif shown is not None:
            width, far, left = self.size.width - 2 * FRAME, progress(shown, appearance), time_left(shown, appearance)
            if self.size.width >= WIDE:
                lines = [row(name, Text("   ").join([far, left]), width)]
            else:
                lines = [row(name, left, width), far]
        title.styles.height = 3 if self._lost else 1 if self.size.width >= WIDE else 2
        title.update(appearance.done(Text("\n").join(lines)))

    def _cells(self) -> None:
        cells = self.snapshot.cells if self.snapshot else ()

        def draw(index: int, width: int, appearance: Appearance) -> Text:
            return cell_line(cells[index], width, appearance)

        rows = self.query_one("#cells", Rows)
        rows.show(range(len(cells)), (cells, look(self)), draw, rows.current, "")
        most = 6 if self.size.height >= HIGH else 2
        rows.styles.height = min(len(cells), most) + FRAME

    def _table(self) -> None:
        shown, grid = self.snapshot, self.query_one(EvidenceTable)
        if shown is None or shown.table is None:
            return
        if grid.take(shown.table):
            place = shown.titles.index(shown.table.title) + 1
            grid.border_title = look(self).title(f"{shown.table.title} · {place} of {len(shown.titles)}")
            grid.border_subtitle = "" if shown.table.rows else look(self).title("nothing measured yet")
            note = Text(shown.table.note, style=look(self).palette.muted)
            self.query_one("#note", Static).update(look(self).done(note))

    def _arrange(self) -> None:
        """What has room: the plot alone when it is zoomed, notes only on a high screen."""
        self.query_one("#cells").display = bool(self.snapshot and self.snapshot.cells) and not self.zoomed
        self.query_one(EvidenceTable).display = not self.zoomed
        self.query_one("#note").display = not self.zoomed and self.size.height >= HIGH

    # ---- actions ----------------------------------------------------------------------------------------------------

    def context(self) -> ActionContext:
        shown = self.snapshot
        return ActionContext(
            self.kind, found=shown is not None, plotted=bool(shown and shown.curves),
            chosen=self.ready and self._chosen() is not None, tasks=len(shown.tasks) if shown else 0,
            pages=bool(shown and pages(shown.curves) > 1),
        )  # fmt: skip

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        self.refresh_keys()

    @on(Rows.Picked)
    def _picked(self) -> None:
        self.refresh_keys()

    def _chosen(self) -> Path | None:
        """The run of the row under the cursor of what has the focus; None where that is of no run."""
        shown, grid, rows = self.snapshot, self.query_one(EvidenceTable), self.query_one("#cells", Rows)
        if shown is None:
            return None
        if rows.has_focus and rows.current is not None:
            run = shown.cells[rows.current].run
            return run.path if run else None
        if grid.has_focus and grid.title == RUNS and grid.cursor_row < len(shown.runs):
            return shown.runs[grid.cursor_row]
        return None

    @on(DataTable.RowSelected)
    def action_open(self) -> None:
        """Open the run of the row, or say that it is gone."""
        path = self._chosen()
        if path is None or self.snapshot is None:
            self.tell_lacking("enter")
            return
        if path.name in self.snapshot.present:
            self.app.open_run(path)
        else:
            where = plain(self.feed.runs_dir, 200)
            words = f"{where} has no run {plain(path.name, 64)}: it was deleted, or measured elsewhere"
            self.notify(words, severity="warning", timeout=10, markup=False)

    def _turn(self, by: int) -> None:
        if self.snapshot is not None:
            titles, grid = self.snapshot.titles, self.query_one(EvidenceTable)
            now = self._wanted if self._wanted in titles else titles[0]
            self._wanted = titles[(titles.index(now) + by) % len(titles)]
            grid.pend(self._wanted)
            self.poll_now()

    def action_next_table(self) -> None:
        """The next table."""
        self._turn(1)

    def action_previous_table(self) -> None:
        """The table before."""
        self._turn(-1)

    def action_zoom(self) -> None:
        """The plot alone, or everything again."""
        self.zoomed = not self.zoomed
        self._arrange()
        (self.panel.plot if self.zoomed else self.query_one(EvidenceTable)).focus()

    def key_escape(self) -> None:
        """Leave the zoom."""
        if self.zoomed:
            self.action_zoom()

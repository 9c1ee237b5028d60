"""One run: its tree on the left drives the plot, the small metrics and the texts on the right; the inbox stands below.

From 100 columns on everything is on screen; below that one pane at a time (tab, 1–4). Shows snapshots only; what a
human decides goes out through its parts `decisions` and `steering`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import partialmethod
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Input

from llmzero_tui import plots
from llmzero_tui.actions import ActionContext, bindings
from llmzero_tui.feeds.run import RunFeed
from llmzero_tui.screens import takeaway, visits
from llmzero_tui.screens.base import FeedScreen
from llmzero_tui.screens.parts.decisions import DecisionController
from llmzero_tui.screens.parts.marks import Marks
from llmzero_tui.screens.parts.run_plot import RunPlotPanel
from llmzero_tui.screens.parts.steering import Steering
from llmzero_tui.values.nodes import Target, letters
from llmzero_tui.values.snapshot import FeedFailure, ProposalRow, RunSnapshot, RunView
from llmzero_tui.widgets.details import TABS, Details
from llmzero_tui.widgets.header import RunHeader
from llmzero_tui.widgets.inbox import Inbox
from llmzero_tui.widgets.keybar import KeyBar
from llmzero_tui.widgets.panes import PANES, PaneBar, panels_on_screen, tree_cells
from llmzero_tui.widgets.plot import MetricPlot
from llmzero_tui.widgets.strip import Strip
from llmzero_tui.widgets.tree import SearchTree

NARROW = 100
SAMPLES, CALLS = TABS.index("Samples"), TABS.index("Agents")


class RunScreen(FeedScreen):
    """The main screen."""

    kind = "run"
    PARTS: ClassVar[dict[str, type]] = {
        "panel": RunPlotPanel, "marks": Marks, "decisions": DecisionController, "steering": Steering,
    }  # fmt: skip
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("run"),
        Binding("tab", "pane(1)", show=False, priority=True),
        Binding("shift+tab", "pane(-1)", show=False, priority=True),
    ]

    def __init__(self, feed: RunFeed) -> None:
        super().__init__(id="run")
        self.feed = feed
        self.snapshot: RunSnapshot | None = None
        self.selected: int | None = None
        self.following = True
        self.frozen = False
        self.pane = "tree"
        self.panel = RunPlotPanel(self)
        self.marks = Marks(self, self._under_cursor, self._draw_marks, lambda: self.panel.metric)
        self.decisions = DecisionController(self, self._target)
        self.steering = Steering(self.decisions, lambda: self.snapshot, lambda: self.selected)
        self._lost = ""

    def compose(self) -> ComposeResult:
        yield RunHeader(self.feed.path.name)
        with Horizontal(id="body"):
            with Vertical(id="left"):
                yield SearchTree()
                yield Input(id="filter", placeholder="number, label or state", compact=True)
                yield Inbox()
            with Vertical(id="right"):
                yield self.panel.plot
                yield self.panel.strip
                yield Details()
        yield PaneBar()
        yield KeyBar()

    def on_mount(self) -> None:
        self.query_one("#filter").display = False
        self.query_one(SearchTree).focus()
        self._arrange()
        self.ready = True
        self.refresh_keys()

    # ---- snapshots --------------------------------------------------------------------------------------------------

    def view(self) -> RunView:
        tab, lines = self.query_one(Details).tab, self.query_one(SearchTree).on_screen
        panel = self.panel
        columns = max(20, panel.plot.size.width)
        return RunView(self.selected, panel.metric, columns, tab == SAMPLES, lines, panel.wanted(), tab == CALLS)

    def apply(self, snapshot: RunSnapshot, now: datetime) -> None:
        if self.frozen and self.snapshot is not None:
            self._look_closer(snapshot)
            self._header(now)
            self.decisions.take(snapshot)
            return
        self._lost = ""
        self.snapshot = snapshot
        self.query_one(SearchTree).show(snapshot)
        running = snapshot.running
        if self.selected is None and snapshot.detail is not None:
            self._select(snapshot.detail.node)
        elif self.following and running is not None and running.id != self.selected:
            self._select(running.id)
        self.query_one(Inbox).show(snapshot.inbox, now)
        self.show_detail()
        self._header(now)
        self.query_one(PaneBar).show(self.pane, self.query_one(Details).tab, snapshot.waiting)
        self.decisions.take(snapshot)
        self.refresh_keys()

    def _look_closer(self, snapshot: RunSnapshot) -> None:
        """While the display is frozen another node or metric may be looked at; nothing else moves."""
        assert self.snapshot is not None
        before, detail = self.snapshot.detail, snapshot.detail
        if detail is not None and before is not None and detail.about != before.about:
            self.snapshot = replace(self.snapshot, detail=detail)
            self.show_detail()
        if snapshot.sparks.keys() - self.snapshot.sparks.keys():
            self.snapshot = replace(self.snapshot, sparks={**snapshot.sparks, **self.snapshot.sparks})
            self.query_one(SearchTree).show(self.snapshot)

    def lost(self, why: FeedFailure, now: datetime) -> None:
        self._lost = why.reason
        self._header(now)

    def _header(self, now: datetime) -> None:
        self.query_one(RunHeader).show(self.snapshot, now, self._lost, self.frozen)

    def show_detail(self) -> None:
        """Bring the right side to the latest snapshot, if it is about the selected node."""
        snapshot = self.snapshot
        if snapshot is None or snapshot.detail is None:
            return
        detail = snapshot.detail
        self.panel.take(detail, snapshot)
        if detail.node == self.selected:
            self.query_one(Details).take(snapshot)

    def look_at(self, node_id: int, *, move: bool = True) -> None:
        """Select a node and stay there, whatever trains."""
        self.following = False
        self._select(node_id, move=move)

    def _select(self, node_id: int, *, move: bool = True) -> None:
        """Make a node the one the right side is about."""
        self.selected = node_id
        if move:
            self.query_one(SearchTree).pick(node_id)
        self.panel.select(node_id)
        self.poll_now()
        self.refresh_keys()

    def restyle(self) -> None:
        super().restyle()
        self.query_one(Details).restyle(self.snapshot)
        self.query_one(Inbox).restyle()
        self.query_one(SearchTree).notify_style_update()
        self.show_detail()

    # ---- events -----------------------------------------------------------------------------------------------------

    @on(SearchTree.Picked)
    def _tree_picked(self, event: SearchTree.Picked) -> None:
        self.look_at(event.node_id, move=False)

    @on(SearchTree.Revealed)
    def _lines_revealed(self) -> None:
        self.poll_now()

    @on(Inbox.Picked)
    def _inbox_picked(self, event: Inbox.Picked) -> None:
        self.look_at(event.proposal.node)

    @on(Inbox.Opened)
    def _inbox_opened(self, event: Inbox.Opened) -> None:
        self.look_at(event.proposal.node)
        self.action_decide()

    @on(Strip.Chosen)
    def _metric_chosen(self, event: Strip.Chosen) -> None:
        self.panel.plot_metric(event.metric)

    @on(MetricPlot.Panned)
    def _panned(self, event: MetricPlot.Panned) -> None:
        self.panel.pan(event.share)

    def on_descendant_focus(self) -> None:
        self.refresh_keys()

    def on_resize(self) -> None:
        self._arrange()

    @on(Input.Changed, "#filter")
    def _filtered(self, event: Input.Changed) -> None:
        self.query_one(SearchTree).filter(event.value)

    @on(Input.Submitted, "#filter")
    def _filter_done(self) -> None:
        self.query_one("#filter").display = bool(self.query_one("#filter", Input).value)
        self.query_one(SearchTree).focus()

    def key_escape(self) -> None:
        """Leave the filter, the zoom, or the inbox."""
        field = self.query_one("#filter", Input)
        if field.display:
            field.value = ""
            field.display = False
        elif self.panel.zoomed:
            self.action_zoom()
        self.query_one(SearchTree).focus()

    # ---- layout -----------------------------------------------------------------------------------------------------

    @property
    def narrow(self) -> bool:
        return self.size.width < NARROW

    def _arrange(self) -> None:
        """Decide which panels are on screen."""
        narrow, pane = self.narrow, self.pane
        for name, shown in panels_on_screen(pane, self.size.width, narrow=narrow, zoomed=self.panel.zoomed).items():
            for widget in self.query(f"#{name}"):
                widget.display = shown
        self.query_one("#body").set_class(narrow, "-narrow")
        left = self.query_one("#left")
        left.set_class(narrow, "-narrow")
        left.styles.width = None if narrow else tree_cells(self.size.width)
        bar = self.query_one(PaneBar)
        bar.display = narrow and not self.panel.zoomed
        bar.show(pane, self.query_one(Details).tab, self.snapshot.waiting if self.snapshot else 0)

    def action_pane(self, by: int) -> None:
        """The next panel: its focus when all are on screen, the panel itself when one is."""
        if not self.narrow or self.panel.zoomed:
            if by > 0:
                self.focus_next()
            else:
                self.focus_previous()
            return
        self.show_pane(PANES[(PANES.index(self.pane) + by) % len(PANES)])

    def show_pane(self, pane: str) -> None:
        """Bring a pane to the front (narrow), and the focus into it."""
        self.pane = pane
        self._arrange()
        target = {"tree": "#tree", "plot": "#strip", "details": "#details", "inbox": "#inbox"}[pane]
        self.query_one(target).focus()
        self.refresh_keys()

    # ---- what the parts ask -----------------------------------------------------------------------------------------

    def _target(self) -> ProposalRow | None:
        """The proposal that the keys mean."""
        return self.snapshot.proposal(self.selected) if self.snapshot else None

    def _under_cursor(self) -> Target | None:
        focused = next((tree for tree in self.query(SearchTree) if tree.has_focus), None)
        # Keys may come faster than the tree says where its cursor is.
        node = self.selected if focused is None else focused.cursor
        return None if node is None else Target(self.feed.path, node)

    def _draw_marks(self) -> None:
        """The letters of the marked nodes, in the tree."""
        self.query_one(SearchTree).letter(letters(self.marks.marked))

    # ---- actions: looking -------------------------------------------------------------------------------------------

    def context(self) -> ActionContext:
        snapshot = self.snapshot
        if snapshot is None:
            return ActionContext(self.kind)
        node = snapshot.nodes.get(self.selected) if self.selected is not None else None
        return ActionContext(
            self.kind, state=snapshot.run.state, live=snapshot.run.live and not self._lost, node=node,
            target=self._target(), waiting=snapshot.waiting, narrow=self.narrow,
            in_inbox=self.query_one(Inbox).has_focus, running=snapshot.running is not None,
            plotted=node is not None, marked=len(self.marks.compared),
        )  # fmt: skip

    def action_inbox(self) -> None:
        """To the inbox; its highlighted proposal becomes the selected node."""
        if self.narrow:
            self.show_pane("inbox")
        inbox = self.query_one(Inbox)
        inbox.focus()
        if inbox.current is not None:
            self.look_at(inbox.current.node)

    def action_best(self) -> None:
        """Select the incumbent."""
        best = self.snapshot.run.best if self.snapshot else None
        if best is not None and best.node is not None:
            self._leave_the_inbox()
            self.look_at(best.node)

    def action_live(self) -> None:
        """Select what trains, and stay with it."""
        self.following = True
        self._leave_the_inbox()
        running = self.snapshot.running if self.snapshot else None
        if running is not None:
            self._select(running.id)

    def _leave_the_inbox(self) -> None:
        """An inbox with the focus selects what comes into it."""
        if self.query_one(Inbox).has_focus and not self.narrow:
            self.query_one(SearchTree).focus()

    def action_filter(self) -> None:
        """Open the filter of the tree."""
        if self.narrow:
            self.show_pane("tree")
        field = self.query_one("#filter", Input)
        field.display = True
        field.focus()

    def action_zoom(self) -> None:
        """The plot alone, or everything again."""
        self.panel.zoomed = not self.panel.zoomed
        self._arrange()
        (self.panel.plot if self.panel.zoomed else self.query_one(SearchTree)).focus()
        self.poll_now()

    def _tab(self, index: int) -> None:
        if self.narrow and self.pane not in ("details", "inbox"):
            self.show_pane("details")
        self.query_one(Details).turn(index, self.snapshot)
        self._arrange()
        if index in (SAMPLES, CALLS):
            self.poll_now()

    action_tab_1 = partialmethod(_tab, 0)
    action_tab_2 = partialmethod(_tab, 1)
    action_tab_3 = partialmethod(_tab, 2)
    action_tab_4 = partialmethod(_tab, 3)
    action_tab_5 = partialmethod(_tab, 4)

    def action_plots(self) -> None:
        """Open the selected node's plots."""
        if self.selected is not None:
            self.notify(plots.show(plots.newest(self.feed.path, self.selected)), timeout=10, markup=False)

    def action_freeze(self) -> None:
        """Hold the display, or let it go on."""
        self.frozen = not self.frozen
        self.poll_now()

    # ---- actions: going elsewhere, taking away ----------------------------------------------------------------------

    def action_decide(self) -> None:
        """The selected proposal in full."""
        visits.open_decision(self, self.selected, self.decisions.memory)

    action_decision = action_decide

    def action_workers(self) -> None:
        """What the segments in progress train on."""
        from llmzero_tui.screens.workers import WorkersScreen

        self.app.push_screen(WorkersScreen(lambda: self.snapshot))

    def action_trajectory(self) -> None:
        """The best path as stages."""
        visits.open_trajectory(self, self.selected)

    def action_samples(self) -> None:
        """What the selected node's policy wrote."""
        visits.open_samples(self, self.selected)

    def action_agents(self) -> None:
        """Every call of every advisor."""
        visits.open_agents(self)

    def action_sql(self) -> None:
        """Ask this run's database."""
        self.app.open_sql(self.feed.path)

    def action_runs(self) -> None:
        """Back to the list."""
        self.app.close_run()

    def action_copy(self) -> None:
        """The selected node as text."""
        takeaway.copy_node(self, lambda: (self.snapshot, self.selected))

    def action_export(self) -> None:
        """Choose what to write, then where."""
        takeaway.export(self, self.selected)

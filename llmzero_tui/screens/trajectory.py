"""A path of the tree as stages from left to right: every parameter's staircase, the scores, and below what was said.

The best path, or that to the node one came from. Opened from the run screen; shows snapshots only, sends nothing.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from rich.console import Group, RenderableType
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Static

from engine.analysis.dynamics import ParameterDynamics
from engine.words import change_text, counted, intent_name
from llmzero_tui.actions import ActionContext, bindings
from llmzero_tui.feeds.trajectory import TrajectoryFeed
from llmzero_tui.format import plain, score
from llmzero_tui.screens.base import FeedScreen
from llmzero_tui.text.dynamics import dynamics_short
from llmzero_tui.values.nodes import NodeRow
from llmzero_tui.values.proposal_detail import PathStage, TrajectorySnapshot, TrajectoryView
from llmzero_tui.values.snapshot import FeedFailure
from llmzero_tui.widgets.appearance import look, row
from llmzero_tui.widgets.keybar import KeyBar
from llmzero_tui.widgets.proposal_text import diagnosis
from llmzero_tui.widgets.sheet import Sheet
from llmzero_tui.widgets.stairs import layout, staircases

LONG = 9
"""Nodes of a path that the line on top names."""


class TrajectoryScreen(FeedScreen):
    """`came_from`: the node that was selected, whose path can be shown, too."""

    kind = "trajectory"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("trajectory")]

    def __init__(self, feed: TrajectoryFeed, came_from: int | None = None) -> None:
        super().__init__(id="trajectory")
        self.feed = feed
        self.snapshot: TrajectorySnapshot | None = None
        self._came_from = came_from
        self._best = True
        self._chosen: int | None = None
        self._lost = ""

    def compose(self) -> ComposeResult:
        yield Static(id="about", markup=False)
        with Vertical(id="path"):
            yield Sheet(id="stairs")
            yield Sheet(id="told")
        yield KeyBar()

    def on_mount(self) -> None:
        self.query_one("#stairs").focus()
        self.ready = True
        self._show()
        self.refresh_keys()

    # ---- snapshots --------------------------------------------------------------------------------------------------

    def view(self) -> TrajectoryView:
        return TrajectoryView(None if self._best else self._came_from)

    def apply(self, snapshot: TrajectorySnapshot, now: datetime) -> None:
        new = self.snapshot is None or [x.stage.node for x in self.snapshot.stages] != [
            x.stage.node for x in snapshot.stages
        ]
        self.snapshot, self._lost = snapshot, ""
        if new:
            self._chosen = None
        self._show()
        if new:
            self.call_after_refresh(self._seek)
        self.refresh_keys()

    def lost(self, why: FeedFailure, now: datetime) -> None:
        self._lost = why.reason
        self._show()

    @property
    def chosen(self) -> int:
        """The stage under the cursor: the last one at first."""
        stages = self.snapshot.stages if self.snapshot else ()
        last = max(0, len(stages) - 1)
        return last if self._chosen is None else min(self._chosen, last)

    def _show(self) -> None:
        self._header()
        snapshot, appearance = self.snapshot, look(self)
        if snapshot is None:
            return
        stages, space, chosen = snapshot.stages, snapshot.space, self.chosen
        stairs = self.query_one("#stairs", Sheet)
        first, widths = layout(stages, chosen, stairs.size.width)
        part = f" · stages {first + 1}–{first + len(widths)} of {len(stages)}" if len(widths) < len(stages) else ""
        stairs.show(
            (stages, chosen),
            lambda width: staircases(stages, space, chosen, width, appearance),
            f"Hyperparameters along the trajectory{part}",
        )
        shown = (stages, snapshot.dynamics)
        self.query_one("#told", Sheet).show(shown, lambda _: self._told(*shown), "Rationale of every stage")

    def _header(self) -> None:
        snapshot, appearance = self.snapshot, look(self)
        colours, about = appearance.palette, self.query_one("#about", Static)
        if snapshot is None:
            about.update(Text(plain(self._lost or "opening …", 200), style=colours.muted))
            return
        width = max(20, self.size.width - 2)
        first = Text.assemble((plain(snapshot.run.name, 28), f"bold {colours.text}"), "  ")
        first.append_text(appearance.state(snapshot.run.state))
        right = Text("no connection · retrying" if self._lost else "", style=colours.bad)
        stages = snapshot.stages
        what = "the best trajectory" if snapshot.best else f"the trajectory to #{snapshot.node}"
        left = Text.assemble((what, f"bold {colours.star if snapshot.best else colours.text}"))
        reported = snapshot.run.headline if snapshot.best else None
        end = reported or (stages[-1].score if stages else None)
        if end is not None:
            left.append("  " + score(end.value, end.low, end.high), style=f"bold {colours.star}")
            left.append(f" {plain(reported.policy, 60)}" if reported else "", style=colours.text)
            after = counted(stages[-1].stage.start + stages[-1].steps, "step")
            left.append(f" n={end.n} after {after}", style=colours.muted)
        left.append(f"  {_way(stages)}", style=colours.text)
        about.update(appearance.done(Text("\n").join([row(first, right, width), row(left, Text(""), width)])))

    def _told(self, stages: tuple[PathStage, ...], dynamics: tuple[ParameterDynamics, ...]) -> RenderableType:
        """Every transition of the path: from where, by whom, why, and what had been found before it; below what each
        hyperparameter did over all transitions of the run."""
        appearance = look(self)
        colours, lines = appearance.palette, list[RenderableType]()
        for index, each in enumerate(stages):
            stage = each.stage
            head = Text.assemble((_heading(index, len(stages)), f"bold {colours.wait}"))
            words = change_text(stage.changes, stage.label or intent_name(stage.intent))
            head.append(f"  #{stage.node} {plain(words, 200)}  ", style=f"bold {colours.text}")
            head.append_text(appearance.state(stage.state))
            if index:
                place = f"{intent_name(stage.intent)} from #{stages[index - 1].stage.node} step {stage.branch_step} · "
                place += f"{stage.advisor} · optimizer {stage.optimizer} · reference {stage.reference}"
                head.append(f"  {plain(place, 200)}", style=colours.muted)
            lines.append(appearance.done(head))
            lines += [diagnosis(d, appearance) for d in (dict.fromkeys(stages[index - 1].diagnoses) if index else ())]
            lines.append(appearance.done(Text(plain(stage.rationale, 2000, lines=True), style=colours.text)))
            if stage.expected:
                hope = Text.assemble(("expected  ", colours.muted), (plain(stage.expected, 600), colours.text))
                lines.append(appearance.done(hope))
            lines.append(Text(""))
        if dynamics_lines := list(dynamics_short(dynamics)):
            heading = f"Dynamics over all {counted(dynamics[0].transitions, 'transition')} of the run"
            lines.append(appearance.done(Text(heading, style=f"bold {colours.wait}")))
            lines += [appearance.done(Text(line, style=colours.text)) for line in dynamics_lines]
        return Group(*lines)

    def on_resize(self) -> None:
        self._show()
        self._make_room()

    @on(Sheet.Grown)
    def _make_room(self) -> None:
        """The staircases as high as they are, but not more than three parts of five; the rest for what was said."""
        stairs = self.query_one("#stairs", Sheet)
        stairs.styles.height = max(6, min(stairs.lines + 2, (self.size.height - 3) * 3 // 5))

    def restyle(self) -> None:
        super().restyle()
        self._show()

    # ---- actions ----------------------------------------------------------------------------------------------------

    def context(self) -> ActionContext:
        snapshot = self.snapshot
        if snapshot is None:
            return ActionContext(self.kind)
        other = None
        if self._came_from is not None:
            other = NodeRow(self._came_from, None, None, "", "", "", 0, 0, 0, False)
        return ActionContext(self.kind, state=snapshot.run.state, live=snapshot.run.live and not self._lost, node=other)

    def action_other_path(self) -> None:
        """The best path, or that to the node one came from."""
        self._best = not self._best
        self.app.poll(quick=True)

    def _walk(self, by: int) -> None:
        stages = self.snapshot.stages if self.snapshot else ()
        if not stages:
            return
        self._chosen = max(0, min(len(stages) - 1, self.chosen + by))
        self._show()
        self._seek()

    def _seek(self) -> None:
        """What was said at the chosen stage on top."""
        stages = self.snapshot.stages if self.snapshot else ()
        self.query_one("#told", Sheet).seek(_heading(self.chosen, len(stages)))

    def action_earlier(self) -> None:
        self._walk(-1)

    def action_later(self) -> None:
        self._walk(1)

    def action_back(self) -> None:
        """Back to the run."""
        self.dismiss()
        self.app.call_after_refresh(self.app.poll)


def _way(stages: tuple[PathStage, ...]) -> str:
    """The nodes of a path, the middle of a long one left out."""
    names = [f"#{each.stage.node}" for each in stages]
    if len(names) > LONG:
        names = [*names[:3], "…", *names[3 - LONG :]]
    return " → ".join(names)


def _heading(index: int, count: int) -> str:
    return f"{index + 1}/{count}"

"""The five tabs about the selected node: rationale, changes, samples, the log of the run, and the agents' calls.

One panel that scrolls; its text is drawn anew only when its tab, its data or its width changed.
"""

from __future__ import annotations

from rich.console import Group, RenderableType
from textual.content import Content

from llmzero_tui.values.ahead import explained, forecast_of
from llmzero_tui.values.nodes import NodeRow
from llmzero_tui.values.snapshot import NodeDetail, RunSnapshot
from llmzero_tui.values.standing import failure_of, without_training
from llmzero_tui.widgets.appearance import look
from llmzero_tui.widgets.sheet import Sheet

TABS = ("Rationale", "Changes", "Samples", "Log", "Agents")


class Details(Sheet):
    """The panel under the plot; `tab` is 0 … 4."""

    def __init__(self) -> None:
        super().__init__(id="details")
        self.tab = 0
        self._about: object = None

    def on_mount(self) -> None:
        self.border_title = self._tabs()

    def turn(self, tab: int, snapshot: RunSnapshot | None) -> None:
        """Show another tab from its top."""
        self.tab = tab
        self.border_title = self._tabs()
        self.take(snapshot)

    def restyle(self, snapshot: RunSnapshot | None) -> None:
        """Draw the title and the text in other colours."""
        self.border_title = self._tabs()
        self.take(snapshot)

    def _tabs(self) -> Content:
        colours = look(self).palette
        parts: list[Content | tuple[str, str]] = []
        for index, name in enumerate(TABS):
            style = f"bold {colours.text}" if index == self.tab else colours.muted
            parts.append((f"{index + 1} {name}", f"{style} @click=screen.tab_{index + 1}()"))
            if index < len(TABS) - 1:
                parts.append(("  ", ""))
        return Content.assemble(*parts)

    def take(self, snapshot: RunSnapshot | None) -> None:
        """Take a snapshot; nothing happens when this tab looks the same."""
        if snapshot is None or snapshot.detail is None:
            return
        detail = snapshot.detail
        node = snapshot.nodes.get(detail.node)
        shown: tuple[object, ...] = (
            (
                detail.stages,
                detail.diagnoses,
                detail.said,
                snapshot.writing,
                node,
                failure_of(snapshot),
                self._waits(snapshot, node),
                _reported(snapshot, node),
                _ahead(snapshot, node),
            ),
            (detail.stages, snapshot.space),
            (detail.samples, without_training(snapshot, node)),
            (snapshot.events, snapshot.commands),
            (detail.calls,),
        )[self.tab]
        self.show((self.tab, shown), lambda width: self._drawn(snapshot, detail, node, width), None)
        if (self.tab, detail.node) != self._about:
            self._about = (self.tab, detail.node)
            self.top()

    def _waits(self, snapshot: RunSnapshot, node: NodeRow | None) -> bool:
        """Whether the node is a proposal that waits for the human."""
        proposal = snapshot.proposal(node.id) if node is not None else None
        return proposal is not None and proposal.waits

    def _drawn(self, snapshot: RunSnapshot, detail: NodeDetail, node: NodeRow | None, width: int) -> RenderableType:
        from llmzero_tui.widgets import call_texts, node_texts  # not before the first paint

        appearance = look(self)
        if self.tab == 0:
            return Group(
                *node_texts.failure(failure_of(snapshot), appearance),
                *node_texts.written(snapshot.writing, appearance),
                *node_texts.reported(*_reported(snapshot, node), appearance),
                node_texts.rationale(
                    detail, node, appearance, waits=self._waits(snapshot, node), ahead=_ahead(snapshot, node)
                ),
            )  # fmt: skip
        if self.tab == 1:
            return node_texts.changes(detail, snapshot.space, appearance)
        if self.tab == 2:
            return node_texts.samples(detail.samples, without_training(snapshot, node), appearance)
        if self.tab == 3:
            return node_texts.log(snapshot.events, snapshot.commands, width, appearance)
        return call_texts.short(detail.calls, width, appearance)


def _ahead(snapshot: RunSnapshot, node: NodeRow | None) -> str:
    """What the branch of a node is forecast to score; "" where nothing is."""
    made = forecast_of(snapshot.forecasts, snapshot.nodes, node.id) if node is not None else None
    return explained(made) if made is not None else ""


def _reported(snapshot: RunSnapshot, node: NodeRow | None) -> tuple[str, str]:
    """Why the run reports the policy of this node, and how plain GRPO compares; "" for every other node."""
    best = snapshot.run.best
    mine = node is not None and best is not None and best.node == node.id
    return (snapshot.run.decision, snapshot.yardstick) if mine else ("", "")

"""What pruning a node cuts, as a small tree, and why: the answer is the reason, which may be empty. Escape: nothing.

Opened by the run screen. Labels are foreign text.
"""

from __future__ import annotations

from typing import ClassVar

from rich.console import Group
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from llmzero_tui.format import fit, narrow, plain, score
from llmzero_tui.values.nodes import NodeRow, Nodes
from llmzero_tui.widgets.appearance import look
from llmzero_tui.widgets.sheet import Sheet

SHOWN = 500
"""Lines of the small tree; a larger one ends with how many more there are."""
FRAME_LINES = 11


class PruneScreen(ModalScreen[str | None]):
    """Enter prunes, the arrows scroll the tree."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", show=False),
        Binding("down", "walk(1)", show=False, priority=True),
        Binding("up", "walk(-1)", show=False, priority=True),
        Binding("pagedown", "walk(8)", show=False, priority=True),
        Binding("pageup", "walk(-8)", show=False, priority=True),
    ]

    def __init__(self, nodes: Nodes, node_id: int, best: int | None) -> None:
        """`best` is the node of the policy that the run reports."""
        super().__init__()
        self._best = best
        self._node = nodes[node_id]
        self._cut = subtree(nodes, node_id)

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog wide"):
            yield Static(id="words", markup=False)
            yield Sheet(id="cut")
            yield Input(id="answer", placeholder="reason (optional)", compact=True, max_length=4000)
            yield Static(id="answers", markup=False)

    def on_mount(self) -> None:
        appearance, colours, node = look(self), look(self).palette, self._node
        self.query_one(".dialog").border_title = appearance.title(f"Prune #{node.id} {plain(node.label, 40)}")
        count = len(self._cut)
        text = Text("Excluded from further search: ", style=colours.text)
        text.append(f"{count} node{'s' if count > 1 else ''}", style=f"bold {colours.text}")
        running = [n.id for _, n in self._cut if n.state == "running"]
        if running:
            names = ", ".join(f"#{i}" for i in running)
            text.append(f"\n! {names} is training and stops after the current step", style=colours.warn)
        if any(n.id == self._best for _, n in self._cut):
            text.append(f"\n! the best checkpoint so far is in it: #{self._best}; it stays usable",
                        style=colours.warn)  # fmt: skip
        self.query_one("#words", Static).update(appearance.done(text))
        line = Text()
        for key, label in (("enter", "Prune"), ("↑↓", "Scroll"), ("esc", "Cancel")):
            line.append(f"{key} ", style=f"bold {colours.wait}").append(f"{label}   ", style=colours.muted)
        self.query_one("#answers", Static).update(appearance.done(line))
        sheet = self.query_one("#cut", Sheet)
        sheet.can_focus = False
        sheet.show(self._node.id, self._tree, "what is pruned")
        self.query_one("#answer").focus()

    def on_resize(self) -> None:
        room = max(3, self.size.height - FRAME_LINES - 3)
        self.query_one("#cut").styles.height = min(room, min(len(self._cut), SHOWN) + 2)

    def _tree(self, width: int) -> Group:
        appearance, colours = look(self), look(self).palette
        lines = []
        for depth, node in self._cut[:SHOWN]:
            glyph, colour = appearance.glyph(node.state)
            name = "  " * min(depth, 12) + f"#{node.id} {plain(node.label or node.intent, 40)}"
            text = Text.assemble((fit(name, max(10, width - 38)), colours.text))
            text.append(f" {glyph} {plain(node.state, 14):<14}", style=colour)
            best = narrow(score(node.best.value, node.best.low, node.best.high)) if node.best else ""
            text.append(f" {best:<16}", style=colours.text)
            lines.append(appearance.done(text))
        if len(self._cut) > SHOWN:
            lines.append(Text(f"and {len(self._cut) - SHOWN} more", style=colours.muted))
        return Group(*lines)

    def action_walk(self, by: int) -> None:
        self.query_one("#cut", Sheet).action_move(by)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        self.dismiss(event.value.strip())

    def action_cancel(self) -> None:
        """Close, and nothing happens."""
        self.dismiss(None)


def subtree(nodes: Nodes, node_id: int) -> list[tuple[int, NodeRow]]:
    """A node and all below it in the order of the tree, each with its depth under the node."""
    below: list[tuple[int, NodeRow]] = []
    rest = [(0, node_id)]
    while rest:
        depth, number = rest.pop()
        below.append((depth, nodes[number]))
        rest.extend((depth + 1, child) for child in reversed(nodes.children.get(number, [])))
    return below

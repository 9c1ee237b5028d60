"""The search tree: one line a node with label, score, reward sparkline and state. It drives what the right side shows.

Updated in place from snapshots: a label is set anew only when its node changed. Posts `Picked` when the cursor moves.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, floor
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Tree
from textual.widgets.tree import TreeNode

from llmzero_tui.data import Node, Proposal, Scored
from llmzero_tui.format import MISSING, SHORT_STATES, plain, share
from llmzero_tui.widgets.look import cell, look

SCORED = frozenset({"finished", "stopped", "early-stopped", "running"})
SCORE_CELLS = 4
SPARK_CELLS = 6


class SearchTree(Tree[int], inherit_bindings=False):
    """Nodes by id; the tree's own root is the base model."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "cursor_up", show=False),
        Binding("down,j", "cursor_down", show=False),
        Binding("right,l", "open_node", show=False),
        Binding("left,h", "close_node", show=False),
        Binding("enter", "fold", show=False),
        Binding("home", "scroll_home", show=False),
        Binding("end,G", "scroll_end", show=False),
        Binding("pageup", "page_up", show=False),
        Binding("pagedown", "page_down", show=False),
    ]
    ICON_NODE = ""
    ICON_NODE_EXPANDED = ""

    class Picked(Message):
        """The cursor stands on another node."""

        def __init__(self, node_id: int) -> None:
            super().__init__()
            self.node_id = node_id

    ASCII_LINES: ClassVar = {
        "default": ("  ", "| ", "`-", "+-"),
        "bold": ("  ", "| ", "`-", "+-"),
        "double": ("  ", "| ", "`-", "+-"),
    }

    def __init__(self) -> None:
        super().__init__("", id="tree")
        self.guide_depth = 2
        self.auto_expand = True
        self.show_root = True
        self._places: dict[int, TreeNode[int]] = {}
        self._known: Mapping[int, Node] = {}
        self._shown: dict[int, tuple[object, ...]] = {}
        self._best: Scored | None = None
        self._waiting: frozenset[int] = frozenset()
        self._extent = (0.0, 1.0)
        self._filter = ""
        self._picked: int | None = None
        self._awaited: int | None = None

    def on_mount(self) -> None:
        self.border_title = "Search tree"
        if look(self).ascii:
            self.LINES = self.ASCII_LINES

    # ---- from snapshots ---------------------------------------------------------------------------------------------

    def show(self, nodes: Mapping[int, Node], best: Scored | None, inbox: tuple[Proposal, ...]) -> None:
        """Take the nodes of a snapshot; only lines that changed are drawn anew."""
        values = [v for n in nodes.values() for v in n.spark if v is not None]
        # Outward to tenths: otherwise every step of a running segment would redraw every line.
        extent = (floor(10 * min(values, default=0.0)) / 10, ceil(10 * max(values, default=1.0)) / 10)
        redraw = extent != self._extent
        self._known, self._best, self._extent = nodes, best, extent
        self._waiting = frozenset(p.node for p in inbox if p.waits)
        visible = self._visible()
        for withdrawn in self._places.keys() - nodes.keys():
            self._places.pop(withdrawn).remove()
            self._shown.pop(withdrawn, None)
        for node in nodes.values():
            if node.id not in visible:
                continue
            place = self._places.get(node.id) or self._add(node)
            state = (node, node.id in self._waiting, self._starred(node))
            if self._shown.get(node.id) != state:
                self._shown[node.id] = state
                place.set_label(node.label[:80])
        self.border_subtitle = look(self).title(self._count())
        if redraw:
            self.notify_style_update()

    def _count(self) -> str:
        """How many nodes there are, or how they are filtered."""
        if self._filter:
            return f"/{self._filter} · esc shows all"
        proposed = sum(n.state == "proposed" for n in self._known.values())
        words = f"{len(self._known) - 1 - proposed} nodes"
        return f"{words} · {proposed} proposed" if proposed else words

    def filter(self, text: str) -> None:
        """Show only nodes that match, with the way to them; all of them for an empty text."""
        self._filter = text.strip().lower()
        chosen = self._picked
        self.clear()
        self._places.clear()
        self._shown.clear()
        self.show(self._known, self._best, ())
        if chosen is not None:
            self.pick(chosen)

    def pick(self, node_id: int) -> None:
        """Move the cursor to a node, opening what hides it."""
        place = self._places.get(node_id)
        if place is None:
            return
        above = place.parent
        while above is not None:
            above.expand()
            above = above.parent
        self._picked = self._awaited = node_id
        self.call_after_refresh(self._move_to, node_id)

    def _move_to(self, node_id: int) -> None:
        place = self._places.get(node_id)
        if place is None or self._awaited != node_id:
            return
        if self.cursor_node is place:
            self._awaited = None
        self.move_cursor(place)

    def on_tree_node_highlighted(self, event: Tree.NodeHighlighted[int]) -> None:
        """The cursor moved: by the human, or on its way to a picked node (then older moves do not count)."""
        event.stop()
        node_id = event.node.data
        if self._awaited is not None:
            if node_id == self._awaited:
                self._awaited = None
            return
        if node_id is not None and node_id != self._picked:
            self._picked = node_id
            self.post_message(self.Picked(node_id))

    def _visible(self) -> set[int]:
        """Nodes that match the filter, and the way to each."""
        if not self._filter:
            return set(self._known)
        found: set[int] = set()
        for node in self._known.values():
            at: Node | None = node if self._hit(node) else None
            while at is not None and at.id not in found:
                found.add(at.id)
                at = self._known.get(at.parent) if at.parent is not None else None
        return found

    def _hit(self, node: Node) -> bool:
        return self._filter in f"#{node.id} {node.label} {node.state} {node.intent}".lower()

    def _add(self, node: Node) -> TreeNode[int]:
        parent = self._places.get(node.parent) if node.parent is not None else None
        if parent is None:
            self.root.data = node.id
            self.root.expand()
            place = self.root
        else:
            place = parent.add("", data=node.id, expand=True)
        self._places[node.id] = place
        return place

    def _starred(self, node: Node) -> bool:
        return self._best is not None and self._best.node == node.id

    # ---- drawing ----------------------------------------------------------------------------------------------------

    def render_label(self, node: TreeNode[int], base_style: Style, style: Style) -> Text:
        found = self._known.get(node.data) if node.data is not None else None
        if found is None:
            return Text(" ")
        depth, above = 0, node.parent
        while above is not None:
            depth, above = depth + 1, above.parent
        width = max(12, self.scrollable_content_region.width - self.guide_depth * depth - 1)
        text = self._line(found, width, folded=bool(node.children) and not node.is_expanded)
        text.stylize_before(style)
        return look(self).done(text)

    def _line(self, node: Node, width: int, *, folded: bool) -> Text:
        dress = look(self)
        colours = dress.palette
        right = self._right(node)
        name = Text(f"#{node.id}", style=colours.muted if node.pruned else colours.text)
        name.append(" ")
        label = plain(node.label or node.intent, 60)
        name.append(label, style=f"{colours.muted} strike" if node.pruned else self._label_style(node))
        if folded:
            name.append(" +", style=colours.muted)
        space = width - right.cell_len
        if name.cell_len > space - 1:
            name.truncate(space - 1, overflow="ellipsis")
        name.append(" " * (space - name.cell_len))
        return name.append_text(right)

    def _label_style(self, node: Node) -> str:
        colours = look(self).palette
        if node.id in self._waiting:
            return colours.wait
        return colours.text if node.state in SCORED else colours.muted

    def _right(self, node: Node) -> Text:
        """Star, score, sparkline and glyph: always as wide, so that the columns stand."""
        dress = look(self)
        colours = dress.palette
        starred = self._starred(node)
        text = Text("★ " if starred else "  ", style=colours.star)
        glyph, colour = dress.glyph("pending" if node.id in self._waiting else node.state)
        if node.best is None and node.state not in SCORED:
            word = SHORT_STATES.get(node.state, node.state)
            text.append_text(cell(word, SCORE_CELLS + 1 + SPARK_CELLS, colour, right=True))
        else:
            value = share(node.best.value) if node.best else MISSING
            style = f"bold {colours.star}" if starred else colours.text
            text.append(f"{value:>{SCORE_CELLS}} ", style=style)
            text.append(dress.spark(node.spark, *self._extent).ljust(SPARK_CELLS), style=colours.trail)
        return text.append(f" {glyph}", style=colour)

    # ---- keys -------------------------------------------------------------------------------------------------------

    def action_open_node(self) -> None:
        """Unfold, or go to the first child."""
        node = self.cursor_node
        if node is None:
            return
        if node.children and not node.is_expanded:
            node.expand()
        elif node.children:
            self.move_cursor(node.children[0])

    def action_close_node(self) -> None:
        """Fold, or go to the parent."""
        node = self.cursor_node
        if node is None:
            return
        if node.children and node.is_expanded and not node.is_root:
            node.collapse()
        elif node.parent is not None:
            self.move_cursor(node.parent)

    def action_fold(self) -> None:
        """Fold or unfold what is below."""
        if self.cursor_node is not None and self.cursor_node.children:
            self.cursor_node.toggle()

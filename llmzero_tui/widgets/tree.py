"""The search tree: one line a node with label, score, reward sparkline and state. It drives what the right side shows.

Takes snapshots and draws only the lines that are on screen and look otherwise than before; a tree of ten thousand nodes
costs what a small one does. Posts `Picked` when the cursor moves, `Revealed` when lines come into view whose small
curves were not read yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from rich.segment import Segment
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from engine.words import intent_name
from llmzero_tui.format import HUMAN, MISSING, NOTE, SHORT_STATES, narrow, plain, share
from llmzero_tui.values.ahead import best_predicted
from llmzero_tui.values.nodes import NodeRow, Nodes, ShownScore
from llmzero_tui.values.snapshot import RunSnapshot
from llmzero_tui.widgets.appearance import Appearance, cell, look
from llmzero_tui.widgets.tree_lines import TreeLine, count_words, heading, lines_of, matching, shortened

SCORED = frozenset({"finished", "stopped", "early-stopped", "running", "interrupted"})
SCORE_CELLS = 4
SPARK_CELLS = 6
LABEL_CELLS = 31
"""The least a node's own line gets; guides of a deep tree give way."""
STRIPS_KEPT = 1000
ASCII_GUIDES = str.maketrans("│├└…", "|+`.")
Spark = tuple[float | None, ...]


def hands(node: NodeRow, appearance: Appearance) -> Text:
    """A mark of a node that a human made or edited, and one of a human's note; nothing for most nodes."""
    text = Text()
    if node.human:
        text.append(f" {HUMAN}", style=appearance.palette.wait)
    if node.note:
        text.append(f" {NOTE}", style=appearance.palette.live)
    return text


class SearchTree(ScrollView, can_focus=True):
    """Nodes by number; the first is the base model."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"tree--guides", "tree--cursor"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("right,l", "open_node", show=False),
        Binding("left,h", "close_node", show=False),
        Binding("enter", "fold", show=False),
        Binding("home", "first", show=False),
        Binding("end,G", "last", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
    ]

    class Picked(Message):
        """The cursor stands on another node."""

        def __init__(self, node_id: int) -> None:
            super().__init__()
            self.node_id = node_id

    class Revealed(Message):
        """Lines came into view whose small curves are not known."""

    def __init__(self) -> None:
        super().__init__(id="tree")
        self.lines: list[TreeLine] = []
        self.cursor: int | None = None
        self._places: dict[int, int] = {}
        self._folded: set[int] = set()
        self._known = Nodes()
        self._extent = (0.0, 1.0)
        self._best: ShownScore | None = None
        self._waiting: frozenset[int] = frozenset()
        self._filter = ""
        self._matching: set[int] | None = None
        self._snapshot: RunSnapshot | None = None
        self._told = ""
        self._strips: dict[int, tuple[object, Strip]] = {}
        self._asked: frozenset[int] = frozenset()
        self._letters: Mapping[int, str] = {}
        self._counted: tuple[str, str, Appearance | None] = ("", "", None)

    def on_mount(self) -> None:
        self.border_title = heading("", 0)

    # ---- from snapshots ---------------------------------------------------------------------------------------------

    def show(self, snapshot: RunSnapshot) -> None:
        """Take a snapshot; only lines that look otherwise are drawn anew."""
        before, self._known, self._snapshot = self._known, snapshot.nodes, snapshot
        told, self._told = self._told, best_predicted(snapshot.forecasts)
        self._best, self._extent = snapshot.run.best, snapshot.extent
        self._waiting = frozenset(p.node for p in snapshot.inbox if p.waits)
        if self._known is not before:
            matches = matching(self._known, self._filter) if self._filter else None
            if self._known.children is not before.children or matches != self._matching:
                self._matching = matches
                self._lay_out()
        if self._known is not before or self._told != told:
            self._count()
        self._refresh_changed()
        self._reveal()

    def _count(self) -> None:
        """How many nodes there are, or how they are filtered."""
        words = f"/{self._filter} · esc shows all" if self._filter else count_words(self._known)
        counted = (words, heading(self._told, self.size.width - 2), look(self))
        if counted != self._counted:  # to set a title draws the whole panel
            self._counted = counted
            self.border_subtitle, self.border_title = look(self).title(words), look(self).title(counted[1])

    def filter(self, text: str) -> None:
        """Show only nodes that match, with the way to them; all of them for an empty text."""
        self._filter = text.strip().lower()
        matches = matching(self._known, self._filter) if self._filter else None
        if matches != self._matching:
            self._matching = matches
            self._lay_out()
        self._count()
        if self.cursor in self._places:
            self.call_after_refresh(self._keep_in_view)
        self._reveal()

    def pick(self, node_id: int) -> None:
        """Move the cursor to a node, opening what hides it; says nothing to anybody."""
        node = self._known.get(node_id)
        if node is None:
            return
        above, hidden = self._known.get(node.parent) if node.parent is not None else None, False
        while above is not None:
            hidden = hidden or above.id in self._folded
            self._folded.discard(above.id)
            above = self._known.get(above.parent) if above.parent is not None else None
        if hidden:
            self._lay_out()
        self._put(node_id)
        # Once the lines have their place: a tree that was just laid out cannot scroll yet.
        self.call_after_refresh(self._keep_in_view)

    def _lay_out(self) -> None:
        """Find the lines anew: nodes came or went, were folded or filtered."""
        before, first = self._place, self.scroll_offset.y
        self.lines = lines_of(self._known, self._folded if not self._filter else frozenset(), self._matching)
        self._places = {line.node: place for place, line in enumerate(self.lines)}
        self._take_room()
        if before is not None and self._place is not None and first <= before < first + self.size.height:
            # What stands under the eye stays where it is when lines come or go above it.
            self.scroll_to(y=first + self._place - before, animate=False)
        if self.cursor is not None and self.cursor not in self._known and self.lines:
            self._put(self.lines[0].node, tell=True)
        self.refresh()

    def _take_room(self) -> None:
        """Say how many lines there are. The screen is laid out anew only when the scroll bar comes or goes."""
        size, height = Size(self.scrollable_content_region.width, len(self.lines)), self.size.height
        if (self.virtual_size.height > height) != (size.height > height) or size.width != self.virtual_size.width:
            self.virtual_size = size
        elif size != self.virtual_size:
            self.set_reactive(SearchTree.virtual_size, size)
            self._scroll_update(size)

    def _refresh_changed(self) -> None:
        """Draw the lines on screen that look otherwise than they were drawn."""
        first = self.scroll_offset.y
        for place, line in enumerate(self.lines[first : first + self.size.height], first):
            known = self._strips.get(line.node)
            if known is None or known[0] != self._state(line):
                self.refresh_line(place)

    # ---- what is on screen ------------------------------------------------------------------------------------------

    @property
    def on_screen(self) -> tuple[int, ...]:
        """The nodes whose lines can be seen."""
        first = self.scroll_offset.y
        return tuple(line.node for line in self.lines[first : first + self.size.height])

    def _reveal(self) -> None:
        """Ask for the small curves of lines that came into view, once."""
        if self._snapshot is None:
            return
        missing = frozenset(self.on_screen) - self._snapshot.sparks.keys()
        if missing - self._asked:
            self.post_message(self.Revealed())
        self._asked = missing

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._reveal()

    def on_resize(self) -> None:
        self._take_room()
        if self._told:
            self._count()
        self._reveal()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._strips.clear()
        if self.is_mounted and self._known:
            self._count()

    def letter(self, letters: Mapping[int, str]) -> None:
        """Show which nodes are marked to be compared, each with its letter."""
        self._letters = letters
        self._strips.clear()
        self.refresh()

    # ---- drawing ----------------------------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        place, width = y + self.scroll_offset.y, self.size.width
        if place >= len(self.lines):
            return Strip.blank(width, self.rich_style)
        line = self.lines[place]
        state = self._state(line)
        known = self._strips.get(line.node)
        if known is None or known[0] != state:
            if len(self._strips) >= STRIPS_KEPT:
                self._strips.clear()
            known = self._strips[line.node] = (state, self._drawn(line, width))
        return known[1]

    def _state(self, line: TreeLine) -> tuple[object, ...]:
        """Everything that decides how a line looks."""
        number = line.node
        sparks = self._snapshot.sparks if self._snapshot is not None else {}
        return (
            self._known.get(number), line.guide, sparks.get(number), self._extent, number in self._waiting,
            self._best is not None and self._best.node == number, number in self._folded, number == self.cursor,
            self.has_focus, self.size.width, look(self),
        )  # fmt: skip

    def _drawn(self, line: TreeLine, width: int) -> Strip:
        appearance, style = look(self), self.rich_style
        guide = shortened(line.guide, max(2, width - 1 - LABEL_CELLS))
        guides = Text(guide.translate(ASCII_GUIDES) if appearance.ascii else guide)
        guides.stylize(self.get_component_rich_style("tree--guides", partial=True))
        node = self._known[line.node]
        folded = node.id in self._folded and bool(self._known.children.get(node.id))
        label = appearance.done(self._line(node, max(12, width - len(guide) - 1), folded=folded))
        if node.id == self.cursor:
            label.stylize_before(self.get_component_rich_style("tree--cursor"))
        guides.style = style
        guides.append_text(label)
        segments: list[Segment] = list(guides.render(self.app.console))
        return Strip(segments).adjust_cell_length(width, style).crop(0, width)

    def _line(self, node: NodeRow, width: int, *, folded: bool) -> Text:
        appearance = look(self)
        colours = appearance.palette
        right = self._right(node)
        letter = self._letters.get(node.id, "")
        name = Text(f"◆{letter} " if letter else "", style=f"bold {colours.star}")
        name.append(f"#{node.id}", style=colours.muted if node.pruned else colours.text)
        name.append(" ")
        label = plain(node.label or intent_name(node.intent), 60)
        name.append(label, style=f"{colours.muted} strike" if node.pruned else self._label_style(node))
        if folded:
            name.append(" +", style=colours.muted)
        space = width - right.cell_len
        marks = hands(node, appearance)
        space -= marks.cell_len
        if name.cell_len > space - 1:
            name.truncate(space - 1, overflow="ellipsis")
        name.append_text(marks)
        name.append(" " * (space + marks.cell_len - name.cell_len))
        return name.append_text(right)

    def _label_style(self, node: NodeRow) -> str:
        colours = look(self).palette
        if node.id in self._waiting:
            return colours.wait
        return colours.text if node.state in SCORED else colours.muted

    def _right(self, node: NodeRow) -> Text:
        """Star, score, sparkline and glyph: always as wide, so that the columns stand."""
        appearance = look(self)
        colours = appearance.palette
        starred = self._best is not None and self._best.node == node.id
        text = Text("★ " if starred else "  ", style=colours.star)
        glyph, colour = appearance.glyph("pending" if node.id in self._waiting else node.state)
        if node.best is None and node.state not in SCORED:
            word = SHORT_STATES.get(node.state, node.state)
            text.append_text(cell(word, SCORE_CELLS + 1 + SPARK_CELLS, colour, right=True))
        else:
            value = narrow(share(node.best.value)) if node.best else MISSING
            style = f"bold {colours.star}" if starred else colours.text
            spark: Spark = self._snapshot.sparks.get(node.id, ()) if self._snapshot is not None else ()
            text.append(f"{value:>{SCORE_CELLS}} ", style=style)
            few = self._known.first_look(node)
            beside = f"n {few}" if few else appearance.spark(spark, *self._extent)
            text.append(beside[:SPARK_CELLS].ljust(SPARK_CELLS), style=colours.warn if few else colours.trail)
        return text.append(f" {glyph}", style=colour)

    # ---- the cursor -------------------------------------------------------------------------------------------------

    def _put(self, node_id: int, *, tell: bool = False) -> None:
        """Put the cursor on a node and draw the two lines that differ."""
        if node_id == self.cursor:
            return
        before, self.cursor = self.cursor, node_id
        for number in (before, node_id):
            if number is not None and number in self._places:
                self.refresh_line(self._places[number])
        if tell:
            self.post_message(self.Picked(node_id))

    def _keep_in_view(self) -> None:
        place = self._places.get(self.cursor) if self.cursor is not None else None
        if place is not None:
            self.scroll_to_region(Region(0, place, 1, 1), animate=False, force=True, x_axis=False)

    def _go(self, place: int) -> None:
        """Put the cursor on a line, by hand."""
        if self.lines:
            self._put(self.lines[max(0, min(len(self.lines) - 1, place))].node, tell=True)
            self._keep_in_view()

    @property
    def _place(self) -> int | None:
        return self._places.get(self.cursor) if self.cursor is not None else None

    def on_click(self, event: events.Click) -> None:
        """Put the cursor there; a second click folds."""
        offset = event.get_content_offset(self)
        if offset is None or not 0 <= offset.y + self.scroll_offset.y < len(self.lines):
            return
        place = offset.y + self.scroll_offset.y
        if place == self._place:
            self.action_fold()
        else:
            self._go(place)

    # ---- keys -------------------------------------------------------------------------------------------------------

    def action_move(self, by: int) -> None:
        """One line up or down."""
        place = self._place
        self._go((0 if by > 0 else len(self.lines) - 1) if place is None else place + by)

    def action_page(self, by: int) -> None:
        """A page up or down."""
        self._go((self._place or 0) + by * max(1, self.size.height - 1))

    def action_first(self) -> None:
        """The root."""
        self._go(0)

    def action_last(self) -> None:
        """The last line."""
        self._go(len(self.lines) - 1)

    def action_open_node(self) -> None:
        """Unfold, or go to the first child."""
        place = self._place
        if place is None or not self._known.children.get(self.lines[place].node):
            return
        if self.lines[place].node in self._folded and not self._filter:
            self.action_fold()
        else:
            self._go(place + 1)

    def action_close_node(self) -> None:
        """Fold, or go to the parent."""
        place = self._place
        if place is None:
            return
        number = self.lines[place].node
        parent = self._known[number].parent
        if self._known.children.get(number) and number not in self._folded and place > 0 and not self._filter:
            self.action_fold()
        elif parent in self._places:
            self._go(self._places[parent])

    def action_fold(self) -> None:
        """Fold or unfold what is below."""
        number = self.cursor
        if self._filter or number not in self._places or not self._known.children.get(number):
            return
        self._folded ^= {number}
        self._lay_out()
        self._reveal()

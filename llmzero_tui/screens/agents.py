"""Every call of every advisor: what it cost on top, a list, and one in full with what was sent and what came back.

Opened from the run screen. Shows snapshots of its own feed only. A call in progress is read again at every look, so its
words appear as they are written.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Static

from llmzero_tui import plots
from llmzero_tui.actions import ActionContext, bindings
from llmzero_tui.feeds.agents import AgentsFeed
from llmzero_tui.format import plain
from llmzero_tui.screens.paged import PagedScreen
from llmzero_tui.values.calls import AgentsSnapshot, AgentsView, CallLine
from llmzero_tui.widgets import call_texts as texts
from llmzero_tui.widgets.appearance import Appearance, look, row
from llmzero_tui.widgets.folding import Folding
from llmzero_tui.widgets.keybar import KeyBar
from llmzero_tui.widgets.rows import Rows


class AgentsScreen(PagedScreen):
    """A list of calls over the chosen one."""

    kind = "agents"
    BINDINGS: ClassVar[list[BindingType]] = bindings("agents")

    def __init__(self, feed: AgentsFeed) -> None:
        super().__init__(id="agents-screen")
        self.feed = feed
        self.snapshot: AgentsSnapshot | None = None
        self._view = AgentsView()

    def compose(self) -> ComposeResult:
        yield Static(id="title", markup=False)
        yield Static(id="filters", markup=False)
        yield Static(id="record", markup=False)
        with Vertical(id="body"):
            yield Rows("calls")
            yield Folding(id="call")
        yield KeyBar()

    def on_mount(self) -> None:
        self.query_one(Rows).focus()
        self.ready = True
        self._show()

    # ---- snapshots --------------------------------------------------------------------------------------------------

    def apply(self, snapshot: AgentsSnapshot, now: datetime) -> None:
        self._lost = ""
        if snapshot.view == self._view:  # else asked otherwise meanwhile; that look is under way
            self.snapshot = snapshot
            self._show()

    def look_at(self, **changes: Any) -> None:
        """Ask for other calls: from the first page and the newest of them, unless `changes` say otherwise."""
        self.query_one(Rows).first()
        self._turn(**{"page": 0, "chosen": None, **changes})

    def _turn(self, **changes: Any) -> None:
        self._view = replace(self._view, **changes)
        self._title()
        self.poll_now()

    # ---- drawing ----------------------------------------------------------------------------------------------------

    def _show(self) -> None:
        self._title()
        self._list()
        self._whole()
        self.refresh_keys()

    def _title(self) -> None:
        snapshot, appearance, width = self.snapshot, look(self), max(10, self.size.width - 2)
        colours = appearance.palette
        left = Text.assemble(
            ("LLMZero ", colours.muted), (plain(self.feed.path.name, 28), f"bold {colours.text}"),
            ("  Agents  ", colours.muted),
        ).append_text(texts.filters(self._view, appearance))  # fmt: skip
        right = Text(plain(self._lost, 80), style=colours.bad)
        if not self._lost and snapshot is not None and snapshot.pages > 1:
            right = Text(f"page {snapshot.view.page + 1} of {snapshot.pages}", style=colours.muted)
        self.query_one("#title", Static).update(appearance.done(row(left, right, width)))
        self.query_one("#filters", Static).update(texts.totals(snapshot.totals if snapshot else None, appearance))
        record = self.query_one("#record", Static)
        record.display = bool(snapshot and snapshot.record)
        record.update(texts.record(snapshot.record if snapshot else (), appearance))

    def _list(self) -> None:
        rows, snapshot = self.query_one(Rows), self.snapshot
        lines: tuple[CallLine, ...] = snapshot.lines if snapshot is not None else ()

        def draw(index: int, width: int, appearance: Appearance) -> Text:
            return texts.line(lines[index], width, appearance)

        whole = snapshot.whole if snapshot is not None else None
        rows.head(texts.columns(rows.size.width))
        chosen = whole.line.call if whole is not None else None
        rows.show([f.call for f in lines], (lines, look(self)), draw, chosen, texts.nothing(snapshot))

    def _whole(self) -> None:
        sheet, appearance = self.query_one(Folding), look(self)
        whole = self.snapshot.whole if self.snapshot is not None else None
        if whole is None:
            sheet.take(None, appearance, Text(""), (), "")
        else:
            head, sections = texts.head(whole, appearance), texts.sections(whole, appearance)
            sheet.take(whole.line.call, (whole, appearance), head, sections, f"call {whole.line.call}")

    def on_resize(self) -> None:
        self._title()
        self.call_after_refresh(self._list)

    def context(self) -> ActionContext:
        snapshot = self.snapshot
        whole = snapshot.whole if snapshot is not None else None
        return ActionContext(
            self.kind, chosen=whole is not None, pages=snapshot is not None and snapshot.pages > 1,
            pictures=whole is not None and bool(whole.images),
        )  # fmt: skip

    # ---- events and actions -----------------------------------------------------------------------------------------

    @on(Rows.Picked)
    def _picked(self, event: Rows.Picked) -> None:
        self._turn(chosen=event.number)

    def action_errors(self) -> None:
        """Only what failed, or everything."""
        self.look_at(errors=not self._view.errors)

    def action_role(self) -> None:
        """The next role; after the last one all again."""
        roles = ("", *(self.snapshot.totals.roles if self.snapshot else ()))
        place = roles.index(self._view.role) if self._view.role in roles else 0
        self.look_at(role=roles[(place + 1) % len(roles)])

    def action_one_node(self) -> None:
        """Calls about one node."""
        from llmzero_tui.screens.dialogs import AskText

        def go(answer: str | None) -> None:
            number = (answer or "").strip().lstrip("#")
            if answer is None:
                return
            if number and not (number.isascii() and number.isdecimal() and len(number) < 9):
                self.notify("a node's number, such as 13", severity="warning", markup=False)
                return
            self.look_at(node=int(number) if number else None)

        self.app.push_screen(AskText("Calls about one node", "Its number (empty: all nodes)", button="Show"), go)

    def action_next_section(self) -> None:
        """The next part of the call."""
        self.query_one(Folding).go(1)

    def action_previous_section(self) -> None:
        """The part before."""
        self.query_one(Folding).go(-1)

    def action_fold(self) -> None:
        """This part, open or folded."""
        self.query_one(Folding).toggle()

    def action_fold_all(self) -> None:
        """Every part, open or folded."""
        self.query_one(Folding).toggle_all()

    def action_plots(self) -> None:
        """The pictures of this call: in a viewer where there is one; else their names go to the clipboard."""
        whole = self.snapshot.whole if self.snapshot is not None else None
        if whole is None:
            return
        pictures = plots.of_call(self.feed.path, whole.images)
        self.notify(plots.show(pictures), timeout=10, markup=False)
        if pictures and plots.viewer() is None:
            names = "\n".join(str(p.resolve()) for p in pictures)
            self.app.copy(names, "the pictures' paths")

    def action_copy(self) -> None:
        """The call that is read, all of its sections."""
        whole = self.snapshot.whole if self.snapshot is not None else None
        if whole is not None:
            self.app.copy(texts.as_text(whole), f"call {whole.line.call}")

    def _page(self, by: int) -> None:
        snapshot = self.snapshot
        if snapshot is not None and snapshot.view == self._view and 0 <= self._view.page + by < snapshot.pages:
            self.look_at(page=self._view.page + by)

    def action_zoom(self) -> None:
        """The call alone, or the list again."""
        self.zoomed = not self.zoomed
        self.query_one(Rows).display = not self.zoomed
        self.query_one("#call" if self.zoomed else "#calls").focus()

    def action_back(self) -> None:
        """Out of the zoom; then to the run."""
        if self.zoomed:
            self.action_zoom()
        else:
            self.dismiss()

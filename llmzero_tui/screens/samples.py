"""What policies wrote: the completions of a node as a list, one in full, the same prompt at two places side by side.

Opened from the run screen. Shows snapshots of its own feed only; filters, order and pages are the database's work.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.widgets import Input, Static

from llmzero_tui.actions import ActionContext, bindings
from llmzero_tui.feeds.samples import SamplesFeed
from llmzero_tui.format import plain
from llmzero_tui.screens.paged import PagedScreen
from llmzero_tui.values.samples import ORDERS, SPLITS, CompletionLine, SamplesSnapshot, SamplesView
from llmzero_tui.widgets import sample_texts as texts
from llmzero_tui.widgets.appearance import Appearance, look, row
from llmzero_tui.widgets.keybar import KeyBar
from llmzero_tui.widgets.rows import Rows
from llmzero_tui.widgets.sheet import Sheet

NARROW = 100
STACKED = 116
"""Below so many columns two completions stand one over the other."""


class SamplesScreen(PagedScreen):
    """A list and what is chosen in it. While comparing, the list holds the other answers to one prompt."""

    kind = "samples"
    BINDINGS: ClassVar[list[BindingType]] = bindings("samples")

    def __init__(self, feed: SamplesFeed, node: int | None = None) -> None:
        super().__init__(id="samples-screen")
        self.feed = feed
        self.snapshot: SamplesSnapshot | None = None
        self._view = SamplesView(node)
        self._seen: dict[str, int] = {}

    def compose(self) -> ComposeResult:
        yield Static(id="title", markup=False)
        yield Static(id="filters", markup=False)
        with Container(id="reading"):
            yield Rows("samples")
            with Container(id="texts"):
                yield Sheet(id="sample")
                yield Sheet(id="against")
        yield Input(id="search", placeholder="text in prompt or completion", compact=True)
        yield KeyBar()

    def on_mount(self) -> None:
        self.query_one("#search").display = False
        self.query_one(Rows).focus()
        self._arrange()
        self.ready = True
        self._show()

    # ---- snapshots --------------------------------------------------------------------------------------------------

    def apply(self, snapshot: SamplesSnapshot, now: datetime) -> None:
        self._lost = ""
        if snapshot.view != self._view:
            return  # asked otherwise meanwhile; that look is under way
        if snapshot.node is not None and self._view.node is None:
            self._view = replace(self._view, node=snapshot.node)
            snapshot = replace(snapshot, view=self._view)
        self.snapshot = snapshot
        self._show()

    def look_at(self, **changes: Any) -> None:
        """Ask for another list: from its first page and its first row, unless `changes` say otherwise."""
        self.query_one("#samples", Rows).first()
        self._turn(**{"page": 0, "chosen": None, **changes})

    def _turn(self, **changes: Any) -> None:
        """Ask for another view of the same list."""
        self._view = replace(self._view, **changes)
        self._filters()
        self.refresh_keys()
        self.poll_now()

    # ---- drawing ----------------------------------------------------------------------------------------------------

    def _show(self) -> None:
        self._title()
        self._filters()
        self._list()
        self._texts()
        self.refresh_keys()

    def _title(self) -> None:
        snapshot, appearance = self.snapshot, look(self)
        colours = appearance.palette
        left = Text.assemble(
            ("LLMZero ", colours.muted), (plain(self.feed.path.name, 28), f"bold {colours.text}"),
            ("  Samples", colours.muted),
        )  # fmt: skip
        place = snapshot.place if snapshot is not None else None
        if place is not None:
            left.append(f" of #{place.node} ", style=f"bold {colours.text}").append(plain(place.label, 24) + "  ")
            left.append_text(appearance.state(place.state))
        elif self._view.node is not None:
            left.append(f" of #{self._view.node}", style=f"bold {colours.text}")
        right = Text(plain(self._lost, 80), style=colours.bad) if self._lost else self._pages(snapshot, appearance)
        self.query_one("#title", Static).update(appearance.done(row(left, right, max(10, self.size.width - 2))))

    def _pages(self, snapshot: SamplesSnapshot | None, appearance: Appearance) -> Text:
        if snapshot is None or snapshot.pages < 2:
            return Text()
        return Text(f"page {snapshot.page + 1} of {snapshot.pages}", style=appearance.palette.muted)

    def _filters(self) -> None:
        self.query_one("#filters", Static).update(texts.filters(self.snapshot, self._view, look(self)))

    def _list(self) -> None:
        lines, snapshot = self.query_one("#samples", Rows), self.snapshot
        comparing = snapshot is not None and snapshot.view.comparing
        completions: tuple[CompletionLine, ...] = snapshot.lines if snapshot is not None else ()

        def draw(index: int, width: int, appearance: Appearance) -> Text:
            return texts.line(
                completions[index], width, appearance, snapshot.view if snapshot is not None else self._view
            )

        shown = None
        if snapshot is not None:
            shown = snapshot.other if comparing else snapshot.full
        chosen = shown.seq if shown is not None else None
        key = (completions, comparing, self._view.split, look(self))
        lines.head(texts.columns(comparing))
        lines.show([f.seq for f in completions], key, draw, chosen, texts.nothing(snapshot, self._view))

    def _texts(self) -> None:
        snapshot = self.snapshot
        full, other = (snapshot.full, snapshot.other) if snapshot is not None else (None, None)
        comparing = snapshot is not None and snapshot.view.comparing
        mine, theirs = snapshot.apart if snapshot is not None else ((), ())
        appearance = look(self)
        for name, shown, apart in (("sample", full, mine), ("against", other, theirs)):
            sheet, how = self.query_one(f"#{name}", Sheet), name if comparing else ""
            sheet.show((shown, apart, how), partial(texts.reading, shown, appearance, apart, how), texts.title(shown))
            if shown is not None and self._seen.get(name) != shown.seq:
                self._seen[name] = shown.seq
                sheet.top()
        if self.query_one("#against").display != comparing:
            self._arrange()

    # ---- layout -----------------------------------------------------------------------------------------------------

    def on_resize(self) -> None:
        self._arrange()
        self._title()

    def _arrange(self) -> None:
        """Which panels are there, and whether side by side."""
        width = self.size.width
        comparing = self.snapshot is not None and self.snapshot.view.comparing
        self.query_one("#samples").display = not self.zoomed
        self.query_one("#against").display = comparing
        self.query_one("#reading").set_class(width < NARROW, "-stacked")
        self.query_one("#reading").set_class(comparing, "-comparing")
        self.query_one("#texts").set_class(width < (NARROW if self.zoomed else STACKED), "-stacked")

    def context(self) -> ActionContext:
        snapshot = self.snapshot
        return ActionContext(
            self.kind, chosen=snapshot is not None and snapshot.full is not None, comparing=self._view.comparing,
            pages=snapshot is not None and snapshot.pages > 1, editing=self.query_one("#search").has_focus,
        )  # fmt: skip

    # ---- events -----------------------------------------------------------------------------------------------------

    @on(Rows.Picked)
    def _picked(self, event: Rows.Picked) -> None:
        if self.snapshot is None or self.snapshot.view.listed != self._view.listed:
            return  # a row of the list before: another one was asked for meanwhile
        if self._view.comparing:
            self._turn(other=event.number)
        else:
            self._turn(chosen=event.number)

    @on(Input.Changed, "#search")
    def _searched(self, event: Input.Changed) -> None:
        if event.value != self._view.text:
            self.look_at(text=event.value)

    @on(Input.Submitted, "#search")
    def _search_done(self) -> None:
        self.query_one("#search").display = bool(self._view.text)
        self.query_one("#samples").focus()

    # ---- actions ----------------------------------------------------------------------------------------------------

    def action_verdict_all(self) -> None:
        self.look_at(verdict="all")

    def action_verdict_right(self) -> None:
        self.look_at(verdict="right")

    def action_verdict_wrong(self) -> None:
        self.look_at(verdict="wrong")

    def action_verdict_cut(self) -> None:
        self.look_at(verdict="cut")

    def action_order(self) -> None:
        """Newest, oldest, best, worst first."""
        self.look_at(order=ORDERS[(ORDERS.index(self._view.order) + 1) % len(ORDERS)])

    def action_split(self) -> None:
        """All prompts, those of training, the fixed ones of validation."""
        self.look_at(split=SPLITS[(SPLITS.index(self._view.split) + 1) % len(SPLITS)])

    def action_earlier(self) -> None:
        """The step before; the last one from all steps."""
        counts = self.snapshot.counts if self.snapshot else None
        if counts is not None and counts.before is not None:
            self.look_at(step=counts.before)

    def action_later(self) -> None:
        """The step after; the first one from all steps."""
        counts = self.snapshot.counts if self.snapshot else None
        if counts is not None and counts.after is not None:
            self.look_at(step=counts.after)

    def action_all_steps(self) -> None:
        self.look_at(step=None)

    def _by_node(self, by: int) -> None:
        """Step from the node that was asked for last, which need not be on screen yet."""
        place, here = self.snapshot.place if self.snapshot else None, self._view.node
        if place is None or here is None:
            return
        beyond = [n for n in (*place.before, place.node, *place.after) if (n > here if by > 0 else n < here)]
        if beyond:
            self.look_at(node=beyond[0] if by > 0 else beyond[-1], step=None)

    def action_next_node(self) -> None:
        """The next node that has completions."""
        self._by_node(1)

    def action_previous_node(self) -> None:
        """The node before that has completions."""
        self._by_node(-1)

    def action_go_to(self) -> None:
        """A node and a step by their numbers; while comparing, of the second answer."""
        from llmzero_tui.screens.dialogs import AskText

        def go(answer: str | None) -> None:
            numbers = (answer or "").replace("#", " ").replace(":", " ").replace("step", " ").split()
            if answer is None or not all(n.isascii() and n.isdecimal() and len(n) < 9 for n in numbers[:2]):
                if answer:
                    self.notify("a node's number, or node and step: 13 or 13 25", severity="warning", markup=False)
                return
            node = int(numbers[0]) if numbers else None
            step = int(numbers[1]) if len(numbers) > 1 else None
            if self._view.comparing:
                self.query_one("#samples", Rows).first()
                self._turn(other=None, other_node=node, other_step=step, other_page=0)
            elif node is not None:
                self.look_at(node=node, step=step)

        words = "Node, or node and step: 13 or 13 25" + (" (empty: any)" if self._view.comparing else "")
        title = "Compare with" if self._view.comparing else "Go to"
        self.app.push_screen(AskText(title, words, button="Go"), go)

    def action_compare(self) -> None:
        """The other answers to the chosen prompt."""
        full = self.snapshot.full if self.snapshot else None
        if full is not None and not self._view.comparing:
            self.query_one("#samples", Rows).first()
            self._turn(
                comparing=True, chosen=full.seq, other=None, other_node=None, other_step=None, other_page=0
            )  # fmt: skip

    def action_search(self) -> None:
        """Type a text that prompt or completion must have."""
        field = self.query_one("#search", Input)
        field.display = True
        field.focus()

    def _page(self, by: int) -> None:
        snapshot = self.snapshot
        if snapshot is None or snapshot.view != self._view or not 0 <= snapshot.page + by < snapshot.pages:
            return
        self.query_one("#samples", Rows).first()
        if self._view.comparing:
            self._turn(other_page=snapshot.page + by, other=None)
        else:
            self._turn(page=snapshot.page + by, chosen=None)

    def action_copy(self) -> None:
        """The completion that is read; while comparing, both."""
        shown = (self.snapshot.full, self.snapshot.other) if self.snapshot is not None else ()
        whole = [full for full in shown if full is not None]
        if whole:
            words = " and ".join(texts.title(full) for full in whole)
            self.app.copy("\n".join(map(texts.as_text, whole)), words)

    def action_zoom(self) -> None:
        """The text alone, or the list again."""
        self.zoomed = not self.zoomed
        self._arrange()
        self.query_one("#sample" if self.zoomed else "#samples").focus()

    def action_back(self) -> None:
        """Out of the search, of the zoom, of comparing; then to the run."""
        field = self.query_one("#search", Input)
        if field.has_focus or (field.display and field.value):
            field.value = ""
            field.display = False
            self.query_one("#samples").focus()
        elif self.zoomed:
            self.action_zoom()
        elif self._view.comparing:
            self._turn(comparing=False, other=None, other_node=None, other_step=None)
        else:
            self.dismiss()

"""The list of runs: state, task, scores, budget, age; to filter, sort, open, delete. An empty one says how to begin.

Shows snapshots of its feed; deleting runs in a worker, after the run's name was typed.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.message import Message
from textual.widgets import Input, Static

from engine.errors import UserError
from llmzero_tui.actions import ActionContext, bindings
from llmzero_tui.feeds.runs import RunsFeed
from llmzero_tui.format import plain
from llmzero_tui.screens.base import FeedScreen
from llmzero_tui.screens.parts.marks import Marks
from llmzero_tui.user.places import short
from llmzero_tui.values.nodes import Target
from llmzero_tui.values.snapshot import UNREAD, FeedFailure, RunRow, RunsSnapshot
from llmzero_tui.widgets.appearance import look
from llmzero_tui.widgets.keybar import KeyBar
from llmzero_tui.widgets.runs_table import RunsTable

URGENCY = (
    "training",
    "starting",
    "finishing",
    "paused",
    "lost",
    "damaged",
    "crashed",
    "failed",
    "stopped",
    "finished",
    UNREAD,
)
SortKey = Callable[[RunRow], Any]
SORTS: dict[str, SortKey] = {
    "age": lambda run: 0,  # as the feed has them: newest first
    "run": lambda run: run.name.lower(),
    "state": lambda run: URGENCY.index(run.state) if run.state in URGENCY else len(URGENCY),
    "validation": lambda run: -run.headline.value if run.headline else 1.0,
    "test": lambda run: -run.test.value if run.test else 1.0,
    "budget": lambda run: -run.spent,
}
"""By the head of a column; the feed's order decides between equals."""
SAID = {"age": "newest first", "run": "by name", "state": "by state", "validation": "by validation score",
        "test": "by test score", "budget": "by budget spent"}  # fmt: skip


class RunsScreen(FeedScreen):
    """The first screen of `llmzero`."""

    kind = "runs"
    PARTS: ClassVar[dict[str, type]] = {"marks": Marks}
    BINDINGS: ClassVar[list[BindingType]] = bindings("runs")

    class Deleted(Message):
        """A run is gone, or why it is not."""

        def __init__(self, name: str, error: str = "") -> None:
            super().__init__()
            self.name = name
            self.error = error

    def __init__(self, feed: RunsFeed) -> None:
        super().__init__(id="runs")
        self.feed = feed
        self.marks = Marks(self, self._under_cursor, self._draw)
        self.snapshot: RunsSnapshot | None = None
        self.sorted_by = "age"
        self.filtered = ""
        self._now = datetime.min
        self._why = ""

    def compose(self) -> ComposeResult:
        yield Static(id="title", markup=False)
        yield RunsTable()
        yield Static(id="empty", markup=False)
        yield Input(id="filter", placeholder="name, task or state", compact=True)
        yield KeyBar()

    def on_mount(self) -> None:
        self.query_one("#filter").display = False
        self._draw()
        self.query_one(RunsTable).focus()
        self.ready = True
        self.refresh_keys()

    # ---- snapshots --------------------------------------------------------------------------------------------------

    def view(self) -> list[Path]:
        return self.query_one(RunsTable).on_screen

    def apply(self, snapshot: RunsSnapshot, now: datetime) -> None:
        self.snapshot, self._now, self._why = snapshot, now, ""
        self._draw()
        self.refresh_keys()
        if any(run.state == UNREAD for run in snapshot.runs):
            self.call_after_refresh(self.app.poll)

    def lost(self, why: FeedFailure, now: datetime) -> None:
        self._why = why.reason
        self._title()

    def restyle(self) -> None:
        super().restyle()
        self._draw()
        self.query_one(RunsTable).redraw()

    @property
    def shown(self) -> list[RunRow]:
        """The runs that pass the filter, in their order."""
        words = self.filtered.lower().split()
        runs = [run for run in self.snapshot.runs if _passes(run, words)] if self.snapshot else []
        return sorted(runs, key=SORTS[self.sorted_by])

    def _draw(self) -> None:
        runs, table, empty = self.shown, self.query_one(RunsTable), self.query_one("#empty", Static)
        self._title()
        table.show(runs, self._now, self.sorted_by, self._marked())
        empty.display = self.snapshot is not None and not runs
        table.display = not empty.display
        if empty.display:
            words = self._nothing_passes() if self.filtered else self._how_to_begin()
            empty.update(look(self).done(words))

    def _marked(self) -> frozenset[Path]:
        """Runs that are marked for comparison."""
        return frozenset(target.path for target in self.marks.marked)

    def _under_cursor(self) -> Target | None:
        run = self.current
        return None if run is None or run.state in ("lost", "damaged") else Target(run.path)

    def _title(self) -> None:
        colours = look(self).palette
        text = Text.assemble(("LLMZero ", f"bold {colours.text}"), ("runs", colours.muted))
        if self._why:
            text.append(f"  {plain(self._why, 200)}", style=colours.bad)
        elif self.snapshot is not None and self.snapshot.runs:
            text.append(self._count(), style=colours.muted)
        self.query_one("#title", Static).update(look(self).done(text))

    def _count(self) -> str:
        """How many there are, in which order, which of them are shown, and whether all are read."""
        assert self.snapshot is not None
        total = len(self.snapshot.runs)
        words = f"  {len(self.shown)} of {total}" if self.filtered else f"  {total}"
        words += f" · {SAID[self.sorted_by]}"
        if self.filtered:
            words += f" · /{plain(self.filtered, 40)}"
        unread = sum(run.state == UNREAD for run in self.snapshot.runs)
        return words + (f" · reading {total - unread}" if unread else "")

    def _nothing_passes(self) -> Text:
        colours = look(self).palette
        return Text.assemble(
            (f"No run has “{plain(self.filtered, 60)}” in its name, task or state.\n\n", f"bold {colours.text}"),
            ("esc ", colours.wait), ("shows all", colours.text),
        )  # fmt: skip

    def _how_to_begin(self) -> Text:
        colours = look(self).palette
        return Text.assemble(
            ("No runs here yet.\n\n", f"bold {colours.text}"),
            (f"This list shows {plain(self.feed.directory, 200)}\n\n", colours.muted),
            ("llmzero demo           ", colours.wait),
            ("a small real search on this machine, about four minutes\n", colours.text),
            ("llmzero new run.toml   ", colours.wait),
            ("a commented run file to edit\n", colours.text),
            ("llmzero run run.toml   ", colours.wait),
            ("starts it; it appears here\n", colours.text),
        )  # fmt: skip

    # ---- looking ----------------------------------------------------------------------------------------------------

    def context(self) -> ActionContext:
        if not self.ready:
            return ActionContext(self.kind)
        return ActionContext(self.kind, runs=len(self.query_one(RunsTable).runs), marked=len(self.marks.compared))

    @property
    def current(self) -> RunRow | None:
        """The run under the cursor."""
        return self.query_one(RunsTable).current

    @on(RunsTable.Opened)
    def action_open(self) -> None:
        """Show the run under the cursor."""
        run = self.current
        if run is not None:
            self.app.open_run(run.path)

    def action_sql(self) -> None:
        """Ask the run under the cursor."""
        run = self.current
        if run is not None:
            self.app.open_sql(run.path)

    def action_sort(self) -> None:
        """The next order."""
        names = list(SORTS)
        self.sorted_by = names[(names.index(self.sorted_by) + 1) % len(names)]
        self._draw()

    @on(RunsTable.Headed)
    def _headed(self, event: RunsTable.Headed) -> None:
        if event.column in SORTS:
            self.sorted_by = event.column
            self._draw()

    def action_filter(self) -> None:
        """Type what a run must have in its name, task or state."""
        field = self.query_one("#filter", Input)
        field.display = True
        field.focus()

    @on(Input.Changed, "#filter")
    def _filtered(self, event: Input.Changed) -> None:
        self.filtered = event.value.strip()
        self._draw()
        self.refresh_keys()

    @on(Input.Submitted, "#filter")
    def _filter_done(self) -> None:
        field = self.query_one("#filter", Input)
        field.display = bool(self.filtered)
        self.query_one(RunsTable).focus()

    def key_escape(self) -> None:
        """Show all runs again."""
        field = self.query_one("#filter", Input)
        field.value = ""
        field.display = False
        self.query_one(RunsTable).focus()

    # ---- deleting ---------------------------------------------------------------------------------------------------

    def action_delete(self) -> None:
        """Delete the run under the cursor, after its name was typed."""
        from llmzero_tui.screens.dialogs import AskText

        run = self.current
        if run is None:
            return
        name = run.path.name
        if run.live:
            words = f"run {plain(name, 64)} has a running engine: stop it first"
            self.notify(words, severity="error", timeout=10, markup=False)
            return

        def delete(typed: str | None) -> None:
            if typed is not None:
                self._delete(run.path)

        words = (
            f"{plain(short(run.path.absolute()), 300)} is deleted permanently: database, checkpoints, logs. "
            f"Type {plain(name, 64)} to delete it."
        )
        self.app.push_screen(AskText("Delete the run", words, button="Delete", must_be=name), delete)

    @work(thread=True, group="delete", exit_on_error=False)
    def _delete(self, path: Path) -> None:
        from llmzero_tui.files.deletion import delete_run

        try:
            delete_run(path, self.feed.directory)
        except UserError as error:
            self.post_message(self.Deleted(path.name, str(error)))
        else:
            self.post_message(self.Deleted(path.name))

    @on(Deleted)
    def _deleted(self, event: Deleted) -> None:
        if event.error:
            self.notify(plain(event.error, 300), severity="error", timeout=10, markup=False)
        else:
            self.notify(f"deleted {plain(event.name, 64)}", markup=False)
        self.app.poll()


def _passes(run: RunRow, words: list[str]) -> bool:
    """Whether a run has all words somewhere in its name, task or state."""
    text = f"{run.name} {run.task} {run.state}".lower()
    return all(word in text for word in words)

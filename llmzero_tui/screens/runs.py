"""The list of runs: name, state, nodes, scores, budget, age. Enter opens one; an empty list says how to begin."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, cast

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import DataTable, Static

from llmzero_tui.actions import Context, bindings
from llmzero_tui.data import Lost, Run, RunsSnapshot
from llmzero_tui.feeds import RunsFeed
from llmzero_tui.format import MISSING, bar, duration, plain, score
from llmzero_tui.screens.base import Polled
from llmzero_tui.widgets.keybar import KeyBar
from llmzero_tui.widgets.look import Look, look

COLUMNS = ("run", "state", "nodes", "validation", "test", "budget", "age")
WIDE = 100


class RunsTable(DataTable[Text]):
    """The table; j and k walk as the arrows do."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "cursor_down", show=False),
        Binding("k", "cursor_up", show=False),
        Binding("G", "scroll_bottom", show=False),
    ]


class RunsScreen(Polled):
    """The first screen of `llmzero`."""

    kind = "runs"
    BINDINGS: ClassVar[list[BindingType]] = bindings("runs")

    def __init__(self, feed: RunsFeed) -> None:
        super().__init__(id="runs")
        self.feed = feed
        self._runs: dict[str, Run] = {}
        self._cells: dict[str, list[Text]] = {}
        self._layout: object = None

    def compose(self) -> ComposeResult:
        yield Static(id="title", markup=False)
        yield RunsTable(cursor_type="row", zebra_stripes=False, show_header=True)
        yield Static(id="empty", markup=False)
        yield KeyBar()

    def on_mount(self) -> None:
        self.query_one(RunsTable).display = False
        self._title(None)
        self.ready = True
        self.refresh_keys()

    def on_resize(self) -> None:
        self._layout = None
        self._draw()

    # ---- snapshots --------------------------------------------------------------------------------------------------

    def apply(self, snapshot: RunsSnapshot, now: datetime) -> None:
        self._runs = {str(run.path): run for run in snapshot.runs}
        self._title(len(snapshot.runs))
        self._now = now
        self._draw()
        self.refresh_keys()

    def lost(self, why: Lost, now: datetime) -> None:
        self.query_one("#title", Static).update(Text(plain(why.reason, 200), style=look(self).palette.bad))

    def restyle(self) -> None:
        super().restyle()
        self._title(len(self._runs))
        self._draw()

    def _title(self, count: int | None) -> None:
        colours = look(self).palette
        text = Text.assemble(("LLMZero ", f"bold {colours.text}"), ("runs", colours.muted))
        if count:
            text.append(f"  {count}", style=colours.muted)
        self.query_one("#title", Static).update(look(self).done(text))

    def _draw(self) -> None:
        """Bring the table to the runs: rows are rebuilt when runs come or go, else only cells that changed."""
        table, empty = self.query_one(RunsTable), self.query_one("#empty", Static)
        table.display, empty.display = bool(self._runs), not self._runs
        if not self._runs:
            if hasattr(self, "_now"):
                empty.update(look(self).done(self._how_to_begin()))
            return
        dress, wide = look(self), self.size.width >= WIDE
        layout = (tuple(self._runs), wide, dress)
        rows = {key: _cells(run, self._now, wide, dress) for key, run in self._runs.items()}
        if layout != self._layout:
            cursor = table.cursor_row
            table.clear(columns=True)
            for name in COLUMNS:
                table.add_column(Text(name, style=dress.palette.muted), key=name)
            for key, cells in rows.items():
                table.add_row(*cells, key=key)
            table.move_cursor(row=min(cursor, len(rows) - 1), animate=False)
            table.focus()
        else:
            for key, cells in rows.items():
                for name, cell, old in zip(COLUMNS, cells, self._cells[key], strict=True):
                    if cell != old:
                        table.update_cell(key, name, cell, update_width=True)
        self._layout, self._cells = layout, rows

    def _how_to_begin(self) -> Text:
        colours = look(self).palette
        return Text.assemble(
            ("No runs here yet.\n\n", f"bold {colours.text}"),
            (f"This list shows {plain(self.feed.directory, 200)}\n\n", colours.muted),
            ("llmzero demo           ", colours.wait),
            ("a small real search on this machine, some four minutes\n", colours.text),
            ("llmzero new run.toml   ", colours.wait),
            ("a commented run file to edit\n", colours.text),
            ("llmzero run run.toml   ", colours.wait),
            ("starts it; it appears here\n", colours.text),
        )  # fmt: skip

    # ---- actions ----------------------------------------------------------------------------------------------------

    def context(self) -> Context:
        return Context(self.kind, runs=len(self._runs))

    @property
    def current(self) -> Run | None:
        """The run under the cursor."""
        table = self.query_one(RunsTable)
        if not self._runs or table.row_count == 0:
            return None
        key = table.coordinate_to_cell_key(table.cursor_coordinate).row_key.value
        return self._runs.get(cast(str, key))

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        event.stop()
        self.action_open()

    def action_open(self) -> None:
        """Show the run under the cursor."""
        run = self.current
        if run is not None:
            self.app.open_run(run.path)  # type: ignore[attr-defined]

    def action_sql(self) -> None:
        """Ask the run under the cursor."""
        run = self.current
        if run is not None:
            self.app.open_sql(run.path)  # type: ignore[attr-defined]


def _cells(run: Run, now: datetime, wide: bool, dress: Look) -> list[Text]:
    """The row of one run."""
    colours = dress.palette
    if run.state == "lost":
        cells = [
            Text(plain(run.name, 30)),
            Text(plain(run.reason, 60), style=colours.bad),
            *[Text("") for _ in COLUMNS[2:]],
        ]
        return [dress.done(c) for c in cells]
    spent, left = bar(run.spent, 14 if wide else 5, ascii=dress.ascii)
    budget = Text.assemble((spent, colours.live if not run.over else colours.trail), (left, colours.faint))
    budget.append(f" {run.spent:4.0%}", style=colours.muted)
    if wide and run.eta is not None and run.live:
        budget.append(f"  ETA {duration(run.eta)}", style=colours.muted)
    best, test = run.best, run.test
    validation = Text(score(best.value, best.n) if best else MISSING, style=colours.text)
    if wide and best:
        validation.append(f"  n={best.n}", style=colours.faint)
    final = Text(
        score(test.value, test.n) if test else MISSING, style=f"bold {colours.good}" if test else colours.faint
    )
    since = (now - run.created).total_seconds() if run.created else None
    cells = [
        Text(plain(run.name, 32 if wide else 18), style=f"bold {colours.text}"), dress.state(run.state),
        Text(str(run.nodes), style=colours.muted, justify="right"), validation, final, budget,
        Text(duration(since), style=colours.muted),
    ]  # fmt: skip
    return [dress.done(c) for c in cells]

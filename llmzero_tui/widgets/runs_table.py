"""The table of the list of runs: draws only the lines on the screen, so that hundreds of runs cost what forty do.

The screen hands over the runs in their order; columns come and go with the width. Names and reasons are foreign text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from llmzero_tui.format import MISSING, bar, duration, ending, fit, narrow, plain, score
from llmzero_tui.values.snapshot import UNREAD, RunRow
from llmzero_tui.widgets.appearance import Appearance, look

GAP = 2
NAME_CELLS, NAME_MOST = 16, 48


@dataclass(frozen=True, slots=True)
class RunColumn:
    """A column: its head, its cells, whether numbers stand to the right, and from which width on it is there."""

    name: str
    cells: int
    draw: Callable[[RunRow, datetime, Appearance], Text]
    right: bool = False
    least: int = 0


def _state(run: RunRow, _now: datetime, appearance: Appearance) -> Text:
    if run.state == UNREAD:
        return Text("…", style=appearance.palette.faint)
    return appearance.state(run.state)


def _nodes(run: RunRow, _now: datetime, appearance: Appearance) -> Text:
    return Text(str(run.nodes), style=appearance.palette.muted)


def _task(cells: int) -> Callable[[RunRow, datetime, Appearance], Text]:
    def draw(run: RunRow, _now: datetime, appearance: Appearance) -> Text:
        return Text(ending(plain(run.task, 400), cells), style=appearance.palette.muted)

    return draw


def _validation(run: RunRow, _now: datetime, appearance: Appearance) -> Text:
    if (best := run.headline) is None:
        return Text(MISSING, style=appearance.palette.faint)
    return Text(narrow(score(best.value, best.low, best.high)), style=appearance.palette.text)


def _test(run: RunRow, _now: datetime, appearance: Appearance) -> Text:
    if run.test is None:
        return Text(MISSING, style=appearance.palette.faint)
    return Text(narrow(score(run.test.value, run.test.low, run.test.high)), style=f"bold {appearance.palette.good}")


def _test_of(run: RunRow, _now: datetime, appearance: Appearance) -> Text:
    return Text(str(run.test.n) if run.test else "", style=appearance.palette.muted)


def _budget(cells: int) -> Callable[[RunRow, datetime, Appearance], Text]:
    def draw(run: RunRow, _now: datetime, appearance: Appearance) -> Text:
        spent, left = bar(run.spent, cells, ascii=appearance.ascii)
        text = Text.assemble((spent, appearance.palette.trail if run.over else appearance.palette.live))
        return text.append(left, appearance.palette.faint).append(f" {run.spent:4.0%}", appearance.palette.muted)

    return draw


def _spent(run: RunRow, _now: datetime, appearance: Appearance) -> Text:
    return Text(f"{run.spent:.0%}", style=appearance.palette.muted)


def _eta(run: RunRow, _now: datetime, appearance: Appearance) -> Text:
    return Text(duration(run.eta) if run.live and run.eta is not None else "", style=appearance.palette.text)


def _age(run: RunRow, now: datetime, appearance: Appearance) -> Text:
    since = (now - run.created).total_seconds() if run.created else None
    return Text(duration(since), style=appearance.palette.muted)


COLUMNS = (
    RunColumn("state", 11, _state),
    RunColumn("task", 12, _task(12), least=126),
    RunColumn("task", 28, _task(28), least=166),
    RunColumn("nodes", 5, _nodes, right=True),
    RunColumn("validation", 16, _validation),
    RunColumn("test", 16, _test),
    RunColumn("n", 5, _test_of, right=True, least=110),
    RunColumn("budget", 6, _spent, right=True),
    RunColumn("budget", 10, _budget(5), least=92),
    RunColumn("budget", 17, _budget(12), least=132),
    RunColumn("ETA", 7, _eta, right=True, least=100),
    RunColumn("age", 6, _age, right=True),
)


def columns_for(width: int) -> list[RunColumn]:
    """The columns a table of so many cells has, beside the name; of two with one name, the one for wider screens."""
    shown: dict[str, RunColumn] = {}
    for column in COLUMNS:
        if width >= column.least:
            shown[column.name] = column
    columns = list(shown.values())
    while columns and sum(c.cells + GAP for c in columns) > width - NAME_CELLS - 2:
        columns.remove(next((c for c in columns if c.name in ("nodes", "age")), columns[-1]))
    return columns


class RunsTable(ScrollView, can_focus=True):
    """Posts `Opened` for a double click, `Moved` when the cursor stands on another run, `Headed` for a click on the
    head of a column."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", show=False),
        Binding("up,k", "move(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("home,g", "move(-1000000)", show=False),
        Binding("end,G", "move(1000000)", show=False),
    ]

    class Opened(Message):
        """Show the run under the cursor."""

    class Moved(Message):
        """The cursor stands on another run."""

    class Headed(Message):
        """The head of a column was clicked."""

        def __init__(self, column: str) -> None:
            super().__init__()
            self.column = column

    def __init__(self) -> None:
        super().__init__(id="table")
        self.runs: Sequence[RunRow] = ()
        self.cursor = 0
        self.marked: frozenset[Path] = frozenset()
        self._now = datetime.min
        self._sorted = ""
        self._touched = False
        self._drawn: list[Text] = []

    # ---- from snapshots ---------------------------------------------------------------------------------------------

    def show(
        self, runs: Sequence[RunRow], now: datetime, sorted_by: str, marked: frozenset[Path] = frozenset()
    ) -> None:
        """Take the runs in the order they are to stand in, and draw what changed. The cursor stays with the run it was
        put on; until then it stands on the first."""
        before = self.current if self._touched else None
        seen = self._row(1) <= self.cursor <= self._row(self.size.height - 1)
        self.runs, self._now, self._sorted, self.marked = runs, now, sorted_by, marked
        if before is not None:
            here = (i for i, run in enumerate(runs) if run.path == before.path)
            self.cursor = next(here, min(self.cursor, len(runs) - 1))
        self.cursor = max(0, min(self.cursor, len(runs) - 1))
        self.virtual_size = Size(self.size.width, len(runs) + 1)
        if seen:
            self._follow()
        self._refresh_changed()

    def redraw(self) -> None:
        """Draw everything anew: the colours, the glyphs or the size are others."""
        self._drawn = []
        self.refresh()

    def _refresh_changed(self) -> None:
        lines = [self._text(y) for y in range(self.size.height)]
        if len(lines) != len(self._drawn):
            self.refresh()
        else:
            for y, (line, old) in enumerate(zip(lines, self._drawn, strict=True)):
                if line != old:
                    self.refresh(Region(0, y, self.size.width, 1))
        self._drawn = lines

    @property
    def current(self) -> RunRow | None:
        """The run under the cursor."""
        return self.runs[self.cursor] if 0 <= self.cursor < len(self.runs) else None

    @property
    def on_screen(self) -> list[Path]:
        """The runs on the screen."""
        first = self.scroll_offset.y
        return [run.path for run in self.runs[first : first + max(1, self.size.height)]]

    # ---- drawing ----------------------------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        text = self._text(y)
        strip = Strip(text.render(self.app.console)).adjust_cell_length(self.size.width, self.rich_style)
        if y and self._row(y) == self.cursor and self.runs:
            colours = look(self).palette
            ground = colours.cursor if self.has_focus else colours.cursor_blurred
            return strip.apply_style(Style(bgcolor=ground))
        return strip.apply_style(self.rich_style)

    def _row(self, y: int) -> int:
        return int(self.scroll_offset.y) + y - 1

    def _text(self, y: int) -> Text:
        """A line of the screen: the head, a run, or nothing."""
        width = self.size.width
        columns = columns_for(width)
        row = self._row(y)
        if y == 0:
            return self._head(columns, width)
        return self._line(self.runs[row], columns, width, row) if row < len(self.runs) else Text()

    def _head(self, columns: list[RunColumn], width: int) -> Text:
        appearance = look(self)
        text = Text("  ", no_wrap=True)
        for name, cells, right in (("run", _name_cells(columns, width), False),
                                   *((c.name, c.cells, c.right) for c in columns)):  # fmt: skip
            style = appearance.palette.text if name == self._sorted else appearance.palette.muted
            text.append(fit(name, cells, right=right), style=style).append(" " * GAP)
        return appearance.done(text)

    def _line(self, run: RunRow, columns: list[RunColumn], width: int, row: int) -> Text:
        appearance = look(self)
        colours = appearance.palette
        text = Text("◆ " if run.path in self.marked else "  ", style=colours.star, no_wrap=True)
        name = fit(plain(run.name, 80), _name_cells(columns, width))
        chosen = row == self.cursor
        text.append(name, style=f"bold {colours.cursor_text if chosen else colours.text}").append(" " * GAP)
        if run.state in ("lost", "damaged"):
            left = max(1, width - text.cell_len)
            return appearance.done(text.append(fit(plain(run.reason, 200), left), style=colours.bad))
        for column in columns:
            cell = column.draw(run, self._now, appearance) if run.state != UNREAD or column.name == "state" else Text()
            cell.truncate(column.cells, overflow="ellipsis")
            padding = " " * (column.cells - cell.cell_len)
            text.append(padding if column.right else "").append_text(cell)
            text.append("" if column.right else padding).append(" " * GAP)
        return appearance.done(text)

    # ---- keys and the mouse -----------------------------------------------------------------------------------------

    def action_move(self, by: int) -> None:
        """Walk the list."""
        self.go(self.cursor + by)

    def action_page(self, by: int) -> None:
        """Walk a screenful."""
        self.go(self.cursor + by * max(1, self.size.height - 2))

    def go(self, row: int) -> None:
        """Put the cursor on a row and bring it on the screen."""
        row = max(0, min(row, len(self.runs) - 1))
        moved = row != self.cursor
        self.cursor, self._touched = row, True
        self._follow()
        if moved:
            self.redraw()
            self.post_message(self.Moved())

    def _follow(self) -> None:
        """Scroll to the cursor, no further than it takes."""
        room, top = max(1, self.size.height - 1), int(self.scroll_offset.y)
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False)
        elif self.cursor >= top + room:
            self.scroll_to(y=self.cursor - room + 1, animate=False)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._drawn = []

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None:
            return
        if offset.y == 0:
            self.post_message(self.Headed(self._column_at(offset.x)))
            return
        row = self._row(offset.y)
        if 0 <= row < len(self.runs):
            self.focus()
            self.go(row)
            if event.chain > 1:
                self.post_message(self.Opened())

    def _column_at(self, x: int) -> str:
        """The name of the column of a cell."""
        columns = columns_for(self.size.width)
        end = 2 + _name_cells(columns, self.size.width) + GAP
        name = "run"
        for column in columns:
            if x < end:
                break
            name, end = column.name, end + column.cells + GAP
        return name

    def on_resize(self) -> None:
        self.virtual_size = Size(self.size.width, len(self.runs) + 1)
        self.redraw()

    def on_focus(self) -> None:
        self.redraw()

    def on_blur(self) -> None:
        self.redraw()


def _name_cells(columns: list[RunColumn], width: int) -> int:
    """What the other columns leave for the name, as far as a name needs it."""
    return max(4, min(NAME_MOST, width - 2 - GAP - sum(c.cells + GAP for c in columns)))

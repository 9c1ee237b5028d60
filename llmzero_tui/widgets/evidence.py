"""What the evidence screen draws: how far the plan is, a line a cell, the legend of the curves, and its table.

Called by that screen alone. Labels, tasks, reasons and cells of tables are foreign text. Nothing here reads anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text
from textual.widgets import DataTable

from llmzero_tui.format import MISSING, bar, duration, fit, narrow, plain, score, share
from llmzero_tui.values.curves import AxisWindow
from llmzero_tui.values.evidence import FAILED, STALE, CellRow, EvidenceSnapshot, StrategyCurve
from llmzero_tui.values.snapshot import UNREAD, RunRow
from llmzero_tui.widgets.appearance import Appearance, look
from llmzero_tui.widgets.plot.drawing import DrawnCurve
from llmzero_tui.widgets.plot.widget import PENDING

if TYPE_CHECKING:
    from engine.compare.report import TextTable

STATE_CELLS, TITLE_LEAST, TITLE_MOST, WIDEST = 12, 16, 40, 60
WIDE = 100
COLOURS = ("line", "wait", "good", "bad", "star")
"""Meanings of the palette by letter: A is the first strategy, of the others four at a time."""
LETTERS = "ABCDE"
BESIDE = len(LETTERS) - 1


def progress(evidence: EvidenceSnapshot, appearance: Appearance) -> Text:
    """How far the plan is, what goes on, and what needs a look."""
    colours = appearance.palette
    text = Text(f"{evidence.measured} of {evidence.planned} measured", style=colours.text, no_wrap=True)
    if evidence.replays:
        text.append(f" · {evidence.replays_measured} of {evidence.replays} replays", style=colours.text)
    text.append(f" · {evidence.running} running" if evidence.running else " · none running", style=colours.muted)
    if evidence.failed:
        text.append(f" · {evidence.failed} failed", style=colours.bad)
    if evidence.stale:
        text.append(f" · {evidence.stale} stale", style=colours.warn)
    return appearance.done(text)


def time_left(evidence: EvidenceSnapshot, appearance: Appearance) -> Text:
    """About how long the rest takes, beside a bar of what is measured; the bar alone while nothing says."""
    colours = appearance.palette
    done, rest = bar(evidence.measured / max(1, evidence.planned), 8, ascii=appearance.ascii)
    words = f" about {duration(evidence.seconds_left)} left" if evidence.seconds_left is not None else ""
    return appearance.done(Text.assemble((done, colours.live), (rest, colours.faint), (words, colours.text)))


def cell_line(row: CellRow, width: int, appearance: Appearance) -> Text:
    """A cell that is not measured: its state, which it is, and how far it is or why it is not."""
    colours = appearance.palette
    state = appearance.state("…" if row.state == UNREAD else row.state)
    state.truncate(STATE_CELLS, overflow="ellipsis")
    text = Text(no_wrap=True).append_text(state).append(" " * (STATE_CELLS + 1 - state.cell_len))
    title = max(TITLE_LEAST, min(TITLE_MOST, width - STATE_CELLS - 38))
    text.append(fit(plain(row.title, 200), title) + "  ", style=colours.text)
    if row.run is not None and row.run.live:
        return appearance.done(text.append_text(_spent(row.run, width, appearance)))
    return appearance.done(text.append(_why(row), style=colours.bad if row.state in FAILED else colours.muted))


def _spent(run: RunRow, width: int, appearance: Appearance) -> Text:
    """How far the budget of a run is, and what it has."""
    colours = appearance.palette
    spent, left = bar(run.spent, 10, ascii=appearance.ascii)
    text = Text.assemble((spent, colours.live), (left, colours.faint), (f" {run.spent:4.0%}", colours.text))
    ahead = MISSING if run.eta is None else duration(run.eta)
    text.append(f"  {duration(run.wall_seconds):>7}  ETA {ahead:<7}", style=colours.muted)
    if width >= WIDE and run.headline is not None:
        best = run.headline
        text.append(f"  best {narrow(score(best.value, best.low, best.high))}", style=colours.muted)
    return text


def _why(row: CellRow) -> str:
    if row.state == STALE:
        return "measured with other settings than the plan has now; it is run again"
    if row.state == UNREAD:
        return ""
    if row.state == "finished":
        return "its measurement is not among the results yet"
    return plain(row.run.reason if row.run else "", 200) or "the next `llmzero compare` goes on with it"


# ---- curves ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LetteredCurve:
    """A curve of the plot with its letter and its colour, a meaning of the palette."""

    letter: str
    colour: str
    curve: StrategyCurve

    @property
    def drawn(self) -> DrawnCurve:
        return DrawnCurve(self.curve.trace, self.colour, self.letter)


def beside(curves: Sequence[StrategyCurve], page: int) -> tuple[LetteredCurve, ...]:
    """The first strategy and of the others as many as can be told apart: which of them, the page says."""
    start = 1 + page % pages(curves) * BESIDE
    chosen = [*curves[:1], *curves[start : start + BESIDE]]
    return tuple(LetteredCurve(*each) for each in zip(LETTERS, COLOURS, chosen, strict=False))


def pages(curves: Sequence[StrategyCurve]) -> int:
    """How many pages of strategies there are beside the first one."""
    return max(1, -(-(len(curves) - 1) // BESIDE))


def legend(lettered: Sequence[LetteredCurve], window: AxisWindow | None, width: int, appearance: Appearance) -> Text:
    """Letter, strategy, its score at the end of what is seen, and over how many seeds; as few lines as hold it."""
    colours, text, used = appearance.palette, Text(no_wrap=True), 0
    for each in lettered:
        points = [p for p in each.curve.trace.points if window is None or p.x <= window.last]
        item = Text.assemble((f" {each.letter} ", f"bold {colours[each.colour]}"), ("── ", colours[each.colour]))
        item.append(plain(each.curve.strategy, 24), style=colours.text)
        item.append(f" {share(points[-1].value) if points else MISSING} ({each.curve.seeds}) ", style=colours.muted)
        if used and used + item.cell_len > width:
            text.append("\n")
            used = 0
        text.append_text(item)
        used += item.cell_len
    return appearance.done(text)


# ---- tables ------------------------------------------------------------------------------------------------------


class EvidenceTable(DataTable[Text]):
    """A table of the report: its first column stays where the others scroll, the cursor is on a row."""

    def __init__(self) -> None:
        super().__init__(id="rows", cursor_type="row", zebra_stripes=False, fixed_columns=1)
        self._shown: tuple[TextTable, Appearance] | None = None
        self._pending = False

    @property
    def title(self) -> str:
        """Of the table that is shown; "" before the first one."""
        return self._shown[0].title if self._shown else ""

    def pend(self, title: str) -> None:
        """Say that another table is on its way."""
        self._pending = True
        self.border_title = look(self).title(f"{title} {PENDING}")

    def take(self, table: TextTable) -> bool:
        """Show a table, and say whether it is another one than what is shown; the cursor stays with its row where the
        table is another state of the one before."""
        if (table, look(self)) == self._shown and not self._pending:
            return False
        self._pending = False
        before = self._shown[0] if self._shown and self._shown[0].title == table.title else None
        at, seen = self.cursor_row, self.scroll_offset
        self._shown = (table, look(self))
        self._fill(table)
        if before is not None and before.rows and table.rows:
            begins = before.rows[min(at, len(before.rows) - 1)][:3]
            same = (i for i, row in enumerate(table.rows) if row[:3] == begins)
            self.move_cursor(row=next(same, min(at, len(table.rows) - 1)), scroll=False)
            self.scroll_to(*seen, animate=False)
        return True

    def _fill(self, table: TextTable) -> None:
        appearance = look(self)
        colours = appearance.palette
        cells = [[plain(cell, 200) for cell in row] for row in (table.header, *table.rows)]
        self.clear(columns=True)
        for index, column in enumerate(zip(*cells, strict=True)):
            width = min(WIDEST, max(1, *map(cell_len, column)))
            for row in cells:
                row[index] = fit(row[index], width)
            self.add_column(appearance.done(Text(cells[0][index], style=colours.muted)), key=str(index), width=width)
        for row in cells[1:]:
            self.add_row(*(appearance.done(Text(cell, style=colours.text)) for cell in row))

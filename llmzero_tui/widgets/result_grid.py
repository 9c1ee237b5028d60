"""The rows of an answer, a page at a time, in columns that fit.

Used by the SQL screen. Takes Arrow and makes text of the page that is shown; values are foreign text.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.text import Text
from textual.widgets import DataTable

from llmzero_tui.format import fit, plain
from llmzero_tui.values.answers import to_json
from llmzero_tui.widgets.appearance import look

if TYPE_CHECKING:
    import pyarrow as pa

PAGE = 200
WIDEST = 60
NARROWEST = 10
GAP = 2
SEEN = 400
"""Characters of a long text that are looked at for a cell."""


class ResultGrid(DataTable[Text]):
    """Rows under the names of their columns; the cursor is on a cell."""

    def __init__(self) -> None:
        super().__init__(id="rows", cursor_type="cell", zebra_stripes=False)
        self._answer: pa.Table | None = None
        self._values: list[tuple[Any, ...]] = []
        self.page = 0

    # ---- what is there ----------------------------------------------------------------------------------------------

    @property
    def names(self) -> list[str]:
        """The columns."""
        return list(self._answer.column_names) if self._answer is not None else []

    @property
    def total(self) -> int:
        """Rows of all pages."""
        return int(self._answer.num_rows) if self._answer is not None else 0

    @property
    def pages(self) -> int:
        return max(1, -(-self.total // PAGE))

    @property
    def first(self) -> int:
        """Number of the first row on the page, from 0."""
        return self.page * PAGE

    def row_values(self, number: int) -> tuple[Any, ...]:
        """A row of the page as it came, whole."""
        from llmzero_tui.values.answers import values

        assert self._answer is not None
        return next(values(self._answer.slice(self.first + number, 1)))

    def page_values(self) -> list[tuple[Any, ...]]:
        """The page as it came, whole."""
        from llmzero_tui.values.answers import values

        return [] if self._answer is None else list(values(self._answer.slice(self.first, PAGE)))

    # ---- showing ----------------------------------------------------------------------------------------------------

    def take(self, answer: pa.Table) -> None:
        """Show an answer from its first row."""
        self._answer, self.page = answer, 0
        self.draw()
        self.move_cursor(row=0, column=0)

    def turn(self, by: int) -> bool:
        """Another page; False when there is none."""
        if not 0 <= self.page + by < self.pages:
            return False
        self.page += by
        column = self.cursor_column
        self.draw()
        self.move_cursor(row=0, column=column)
        return True

    def draw(self) -> None:
        """Draw the page anew: other rows, other colours, another width."""
        if self._answer is None:
            return
        appearance = look(self)
        page = shortened(self._answer.slice(self.first, PAGE))
        digits = [decimals([row[i] for row in page]) for i in range(len(self.names))]
        rows = [[as_text(value, digits=digits[i]) for i, value in enumerate(row)] for row in page]
        right = [_is_number(field.type) for field in self._answer.schema]
        names = [plain(name, 40) or "·" for name in self.names]
        wanted = [
            min(WIDEST, max(cell_len(name), *(cell_len(row[i]) for row in rows), 1) if rows else max(1, cell_len(name)))
            for i, name in enumerate(names)
        ]
        widths = shares(wanted, right, self.size.width)
        self.clear(columns=True)
        colours = appearance.palette
        for index, name in enumerate(names):
            label = Text(fit(name, widths[index], right=right[index]), style=colours.muted)
            self.add_column(appearance.done(label), key=str(index), width=widths[index])
        for values, row in zip(page, rows, strict=True):
            cells = (
                Text(fit(words, widths[i], right=right[i]), style=colours.faint if value is None else colours.text)
                for i, (words, value) in enumerate(zip(row, values, strict=True))
            )
            self.add_row(*(appearance.done(cell) for cell in cells))


def shares(wanted: list[int], fixed: list[bool], space: int) -> list[int]:
    """Widths of columns: as wanted when they fit, else the widest texts give way, down to NARROWEST."""
    widths = list(wanted)
    over = sum(widths) + GAP * len(widths) - max(space, 20)
    while over > 0:
        can = [i for i, width in enumerate(widths) if not fixed[i] and width > NARROWEST]
        if not can:
            break
        widest = max(widths[i] for i in can)
        tops = [i for i in can if widths[i] == widest]
        floor = max([NARROWEST, *(widths[i] for i in can if widths[i] < widest)])
        for i in tops:
            step = min(widest - floor, -(-over // len(tops)))
            widths[i] -= step
            over -= step
    return widths


def shortened(page: pa.Table) -> list[tuple[Any, ...]]:
    """The values of a page, long texts cut before they become Python's: a cell may hold megabytes."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from llmzero_tui.values.answers import values

    for index, field in enumerate(page.schema):
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
            page = page.set_column(index, field.name, pc.utf8_slice_codeunits(page.column(index), 0, SEEN))
        elif pa.types.is_binary(field.type):
            page = page.set_column(index, field.name, pc.binary_slice(page.column(index), 0, SEEN))
    return list(values(page))


def decimals(column: list[Any]) -> int | None:
    """Digits after the point with which a column of numbers stands in line; None where there is no such count."""
    floats = [abs(value) for value in column if isinstance(value, float)]
    if not floats or not all(value == 0 or 1e-4 <= value < 1e6 for value in floats):
        return None
    return max(len(f"{value:.6g}".partition(".")[2]) for value in floats)


def as_text(value: Any, *, exact: bool = False, digits: int | None = None) -> str:
    """A value for a cell; `exact`: every digit, for a viewer or a copy; `digits` after the point of a float."""
    match value:
        case None:
            return "NULL"
        case bool():
            return "true" if value else "false"
        case float():
            return repr(value) if exact else f"{value:.6g}" if digits is None else f"{value:.{digits}f}"
        case datetime():
            return value.isoformat(" ", "microseconds" if exact and value.microsecond else "seconds")
        case bytes():
            return value.hex()
        case dict() | list():
            return plain(to_json(value, indent=None, ascii=False), None if exact else WIDEST + 1)
        case _:
            return str(value) if exact else plain(value, WIDEST + 1)


def _is_number(kind: pa.DataType) -> bool:
    from llmzero_tui.values.answers import is_number

    return is_number(kind)


def spreadsheet_line(values: Sequence[object]) -> str:
    """A line for a spreadsheet: tabs between the values, none within."""
    cells = (as_text(value, exact=True) if value is not None else "" for value in values)
    return "\t".join(plain(cell) for cell in cells) + "\n"

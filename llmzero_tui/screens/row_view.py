"""One row of an answer in full: every column with its whole value, to read and to copy.

Opened over the SQL screen. Values are foreign text: shown plainly, JSON laid out; a very long one is cut here, never in
a copy.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any, ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual import getters
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from llmzero_tui.format import fit, plain
from llmzero_tui.screens.host import HostApp
from llmzero_tui.widgets.appearance import look
from llmzero_tui.widgets.result_grid import ResultGrid, as_text

LONGEST = 20_000
"""Characters of a value that are shown."""
BESIDE = 50
"""Characters of a value that stands beside its name."""


class RowView(ModalScreen[None]):
    """Left and right choose a value, up and down scroll, n and p are the rows beside."""

    app = getters.app(HostApp)

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter", "close", show=False),
        Binding("right,l,tab", "column(1)", show=False, priority=True),
        Binding("left,h,shift+tab", "column(-1)", show=False, priority=True),
        Binding("n", "row(1)", show=False),
        Binding("p", "row(-1)", show=False),
        Binding("j", "scroll(1)", show=False),
        Binding("k", "scroll(-1)", show=False),
        Binding("y", "copy_cell", show=False),
        Binding("Y", "copy", show=False),
    ]

    def __init__(self, grid: ResultGrid) -> None:
        super().__init__()
        self._grid = grid
        self._values: tuple[Any, ...] = ()

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog row-view"):
            with VerticalScroll(id="fields"):
                for index in range(len(self._grid.names)):
                    yield Static(id=f"name-{index}", markup=False)
                    yield Static(id=f"value-{index}", classes="value", markup=False)
            yield Static(id="answers", markup=False)

    def on_mount(self) -> None:
        appearance = look(self)
        self.query_one("#answers", Static).update(
            appearance.answers(
                ("y", "Copy"),
                ("Y", "Row"),
                ("←→", "Value"),
                ("↑↓", "Scroll"),
                ("n p", "Rows"),
                ("esc", "Close"),
            )
        )
        self.query_one("#fields").focus()
        self._draw()

    def _draw(self) -> None:
        """The row of the grid's cursor; the value under it is marked and visible."""
        grid, appearance = self._grid, look(self)
        self._values = grid.row_values(grid.cursor_row)
        self.query_one(".dialog").border_title = appearance.title(
            f"Row {grid.first + grid.cursor_row + 1} of {grid.total}"
        )
        for index, value in enumerate(self._values):
            below = self.query_one(f"#value-{index}", Static)
            below.display = not _short(value)
            if below.display:
                below.update(appearance.done(Text(in_full(value), style=appearance.palette.text)))
        self._names()

    def _names(self) -> None:
        """Names, with what is short enough beside them; the cursor's is marked and visible."""
        appearance, here = look(self), self._grid.cursor_column
        colours = appearance.palette
        width = min(30, max(cell_len(plain(name, 200)) for name in self._grid.names)) + 2
        for index, (name, value) in enumerate(zip(self._grid.names, self._values, strict=True)):
            mark, style = ("▸ ", f"bold {colours.live}") if index == here else ("  ", colours.muted)
            label = Text(mark, style=style)
            if _short(value):
                label.append(fit(plain(name, 200), width))
                label.append(in_full(value), style=colours.faint if value is None else colours.text)
            else:
                label.append(plain(name, 200))
            self.query_one(f"#name-{index}", Static).update(appearance.done(label))
        shown = self.query_one(f"#name-{here}")
        self.call_after_refresh(self.query_one("#fields").scroll_to_widget, shown, animate=False)

    def action_column(self, by: int) -> None:
        """The next value of the row."""
        grid = self._grid
        grid.move_cursor(column=max(0, min(len(grid.names) - 1, grid.cursor_column + by)))
        self._names()

    def action_row(self, by: int) -> None:
        """The row beside, on the same page."""
        grid = self._grid
        place = grid.cursor_row + by
        if 0 <= place < grid.row_count:
            grid.move_cursor(row=place)
            self._draw()

    def action_scroll(self, by: int) -> None:
        """A line up or down."""
        self.query_one("#fields").scroll_relative(y=by, animate=False)

    def action_copy_cell(self) -> None:
        """The marked value, whole."""
        name = plain(self._grid.names[self._grid.cursor_column], 40)
        self.app.copy(as_text(self._values[self._grid.cursor_column], exact=True), name)

    def action_copy(self) -> None:
        """The row, a name and a value a line."""
        text = "".join(f"{n}: {as_text(v, exact=True)}\n" for n, v in zip(self._grid.names, self._values, strict=True))
        self.app.copy(text, "the row")

    def action_close(self) -> None:
        """Back to the rows."""
        self.dismiss()


def _short(value: Any) -> bool:
    """Whether a value fits beside its name."""
    if isinstance(value, str):
        return len(value) <= BESIDE and "\n" not in value
    return len(as_text(value, exact=True)) <= BESIDE


def in_full(value: Any) -> str:
    """A value to read: its lines, JSON laid out, no more than LONGEST characters."""
    text = as_text(value, exact=True)
    if isinstance(value, str) and text[:1] in ("{", "[") and BESIDE < len(text) <= LONGEST:
        # What only looks like JSON is shown as it is.
        with suppress(ValueError, RecursionError):
            text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    shown = plain(text, LONGEST, lines=True)
    if len(text) > LONGEST:
        shown += f"\n… {len(text) - LONGEST:,} more characters: y copies them all"
    return shown or "(empty text)"

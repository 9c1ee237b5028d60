"""SQL over one run, live or at rest: an editor, and the rows in pages.

Queries run on the reader's ad-hoc lane, so that they cannot starve the tick; the store refuses what would write. Two
limits are kept apart and named: how many rows leave the database, and how many are on screen.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import DataTable, Static, TextArea

from engine.errors import Fault, UserError
from llmzero_tui.actions import Context, bindings
from llmzero_tui.feeds import OpenRun, Reader
from llmzero_tui.format import number, plain
from llmzero_tui.screens.base import Face
from llmzero_tui.widgets.keybar import KeyBar
from llmzero_tui.widgets.look import look

FETCHED = 10_000
PAGE = 200
CELL_LIMIT = 60
EXAMPLES = (
    "-- the nodes and their best validation score\n"
    "SELECT n.node_id, n.parent_id, n.label, n.state, n.trained_steps,\n"
    "       max(c.value) AS best\nFROM nodes n LEFT JOIN checkpoints c USING (node_id)\n"
    "GROUP BY ALL ORDER BY best DESC NULLS LAST;",
    "-- the reward of the latest steps\nSELECT node_id, step, value FROM metrics\n"
    "WHERE name = 'reward' ORDER BY seq DESC LIMIT 50;",
    "-- which metrics are there\nSELECT name, count(*) AS points, min(value) AS low, max(value) AS high\n"
    "FROM metrics GROUP BY name ORDER BY name;",
    "-- what went wrong\nSELECT ts, level, node_id, message FROM events WHERE level <> 'info' ORDER BY seq;",
    "-- what the tables and columns mean\nSELECT table_name, column_name, comment\n"
    "FROM duckdb_columns() WHERE NOT internal;",
)  # fmt: skip


class SqlScreen(Face):
    """One editor, one table. F5 or ctrl+r runs; from the rows r does too."""

    kind = "sql"
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("sql", priority=frozenset({"run_query", "interrupt"})),
        Binding("tab", "turn", show=False, priority=True),
    ]

    @dataclass
    class Answer(Message):
        """A query ended: rows, or one line of error."""

        rows: list[dict[str, Any]]
        seconds: float
        cut: bool
        error: str = ""

    def __init__(self, path: Path, opener: OpenRun) -> None:
        super().__init__(id="sql")
        self._path = path
        self._opener = opener
        self._reader: Reader | None = None
        self._busy = False
        self._rows: list[dict[str, Any]] = []
        self._answer: SqlScreen.Answer | None = None
        self._page = 0
        self._example = 0
        self._history: list[str] = []
        self._back = 0

    def compose(self) -> ComposeResult:
        yield Static(id="title", markup=False)
        yield TextArea(EXAMPLES[0], id="editor", show_line_numbers=False, compact=True)
        yield Static(id="status", markup=False)
        yield DataTable[Text](id="rows", cursor_type="row", zebra_stripes=False)
        yield KeyBar()

    def on_mount(self) -> None:
        self._title()
        self.query_one("#editor").border_title = "Query"
        self.query_one("#rows").border_title = "Rows"
        self._say("F5 or ctrl+r runs it · reading only · esc to the rows", look(self).palette.muted)
        self.query_one(TextArea).focus()
        self.refresh_keys()

    def _title(self) -> None:
        colours = look(self).palette
        title = Text.assemble(
            ("LLMZero ", colours.muted), (plain(self._path.name, 40), f"bold {colours.text}"), ("  SQL", colours.muted)
        )
        self.query_one("#title", Static).update(look(self).done(title))

    def restyle(self) -> None:
        super().restyle()
        self._title()
        self._show_page()

    def on_unmount(self) -> None:
        if self._reader is not None and not self._busy:
            self._reader.close()

    def _say(self, words: str, style: str) -> None:
        self.query_one("#status", Static).update(look(self).done(Text(f" {plain(words, 400)}", style=style)))

    def context(self) -> Context:
        editing = self.query_one(TextArea).has_focus
        pages = len(self._rows) > PAGE and not self._busy
        return Context(self.kind, busy=self._busy, pages=pages, editing=editing)

    def on_descendant_focus(self) -> None:
        self.refresh_keys()

    # ---- running ----------------------------------------------------------------------------------------------------

    def action_run_query(self) -> None:
        """Run the text of the editor."""
        text = self.query_one(TextArea).text.strip()
        if not text or self._busy:
            return
        self._busy = True
        if not self._history or self._history[-1] != text:
            self._history.append(text)
        self._back = 0
        self._say("running … esc stops it", look(self).palette.wait)
        self.refresh_keys()
        self._run_it(text)

    def action_rerun(self) -> None:
        """The same, by a plain key from the rows."""
        self.action_run_query()

    @work(thread=True, group="sql", exit_on_error=False)
    def _run_it(self, text: str) -> None:
        begun = time.monotonic()
        try:
            if self._reader is None:
                self._reader = self._opener(self._path)
            rows = self._reader.rows(text, lane="adhoc", limit=FETCHED)
            answer = self.Answer(rows, time.monotonic() - begun, self._reader.truncated)
        except UserError as error:
            answer = self.Answer([], time.monotonic() - begun, False, str(error) or "refused")
        except Fault as error:
            # The engine went away: the next query opens the run anew, on the file if need be.
            self._reader = None
            answer = self.Answer([], time.monotonic() - begun, False, str(error) or "the engine is gone")
        if self._reader is not None and not self._reader.live:
            # A file is not kept open: while a viewer holds it, no engine could take the run up again.
            self._reader.close()
            self._reader = None
        self.post_message(answer)

    def action_interrupt(self) -> None:
        """Stop what runs."""
        self._interrupt()

    @work(thread=True, group="interrupt", exit_on_error=False)
    def _interrupt(self) -> None:
        if self._reader is not None:
            self._reader.interrupt()

    @on(Answer)
    def _answered(self, event: Answer) -> None:
        self._busy = False
        colours = look(self).palette
        if event.error:
            self._say(f"✗ {event.error}", colours.bad)
        else:
            self._answer, self._rows, self._page = event, event.rows, 0
            self._show_page()
        self.refresh_keys()

    # ---- rows -------------------------------------------------------------------------------------------------------

    def _show_page(self) -> None:
        """The rows of the page, and in words how many there are of what."""
        answer = self._answer
        if answer is None:
            return
        table = self.query_one("#rows", DataTable)
        table.clear(columns=True)
        first = self._page * PAGE
        shown = self._rows[first : first + PAGE]
        names = list(self._rows[0]) if self._rows else []
        colours = look(self).palette
        for index, name in enumerate(names):
            table.add_column(look(self).done(Text(plain(name, 30), style=colours.muted)), key=str(index))
        for row in shown:
            table.add_row(*(self._cell(row[name]) for name in names))
        total = len(self._rows)
        words = "no rows" if not total else f"rows {first + 1}–{first + len(shown)} of {total}"
        if answer.cut:
            words += f" · only the first {FETCHED:,} were fetched"
        self._say(f"{words} · {answer.seconds * 1000:.0f} ms", colours.muted)

    def _cell(self, value: Any) -> Text:
        colours = look(self).palette
        if value is None:
            return Text("–", style=colours.faint)
        if isinstance(value, float):
            return look(self).done(Text(number(value), style=colours.text, justify="right"))
        if isinstance(value, int) and not isinstance(value, bool):
            return Text(str(value), style=colours.text, justify="right")
        return look(self).done(Text(plain(value, CELL_LIMIT), style=colours.text))

    def action_next_page(self) -> None:
        """The next rows."""
        if (self._page + 1) * PAGE < len(self._rows):
            self._page += 1
            self._show_page()

    def action_previous_page(self) -> None:
        """The rows before."""
        if self._page:
            self._page -= 1
            self._show_page()

    # ---- the editor -------------------------------------------------------------------------------------------------

    def action_turn(self) -> None:
        """Between the editor and the rows."""
        editor = self.query_one(TextArea)
        (self.query_one("#rows") if editor.has_focus else editor).focus()

    def action_editor(self) -> None:
        """To the editor."""
        self.query_one(TextArea).focus()

    def action_example(self) -> None:
        """The next example."""
        self._example = (self._example + 1) % len(EXAMPLES)
        self.query_one(TextArea).load_text(EXAMPLES[self._example])

    def action_history(self) -> None:
        """The query before; round again at the end."""
        if self._history:
            self._back = self._back % len(self._history) + 1
            self.query_one(TextArea).load_text(self._history[-self._back])

    def action_back(self) -> None:
        """From the editor to the rows, from there to the screen before."""
        if self.query_one(TextArea).has_focus:
            self.query_one("#rows").focus()
        else:
            self.dismiss()

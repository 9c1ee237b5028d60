"""SQL over one run, live or at rest: an editor, and the rows in pages.

Queries run in a worker on the reader's ad-hoc lane, so that they cannot starve the tick; the store refuses what would
write. Two limits are kept apart and named: how many rows leave the database for the screen, and how many are on it. An
export has every row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import DataTable, Static

from engine.errors import Fault, UserError
from engine.store.reader import OpenRun
from engine.words import counted
from llmzero_tui.actions import ActionContext, bindings
from llmzero_tui.feeds.sql import FETCHED, ColumnMeaning, QueryAnswer, SqlFeed
from llmzero_tui.files.exporting import FORMATS, ExportTarget, file_name, save_answer
from llmzero_tui.format import plain
from llmzero_tui.screens.base import KeyedScreen
from llmzero_tui.sql_text import clean, error_span
from llmzero_tui.user import queries
from llmzero_tui.widgets.appearance import look
from llmzero_tui.widgets.keybar import KeyBar
from llmzero_tui.widgets.result_grid import ResultGrid, as_text, spreadsheet_line
from llmzero_tui.widgets.sql_editor import SqlEditor


class SqlScreen(KeyedScreen):
    """One editor, one table. F5 or ctrl+r runs; from the rows r does too."""

    kind = "sql"
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("sql", priority=frozenset({"run_query", "interrupt"})),
        Binding("tab", "turn", show=False, priority=True),
    ]

    @dataclass
    class Answered(Message):
        """A query ended."""

        answer: QueryAnswer

    @dataclass
    class Exported(Message):
        """An export ended: where and what, or why not."""

        words: str
        error: bool = False

    @dataclass
    class Forgotten(Message):
        """The history could not be kept."""

        why: str

    @dataclass
    class Explained(Message):
        """What the tables mean, or why that cannot be said."""

        meanings: Sequence[ColumnMeaning]
        error: str = ""

    def __init__(self, path: Path, opener: OpenRun, drafts: dict[Path, str] | None = None) -> None:
        super().__init__(id="sql")
        self._path = path
        self._feed = SqlFeed(path, opener)
        self._drafts = {} if drafts is None else drafts
        self._answer: QueryAnswer | None = None
        self._asked = ""
        self.busy = False

    def compose(self) -> ComposeResult:
        yield Static(id="title", markup=False)
        yield SqlEditor(self._drafts.get(self._path) or queries.first(), id="editor")
        yield Static(id="status", markup=False)
        yield ResultGrid()
        yield KeyBar()

    def on_mount(self) -> None:
        self._title()
        self.editor.border_title = "Query"
        self.grid.border_title = "Rows"
        words = "f5 or ^r runs it · read-only · esc to the rows · ? asks the model"
        self._say(words, look(self).palette.muted)
        self.editor.focus()
        self.refresh_keys()

    @property
    def editor(self) -> SqlEditor:
        return self.query_one(SqlEditor)

    @property
    def grid(self) -> ResultGrid:
        return self.query_one(ResultGrid)

    def _title(self) -> None:
        colours = look(self).palette
        title = Text.assemble(
            ("LLMZero ", colours.muted), (plain(self._path.name, 40), f"bold {colours.text}"), ("  SQL", colours.muted)
        )
        self.query_one("#title", Static).update(look(self).done(title))

    def restyle(self) -> None:
        super().restyle()
        self._title()
        self.editor.restyle()
        self.grid.draw()
        if self._answer is not None:
            self._count()

    def on_resize(self) -> None:
        self.call_after_refresh(self.grid.draw)

    def on_unmount(self) -> None:
        self._feed.close()

    @on(SqlEditor.Changed)
    def _changed(self, event: SqlEditor.Changed) -> None:
        """What is being written is there again when the screen is opened again."""
        self._drafts[self._path] = event.text_area.text

    def _say(self, words: str, style: str) -> None:
        self.query_one("#status", Static).update(look(self).done(Text(f" {plain(words, 600)}", style=style)))

    def context(self) -> ActionContext:
        has_rows = self._answer is not None and self._answer.rows > 0 and not self.busy
        return ActionContext(
            self.kind,
            busy=self.busy,
            pages=has_rows and self.grid.pages > 1,
            editing=self.editor.has_focus,
            found=has_rows,
        )

    def on_descendant_focus(self) -> None:
        self.refresh_keys()

    # ---- running ----------------------------------------------------------------------------------------------------

    def _begin(self, words: str) -> bool:
        """Say what is being done; False while something else is."""
        if self.busy:
            return False
        self.busy = True
        self._feed.start()
        self._say(words, look(self).palette.wait)
        self.refresh_keys()
        return True

    def action_run_query(self) -> None:
        """Run the text of the editor."""
        text = self.editor.text.strip()
        asks = text.startswith("?")
        if text and self._begin("asking the model …" if asks else "running … esc stops it"):
            self._asked = self.editor.text
            self.editor.mark(None)
            self._run(self._asked)

    def action_rerun(self) -> None:
        """The same, by a plain key from the rows."""
        self.action_run_query()

    @work(thread=True, group="sql", exit_on_error=False)
    def _run(self, text: str) -> None:
        question = text.strip().removeprefix("?").strip()
        asks = text.lstrip().startswith("?")
        self.post_message(self.Answered(self._feed.ask_model(question) if asks else self._feed.ask(text)))
        try:
            queries.remember(text)
        except UserError as error:
            self.post_message(self.Forgotten(str(error)))

    def action_interrupt(self) -> None:
        """Stop what runs."""
        self._interrupt()

    @work(thread=True, group="interrupt", exit_on_error=False)
    def _interrupt(self) -> None:
        self._feed.interrupt()

    @on(Answered)
    def _answered(self, event: Answered) -> None:
        self.busy = False
        if not self.display:  # it is being taken down
            return
        answer = event.answer
        if answer.error or answer.table is None:
            self._say(f"✗ {answer.error}", look(self).palette.bad)
            if self.editor.text == self._asked:
                self.editor.mark(error_span(answer.error, self._asked))
        else:
            self._answer = answer
            if answer.question and self.editor.text == self._asked:
                self.editor.put(_told(answer))
            self.grid.take(answer.table)
            self._count()
        self.refresh_keys()

    @on(Forgotten)
    def _forgotten(self, event: Forgotten) -> None:
        self.notify(f"the history is not saved: {plain(event.why, 300)}", severity="warning", markup=False)

    # ---- rows -------------------------------------------------------------------------------------------------------

    def _count(self) -> None:
        """In words, how many rows there are of what."""
        answer, grid = self._answer, self.grid
        assert answer is not None
        last = min(grid.first + grid.row_count, grid.total)
        words = f"rows {grid.first + 1}–{last} of {grid.total:,}" if grid.total else "no rows"
        if answer.cut:
            words += f" · only the first {FETCHED:,} were fetched; an export has them all"
        self._say(f"{words} · {answer.seconds * 1000:.0f} ms", look(self).palette.muted)

    def action_next_page(self) -> None:
        """The next rows."""
        if self.grid.turn(1):
            self._count()

    def action_previous_page(self) -> None:
        """The rows before."""
        if self.grid.turn(-1):
            self._count()

    @on(DataTable.CellSelected)
    def action_view(self) -> None:
        """The row under the cursor in full."""
        from llmzero_tui.screens.row_view import RowView

        if self.grid.row_count:
            self.app.push_screen(RowView(self.grid))

    def action_copy_cell(self) -> None:
        """The value under the cursor, whole."""
        grid = self.grid
        if grid.row_count:
            value = grid.row_values(grid.cursor_row)[grid.cursor_column]
            self.app.copy(as_text(value, exact=True), plain(grid.names[grid.cursor_column], 40))

    def action_copy(self) -> None:
        """The row under the cursor, tabs between its values."""
        if self.grid.row_count:
            self.app.copy(spreadsheet_line(self.grid.row_values(self.grid.cursor_row)), "the row")

    def action_copy_page(self) -> None:
        """The rows of the page with the names of their columns, for a spreadsheet."""
        rows = self.grid.page_values()
        if rows:
            text = spreadsheet_line(self.grid.names) + "".join(map(spreadsheet_line, rows))
            self.app.copy(text, counted(len(rows), "row"))

    # ---- export -----------------------------------------------------------------------------------------------------

    def action_export(self) -> None:
        """Every row into a file of the user's choice."""
        from llmzero_tui.screens.place import AskFile

        answer = self._answer
        if answer is None:
            return

        def write(place: ExportTarget | None) -> None:
            if place is not None and self._begin("writing … esc stops it"):
                self._export(answer, place)

        rows = "every row; the query is run again" if answer.cut else f"{answer.rows:,} rows"
        words = f"{rows}. The file name sets the format: {', '.join(FORMATS)}"
        name = f"{file_name(self._path.name)}.csv"
        self.app.push_screen(AskFile("Export the rows", words, name, suffixes=tuple(FORMATS)), write)

    @work(thread=True, group="sql", exit_on_error=False)
    def _export(self, answer: QueryAnswer, place: ExportTarget) -> None:
        try:
            rows, cut = self._feed.every_row(answer)
            written = save_answer(rows, place.path, overwrite=place.overwrite, cut=cut)
        except (UserError, Fault) as error:
            self.post_message(self.Exported(f"nothing written: {error}", error=True))
        else:
            self.post_message(self.Exported(str(written)))

    @on(Exported)
    def _exported(self, event: Exported) -> None:
        self.busy = False
        if not self.display:
            return
        colours = look(self).palette
        mark, style = ("✗", colours.bad) if event.error else ("✓", colours.good)
        self._say(f"{mark} {event.words}", style)
        self.refresh_keys()

    # ---- the editor -------------------------------------------------------------------------------------------------

    def action_turn(self) -> None:
        """Between the editor and the rows."""
        (self.grid if self.editor.has_focus else self.editor).focus()

    def action_editor(self) -> None:
        """To the editor."""
        self.editor.focus()

    def _put(self, text: str | None) -> None:
        if text is not None:
            self.editor.put(text)
            self.editor.focus()

    def action_queries(self) -> None:
        """Choose a saved query: ours, and the user's own on top."""
        from llmzero_tui.screens.finder import Finder, FinderEntry

        saved = [*queries.own(), *queries.packaged()]
        entries = [FinderEntry(q.name, q.words, q.text, q.text, mark="yours" if q.own else "") for q in saved]
        self.app.push_screen(Finder("Saved queries", entries, button="Into the editor", empty=""), self._put)

    def action_history(self) -> None:
        """Choose from what was asked before, the latest first."""
        from llmzero_tui.screens.finder import Finder, FinderEntry

        entries = [FinderEntry("", plain(text, 300), text, text) for text in reversed(queries.history())]
        empty = "no query has been run yet"
        self.app.push_screen(Finder("Earlier queries", entries, button="Into the editor", empty=empty), self._put)

    def action_save_query(self) -> None:
        """Keep the query of the editor under a name."""
        from llmzero_tui.screens.dialogs import SaveQuery

        def saved(path: str | None) -> None:
            if path is not None:
                self._say(f"✓ saved as {path}", look(self).palette.good)

        if self.editor.text.strip():
            self.app.push_screen(SaveQuery(self.editor.text), saved)

    def action_schema(self) -> None:
        """What tables and columns there are, and what they mean."""
        if self._begin("reading the tables …"):
            self._explain()

    @work(thread=True, group="sql", exit_on_error=False)
    def _explain(self) -> None:
        try:
            self.post_message(self.Explained(self._feed.meanings()))
        except (UserError, Fault) as error:
            self.post_message(self.Explained((), str(error)))

    @on(Explained)
    def _explained(self, event: Explained) -> None:
        from llmzero_tui.screens.finder import Finder, FinderEntry

        self.busy = False
        if not self.display:
            return
        self.refresh_keys()
        if event.error:
            self._say(f"✗ {event.error}", look(self).palette.bad)
            return
        self._say("", look(self).palette.muted)
        if self._answer is not None:
            self._count()
        entries = [
            FinderEntry(f"  {m.column}" if m.column else m.table, m.comment or m.type, m.column or m.table,
                  f"{m.name}  {m.type}\n{m.comment}", mark="" if m.column else "table", sql=False)
            for m in event.meanings
        ]  # fmt: skip

        def insert(name: str | None) -> None:
            if name is not None:
                self.editor.focus()
                self.editor.insert(name)

        finder = Finder("Tables and columns", entries, button="Insert the name", empty="this run describes no tables")
        self.app.push_screen(finder, insert)

    def action_back(self) -> None:
        """From the editor to the rows, from there to the screen before."""
        if self.editor.has_focus:
            self.grid.focus()
        else:
            self.dismiss()


def _told(answer: QueryAnswer) -> str:
    """A question, what the model says of the rows, and the query it wrote, as one text that runs."""
    said = [f"? {answer.question}", *answer.words.splitlines()]
    comments = [f"-- {line}" for words in said for line in wrap(clean(words), 96)]
    return "\n".join([*comments, clean(answer.text)])

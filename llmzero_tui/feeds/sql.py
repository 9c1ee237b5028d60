"""What the SQL screen asks a run: a human's query, every row of it into a file, what the tables mean.

Called from the screen's workers, one at a time; `interrupt` may come from any thread. Rows stay Arrow: a page becomes
text when it is shown. Never keeps the file of a run at rest.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from engine.errors import Fault, UserError
from engine.store.errors import EngineGone, QueryInterrupted
from engine.store.reader import OpenRun, Reader
from llmzero_tui.format import plain
from llmzero_tui.values.answers import EVERY_ROW

if TYPE_CHECKING:
    import pyarrow as pa

FETCHED = 10_000
"""The most rows that leave the database for the screen."""
MEANING = 'SELECT "table", "column", type, comment FROM documentation'
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class QueryAnswer:
    """What came of a query: rows, or one line of error. `cut`: there were more than FETCHED rows. Of a question in
    words `text` is the query that a model wrote, and `words` what it says of the rows."""

    text: str
    table: pa.Table | None = None
    seconds: float = 0.0
    cut: bool = False
    error: str = ""
    question: str = ""
    words: str = ""

    @property
    def rows(self) -> int:
        return 0 if self.table is None else int(self.table.num_rows)


@dataclass(frozen=True, slots=True)
class ColumnMeaning:
    """A table (no column) or one of its columns, with its type and comment."""

    table: str
    column: str
    type: str
    comment: str

    @property
    def name(self) -> str:
        return f"{self.table}.{self.column}" if self.column else self.table


class SqlFeed:
    """One run's database for one human. `opener` is what tests replace."""

    def __init__(self, path: Path, opener: OpenRun) -> None:
        self._path = path
        self._opener = opener
        self._reader: Reader | None = None
        self._asking = threading.Lock()
        self._stopped = threading.Event()
        self._closed = False

    def start(self) -> None:
        """To be called before a worker asks: from now on an interruption counts."""
        self._stopped.clear()

    def ask(self, text: str) -> QueryAnswer:
        """Run a query; errors are in the answer."""
        begun = time.monotonic()

        def work(reader: Reader) -> QueryAnswer:
            table = reader.query(text, lane="adhoc", limit=FETCHED)
            return QueryAnswer(text, table, time.monotonic() - begun, reader.truncated)

        try:
            return self._with_reader(work)
        except (UserError, Fault) as error:
            return QueryAnswer(text, seconds=time.monotonic() - begun, error=plain(error, 500) or "refused")

    def ask_model(self, question: str) -> QueryAnswer:
        """Have the run's model write the query, run it, and have it tell the rows; errors are in the answer, with the
        names of saved queries where no model answers."""
        from llmzero_tui.user import asking  # pydantic would delay the screen

        begun = time.monotonic()
        try:
            question = asking.checked(question)
        except UserError as error:
            return QueryAnswer("", error=str(error))

        def work(reader: Reader) -> QueryAnswer:
            model = asking.AskedModel.of_run(reader)
            sql, table = asking.answered(reader, model, question, FETCHED)
            cut = reader.truncated
            try:
                words = asking.tell_rows(model, question, sql, table)
            except Fault as fault:
                words = f"no words for the rows: {fault}"
            return QueryAnswer(sql, table, time.monotonic() - begun, cut, question=question, words=words)

        try:
            return self._with_reader(work)
        except (UserError, Fault) as error:
            names = ", ".join(each.name for each in asking.fitting(question))
            offered = f"; saved queries (f2) that may answer it: {names}" if names else ""
            return QueryAnswer("", error=plain(f"{error}{offered}", 500), question=question)

    def every_row(self, answer: QueryAnswer) -> tuple[pa.Table, bool]:
        """Every row of the answer: those in hand, or, when they were cut, all of them asked anew; and whether there
        are more than the reader gives.

        Raises:
            UserError or Fault, in one line.
        """
        if answer.table is not None and not answer.cut:
            return answer.table, False
        return self._with_reader(
            lambda reader: (reader.query(answer.text, lane="adhoc", limit=EVERY_ROW), reader.truncated)
        )

    def meanings(self) -> tuple[ColumnMeaning, ...]:
        """Every table, view and column. Raises UserError or Fault."""
        rows = self._with_reader(lambda reader: reader.rows(MEANING))
        return tuple(ColumnMeaning(*(str(value or "") for value in row.values())) for row in rows)

    def interrupt(self) -> None:
        """Stop what is asked now, if anything is."""
        self._stopped.set()
        reader = self._reader
        if reader is not None:
            reader.interrupt()

    def close(self) -> None:
        """Let go; what is asked now is stopped first, by whoever asks."""
        self._closed = True
        self.interrupt()
        if self._asking.acquire(blocking=False):
            try:
                self._let_go()
            finally:
                self._asking.release()

    def _with_reader(self, work: Callable[[Reader], Result]) -> Result:
        """Ask; when the engine of an earlier question has gone meanwhile, once more, of whoever has the run now."""
        with self._asking:
            kept = self._reader is not None
            try:
                return self._once(work)
            except EngineGone:
                if not kept or self._closed:
                    raise
                return self._once(work)

    def _once(self, work: Callable[[Reader], Result]) -> Result:
        with self._opened() as reader:
            if self._stopped.is_set():
                raise QueryInterrupted("the query was interrupted")
            return work(reader)

    @contextmanager
    def _opened(self) -> Iterator[Reader]:
        """The reader; let go when its engine went away, when it is a file, and when the screen has gone."""
        if self._reader is None:
            self._reader = self._opener(self._path)
        try:
            yield self._reader
        except Fault:
            self._let_go()
            raise
        finally:
            if self._reader is not None and (self._closed or not self._reader.live):
                self._let_go()

    def _let_go(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

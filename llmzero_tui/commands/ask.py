"""`llmzero ask RUN "question"`: the query that a model writes, its rows, and what the model says of them.

Without a model the saved queries whose words fit are offered. The query is shown before it is run.
"""

from __future__ import annotations

import argparse
import sys

from engine.errors import Fault, UserError
from engine.run import launch
from engine.store.base import to_rows
from engine.store.errors import QueryError
from engine.store.query_process import QueryLimits
from engine.store.reader import open_run
from engine.words import counted
from llmzero_tui.commands.sql import interruptible
from llmzero_tui.files.exporting import write_answer
from llmzero_tui.format import plain
from llmzero_tui.text.output import emit, note
from llmzero_tui.user import asking
from llmzero_tui.user.asking import AskedModel
from llmzero_tui.values.answers import to_json

SHOWN = 40
"""Rows that are shown."""


def ask(options: argparse.Namespace) -> int:
    """Show query, rows and words; 1 when no model answered."""
    question = asking.checked(options.question)
    directory = launch.find_run(options.runs_dir, options.name)
    reader = open_run(directory.path)
    reader.limits = QueryLimits.given()
    try:
        model = AskedModel.of_run(reader, options.host or "", options.model or "")
        try:
            sql, answer = interruptible(reader, lambda: asking.answered(reader, model, question))
        except QueryError as error:
            raise UserError(f"the query that {plain(model.model, 60)} wrote failed: {error}") from error
        except Fault as fault:
            return _offer(question, model, str(fault), as_json=options.json)
        emit(*([] if options.json else [plain(sql, 20_000, lines=True), ""]))
        if not options.json:
            write_answer(answer.slice(0, SHOWN), "table", sys.stdout.buffer, for_people=sys.stdout.isatty())
            if answer.num_rows > SHOWN:
                note(f"{counted(answer.num_rows, 'row')}, {SHOWN} shown; `llmzero sql` with this query has all")
        try:
            words = asking.tell_rows(model, question, sql, answer)
        except Fault as fault:
            note(f"{plain(model.model, 60)} gave no words for the rows: {plain(str(fault), 200)}")
            words = ""
    finally:
        reader.close()
    if options.json:
        rows = to_rows(answer.slice(0, SHOWN))
        emit(to_json({"sql": sql, "rows": rows, "count": answer.num_rows, "answer": words, "model": model.model}))
    elif words:
        emit("", plain(words, 4000, lines=True))
    return 0


def _offer(question: str, model: AskedModel, why: str, *, as_json: bool) -> int:
    saved = asking.fitting(question)
    note(f"no answer of {plain(model.model, 60)} at {plain(model.host, 80)}: {plain(why, 200)}")
    if as_json:
        emit(to_json({"saved": [{"name": each.name, "words": each.words, "sql": each.text} for each in saved]}))
    elif saved:
        note("saved queries that may answer it, for `llmzero sql RUN` or the : of the screen:")
        emit("\n\n".join(each.text for each in saved))
    else:
        note('no saved query has words of the question; `llmzero sql RUN "FROM documentation"` explains every table')
    return 1

"""`llmzero sql`: a query over a live or a finished run, or over all runs at once.

The reader decides what a text may do; this module only asks it, in the lane for people, and writes the answer. Ctrl+C
stops the query itself, not only the waiting.
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import UserError
from engine.run import launch
from engine.run.rundir import RunDirectory, refuse_files_of_runs
from engine.store.many import ManyRuns
from engine.store.query_process import QueryLimits
from engine.store.reader import Reader, open_run
from engine.words import counted
from llmzero_tui.commands.listing import look
from llmzero_tui.files.exporting import FORMATS, whole_file, write_answer
from llmzero_tui.format import plain
from llmzero_tui.text.output import note
from llmzero_tui.values.answers import EVERY_ROW

if TYPE_CHECKING:
    import pyarrow as pa


def sql(options: argparse.Namespace) -> int:
    """Ask, and write the answer to stdout or a file."""
    run, text = _question(options)
    kind = _format(options)
    if options.output is not None:
        refuse_files_of_runs(options.output)  # before the query takes its time
    if run is None and any(text == each.name for each in launch.list_runs(options.runs_dir)):
        raise UserError(f'no query; llmzero sql {text} "SELECT …", or --file q.sql')
    runs = [launch.find_run(options.runs_dir, run)] if run else launch.list_runs(options.runs_dir)
    if not runs:
        raise UserError(f"no runs in {options.runs_dir}")
    asked = SqlRequest(text, _rows(options), QueryLimits.given(options.seconds, options.memory))
    answer = _ask(runs[0], asked) if run else _ask_all(runs, asked)
    if options.output is None:
        write_answer(answer, kind, sys.stdout.buffer, for_people=sys.stdout.isatty())
        sys.stdout.buffer.flush()
    else:
        with whole_file(options.output) as file:
            write_answer(answer, kind, file)
    return 0


@dataclass(frozen=True, slots=True)
class SqlRequest:
    """A query, the most rows of its answer (None: as many as a screen is given), and what it may use."""

    text: str
    rows: int | None
    limits: QueryLimits


def _rows(options: argparse.Namespace) -> int | None:
    if options.rows is not None:
        return int(options.rows)
    return EVERY_ROW if options.output is not None else None


def _question(options: argparse.Namespace) -> tuple[str | None, str]:
    """The run, None for all of them, and the text of the query."""
    words = list(options.words)
    if options.file is not None:
        if len(words) > 1:
            raise UserError("with --file give at most a run: llmzero sql [RUN] --file q.sql")
        return (words[0] if words else None), _read(options.file)
    if not words:
        raise UserError('no query; llmzero sql [RUN] "SELECT …", or --file q.sql')
    if len(words) > 2:
        raise UserError('too many words; put the query in quotes: llmzero sql [RUN] "SELECT …"')
    return (words[0] if len(words) == 2 else None), words[-1]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8 text'}") from error


def _format(options: argparse.Namespace) -> str:
    """What was asked for, else what the file's name says, else a table."""
    asked = options.format or ("json" if options.json else None)
    kind = asked or FORMATS.get(options.output.suffix if options.output else "", "table")
    if kind == "parquet" and options.output is None and sys.stdout.isatty():
        raise UserError("parquet cannot be shown in a terminal; give -o FILE.parquet")
    return str(kind)


def _ask(directory: RunDirectory, asked: SqlRequest) -> pa.Table:
    reader = open_run(directory.path)
    reader.limits = asked.limits
    try:
        answer = interruptible(reader, lambda: reader.query(asked.text, lane="adhoc", limit=asked.rows))
        if reader.truncated:
            note(
                f"llmzero: {directory.name}: truncated after {counted(answer.num_rows, 'row')}; add LIMIT, or aggregate"
            )
        return answer
    finally:
        reader.close()


def _ask_all(runs: list[RunDirectory], asked: SqlRequest) -> pa.Table:
    """Over every run, oldest first: together when the query names the column `run`, else one run after the other.

    A run of which `ls` cannot say anything is left out with the same remark; a query that is wrong is wrong for all.
    """
    from engine.store.together import names_the_run

    readable = []
    for directory in reversed(runs):
        if trouble := look(directory).trouble:
            note(f"llmzero: {directory.name} is left out: {plain(trouble)}")
        else:
            readable.append(directory)
    if not readable:
        raise UserError("no run can be read")
    return _ask_together(readable, asked) if names_the_run(asked.text) else _ask_each(readable, asked)


def _ask_each(runs: list[RunDirectory], asked: SqlRequest) -> pa.Table:
    """One answer under the other, with the column `run` in front."""
    import pyarrow as pa

    answers = []
    for directory in runs:
        answer = _ask(directory, asked)
        name = "run" if "run" not in answer.column_names else "run_name"
        answers.append(answer.add_column(0, name, pa.array([directory.name] * answer.num_rows, pa.string())))
    return pa.concat_tables(answers, promote_options="permissive")


def _ask_together(runs: list[RunDirectory], asked: SqlRequest) -> pa.Table:
    """One answer over tables that hold the rows of all runs and the column `run`."""
    many = ManyRuns([each.path for each in runs], asked.limits)
    answer = interruptible(many, lambda: many.query(asked.text, asked.rows))
    if many.truncated:
        note(f"llmzero: truncated after {counted(answer.num_rows, 'row')}; add LIMIT, or aggregate")
    return answer


def interruptible(reader: Reader | ManyRuns, ask: Callable[[], Any]) -> Any:
    """Ask in a thread, so that Ctrl+C reaches this one and stops the query."""
    result: list[Any] = []
    failure: list[BaseException] = []

    def work() -> None:
        try:
            result.append(ask())
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
            failure.append(error)

    thread = threading.Thread(target=work, name="query", daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(0.2)
    except KeyboardInterrupt:
        reader.interrupt()
        thread.join(2)
        raise
    if failure:
        raise failure[0]
    return result[0]

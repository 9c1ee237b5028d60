"""Writing something of a run into a file, in a thread, with an end that is told in one line.

Made by the run screen, run in a worker of the app, watched by the progress dialog. It touches no widget.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from textual.worker import get_current_worker

from engine.errors import Fault, UserError
from engine.run.rundir import RunDirectory
from engine.store import queries
from engine.store.reader import OpenRun, Reader
from llmzero_tui.files.exporting import FORMATS, ExportTarget, Progress, WrittenFile, rows_word, save_answer
from llmzero_tui.values.answers import EVERY_ROW

LONG = ("policy", "database", "report")
"""What takes longer than a moment."""


@dataclass(frozen=True, slots=True)
class ExportKind:
    """One thing that can be written: `what` in a few words, `words` for the question where to, `ending` of the proposed
    name."""

    name: str
    what: str
    words: str
    ending: str
    suffixes: tuple[str, ...] = ()
    replaceable: bool = True
    directory: bool = False


def export_kinds(node: int | None) -> tuple[ExportKind, ...]:
    """What can be written while a node is selected."""
    formats = f"The file name sets the format: {', '.join(FORMATS)}"
    tables = tuple(FORMATS)
    kinds = [
        ExportKind("policy", "the best policy: model, strategy and card", "A new directory. The weights are copied.",
            "-policy", directory=True),
        ExportKind("database", "the database as of now, for other tools", "A self-contained DuckDB file.",
            "-snapshot.duckdb", (".duckdb", ".db"), replaceable=False),
        ExportKind("strategy", "the best trajectory as TOML, for replay", "Every stage with every value.",
            "-strategy.toml", (".toml",)),
        ExportKind("report", "a document about the run: HTML, Markdown, figures", "A directory that is made.",
            "-report", directory=True),
    ]  # fmt: skip
    if node is not None:
        path = f"the metrics of the trajectory to node {node}"
        kinds += [
            ExportKind("node", f"the metrics of node {node}", formats, f"-node{node}.csv", tables),
            ExportKind("trajectory", path, formats, f"-trajectory{node}.csv", tables),
        ]
    picture = "An SVG, for a browser or a page."
    kinds.append(ExportKind("picture", "the screen as a picture", picture, ".svg", (".svg",)))
    return tuple(kinds)


class ExportJob:
    """One writing. `outcome` is there when `over` is set, `written` when it went well; `done` of `total` bytes before.

    `long`: worth a dialog. `stoppable`: `stop` does something.
    """

    def __init__(self, what: str, work: Callable[[Progress], WrittenFile], *, long: bool, stoppable: bool) -> None:
        self.what = what
        self.long = long
        self.stoppable = stoppable
        self.written: WrittenFile | None = None
        self.outcome = ""
        self.done = self.total = 0
        self.over = threading.Event()
        self._stop = threading.Event()
        self._work = work

    def run(self) -> None:
        """Do it; a mistake of the user and a fault of the world are its outcome. To be called in a worker."""
        try:
            self.written = self._work(self._progress)
            self.outcome = str(self.written)
        except (UserError, Fault) as error:
            self.outcome = f"nothing written: {error}"
        finally:
            self.over.set()

    def stop(self) -> None:
        """Stop at the next piece; nothing is left of it."""
        self._stop.set()

    def _progress(self, done: int, total: int) -> bool:
        self.done, self.total = done, total
        return self._stop.is_set() or get_current_worker().is_cancelled


def export_job(kind: ExportKind, run: Path, node: int | None, place: ExportTarget, opener: OpenRun) -> ExportJob:
    """What has to be done to write this there."""

    def work(progress: Progress) -> WrittenFile:
        if kind.name == "policy":
            from llmzero_tui.files.policy import save_policy

            return save_policy(RunDirectory(run), place.path, progress)
        if kind.name == "report":
            from llmzero_tui.files.report.writing import save_reports

            return save_reports([RunDirectory(run)], place.path)
        reader = opener(run)
        try:
            return _from_reader(kind, reader, node, place)
        finally:
            reader.close()

    return ExportJob(kind.what, work, long=kind.name in LONG, stoppable=kind.name == "policy")


def _from_reader(kind: ExportKind, reader: Reader, node: int | None, place: ExportTarget) -> WrittenFile:
    if kind.name == "database":
        from engine.store.snapshot import snapshot

        copied = snapshot(reader, place.path)
        words = f"the database, {rows_word(copied.rows)}, storage version {copied.storage_version}"
        return WrittenFile(place.path, words, place.path.stat().st_size)
    if kind.name == "strategy":
        from llmzero_tui.files.policy import save_strategy

        return save_strategy(reader, place.path, overwrite=place.overwrite)
    answer = reader.query(queries.load("ui_take_metrics"), (node, kind.name == "trajectory"), limit=EVERY_ROW)
    return save_answer(answer, place.path, overwrite=place.overwrite, cut=reader.truncated)

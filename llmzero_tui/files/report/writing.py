"""Writes a report: one file of HTML, or a directory that is made for it, with report.html, report.md and the figures as
SVG and PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from engine.errors import UserError, short_path
from engine.run.rundir import RunDirectory
from engine.store.reader import ask_run
from llmzero_tui.files.exporting import WrittenFile, whole_directory, whole_file
from llmzero_tui.files.report import figures, page
from llmzero_tui.files.report.facts import RunReport, read_report
from llmzero_tui.format import plain

HTML = "report.html"
OTHER_DOCUMENTS = frozenset({".htm", ".json", ".md", ".pdf", ".txt"})
"""Endings by which somebody means one file of a kind that is not written."""


def save_reports(directories: Sequence[RunDirectory], output: Path) -> WrittenFile:
    """Write one document about these runs: as a file of HTML where the name ends in .html, else as a directory.

    Raises:
        UserError: what is named exists, cannot be made or is another kind of document, or a run has not begun.
        Fault: a run cannot be read.
    """
    if output.suffix.lower() in OTHER_DOCUMENTS:
        raise UserError(f"{short_path(output)}: give a name that ends in .html, or a directory (with report.md)")
    reports = [_read(directory) for directory in directories]
    if output.suffix.lower() == ".html":
        with whole_file(output, overwrite=False) as file:
            file.write(_files(reports)[HTML])
            return WrittenFile(output, "tables and figures in one file", file.tell())
    with whole_directory(output) as made:
        files = _files(reports)
        for name, data in files.items():
            (made / name).write_bytes(data)
    return WrittenFile(output, "report.html, report.md and figures", sum(map(len, files.values())))


def _files(reports: Sequence[RunReport]) -> dict[str, bytes]:
    """The document by the names of its files; the HTML holds its figures itself."""
    shown: list[dict[str, str]] = []
    files: dict[str, bytes] = {}
    for number, report in enumerate(reports):
        prefix = "" if len(reports) == 1 else f"{number + 1}-"
        drawn = {f"{prefix}{name}": data for name, data in figures.draw(report).items()}
        files |= drawn
        shown.append({n.removeprefix(prefix).removesuffix(".svg"): n for n in drawn if n.endswith(".svg")})
    images = {name: data for name, data in files.items() if name.endswith(".svg")}
    text = page.markdown(reports, shown)
    title = ", ".join(plain(report.summary.name) for report in reports)
    files["report.md"] = text.encode("utf-8", "replace")
    files[HTML] = page.as_html(text, title, images).encode("utf-8", "replace")
    return files


def _read(directory: RunDirectory) -> RunReport:
    try:
        return ask_run(directory.path, lambda reader: read_report(reader, directory))
    except UserError as error:
        raise UserError(f"{directory.name}: {error}") from error

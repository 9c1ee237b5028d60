"""Writes a report into a directory that is made for it: report.html, report.md and the figures as SVG and PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from engine.errors import UserError
from engine.run.rundir import RunDirectory
from engine.store.reader import open_run
from llmzero_tui.files.exporting import WrittenFile, whole_directory
from llmzero_tui.files.report import figures, page
from llmzero_tui.files.report.facts import RunReport, read_report
from llmzero_tui.format import plain


def save_reports(directories: Sequence[RunDirectory], output: Path) -> WrittenFile:
    """Write one document about these runs.

    Raises:
        UserError: the directory exists or cannot be made, or a run has not begun. Fault: a run cannot be read.
    """
    reports = [_read(directory) for directory in directories]
    with whole_directory(output) as made:
        shown, images = [], {}
        for number, report in enumerate(reports):
            prefix = "" if len(reports) == 1 else f"{number + 1}-"
            drawn = {f"{prefix}{name}": data for name, data in figures.draw(report).items()}
            for name, data in drawn.items():
                (made / name).write_bytes(data)
            vector = {name: data for name, data in drawn.items() if name.endswith(".svg")}
            images.update(vector)
            shown.append({name.removeprefix(prefix).removesuffix(".svg"): name for name in vector})
        text = page.markdown(reports, shown)
        title = ", ".join(plain(report.summary.name) for report in reports)
        (made / "report.md").write_text(text, encoding="utf-8", errors="replace")
        (made / "report.html").write_text(page.as_html(text, title, images), encoding="utf-8", errors="replace")
        size = sum(each.stat().st_size for each in made.iterdir())
    return WrittenFile(output, "report.html, report.md and figures", size)


def _read(directory: RunDirectory) -> RunReport:
    reader = open_run(directory.path)
    try:
        return read_report(reader, directory)
    except UserError as error:
        raise UserError(f"{directory.name}: {error}") from error
    finally:
        reader.close()

"""Text for pipes and people: lines, aligned tables and JSON on stdout, remarks on stderr.

Used by the commands. Whatever a model, a file or a user wrote goes through `llmzero_tui.format.plain` before it is
shown, so that it cannot drive a terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Sequence

from rich.cells import cell_len

from llmzero_tui.format import fit, plain

LINE = 4000
COLUMN = 60
"""Cells of the widest column that a table for people has."""


def emit(*lines: str) -> None:
    """Data: lines on stdout."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))


def note(line: str) -> None:
    """A remark: one line on stderr."""
    sys.stderr.write(f"{plain(line, LINE)}\n")
    sys.stderr.flush()


def remarks(*lines: str) -> None:
    """Remarks on stderr whose columns stay as they are; what others wrote in them is clean already."""
    sys.stderr.write("".join(f"{line}\n" for line in lines))
    sys.stderr.flush()


def table(
    header: Sequence[str], rows: Iterable[Sequence[object]], right: Collection[int] = (), indents: Sequence[int] = ()
) -> list[str]:
    """Aligned lines: a header and rows, columns two blanks apart, those named in `right` aligned to the right.

    `indents` are blanks before the first cell of each row.
    """
    header = [plain(cell, COLUMN) for cell in header]
    cells = [[plain(cell, COLUMN) for cell in row] for row in rows]
    for row, blanks in zip(cells, indents, strict=False):
        row[0] = " " * blanks + row[0]
    widths = [max(map(cell_len, column)) for column in zip(header, *cells, strict=True)]

    def line(row: Sequence[str]) -> str:
        fitted = (fit(cell, widths[i], right=i in right) for i, cell in enumerate(row))
        return "  ".join(fitted).rstrip()

    return [line(header), *(line(row) for row in cells)]

"""A curve as a small picture of blocks: as high as one likes, a column for every part. Pure text, no plotting library.

Used by the decision screen for the parent's segment; what is not finite is left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.text import Text

from llmzero_tui.format import number
from llmzero_tui.widgets.appearance import Appearance

LEVELS = " ▁▂▃▄▅▆▇█"
ASCII_LEVELS = "  ..::||#"
Point = tuple[int, float, bool]


def curve(
    points: Sequence[Point],
    marks: Sequence[tuple[int, float]],
    width: int,
    height: int,
    appearance: Appearance,
    *,
    until: int,
) -> Text:
    """`points` (step, value, own) and scores at steps, in `width` × `height` cells with labelled axes.

    What is `own` is bright, the way to it pale. `until`: the last step of the axis.
    """
    values = [v for _, v, _ in points if math.isfinite(v)] + [v for _, v in marks if math.isfinite(v)]
    if not values or width < 16 or height < 3:
        return Text("no training before this point", style=appearance.palette.faint)
    low, high = min(values), max(values)
    low, high = low - (high - low) * 0.05 - 1e-9, high + (high - low) * 0.05 + 1e-9
    left = max(len(number(round(v, 3))) for v in (low, high)) + 1
    columns, rows = width - left, height - 1
    cells = _columns(points, columns, until)
    dots = {_column(step, until, columns): _row(value, low, high, rows) for step, value in marks}
    text = Text(no_wrap=True)
    for row in range(rows - 1, -1, -1):
        label = number(round(high, 3)) if row == rows - 1 else number(round(low, 3)) if row == 0 else ""
        text.append(label.rjust(left - 1) + " ", style=appearance.palette.muted)
        for column, cell in enumerate(cells):
            _cell(text, cell, low, high, row, rows, dots.get(column) == row, appearance)
        text.append("\n")
    end = f"step {until}"
    return text.append(" " * left + "0" + end.rjust(columns - 1), style=appearance.palette.muted)


def _columns(points: Sequence[Point], columns: int, until: int) -> list[tuple[float, bool] | None]:
    """The mean of the points in each column; a gap between two known ones repeats the one before."""
    in_column: list[list[tuple[float, bool]]] = [[] for _ in range(columns)]
    for step, value, own in points:
        if math.isfinite(value):
            in_column[_column(step, until, columns)].append((value, own))
    cells: list[tuple[float, bool] | None] = []
    last = max((i for i, each in enumerate(in_column) if each), default=-1)
    for index, each in enumerate(in_column):
        if each:
            cells.append((sum(v for v, _ in each) / len(each), each[-1][1]))
        else:
            cells.append(cells[-1] if cells and index <= last else None)
    return cells


def _column(step: int, until: int, columns: int) -> int:
    return max(0, min(columns - 1, (step - 1) * columns // max(1, until)))


def _row(value: float, low: float, high: float, rows: int) -> int:
    return max(0, min(rows - 1, int((value - low) / (high - low) * rows)))


def _cell(
    text: Text,
    cell: tuple[float, bool] | None,
    low: float,
    high: float,
    row: int,
    rows: int,
    dot: bool,
    appearance: Appearance,
) -> None:
    colours = appearance.palette
    if dot:
        text.append("x" if appearance.ascii else "◆", style=colours.star)
    elif cell is None:
        text.append(" ")
    else:
        value, own = cell
        part = (value - low) / (high - low) * rows - row
        levels = ASCII_LEVELS if appearance.ascii else LEVELS
        text.append(levels[max(0, min(8, round(part * 8)))], style=colours.trail if own else colours.raw)

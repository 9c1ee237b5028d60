"""Staircases: how each hyperparameter goes along a path, as lines of characters with a value where it changes.

Pure drawing for the trajectory screen: values in, Text out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from engine.domain.parameters import Value, numeric
from engine.words import intent_name, values_text
from llmzero_tui.format import fit, narrow, parameter, plain, score
from llmzero_tui.values.proposal_detail import PathStage
from llmzero_tui.values.snapshot import Row
from llmzero_tui.widgets.appearance import Appearance
from llmzero_tui.widgets.proposal_text import grouped

NAME = 13
"""Least cells before the first stage; more where a hyperparameter that changes has a longer name."""
LEAST = 17
ROWS = 4
"""Most lines of one staircase; more values than that share lines."""

Cell = tuple[str, str]


def changing(stages: Sequence[PathStage]) -> list[str]:
    """The hyperparameters that change along a path."""
    last = stages[-1].stage.configuration if stages else {}
    return [name for name in last if len({each.stage.configuration.get(name) for each in stages}) > 1]


def _name_width(stages: Sequence[PathStage]) -> int:
    return max([NAME, *(len(name) + 1 for name in changing(stages))])


def layout(stages: Sequence[PathStage], chosen: int, width: int) -> tuple[int, list[int]]:
    """The first stage shown and the width of each that is: in proportion to steps, and around the chosen one when not
    all of them fit."""
    room = max(LEAST, width - _name_width(stages))
    count = max(1, min(len(stages), room // LEAST))
    first = max(0, min(len(stages) - count, chosen - count // 2))
    shown = stages[first : first + count]
    total = sum(each.steps for each in shown) or 1
    spare = room - count * LEAST
    widths = [LEAST + spare * each.steps // total for each in shown]
    return first, widths


def stair(values: Sequence[Value | None], widths: Sequence[int], line: str, label: str) -> list[list[Cell]]:
    """Rows of (character, style) from the top: a level for each value (at most `ROWS`), a label where it changes.

    Numbers are levels by size, the names of a category in the order in which they come.
    """
    distinct = list(dict.fromkeys(v for v in values if v is not None))
    named = any(isinstance(v, bool | str) for v in distinct)
    levels = distinct if named else sorted(distinct, key=numeric)
    rows = max(1, min(ROWS, len(levels)))
    grid: list[list[Cell]] = [[(" ", "")] * sum(widths) for _ in range(rows)]
    place = {v: rows - 1 - (i * (rows - 1) // max(1, len(levels) - 1)) for i, v in enumerate(levels)}
    left, before = 0, None
    for value, width in zip(values, widths, strict=True):
        if value is not None:
            row = place[value]
            words = "" if value == before else f"{'' if before is None else ' '}{narrow(parameter(value))} "
            start = left
            if before is not None and value != before:
                _riser(grid, left, place[before], row, line)
                start = left + 1
            words = words[: max(0, left + width - start)]
            for index in range(start, left + width):
                inside = index - start < len(words)
                grid[row][index] = (words[index - start], label) if inside else ("─", line)
        left, before = left + width, value
    return grid


def _riser(grid: list[list[Cell]], column: int, old: int, new: int, style: str) -> None:
    """The upright between two levels."""
    if old == new:
        grid[new][column] = ("┼", style)
        return
    up = new < old
    grid[old][column] = ("┘" if up else "┐", style)
    grid[new][column] = ("┌" if up else "└", style)
    for row in range(min(old, new) + 1, max(old, new)):
        grid[row][column] = ("│", style)


def staircases(
    stages: Sequence[PathStage], space: Sequence[Row], chosen: int, width: int, appearance: Appearance
) -> RenderableType:
    """Stages from left to right with their scores; a staircase for every parameter that changes, by kind; what never
    changes in one line."""
    if not stages:
        return Text("no checkpoint has been scored yet", style=appearance.palette.muted)
    colours = appearance.palette
    known: dict[str, Row] = {str(p.get("name")): p for p in space}
    first, widths = layout(stages, chosen, width)
    shown = stages[first : first + len(widths)]
    name_width = _name_width(stages)
    lines = _heads(shown, widths, first, chosen, len(stages), name_width, appearance)
    last, moving = stages[-1].stage.configuration, changing(stages)
    for kind, names in grouped({n: last[n] for n in moving}, known):
        lines.append(appearance.done(Text(f"\n{kind}", style=f"italic {colours.muted}")))
        for name in names:
            values = [each.stage.configuration.get(name) for each in shown]
            lines += _named(
                fit(plain(name, 60), name_width), stair(values, widths, colours.line, colours.text), appearance
            )
    still = values_text({n: last[n] for n in last if n not in moving})
    if still:
        lines.append(appearance.done(Text(f"\nnever changed: {plain(still, 600)}", style=colours.muted)))
    return Group(*lines)


def _named(name: str, grid: list[list[Cell]], appearance: Appearance) -> list[Text]:
    """A staircase with the parameter's name before its first value."""
    rows = []
    at = next((i for i, row in enumerate(grid) if row[0][0] != " "), 0)
    for index, row in enumerate(grid):
        text = Text(name if index == at else " " * len(name), style=appearance.palette.text, no_wrap=True)
        for character, style in row:
            text.append(character, style=style)
        rows.append(appearance.done(text))
    return rows


def _heads(
    shown: Sequence[PathStage],
    widths: Sequence[int],
    first: int,
    chosen: int,
    count: int,
    name_width: int,
    appearance: Appearance,
) -> list[RenderableType]:
    """Which stage, until which step, and the score there with its interval."""
    colours = appearance.palette
    rows: Mapping[str, Text] = {
        n: Text(fit(n, name_width), style=colours.muted, no_wrap=True) for n in ("stage", "until", "validation")
    }
    for index, (each, width) in enumerate(zip(shown, widths, strict=True), first):
        here = index == chosen
        style = f"bold {colours.wait}" if here else colours.text
        mark = "▸" if here else ""
        label = plain(each.stage.label or intent_name(each.stage.intent), 40)
        rows["stage"].append(fit(f"{mark}#{each.stage.node} {label}", width - 1) + " ", style=style)
        rows["until"].append(fit(f"step {each.stage.start + each.steps}", width), style=colours.muted)
        measured = narrow(score(each.score.value, each.score.low, each.score.high)) if each.score else "–"
        best = here or index == count - 1
        rows["validation"].append(fit(measured, width), style=f"bold {colours.star}" if best else colours.text)
    if first:
        rows["stage"].plain = "‹ earlier".ljust(name_width) + rows["stage"].plain[name_width:]
    return [appearance.done(text) for text in rows.values()]

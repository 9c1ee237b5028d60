"""The words of the comparison: a legend with scores, where the trajectories part, and a table of what differs.

Called by the comparison's screen. Names, labels and reasons are foreign text. Nothing here reads or moves anything.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.text import Text

from engine.words import counted
from llmzero_tui.format import MISSING, ending, fit, plain, score
from llmzero_tui.values.comparison import Comparison, Contender, ParameterDifference, Steps
from llmzero_tui.values.nodes import ShownScore
from llmzero_tui.widgets.appearance import Appearance

NAME_CELLS = 30
LEAST_CELL = 10
PATHS = frozenset({"task.name", "model.path"})
"""Keys of the run file whose values are told apart by their end."""
GAP = 2


def legend(comparison: Comparison, width: int, appearance: Appearance) -> Text:
    """A line for every contender: letter, name, state, score with its interval and n, how far it is."""
    colours = appearance.palette
    names = [plain(f"{c.name} {c.label}".strip(), 60) for c in comparison.contenders]
    room = max(10, min(max(map(cell_len, names), default=0), width - (62 if width < 100 else 86)))
    lines = []
    for one, name in zip(comparison.contenders, names, strict=True):
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append(f" {one.letter} ", style=f"bold {colours[one.colour]}")
        line.append("── ", style=colours[one.colour])
        line.append(fit(name, room) + "  ", style=colours.text)
        if one.problem:
            line.append(plain(one.problem, 200), style=colours.bad)
        else:
            state = appearance.state(one.state)
            line.append_text(state).append(" " * max(1, 15 - state.cell_len))
            line.append_text(_score(one.best, "validation" if width >= 100 else "", appearance))
            if any(c.test is not None for c in comparison.contenders):
                line.append_text(_score(one.test, "test", appearance))
            line.append(counted(one.steps, "step"), style=colours.muted)
        lines.append(line)
    return appearance.done(Text("\n").join(lines))


def _score(measured: ShownScore | None, word: str, appearance: Appearance) -> Text:
    colours = appearance.palette
    text = Text(f"{word} " if word else "", style=colours.muted)
    if measured is None:
        return text.append(f"{MISSING:<24}", style=colours.faint)
    text.append(score(measured.value, measured.low, measured.high), style=f"bold {colours.text}")
    return text.append(f" n={measured.n:<5} ", style=colours.muted)


def table(comparison: Comparison, width: int, appearance: Appearance) -> Text:
    """Where they part, then only what differs: a line for each parameter, a column for each contender; where a value
    changes on the way, each with the step from which on it holds."""
    colours, contenders = appearance.palette, comparison.contenders
    partings = _partings(comparison, width)
    if not comparison.differences:
        return appearance.done(
            Text("\n".join([*partings, "no hyperparameter differs"]), style=colours.muted, no_wrap=True)
        )
    name_cells = min(NAME_CELLS, max(len(d.name) for d in comparison.differences), width // 3)
    each = max(LEAST_CELL, (width - name_cells - GAP) // max(1, len(contenders)) - GAP)
    text = Text("".join(f"{line}\n" for line in partings), style=colours.muted, no_wrap=True)
    text.append(" " * (name_cells + GAP))
    for one in contenders:
        text.append(fit(f"{one.letter} {one.name}", each) + " " * GAP, style=f"bold {colours[one.colour]}")
    asked = False
    for difference in comparison.differences:
        if difference.asked and not asked:
            asked = True
            text.append("\nrun file", style=colours.muted)
        _row(text, difference, name_cells, each, contenders, appearance)
    return appearance.done(text)


def _partings(comparison: Comparison, width: int) -> list[str]:
    """Where they part, as few lines as hold it."""
    lines: list[str] = []
    for words in comparison.partings:
        if lines and cell_len(lines[-1]) + 3 + cell_len(words) <= width:
            lines[-1] += f" · {words}"
        else:
            lines.append(words)
    return lines


def _row(
    text: Text,
    difference: ParameterDifference,
    name_cells: int,
    each: int,
    contenders: Sequence[Contender],
    appearance: Appearance,
) -> None:
    """One parameter, as many lines as its tallest staircase."""
    colours = appearance.palette
    cells = [_stairs(steps, each) for steps in difference.values]
    for line in range(max(1, *map(len, cells))):
        name = plain(difference.name, 60) if line == 0 else ""
        text.append("\n").append(fit(name, name_cells), style=colours.muted).append(" " * GAP)
        for one, cell in zip(contenders, cells, strict=True):
            words = cell[line] if line < len(cell) else (MISSING if line == 0 and not one.problem else "")
            shown = ending(words, each) if difference.name in PATHS else words
            text.append(fit(shown, each) + " " * GAP, style=colours.text if line < len(cell) else colours.faint)


def _stairs(steps: Steps, width: int) -> list[str]:
    """A staircase in one line where it fits, else a line for each step."""
    words = [plain(value, 60) if start == 0 else f"{plain(value, 60)} @{start}" for start, value in steps]
    whole = " → ".join(words)
    return [whole] if words and cell_len(whole) <= width else words

"""A run's progress on a terminal without screens: lines scroll by above a board with the tree so far and the budget.

Made by `llmzero_tui.text.headless` where stderr is a terminal that can redraw. It never reads the run itself; NO_COLOR
leaves it without colours.
"""

from __future__ import annotations

import textwrap
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from llmzero_tui.format import bar, ending, fit, mark, plain, to_ascii
from llmzero_tui.text.facts import (
    RunFacts,
    TreeBranch,
    activity_words,
    best_score,
    best_words,
    branches,
    device_words,
    limit_words,
    running_words,
    spent_words,
    test_words,
)
from llmzero_tui.text.facts import waiting_words as waits

COLOURS = {"live": "cyan", "good": "green", "warn": "yellow", "bad": "red", "wait": "magenta", "muted": "bright_black"}
REFRESHES = 4
"""A second: the board changes twice a second."""
BAR = 24
OTHER_LINES = 8
"""Lines of the terminal that are not the tree's: the board's head, and some for what scrolls by."""


class ProgressBoard:
    """Shows where a run stands below the lines of what happened; gone when the run is over."""

    def __init__(self, ascii: bool, console: Console | None = None) -> None:
        self._ascii = ascii
        self._console = console or Console(stderr=True, highlight=False, markup=False, emoji=False)
        self._live = Live(
            console=self._console, refresh_per_second=REFRESHES, transient=True, redirect_stdout=False,
            redirect_stderr=False, vertical_overflow="crop",
        )  # fmt: skip

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def line(self, text: str) -> None:
        """Something that happened: above the board, for good."""
        width = max(20, self._console.width)
        filled = textwrap.fill(to_ascii(text) if self._ascii else text, width, subsequent_indent="    ")
        self._console.print(filled, soft_wrap=True)

    def standing(self, facts: RunFacts) -> None:
        """Draw the board anew."""
        self._live.update(self.drawn(facts))

    def drawn(self, facts: RunFacts) -> Group:
        """The board: head, what trains, what waits, the tree, each on lines that fit the terminal's width."""
        lines = [Text(""), *self._head(facts)]
        shown = [*facts.waiting[:2]]
        lines += [Text(f"{waits(row)}: `llmzero attach {facts.name}`", style="magenta") for row in shown]
        if len(facts.waiting) > len(shown):
            lines.append(Text(f"  and {len(facts.waiting) - len(shown)} more", style="magenta"))
        room = max(3, self._console.height - OTHER_LINES - len(lines))
        lines += self._tree(facts, room)
        return Group(*(self._fitted(line) for line in lines))

    def _fitted(self, line: Text) -> Text:
        if self._ascii:
            line.plain = to_ascii(line.plain)
        line.no_wrap, line.overflow = True, "ellipsis" if not self._ascii else "crop"
        return line

    def _head(self, facts: RunFacts) -> list[Text]:
        summary = facts.summary
        look = mark(summary.state)
        spent, left = bar(summary.budget_fraction or 0.0, BAR, ascii=self._ascii)
        title = Text.assemble((facts.name, "bold"), "  ", (f"{look.glyph} {summary.state}", _colour(look.colour)))
        title.append(
            f"  task {ending(plain(summary.task, 400), 40)}, {plain(summary.advisor, 20)} advisor",
            style=_colour("muted"),
        )
        budget = Text.assemble((spent, _colour("live")), (left, _colour("muted")), f" {spent_words(summary)}")
        limits = Text(f"{limit_words(summary)}", style=_colour("muted"))
        scores = Text(best_words(summary), style="bold")
        scores.append(f"  {test_words(summary)}" if test_words(summary) else "")
        glyph = mark("running").glyph
        trains = [Text(f"{glyph} {words}", style=_colour("live")) for words in activity_words(summary)]
        trains += [Text(f"{glyph} {running_words(each)}", style=_colour("live")) for each in facts.running]
        devices = filter(None, map(device_words, facts.running))
        trains += [Text(f"  {words}", style=_colour("muted")) for words in devices]
        return [title, budget, limits, scores, *trains]

    def _tree(self, facts: RunFacts, room: int) -> list[Text]:
        """As many branches as there is room for: the way to the best and what is in flight first, then the newest."""
        tree = branches(facts.nodes, facts.summary.best_node)
        shown = telling(tree, room)
        names = [2 * each.depth + len(each.name) for each in shown]
        width = min(40, max(names, default=0))
        lines = [self._branch(each, width) for each in shown]
        if len(tree) > len(shown):
            lines.append(Text(f"  {len(tree) - len(shown)} more nodes: `llmzero show {facts.name}`",
                              style=_colour("muted")))  # fmt: skip
        return lines

    def _branch(self, branch: TreeBranch, width: int) -> Text:
        look = mark(str(branch.row["state"]))
        line = Text(fit(" " * (2 * branch.depth) + branch.name, width))
        line.append(f"  {best_score(branch.row):>26}")
        line.append(" ★ " if branch.best else "   ", style="yellow")
        line.append(branch.shown_state, style=_colour(look.colour))
        return line


def telling(tree: list[TreeBranch], room: int) -> list[TreeBranch]:
    """The branches to show, in the order of the tree."""
    if len(tree) <= room:
        return tree
    rows = {each.row["node_id"]: each.row for each in tree}
    wanted: dict[int, None] = {}
    for each in [b for b in tree if b.best] + [b for b in tree if b.row["state"] == "running"]:
        number = each.row["node_id"]
        while number is not None:
            wanted.setdefault(number)
            number = rows[number]["parent_id"]
    for number in sorted(rows, reverse=True):
        wanted.setdefault(number)
    kept = set(list(wanted)[: max(1, room - 1)])
    return [each for each in tree if each.row["node_id"] in kept]


def _colour(name: str) -> str:
    return COLOURS.get(name, "")

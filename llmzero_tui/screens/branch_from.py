"""From where: every kept checkpoint with its score, the best first; typing narrows the list. Escape: nothing happens.

Opened before a human writes a transition of their own. Labels are foreign text.
"""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from engine.words import counted
from llmzero_tui.format import plain, score
from llmzero_tui.values.proposal_detail import BranchPoint
from llmzero_tui.widgets.appearance import cell, look

SHOWN = 200


class BranchFrom(ModalScreen[BranchPoint | None]):
    """A list of places under a line to narrow it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", show=False),
        Binding("down", "walk(1)", show=False, priority=True),
        Binding("up", "walk(-1)", show=False, priority=True),
        Binding("pagedown", "walk(10)", show=False, priority=True),
        Binding("pageup", "walk(-10)", show=False, priority=True),
    ]

    def __init__(self, places: tuple[BranchPoint, ...]) -> None:
        super().__init__()
        self._places = places
        self._shown: list[BranchPoint] = []

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog wide"):
            yield Static(id="words", markup=False)
            yield Input(id="narrow", placeholder="number, label or state", compact=True)
            yield OptionList(id="places", markup=False)
            yield Static(id="answers", markup=False)

    def on_mount(self) -> None:
        appearance, colours = look(self), look(self).palette
        self.query_one(".dialog").border_title = appearance.title("Custom proposal: from which checkpoint?")
        count = len(self._places)
        words = "1 checkpoint is kept" if count == 1 else f"{counted(count, 'checkpoint')} are kept, the best first"
        self.query_one("#words", Static).update(appearance.done(Text(words, style=colours.muted)))
        line = Text()
        for key, label in (("enter", "Write it"), ("↑↓", "Choose"), ("esc", "Cancel")):
            line.append(f"{key} ", style=f"bold {colours.wait}").append(f"{label}   ", style=colours.muted)
        self.query_one("#answers", Static).update(appearance.done(line))
        self.query_one("#places").can_focus = False
        self._fill("")
        self.query_one("#narrow").focus()

    def on_resize(self) -> None:
        self.query_one("#places").styles.max_height = max(3, self.size.height - 11)

    @on(Input.Changed)
    def _narrowed(self, event: Input.Changed) -> None:
        self._fill(event.value.strip().lower())

    def _fill(self, wanted: str) -> None:
        self._shown = [
            p for p in self._places if wanted in f"#{p.node} {p.label} {p.state} step {p.step}".lower()
        ][:SHOWN]  # fmt: skip
        options = self.query_one("#places", OptionList)
        options.clear_options()
        options.add_options([Option(self._line(p)) for p in self._shown])
        if not self._shown:
            nothing = Text("nothing matches", style=look(self).palette.faint)
            options.add_option(Option(look(self).done(nothing), disabled=True))
        options.highlighted = 0 if self._shown else None

    def _line(self, place: BranchPoint) -> Text:
        appearance, colours = look(self), look(self).palette
        glyph, colour = appearance.glyph(place.state)
        text = Text.assemble((f"#{place.node}".ljust(6), f"bold {colours.text}"))
        text.append_text(cell(place.label, 22, colours.text))
        text.append(f"step {place.step}".ljust(10), style=colours.muted)
        text.append(score(place.value, place.low, place.high), style=colours.text)
        text.append(f" n={place.n}", style=colours.muted)
        text.append(f"  {glyph} {plain(place.state, 14)}", style=colour)
        return appearance.done(text)

    def action_walk(self, by: int) -> None:
        """Move in the list while the line keeps the keys."""
        options = self.query_one("#places", OptionList)
        if self._shown and options.highlighted is not None:
            options.highlighted = max(0, min(len(self._shown) - 1, options.highlighted + by))

    @on(Input.Submitted)
    def _chosen(self) -> None:
        place = self.query_one("#places", OptionList).highlighted
        if self._shown and place is not None:
            self.dismiss(self._shown[place])

    @on(OptionList.OptionSelected)
    def _clicked(self, event: OptionList.OptionSelected) -> None:
        if self._shown:
            self.dismiss(self._shown[event.option_index])

    def action_cancel(self) -> None:
        """Close, and nothing happens."""
        self.dismiss(None)

"""A short tour over the real run screen: cards that point at the tree, the plot, the inbox, the keys, and the way out.

Shown once, over the first run a user ever opens, and from the palette and the help; escape ends it at once. It changes
nothing of the run.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from llmzero_tui.actions import find
from llmzero_tui.user.places import state_dir, write_private
from llmzero_tui.widgets.appearance import Appearance, look

if TYPE_CHECKING:
    from llmzero_tui.screens.run import RunScreen

POINTED = "-pointed"


@dataclass(frozen=True, slots=True)
class TourCard:
    """What a card says, and what it points at: a widget, its pane when the screen is narrow, the card's own place.
    {name} in the words is the key of the action of that name."""

    title: str
    words: str
    target: str
    pane: str
    place: tuple[str, str]


CARDS = (
    TourCard(
        "The search tree",
        "Every row is a training segment; its branches are below it. Its state is on the right: "
        "★ best so far, ● training, ? waits for you.\n\n↑ ↓ move through it; everything else follows.",
        "#tree",
        "tree",
        ("right", "middle"),
    ),
    TourCard(
        "The plot",
        "A metric of the selected node along its whole path, with the scores of its checkpoints and "
        "their 95% intervals.\n\n{previous_metric} {next_metric} change the metric, {zoom} gives it the whole screen.",
        "#plot",
        "plot",
        ("left", "middle"),
    ),
    TourCard(
        "What waits for you",
        "Before a node is trained it is proposed. Proposals that wait for you are listed here, on "
        "every screen size.\n\n{inbox} goes there; {approve} approves, {edit} edits, {reject} rejects. The gate's "
        "mode, in the palette, sets which proposals wait.",
        "#inbox",
        "inbox",
        ("right", "middle"),
    ),
    TourCard(
        "The keys",
        "This line shows the keys that work now.\n\n{help} lists all of them, ^p finds everything "
        "by its name, {settings} changes the keys, the colours and how you are notified.",
        "#keys",
        "tree",
        ("center", "middle"),
    ),
    TourCard(
        "Leaving",
        "{detach} leaves the terminal; training continues, and the last line printed says how to come "
        "back.\n\n{pause} pauses the training itself; {freeze} only freezes the display.",
        "#header",
        "tree",
        ("center", "middle"),
    ),
)


def marker() -> Path:
    """The file that says the tour was shown."""
    return state_dir() / "tour-shown"


def shown() -> bool:
    """Whether it was ever shown on this machine."""
    return marker().exists()


def remember() -> None:
    """Never show it by itself again. Raises UserError where that cannot be written."""
    write_private(marker(), "")


class TourScreen(ModalScreen[None]):
    """The cards, one after the other."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", show=False),
        Binding("enter,space,right,l,down,j,n", "turn(1)", show=False),
        Binding("backspace,left,h,up,k,p", "turn(-1)", show=False),
    ]

    def __init__(self, run: RunScreen) -> None:
        super().__init__(id="tour")
        self._run = run
        self._pane = run.pane
        self._at = 0

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog card"):
            yield Static(id="words", markup=False)
            yield Static(id="answers", markup=False)

    def on_mount(self) -> None:
        self._show()

    def on_resize(self) -> None:
        self._show()

    def on_unmount(self) -> None:
        self._point(None)

    def _show(self) -> None:
        card, appearance = CARDS[self._at], look(self)
        colours = appearance.palette
        if self._run.narrow and self._run.pane != card.pane:
            self._run.show_pane(card.pane)
        self._point(card.target)
        wide = self.size.width >= 100
        horizontal, vertical = card.place if wide else ("center", "top" if card.target == "#keys" else "bottom")
        self.styles.align = (horizontal, vertical)  # type: ignore[assignment]
        box = self.query_one(".card")
        box.border_title = appearance.title(card.title)
        box.border_subtitle = appearance.title(f"{self._at + 1} of {len(CARDS)}")
        words = Text(spelt(card.words, appearance), style=colours.text)
        self.query_one("#words", Static).update(appearance.done(words))
        last = self._at == len(CARDS) - 1
        line = Text.assemble(("enter ", f"bold {colours.wait}"), ("Done   " if last else "Next   ", colours.muted))
        line.append("" if last else "esc ", style=f"bold {colours.wait}").append("" if last else "Skip", colours.muted)
        self.query_one("#answers", Static).update(appearance.done(line))

    def _point(self, target: str | None) -> None:
        """Give the widget that is meant a bright frame, and only that one."""
        for card in CARDS:
            for widget in self._run.query(card.target):
                widget.set_class(card.target == target, POINTED)

    def action_turn(self, by: int) -> None:
        """The next card, or the one before; after the last one it is over."""
        if self._at + by >= len(CARDS):
            self.action_leave()
        else:
            self._at = max(0, self._at + by)
            self._show()

    def action_leave(self) -> None:
        """Back to the run as it was."""
        if self._run.narrow and self._run.pane != self._pane:
            self._run.show_pane(self._pane)
        self.dismiss()


def spelt(words: str, appearance: Appearance) -> str:
    """The words of a card with the keys in force."""
    names = ("previous_metric", "next_metric", "zoom", "inbox", "approve", "edit", "reject", "help", "settings",
             "detach", "pause", "freeze")  # fmt: skip
    actions = {name: find(name, "run") for name in names}
    return words.format(**{name: appearance.key(a, "run") or "^p" for name, a in actions.items() if a is not None})

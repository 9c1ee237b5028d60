"""The limits of a live run beside what is spent: steps, nodes, minutes, GPU hours. Escape: nothing happens.

Opened by the run screen; only limits that differ are sent. The engine has the last word on them.
"""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Grid, Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from engine.analysis.summary import evaluation_share
from llmzero_tui.format import plain
from llmzero_tui.values.snapshot import RunRow
from llmzero_tui.widgets.appearance import look

Limits = dict[str, float | int]
WORDS = {
    "steps": "over the whole tree",
    "nodes": "segments, failed ones too",
    "minutes": "without pauses",
    "gpu_hours": "summed over workers",
}
WHOLE = ("steps", "nodes")
MOST = 1_000_000_000


class BudgetScreen(ModalScreen[Limits | None]):
    """Enter sends what differs."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", show=False),
        Binding("down", "walk(1)", show=False),
        Binding("up", "walk(-1)", show=False),
    ]

    def __init__(self, run: RunRow) -> None:
        super().__init__()
        self._run = run
        self._spent = {
            "steps": run.steps, "nodes": run.nodes, "minutes": run.wall_seconds / 60,
            "gpu_hours": run.trainer_seconds / 3600,
        }  # fmt: skip

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(id="words", markup=False)
            with Grid(id="limits"):
                for words in ("", "spent", "limit", ""):
                    yield Static(words, classes="head", markup=False)
                for name, words in WORDS.items():
                    yield Static(name, markup=False)
                    yield Static(
                        f"{self._spent[name]:.3g}" if name == "gpu_hours" else f"{self._spent[name]:.0f}",
                        classes="old",
                        markup=False,
                    )
                    yield Input(_text(self._now(name)), id=f"limit-{name}", compact=True, select_on_focus=True)
                    yield Static(words, classes="old", markup=False)
            yield Static(id="verdict", markup=False)
            yield Static(id="answers", markup=False)

    def on_mount(self) -> None:
        appearance, colours = look(self), look(self).palette
        self.query_one(".dialog").border_title = appearance.title("Budget")
        share = evaluation_share(self._run.evaluation_seconds, self._run.trainer_seconds)
        words = "The run ends at whichever limit is reached first; 0 means no limit.\n"
        words += f"Evaluation took {share:.0%} of the workers' time."
        self.query_one("#words", Static).update(Text(words, style=colours.muted))
        line = Text()
        for key, label in (("enter", "Send"), ("↑↓", "Fields"), ("esc", "Cancel")):
            line.append(f"{key} ", style=f"bold {colours.wait}").append(f"{label}   ", style=colours.muted)
        self.query_one("#answers", Static).update(appearance.done(line))
        self.query_one(Input).focus()
        self._judge()

    def _now(self, name: str) -> float | int:
        return self._run.budget.get(name, 0)

    def _read(self) -> tuple[Limits, str]:
        """The limits that differ and "", or what is wrong first."""
        limits: Limits = {}
        for name in WORDS:
            text = self.query_one(f"#limit-{name}", Input).value.strip()
            if text == _text(self._now(name)):
                continue
            kind = "a whole number of at least 0" if name in WHOLE else "a number of at least 0"
            wrong = f"{name} = {plain(text, 20)!r} is not allowed; allowed: {kind}, 0 means no limit"
            try:
                value = float(text or "0")
            except ValueError:
                return {}, wrong
            if not 0 <= value <= MOST or (name in WHOLE and value != int(value)):
                return {}, wrong
            limits[name] = int(value) if name in WHOLE else value
        if not any({**{n: self._now(n) for n in WORDS}, **limits}.values()):
            return {}, "all four are 0: a run needs at least one limit"
        return limits, ""

    @on(Input.Changed)
    def _judge(self) -> None:
        """Say what would be sent, or what is wrong."""
        limits, wrong = self._read()
        appearance, colours = look(self), look(self).palette
        over = [n for n, v in limits.items() if v and self._spent[n] >= v]
        if wrong:
            text = Text(f"✗ {wrong}", style=colours.bad)
        elif not limits:
            text = Text("nothing differs", style=colours.muted)
        else:
            changes = ", ".join(f"{n} {_text(self._now(n))} → {_text(v)}" for n, v in limits.items())
            text = Text.assemble(("sends  ", colours.muted), (changes, f"bold {colours.text}"))
            if over:
                text.append(f"\n! {', '.join(over)}: more is spent already, so the run ends", style=colours.warn)
        self.query_one("#verdict", Static).update(appearance.done(text))

    @on(Input.Submitted)
    def _send(self) -> None:
        limits, wrong = self._read()
        if wrong:
            self.app.bell()
        else:
            self.dismiss(limits or None)

    def action_walk(self, by: int) -> None:
        """The field below or above."""
        if by > 0:
            self.focus_next()
        else:
            self.focus_previous()

    def action_cancel(self) -> None:
        """Close, and nothing happens."""
        self.dismiss(None)


def _text(value: float) -> str:
    return f"{value:g}" if value < 1e6 else f"{value:.0f}"

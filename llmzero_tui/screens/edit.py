"""The form of a transition: a value for every parameter, keep or reset, base or branch point, and where to branch from.

Used to edit a proposal and to branch by hand. Values are checked by the run's own space while they are typed; only a
valid transition can be sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Grid, Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from engine.space import Intent, Optimizer, Reference, Space, Transition
from llmzero_tui.data import Row, Values
from llmzero_tui.format import parameter, plain
from llmzero_tui.widgets.choice import Choice
from llmzero_tui.widgets.look import look


@dataclass(frozen=True, slots=True)
class Subject:
    """What is edited: `before` is the parent's configuration, `changes` the proposed ones; `steps` the checkpoints one
    may branch from, the first preselected."""

    title: str
    node: int
    steps: tuple[int, ...]
    before: Values
    changes: Values
    optimizer: str
    reference: str
    note: str


@dataclass(frozen=True, slots=True)
class Edited:
    """The outcome of the form."""

    step: int
    changes: Values
    optimizer: str
    reference: str
    label: str

    def payload(self) -> dict[str, object]:
        """What goes into the command's row."""
        return {"changes": dict(self.changes), "optimizer": self.optimizer, "reference": self.reference}


class EditScreen(ModalScreen[Edited | None]):
    """Enter sends, escape does not."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", show=False),
        Binding("enter", "send", show=False),
        Binding("down", "focus_next_field", show=False),
        Binding("up", "focus_previous_field", show=False),
    ]

    def __init__(self, space: tuple[Row, ...], subject: Subject) -> None:
        super().__init__()
        self._space = Space.from_json(space)
        self._subject = subject

    def compose(self) -> ComposeResult:
        subject = self._subject
        with Vertical(classes="dialog form"):
            yield Static(id="note", markup=False)
            with VerticalScroll(can_focus=False), Grid(id="fields"):
                for words in ("parameter", "parent", "new", "allowed"):
                    yield Static(words, classes="head", markup=False)
                for item in self._space:
                    old = subject.before.get(item.name)
                    new = subject.changes.get(item.name, old)
                    yield Static(plain(item.name, 24), classes="name", markup=False)
                    yield Static(parameter(old), classes="old", markup=False)
                    yield Input(parameter(new), id=f"value-{item.name}", compact=True, select_on_focus=True)
                    yield Static(plain(item.allowed, 40), classes="allowed", id=f"allowed-{item.name}", markup=False)
            with Horizontal(id="choices"):
                yield Static("checkpoint", classes="head", markup=False)
                yield Choice(tuple(f"step {s}" for s in subject.steps) or ("step 0",), "", id="step")
                yield Static("optimizer", classes="head", markup=False)
                yield Choice(tuple(Optimizer), subject.optimizer, id="optimizer")
                yield Static("reference", classes="head", markup=False)
                yield Choice(tuple(Reference), subject.reference, id="reference")
            yield Static(id="verdict", markup=False)
            yield Static(id="answers", markup=False)

    def on_mount(self) -> None:
        dress, colours = look(self), look(self).palette
        self.query_one(".dialog").border_title = dress.title(self._subject.title)
        note = self.query_one("#note", Static)
        note.display = bool(self._subject.note)
        note.update(dress.done(Text(plain(self._subject.note, 240), style=colours.muted)))
        line = Text()
        for key, label in (("enter", "Send"), ("esc", "Cancel"), ("↑↓", "Fields"), ("←→", "Choices")):
            line.append(f"{key} ", style=f"bold {colours.wait}").append(f"{label}   ", style=colours.muted)
        self.query_one("#answers", Static).update(dress.done(line))
        self.query_one(Input).focus()
        self._judge()

    # ---- the transition as it stands --------------------------------------------------------------------------------

    def _read(self) -> tuple[Edited | None, str]:
        """The transition of the form and "", or what is wrong with it first."""
        changes: dict[str, float | int] = {}
        for item in self._space:
            text = self.query_one(f"#value-{item.name}", Input).value.strip()
            old = self._subject.before.get(item.name)
            if not text or text == parameter(old):
                continue
            try:
                value = item.coerce(float(text))
            except (ValueError, OverflowError):
                return None, f"{item.name} = {plain(text, 20)!r} is not a number; allowed: {item.allowed}"
            if value != old:
                changes[item.name] = value
        step = int(self.query_one("#step", Choice).value.removeprefix("step "))
        optimizer = self.query_one("#optimizer", Choice).value
        reference = self.query_one("#reference", Choice).value
        label = self._space.describe(self._subject.before, changes)
        edited = Edited(step, changes, optimizer, reference, label)
        return edited, self._wrong(edited)

    def _wrong(self, edited: Edited) -> str:
        moved = bool(edited.changes) or (edited.optimizer, edited.reference) != (Optimizer.KEEP, Reference.BASE)
        transition = Transition(
            parent=self._subject.node, step=edited.step, intent=Intent.CHANGE if moved else Intent.KEEP,
            changes=edited.changes, optimizer=Optimizer(edited.optimizer), reference=Reference(edited.reference),
            label=edited.label, rationale="a human's choice",
        )  # fmt: skip
        return next(iter(self._space.check_transition(self._subject.before, transition)), "")

    @on(Input.Changed)
    @on(Choice.Changed)
    def _judge(self) -> None:
        """Say what would be sent, or what is wrong."""
        edited, wrong = self._read()
        dress, colours = look(self), look(self).palette
        names = set(edited.changes) if edited else set()
        for item in self._space:
            self.query_one(f"#value-{item.name}", Input).set_class(item.name in names, "-changed")
        if edited is None or wrong:
            text = Text(f"✗ {plain(wrong, 200)}", style=colours.bad)
        else:
            words = edited.label if edited.changes else "keep: no value changes"
            text = Text.assemble(("sends  ", colours.muted), (plain(words, 40), f"bold {colours.text}"))
            text.append(f"  from #{self._subject.node} step {edited.step}", style=colours.muted)
        self.query_one("#verdict", Static).update(dress.done(text))

    # ---- keys -------------------------------------------------------------------------------------------------------

    @on(Input.Submitted)
    def action_send(self) -> None:
        """Send when it is valid; otherwise the line below says why not."""
        edited, wrong = self._read()
        if edited is not None and not wrong:
            self.dismiss(edited)
        else:
            self._judge()
            self.app.bell()

    def action_cancel(self) -> None:
        self.dismiss(None)

    def action_focus_next_field(self) -> None:
        self.focus_next()

    def action_focus_previous_field(self) -> None:
        self.focus_previous()

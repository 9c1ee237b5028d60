"""The form of a transition: a value for every parameter, keep or reset, base or branch point, from where, and why.

Used to edit a proposal and to write a transition of one's own. Values are checked by the run's own space while they are
typed; only a valid transition can be sent. What becomes of the proposal meanwhile is said at once, and what was typed
stays.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Grid, Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from engine.domain.space import (
    Intent,
    KLReference,
    OptimizerState,
    Parameter,
    ParameterKind,
    Space,
    Transition,
    Value,
    format_value,
)
from engine.words import change_text
from llmzero_tui.format import parameter, plain
from llmzero_tui.values.proposal_detail import ProposalRecord, became
from llmzero_tui.values.snapshot import ProposalRow, Row, Values
from llmzero_tui.widgets.appearance import look
from llmzero_tui.widgets.choice import Choice

FRAME_LINES, NOTE_LINES, NEWS_LINES = 11, 3, 3
"""Lines of the form besides its fields, of a note in a high terminal, and of the news about its proposal."""


@dataclass(frozen=True, slots=True)
class EditDraft:
    """What stands in the fields of a form, so that a form that was closed or refused can be opened again as it was."""

    values: tuple[tuple[str, str], ...]
    step: str
    optimizer: str
    reference: str
    rationale: str


@dataclass(frozen=True, slots=True)
class EditSubject:
    """What is edited: `before` is the parent's configuration, `changes` the proposed ones; `steps` the checkpoints one
    may branch from, the first preselected. `proposal` is what is being edited, None for a transition of one's own."""

    title: str
    node: int
    steps: tuple[int, ...]
    before: Values
    changes: Values
    optimizer: str
    reference: str
    note: str
    proposal: ProposalRow | None = None


@dataclass(frozen=True, slots=True)
class EditOutcome:
    """The outcome of the form. `revision` is the one that the human saw last; 0: a transition of the human's own."""

    step: int
    changes: Values
    optimizer: str
    reference: str
    label: str
    rationale: str = ""
    revision: int = 0

    def payload(self) -> dict[str, object]:
        """What goes into the command's row."""
        content: dict[str, object] = {
            "changes": dict(self.changes), "optimizer": self.optimizer, "reference": self.reference
        }  # fmt: skip
        return {**content, "rationale": self.rationale} if self.rationale else content


@dataclass(slots=True)
class _FieldValues:
    """The values as they are read: what changes, and what is wrong by parameter."""

    changes: dict[str, Value] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)


class EditScreen(ModalScreen[EditOutcome | None]):
    """Enter sends, escape does not."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", show=False),
        Binding("enter", "send", show=False),
        Binding("ctrl+r", "restore", show=False, priority=True),
        Binding("down", "focus_next_field", show=False, priority=True),  # before the scrolling of the fields
        Binding("up", "focus_previous_field", show=False, priority=True),
    ]

    def __init__(self, space: tuple[Row, ...], subject: EditSubject, draft: EditDraft | None = None) -> None:
        super().__init__()
        self._space = Space.from_json(space)
        self._subject = subject
        self._before = draft
        self._proposal = subject.proposal
        self._over = False
        self._unread = False

    @property
    def subject(self) -> EditSubject:
        return self._subject

    @property
    def draft(self) -> EditDraft:
        """What stands in the fields now."""
        values = tuple((p.name, self._field(p).value) for p in self._free)
        return EditDraft(
            values, self._choice("step"), self._choice("optimizer"), self._choice("reference"),
            self.query_one("#rationale", Input).value,
        )  # fmt: skip

    @property
    def _free(self) -> tuple[Parameter, ...]:
        """The parameters with a choice, as they stand on the screen."""
        return tuple(p for kind in ParameterKind for p in self._space if p.kind is kind and not p.fixed)

    def _field(self, item: Parameter) -> Input | Choice:
        """The field of a parameter: to be typed, or with the names of a category to be walked."""
        name = f"#value-{item.name}"
        return self.query_one(name, Choice) if item.categorical else self.query_one(name, Input)

    def _choice(self, name: str) -> str:
        return self.query_one(f"#{name}", Choice).value

    def _proposed(self, item: Parameter) -> Value | None:
        return self._subject.changes.get(item.name, self._subject.before.get(item.name))

    # ---- layout -----------------------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        subject, draft = self._subject, self._before
        steps = tuple(f"step {s}" for s in subject.steps) or ("step 0",)
        with Vertical(classes="dialog form"):
            yield Static(id="note", markup=False)
            with VerticalScroll(id="scroll", can_focus=False), Grid(id="fields"):
                yield from self._rows()
            yield Static(id="doc", markup=False)
            with Horizontal(id="choices"):
                yield Static("checkpoint", classes="head", markup=False)
                yield Choice(steps, draft.step if draft else "", id="step")
                yield Static("optimizer", classes="head", markup=False)
                yield Choice(tuple(OptimizerState), draft.optimizer if draft else subject.optimizer, id="optimizer")
                yield Static("reference", classes="head", markup=False)
                yield Choice(tuple(KLReference), draft.reference if draft else subject.reference, id="reference")
            with Horizontal(id="because"):
                yield Static("why", classes="head", markup=False)
                yield Input(draft.rationale if draft else "", id="rationale", compact=True, max_length=4000)
            yield Static(id="verdict", markup=False)
            yield Static(id="stale", markup=False)
            yield Static(id="answers", markup=False)

    def _rows(self) -> ComposeResult:
        """A line for every parameter, capacity and regularization apart."""
        typed = dict(self._before.values) if self._before else {}
        for words in ("", "parent", "new", "allowed"):
            yield Static(words, classes="head", markup=False)
        for kind in ParameterKind:
            items = [p for p in self._space if p.kind is kind]
            if items:
                yield Static(kind.value, classes="group", markup=False)
            for item in items:
                yield Static(plain(item.name, 24), classes="name", markup=False)
                yield Static(parameter(self._subject.before.get(item.name)), classes="old", markup=False)
                text = typed.get(item.name, parameter(self._proposed(item)))
                if item.fixed:
                    yield Static(parameter(item.choices[0]), classes="old", markup=False)
                elif item.categorical:
                    yield Choice(tuple(map(format_value, item.choices)), text, id=f"value-{item.name}")
                else:
                    yield Input(text, id=f"value-{item.name}", compact=True, select_on_focus=True)
                yield Static(id=f"allowed-{item.name}", classes="allowed", markup=False)

    def on_mount(self) -> None:
        appearance, colours = look(self), look(self).palette
        self.query_one(".dialog").border_title = appearance.title(self._subject.title)
        note = self.query_one("#note", Static)
        words = (
            "Your earlier input is restored; ctrl+r restores the original values."
            if self._before
            else self._subject.note
        )
        note.display = bool(words)
        note.update(appearance.done(Text(plain(words, 240), style=colours.wait if self._before else colours.muted)))
        self.query_one("#stale").display = False
        self._answers()
        first = self._field(self._free[0]) if self._free else self.query_one("#rationale", Input)
        first.focus()
        self._judge()

    def on_resize(self) -> None:
        self._make_room()

    def _make_room(self) -> None:
        """Give the fields what the other lines leave."""
        short, news = self.size.height < 30, self.query_one("#stale").display
        note = 1 if short else NOTE_LINES
        self.query_one("#note").styles.max_height = note
        room = self.size.height - FRAME_LINES - note - (NEWS_LINES if news else 0)
        self.query_one("#scroll").styles.max_height = max(3, room)

    def _answers(self) -> None:
        appearance, colours = look(self), look(self).palette
        line = Text(no_wrap=True)
        send = "Send as custom proposal" if self._over else "Send"
        keys = (("enter", send), ("esc", "Close"), ("↑↓", "Fields"), ("←→", "Choices"), ("^r", "Original values"))
        for key, label in keys:
            line.append(f"{key} ", style=f"bold {colours.wait}").append(f"{label}   ", style=colours.muted)
        self.query_one("#answers", Static).update(appearance.done(line))

    # ---- what becomes of the proposal meanwhile ---------------------------------------------------------------------

    def follow(self, now: ProposalRecord) -> None:
        """Take where the proposal stands now; said once, and the next enter is not taken for an answer to it."""
        if self._proposal is None or self._over:
            return
        words = became(self._proposal, now)
        if not words:
            return
        self._proposal, self._over, self._unread = now.proposal, not now.pending, True
        after = (
            "Your input is kept: press enter twice to send it as a custom proposal."
            if self._over else "Your input is kept: press enter twice to send your values anyway."
        )  # fmt: skip
        appearance, colours = look(self), look(self).palette
        text = Text.assemble(
            (f"! #{now.proposal.node} {plain(words, 300)}\n", f"bold {colours.warn}"), (after, colours.muted)
        )
        stale = self.query_one("#stale", Static)
        stale.display = True
        stale.update(appearance.done(text))
        self._make_room()
        self._answers()
        self._judge()
        self.app.bell()

    # ---- the transition as it stands --------------------------------------------------------------------------------

    def _fields(self) -> _FieldValues:
        """Every field read. One that was not touched keeps its exact value, whatever its rounded text says."""
        fields = _FieldValues()
        for item in self._free:
            text = self._field(item).value.strip()
            old, proposed = self._subject.before.get(item.name), self._proposed(item)
            if text == parameter(proposed):
                value = proposed
            elif not text or text == parameter(old):
                value = old
            else:
                try:
                    value = item.read(text)
                except (ValueError, OverflowError):
                    fields.wrong[item.name] = (
                        f"{item.name} = {plain(text, 20)!r} is not a number; allowed: {item.allowed}"
                    )
                    continue
                if not item.allows(value):
                    fields.wrong[item.name] = f"{item.name} = {plain(text, 20)} is not allowed; allowed: {item.allowed}"
            if value is not None and value != old:
                fields.changes[item.name] = value
        return fields

    def _read(self) -> tuple[EditOutcome, str]:
        """The transition of the form and "", or what is wrong with it first."""
        fields = self._fields()
        revision = self._proposal.revision if self._proposal is not None and not self._over else 0
        edited = EditOutcome(
            step=int(self._choice("step").removeprefix("step ")), changes=fields.changes,
            optimizer=self._choice("optimizer"), reference=self._choice("reference"),
            label=self._space.describe(self._subject.before, fields.changes),
            rationale=self.query_one("#rationale", Input).value.strip(), revision=revision,
        )  # fmt: skip
        self._mark(fields)
        return edited, next(iter(fields.wrong.values()), "") or self._wrong(edited)

    def _mark(self, fields: _FieldValues) -> None:
        """Show at each field whether it changes something, or is wrong."""
        appearance, colours = look(self), look(self).palette
        for item in self._space:
            wrong = item.name in fields.wrong
            words = "fixed by the run file" if item.fixed else item.allowed
            text = Text(f"{'✗ ' if wrong else ''}{plain(words, 40)}", style=colours.bad if wrong else colours.muted)
            self.query_one(f"#allowed-{item.name}", Static).update(appearance.done(text))
            if not item.fixed:
                self._field(item).set_class(item.name in fields.changes and not wrong, "-changed")
                self._field(item).set_class(wrong, "-wrong")

    def _wrong(self, edited: EditOutcome) -> str:
        moved = bool(edited.changes) or (edited.optimizer, edited.reference) != (OptimizerState.KEEP, KLReference.KEEP)
        transition = Transition(
            parent=self._subject.node, step=edited.step, intent=Intent.CHANGE if moved else Intent.KEEP,
            changes=edited.changes, optimizer=OptimizerState(edited.optimizer), reference=KLReference(edited.reference),
            label=edited.label, rationale=edited.rationale or "a human's choice",
        )  # fmt: skip
        return next(iter(self._space.check_transition(self._subject.before, transition)), "")

    @on(Input.Changed)
    @on(Choice.Changed)
    def _judge(self) -> None:
        """Say what would be sent, or what is wrong."""
        edited, wrong = self._read()
        appearance, colours = look(self), look(self).palette
        if wrong:
            text = Text(f"✗ {plain(wrong, 200)}", style=colours.bad)
        else:
            words = change_text(edited.changes, "continue: no hyperparameter changes")
            how = "sends a custom proposal  " if self._over else "sends  "
            text = Text.assemble((how, colours.muted), (plain(words, 200), f"bold {colours.text}"))
            text.append(f"  from #{self._subject.node} step {edited.step}", style=colours.muted)
        self.query_one("#verdict", Static).update(appearance.done(text))

    # ---- keys -------------------------------------------------------------------------------------------------------

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Say what the field under the cursor means."""
        name = (event.widget.id or "").removeprefix("value-")
        words = {
            "step": "the checkpoint to start from, in steps of its segment",
            "optimizer": "keep: Adam keeps its moments · reset: it starts from zero",
            "reference": "the reference model of the KL penalty",
            "rationale": "your reason, for the record; optional",
        }.get(name) or (self._space[name].doc if name in self._space else "")
        text = Text(plain(words, 120), style=look(self).palette.muted, no_wrap=True, overflow="ellipsis")
        self.query_one("#doc", Static).update(look(self).done(text))

    @on(Input.Submitted)
    def action_send(self) -> None:
        """Send when it is valid and the human saw what it answers; otherwise a line says why not."""
        edited, wrong = self._read()
        if self._unread or wrong:
            self._unread = False
            self._judge()
            self.app.bell()
        else:
            self.dismiss(edited)

    def action_restore(self) -> None:
        """The values the form began with, before anything was typed."""
        for item in self._free:
            field, text = self._field(item), parameter(self._proposed(item))
            if isinstance(field, Choice):
                field.choose(text)
            else:
                field.value = text
        for name in ("optimizer", "reference"):
            self.query_one(f"#{name}", Choice).choose(getattr(self._subject, name))
        self._judge()

    def action_cancel(self) -> None:
        self.dismiss(None)

    def action_focus_next_field(self) -> None:
        self.focus_next()

    def action_focus_previous_field(self) -> None:
        self.focus_previous()

"""What a human answers to a proposal: approve, edit, reject, or a transition of one's own from any checkpoint.

A part of the run screen and of the decision screen. A command is a row: it counts as done when its result row says so,
never before. A proposal that changed under the human's eyes is never answered blindly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from engine.errors import Fault, UserError
from engine.words import change_text
from llmzero_tui.format import plain, share
from llmzero_tui.screens.base import FeedScreen
from llmzero_tui.values.snapshot import CommandRow, ProposalRow

if TYPE_CHECKING:
    from engine.store.reader import Reader
    from llmzero_tui.screens.edit import EditDraft, EditOutcome, EditScreen, EditSubject
    from llmzero_tui.values.proposal_detail import BranchPoint, ProposalRecord

T = TypeVar("T")
DraftKey = tuple[str, int]


@dataclass
class DecisionMemory:
    """What the run screen and the decision screen over it both know: `drafts` is what was typed into forms, under
    "edit" and a proposal or "expand" and a node to branch from; `refused` and `seen` were told by either already."""

    drafts: dict[DraftKey, EditDraft] = field(default_factory=dict)
    refused: set[int] = field(default_factory=set)
    seen: dict[int, ProposalRow] = field(default_factory=dict)


class SteeredSnapshot(Protocol):
    """What of a snapshot decisions rest on."""

    @property
    def commands(self) -> tuple[CommandRow, ...]: ...
    @property
    def inbox(self) -> tuple[ProposalRow, ...]: ...
    @property
    def space(self) -> tuple[dict[str, Any], ...]: ...


class DecisionController:
    """The actions on a proposal, the commands they send, and what comes of them.

    Args:
        target: the proposal that the keys mean. memory: what another screen over the same run knows already.
        say_changed: tells that a proposal changed, and how; None: a notification.
    """

    def __init__(
        self,
        screen: FeedScreen,
        target: Callable[[], ProposalRow | None],
        memory: DecisionMemory | None = None,
        say_changed: Callable[[str], None] | None = None,
    ) -> None:
        self.screen = screen
        self.memory = memory or DecisionMemory()
        self._target = target
        self._say = say_changed
        self._space: tuple[dict[str, Any], ...] | None = None
        self._changed: dict[int, str] = {}
        self._form: EditScreen | None = None
        self._sent: dict[str, tuple[int, EditDraft]] = {}

    # ---- sending and what comes of it -------------------------------------------------------------------------------

    def tell(self, kind: str, **fields: Any) -> None:
        """Send a command; the header shows what becomes of it."""
        self.screen.app.send(self.screen.feed.path, kind, fields)

    def take(self, snapshot: SteeredSnapshot) -> None:
        """Say once what was refused, and what changed under the human's eyes. Refusals from before this viewer came
        are history."""
        for command in snapshot.commands:
            if command.state == "refused" and command.id not in self.memory.refused:
                self.memory.refused.add(command.id)
                if self._space is not None:
                    self._refused(command)
        self._space = snapshot.space
        self._compare(snapshot.inbox)

    def _refused(self, command: CommandRow) -> None:
        """What was typed for it is kept: for the proposal while it waits, and for a transition from the same node."""
        words = f"{plain(command.kind, 20)} refused: {plain(command.message, 200) or 'no reason given'}"
        node, draft = self._sent.pop(command.kind, (None, None))
        if node is not None and draft is not None:
            self.memory.drafts["expand", node] = draft
            words += f" · Your input is kept: open a custom proposal from #{node} to restore it"
        self.screen.notify(words, severity="error", timeout=15, markup=False)

    def _compare(self, inbox: tuple[ProposalRow, ...]) -> None:
        from llmzero_tui.values.proposal_detail import differences  # not before the first paint

        for proposal in inbox:
            before = self.memory.seen.get(proposal.id)
            if before is not None and before.revision != proposal.revision:
                words = differences(before, proposal) or "its words"
                self._changed[proposal.id] = words
                if self._form is None and (target := self._target()) is not None and target.id == proposal.id:
                    self._say_changed(proposal, words)
        self.memory.seen = {p.id: p for p in inbox}
        form = self._form.subject.proposal if self._form is not None else None
        if form is not None and self.memory.seen.get(form.id) != form:
            self._in_thread("standing", partial(self._find_out, form.node))

    def _say_changed(self, proposal: ProposalRow, words: str) -> None:
        if self._say is not None:
            self._say(words)
            return
        text = f"#{proposal.node} changed in the meantime: {plain(words, 300)}"
        self.screen.notify(text, severity="warning", timeout=15, markup=False)

    def _unread(self, proposal: ProposalRow) -> bool:
        """Whether it changed since the human last looked; the key is then asked for once more."""
        words = self._changed.pop(proposal.id, "")
        if words:
            self._say_changed(proposal, f"{words}. Check it, and press the key again")
        return bool(words)

    def _in_thread(self, group: str, work: Callable[[], None]) -> None:
        self.screen.run_worker(work, group=group, thread=True, exclusive=True, exit_on_error=False)

    def _find_out(self, node: int) -> None:
        """Ask what became of the proposal of a node; a run that does not answer is asked again at the next tick."""
        from llmzero_tui.feeds.decision import standing

        record = self._asked(lambda reader: standing(reader, node))
        if record is not None:
            self.screen.call_later(self._follow, record)

    def _find_places(self) -> None:
        from llmzero_tui.feeds.decision import places

        self.screen.call_later(self._choose_place, self._asked(places) or ())

    def _asked(self, question: Callable[[Reader], T]) -> T | None:
        """A question to the run's database, from a worker; None when it does not answer (the header says so)."""
        try:
            reader = self.screen.app.opener(self.screen.feed.path)
            try:
                return question(reader)
            finally:
                reader.close()
        except (Fault, UserError):
            return None

    def _follow(self, record: ProposalRecord) -> None:
        """Tell the open form where its proposal stands now."""
        if self._form is not None and self._form.is_mounted:
            self._form.follow(record)

    # ---- proposals --------------------------------------------------------------------------------------------------

    def action_approve(self) -> None:
        """The proposal as it is, with the revision that was looked at."""
        proposal = self._target()
        if proposal is not None and not self._unread(proposal):
            self.tell("approve", proposal_id=proposal.id, revision=proposal.revision)

    def action_reject(self) -> None:
        """Turn it down; the reason goes to the advisor's next evidence."""
        from llmzero_tui.screens.dialogs import AskText

        proposal = self._target()
        if proposal is None or self._unread(proposal):
            return

        def send(reason: str | None) -> None:
            if reason is not None:
                self.tell("reject", proposal_id=proposal.id, revision=proposal.revision,
                          payload={"reason": reason})  # fmt: skip

        title = f"Reject #{proposal.node} {plain(change_text(proposal.changes, proposal.label, 40), 40)}"
        self.screen.app.push_screen(AskText(title, "Reason (optional)", button="Reject"), send)

    def action_edit(self) -> None:
        """Change the proposal's values."""
        from llmzero_tui.screens.edit import EditSubject

        proposal = self._target()
        if proposal is None:
            return
        self._changed.pop(proposal.id, None)
        subject = EditSubject(
            title=f"Edit #{proposal.node} before it starts", node=proposal.parent, steps=(proposal.step,),
            before=proposal.configuration, changes=proposal.changes, optimizer=proposal.optimizer,
            reference=proposal.reference, note=proposal.rationale, proposal=proposal,
        )  # fmt: skip
        self.open_form(subject, ("edit", proposal.id))

    def action_own(self) -> None:
        """A transition of the human's own: first from where."""
        self._in_thread("places", self._find_places)

    def _choose_place(self, places: tuple[BranchPoint, ...]) -> None:
        from llmzero_tui.screens.branch_from import BranchFrom

        def write(place: BranchPoint | None) -> None:
            if place is not None:
                self._write_own(place)

        if not places:
            self.screen.notify("no checkpoint is kept to branch from", severity="warning", markup=False)
        elif self.screen.app.screen is self.screen:
            self.screen.app.push_screen(BranchFrom(places), write)

    def _write_own(self, place: BranchPoint) -> None:
        from llmzero_tui.screens.edit import EditSubject

        note = f"validation {share(place.value)} n={place.n} at step {place.step}"
        subject = EditSubject(
            title=f"Custom proposal from #{place.node} {plain(place.label, 24)}", node=place.node,
            steps=(place.step,), before=place.configuration, changes={}, optimizer="keep", reference="keep", note=note,
        )  # fmt: skip
        self.open_form(subject, ("expand", place.node))

    def open_form(self, subject: EditSubject, key: DraftKey) -> None:
        """The form; what is typed in it outlives it until the engine has taken it."""
        from llmzero_tui.screens.edit import EditScreen

        assert self._space is not None
        form = EditScreen(self._space, subject, self.memory.drafts.get(key))
        begun: list[EditDraft] = []

        def opened() -> None:
            begun.append(form.draft)

        def send(edited: EditOutcome | None) -> None:
            self._form = None
            draft = form.draft
            if (begun and draft != begun[0]) or key in self.memory.drafts:
                self.memory.drafts[key] = draft
            if edited is not None:
                self._send(subject, edited, key, draft)

        self._form = form
        self.screen.app.push_screen(form, send)
        form.call_after_refresh(opened)

    def _send(self, subject: EditSubject, edited: EditOutcome, key: DraftKey, draft: EditDraft) -> None:
        self.memory.drafts.pop(("expand", subject.node), None)
        if edited.revision and subject.proposal is not None:
            self._sent["edit"] = (subject.node, draft)
            self.tell("edit", proposal_id=subject.proposal.id, revision=edited.revision, payload=edited.payload())
            return
        self.memory.drafts.pop(key, None)
        self._sent["expand"] = (subject.node, draft)
        self.tell("expand", payload={"parent": subject.node, **edited.payload(), "step": edited.step})

"""What a human answers to a proposal: approve, edit, reject, or a transition of one's own from any checkpoint.

Mixed into the run screen and the decision screen. A command is a row: it counts as done when its result row says so,
never before. A proposal that changed under the human's eyes is never answered blindly.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from textual import on, work
from textual.message import Message
from textual.screen import Screen

from engine.errors import Fault, UserError
from llmzero_tui.format import plain, share
from llmzero_tui.screens.base import FeedScreen
from llmzero_tui.values.snapshot import CommandRow, ProposalRow

if TYPE_CHECKING:
    from llmzero_tui.screens.edit import EditDraft, EditOutcome, EditScreen, EditSubject
    from llmzero_tui.values.proposal_detail import BranchPoint, ProposalRecord

DraftKey = tuple[str, int]
Drafts = dict[DraftKey, "EditDraft"]
"""What was typed into forms: under "edit" and a proposal, or "expand" and a node to branch from."""


@dataclass
class Announcements:
    """What of a run was told already: by the run screen or by the decision screen over it, whichever was in front."""

    refused: set[int] = field(default_factory=set)
    seen: dict[int, ProposalRow] = field(default_factory=dict)


class Deciding(FeedScreen):
    """The actions on a proposal. `snapshot` has at least inbox, commands and space."""

    snapshot: Any = None

    @dataclass
    class Stands(Message):
        """Where the proposal of the open form stands now."""

        found: ProposalRecord

    @dataclass
    class Places(Message):
        """The checkpoints one may branch from."""

        found: tuple[BranchPoint, ...]

    def __init__(self, drafts: Drafts | None = None, told: Announcements | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._told = told or Announcements()
        self._known = False
        self._changed: dict[int, str] = {}
        self._form: EditScreen | None = None
        self._drafts: Drafts = {} if drafts is None else drafts
        self._sent: dict[str, tuple[int, EditDraft]] = {}

    # ---- sending and what comes of it -------------------------------------------------------------------------------

    def tell(self, kind: str, **fields: Any) -> None:
        """Send a command; the header shows what becomes of it."""
        self.app.send(self.feed.path, kind, fields)  # type: ignore[attr-defined]

    def answered(self, snapshot: Any) -> None:
        """Take a snapshot: say once what was refused, and what changed under the human's eyes. Refusals from before
        this viewer came are history."""
        for command in snapshot.commands:
            if command.state == "refused" and command.id not in self._told.refused:
                self._told.refused.add(command.id)
                if self._known:
                    self._refused(command)
        self._known = True
        self._compare(snapshot.inbox)

    def _refused(self, command: CommandRow) -> None:
        """What was typed for it is kept: for the proposal while it waits, and for a transition from the same node."""
        words = f"{plain(command.kind, 20)} refused: {plain(command.message, 200) or 'no reason given'}"
        node, draft = self._sent.pop(command.kind, (None, None))
        if node is not None and draft is not None:
            self._drafts["expand", node] = draft
            words += f" · What you typed is kept: write your own from #{node} to have it back"
        self.notify(words, severity="error", timeout=15, markup=False)

    def _compare(self, inbox: tuple[ProposalRow, ...]) -> None:
        from llmzero_tui.values.proposal_detail import differences  # not before the first paint

        for proposal in inbox:
            before = self._told.seen.get(proposal.id)
            if before is not None and before.revision != proposal.revision:
                words = differences(before, proposal) or "its words"
                self._changed[proposal.id] = words
                if self._form is None and (target := self._target) is not None and target.id == proposal.id:
                    self._say_changed(proposal, words)
        self._told.seen = {p.id: p for p in inbox}
        form = self._form.subject.proposal if self._form is not None else None
        if form is not None and self._told.seen.get(form.id) != form:
            self._find_out(form.node)

    def _say_changed(self, proposal: ProposalRow, words: str) -> None:
        text = f"#{proposal.node} changed meanwhile: {plain(words, 300)}"
        self.notify(text, severity="warning", timeout=15, markup=False)

    def _unread(self, proposal: ProposalRow) -> bool:
        """Whether it changed since the human last looked; the key is then asked for once more."""
        words = self._changed.pop(proposal.id, "")
        if words:
            self._say_changed(proposal, f"{words}. Look again, and press the key once more")
        return bool(words)

    @work(thread=True, group="standing", exclusive=True, exit_on_error=False)
    def _find_out(self, node: int) -> None:
        """Ask what became of the proposal of a node; a run that does not answer is asked again at the next tick."""
        from llmzero_tui.feeds.decision import standing

        found = self._asked(lambda reader: standing(reader, node))
        if found is not None:
            self.post_message(self.Stands(found))

    @work(thread=True, group="places", exclusive=True, exit_on_error=False)
    def _find_places(self) -> None:
        from llmzero_tui.feeds.decision import places

        self.post_message(self.Places(self._asked(places) or ()))

    def _asked(self, question: Any) -> Any:
        """A question to the run's database, from a worker; None when it does not answer (the header says so)."""
        try:
            reader = self.app.opener(self.feed.path)  # type: ignore[attr-defined]
            try:
                return question(reader)
            finally:
                reader.close()
        except (Fault, UserError):
            return None

    @on(Stands)
    def _stands(self, event: Stands) -> None:
        if self._form is not None and self._form.is_mounted:
            self._form.follow(event.found)

    # ---- proposals --------------------------------------------------------------------------------------------------

    @property
    def _target(self) -> ProposalRow | None:
        """The proposal that the keys mean."""
        raise NotImplementedError

    def _ask(self, screen: Screen[Any], then: Any) -> None:
        self.app.push_screen(screen, then)

    def action_approve(self) -> None:
        """The proposal as it is, with the revision that was looked at."""
        proposal = self._target
        if proposal is not None and not self._unread(proposal):
            self.tell("approve", proposal_id=proposal.id, revision=proposal.revision)

    def action_reject(self) -> None:
        """Turn it down; the reason goes to the advisor's next evidence."""
        from llmzero_tui.screens.dialogs import AskText

        proposal = self._target
        if proposal is None or self._unread(proposal):
            return

        def send(reason: str | None) -> None:
            if reason is not None:
                self.tell("reject", proposal_id=proposal.id, revision=proposal.revision,
                          payload={"reason": reason})  # fmt: skip

        title = f"Reject #{proposal.node} {plain(proposal.label, 30)}"
        self._ask(AskText(title, "Why? (may stay empty)", button="Reject"), send)

    def action_edit(self) -> None:
        """Change the proposal's values."""
        from llmzero_tui.screens.edit import EditSubject

        proposal = self._target
        if proposal is None or self.snapshot is None:
            return
        self._changed.pop(proposal.id, None)
        subject = EditSubject(
            title=f"Edit #{proposal.node} before it goes ahead", node=proposal.parent, steps=(proposal.step,),
            before=proposal.configuration, changes=proposal.changes, optimizer=proposal.optimizer,
            reference=proposal.reference, note=proposal.rationale, proposal=proposal,
        )  # fmt: skip
        self._open_form(subject, ("edit", proposal.id))

    def action_own(self) -> None:
        """A transition of the human's own: first from where."""
        self._find_places()

    @on(Places)
    def _choose_place(self, event: Places) -> None:
        from llmzero_tui.screens.branch_from import BranchFrom

        def write(place: BranchPoint | None) -> None:
            if place is not None:
                self._write_own(place)

        if not event.found:
            self.notify("no checkpoint is kept to branch from", severity="warning", markup=False)
        elif self.app.screen is self:
            self._ask(BranchFrom(event.found), write)

    def _write_own(self, place: BranchPoint) -> None:
        from llmzero_tui.screens.edit import EditSubject

        note = f"validation {share(place.value)} n={place.n} at step {place.step}"
        subject = EditSubject(
            title=f"Your own transition from #{place.node} {plain(place.label, 24)}", node=place.node,
            steps=(place.step,), before=place.configuration, changes={}, optimizer="keep", reference="base", note=note,
        )  # fmt: skip
        self._open_form(subject, ("expand", place.node))

    def _open_form(self, subject: EditSubject, key: DraftKey) -> None:
        """The form; what is typed in it outlives it until the engine has taken it."""
        from llmzero_tui.screens.edit import EditScreen

        assert self.snapshot is not None
        form = EditScreen(self.snapshot.space, subject, self._drafts.get(key))
        begun: list[EditDraft] = []

        def opened() -> None:
            begun.append(form.draft)

        def send(edited: EditOutcome | None) -> None:
            self._form = None
            draft = form.draft
            if (begun and draft != begun[0]) or key in self._drafts:
                self._drafts[key] = draft
            if edited is not None:
                self._send(subject, edited, key, draft)

        self._form = form
        self._ask(form, send)
        form.call_after_refresh(opened)

    def _send(self, subject: EditSubject, edited: EditOutcome, key: DraftKey, draft: EditDraft) -> None:
        self._drafts.pop(("expand", subject.node), None)
        if edited.revision and subject.proposal is not None:
            self._sent["edit"] = (subject.node, draft)
            self.tell("edit", proposal_id=subject.proposal.id, revision=edited.revision, payload=edited.payload())
            return
        self._drafts.pop(key, None)
        self._sent["expand"] = (subject.node, draft)
        self.tell("expand", payload={"parent": subject.node, **edited.payload(), "step": edited.step})

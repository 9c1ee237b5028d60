"""One proposal in full: who made it and why, the numbers it rests on, where it branches from, every value's history.

From here it is approved, edited, rejected, or answered with a transition of one's own. Opened from the run screen. It
shows snapshots only, and says at once what became of the proposal while it was looked at.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from rich.console import Group, RenderableType
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from engine.words import change_text, intent_name
from llmzero_tui.actions import ActionContext, bindings
from llmzero_tui.feeds.decision import DecisionFeed
from llmzero_tui.format import duration, plain
from llmzero_tui.screens.base import FeedScreen
from llmzero_tui.screens.parts.decisions import DecisionController, DecisionMemory
from llmzero_tui.values.proposal_detail import DecisionSnapshot, DecisionView, ProposalDetail, ProposalRecord, became
from llmzero_tui.values.snapshot import FeedFailure, ProposalRow
from llmzero_tui.widgets.appearance import look, row
from llmzero_tui.widgets.header import status
from llmzero_tui.widgets.keybar import KeyBar
from llmzero_tui.widgets.proposal_text import origin, picture, values, why
from llmzero_tui.widgets.sheet import Sheet

NARROW, SHORT = 100, 30
LEFT_OVER = 32
"""Lines of the screen besides a tall picture."""
PICTURE_LINES, TALLEST = 9, 16
"""Lines of the small picture of the reward: in a low terminal, and at most."""


class DecisionScreen(FeedScreen):
    """`node`: whose proposal; None: the oldest that waits. `memory`: what the run screen below knows of forms and
    announcements."""

    kind = "decision"
    PARTS: ClassVar[dict[str, type]] = {"decisions": DecisionController}
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("decision")]

    def __init__(self, feed: DecisionFeed, node: int | None = None, memory: DecisionMemory | None = None) -> None:
        super().__init__(id="decision")
        self.feed = feed
        self.decisions = DecisionController(self, self._target, memory, self._say_changed)
        self.node = node
        self.snapshot: DecisionSnapshot | None = None
        self._news = ""
        self._lost = ""
        self._now: datetime | None = None

    def compose(self) -> ComposeResult:
        yield Static(id="about", markup=False)
        yield Static(id="news", markup=False)
        with Vertical(id="proposal_detail"):
            with Horizontal(id="upper"):
                yield Sheet(id="why")
                yield Sheet(id="origin")
            yield Sheet(id="values")
        yield KeyBar()

    def on_mount(self) -> None:
        self.query_one("#news").display = False
        self._arrange()
        self.query_one("#why").focus()
        self.ready = True
        self._header()
        self.refresh_keys()

    # ---- snapshots --------------------------------------------------------------------------------------------------

    def view(self) -> DecisionView:
        return DecisionView(self.node)

    def apply(self, snapshot: DecisionSnapshot, now: datetime) -> None:
        before, self.snapshot, self._now, self._lost = self.snapshot, snapshot, now, ""
        detail = snapshot.detail
        if detail is not None and self.node is None:
            self.node = detail.proposal.node
        old = before.detail if before else None
        if old is not None and detail is not None and old.proposal.id == detail.proposal.id:
            words = became(old.proposal, detail.standing) if detail.standing != old.standing else ""
            self._news = words or self._news
        self._show()
        self.decisions.take(snapshot)
        self.refresh_keys()

    def lost(self, why: FeedFailure, now: datetime) -> None:
        self._lost, self._now = why.reason, now
        self._header()

    def _show(self) -> None:
        self._header()
        detail = self.snapshot.detail if self.snapshot else None
        if detail is None or self.snapshot is None:
            self._nothing()
            return
        space, appearance = self.snapshot.space, look(self)
        proposal = detail.proposal
        if self.compact:
            self.query_one("#why", Sheet).show(
                (detail, space), lambda width: self._everything(detail, width), _title(detail.standing)
            )
            return
        self.query_one("#why", Sheet).show(detail, lambda _: why(detail, appearance), _title(detail.standing))
        high = max(PICTURE_LINES, min(TALLEST, self.size.height - LEFT_OVER))
        self.query_one("#origin", Sheet).show(
            (detail, high),
            lambda width: Group(picture(detail, width, high, appearance), Text(""), origin(detail, appearance)),
            f"from #{proposal.parent} step {proposal.step} · its reward and validation scores",
        )
        self.query_one("#values", Sheet).show(
            (detail, space),
            lambda width: values(detail, space, width, appearance),
            "Every hyperparameter and its history",
        )

    def _everything(self, detail: ProposalDetail, width: int) -> RenderableType:
        """One text for a small terminal: what is decided first."""
        assert self.snapshot is not None
        appearance, gap = look(self), Text("")
        place = Text(f"from #{detail.proposal.parent} step {detail.proposal.step}", style=appearance.palette.muted)
        parts = (why(detail, appearance), gap, values(detail, self.snapshot.space, width, appearance), gap, place,
                 origin(detail, appearance), gap, picture(detail, width, PICTURE_LINES, appearance))  # fmt: skip
        return Group(*parts)

    def _nothing(self) -> None:
        if self.snapshot is None:
            words = "reading …"
        elif self.node is None:
            words = "No proposal waits for you."
        elif self.node == 0:
            words = "#0 is the base model: nothing was proposed."
        else:
            words = f"No proposal of #{self.node} is on record."
        text = look(self).done(Text(words, style=look(self).palette.muted))
        self.query_one("#why", Sheet).show(words, lambda _: text, "")
        for name in ("origin", "values"):
            self.query_one(f"#{name}", Sheet).show(words, lambda _: Text(""), "")

    # ---- the lines on top -------------------------------------------------------------------------------------------

    def _header(self) -> None:
        """The run, the proposal, how long it waits; a line of news under it when something happened to it."""
        snapshot, now, appearance = self.snapshot, self._now, look(self)
        colours, width = appearance.palette, max(20, self.size.width - 2)
        news = self.query_one("#news", Static)
        news.display = bool(self._news)
        news.update(appearance.done(Text(f"! {plain(self._news, 400)}", style=f"bold {colours.warn}")))
        about = self.query_one("#about", Static)
        if snapshot is None or now is None:
            about.update(Text(plain(self._lost or "opening …", 200), style=colours.muted))
            return
        waiting = sum(p.waits for p in snapshot.inbox)
        left = Text.assemble((plain(snapshot.run.name, 28), f"bold {colours.text}"), "  ")
        left.append_text(appearance.state(snapshot.run.state))
        if not snapshot.run.live:
            left.append("  read from disk" if snapshot.run.over else "  no engine", style=colours.muted)
        right = (
            Text("no connection · retrying", style=colours.bad)
            if self._lost
            else status(snapshot.commands, waiting, now, appearance)
        )
        text = Text("\n").join([row(left, right, width), self._subject(snapshot, now, width)])
        about.update(appearance.done(text))

    def _subject(self, snapshot: DecisionSnapshot, now: datetime, width: int) -> Text:
        appearance, detail = look(self), snapshot.detail
        colours = appearance.palette
        if detail is None:
            return Text("")
        proposal = detail.proposal
        changed = change_text(proposal.changes, proposal.label, max(0, width - 76))
        left = Text.assemble((f"#{proposal.node} {plain(changed, 200)}", f"bold {colours.text}"))
        words = plain(f"{intent_name(proposal.intent)} from #{proposal.parent} step {proposal.step}", 80)
        left.append(f"  {words} · {_maker(detail.standing)}", style=colours.muted)
        return row(left, _waits(detail.standing, now, self), width)

    # ---- layout -----------------------------------------------------------------------------------------------------

    @property
    def compact(self) -> bool:
        """Whether there is room for one text only."""
        return self.size.width < NARROW or self.size.height < SHORT

    def on_resize(self) -> None:
        self._arrange()
        self._show()

    def _arrange(self) -> None:
        for name in ("origin", "values"):
            self.query_one(f"#{name}").display = not self.compact
        table = self.query_one("#values", Sheet)
        table.styles.height = max(6, min(table.lines + 2, self.size.height // 2))

    @on(Sheet.Grown)
    def _grown(self) -> None:
        self._arrange()

    def restyle(self) -> None:
        super().restyle()
        self._show()

    # ---- actions ----------------------------------------------------------------------------------------------------

    def _target(self) -> ProposalRow | None:
        detail = self.snapshot.detail if self.snapshot else None
        return detail.proposal if detail is not None and detail.standing.pending else None

    def context(self) -> ActionContext:
        snapshot = self.snapshot
        if snapshot is None:
            return ActionContext(self.kind)
        others = [p for p in snapshot.inbox if p.node != self.node]
        return ActionContext(
            self.kind, state=snapshot.run.state, live=snapshot.run.live and not self._lost, target=self._target(),
            waiting=len(others),
        )  # fmt: skip

    def _step(self, by: int) -> None:
        """Another proposal that has not begun; from one that has, the first of them."""
        nodes = [p.node for p in self.snapshot.inbox] if self.snapshot else []
        if not nodes:
            return
        place = nodes.index(self.node) + by if self.node in nodes else 0
        self.node, self._news = nodes[place % len(nodes)], ""
        for sheet in self.query(Sheet):
            sheet.top()
        self.app.poll(quick=True)

    def _say_changed(self, words: str) -> None:
        """In the line under the proposal instead of a notice beside it."""
        self._news = f"changed in the meantime: {words}"
        self._header()

    def action_next_proposal(self) -> None:
        self._step(1)

    def action_previous_proposal(self) -> None:
        self._step(-1)

    def action_next_panel(self) -> None:
        """The focus to the next panel of text."""
        self.focus_next()

    def action_back(self) -> None:
        """Back to the run."""
        self.dismiss()
        self.app.call_after_refresh(self.app.poll)


def _title(standing: ProposalRecord) -> str:
    return f"Why · {_maker(standing)}"


def _maker(standing: ProposalRecord) -> str:
    """Who proposes."""
    advisor, model = plain(standing.proposal.advisor, 24), plain(standing.model, 32)
    if advisor == "human":
        return "a human"
    if model:
        return f"{model} ({advisor})"
    return f"the {advisor} advisor" if advisor in ("rules", "ollama") else advisor or "unknown"


def _decider(standing: ProposalRecord) -> str:
    """Who decided."""
    words = {"auto": "the gate (auto)", "timeout": "the gate (timeout)", "": "the engine"}
    return words.get(standing.by) or plain(standing.by, 24)


def _waits(standing: ProposalRecord, now: datetime, screen: DecisionScreen) -> Text:
    """How long until it goes ahead by itself, how long it has waited, or what was decided."""
    appearance = look(screen)
    colours, proposal = appearance.palette, standing.proposal
    if not standing.pending:
        text = appearance.state(standing.node_state or "rejected")
        return text.append(f" · {plain(standing.state, 14)} by {_decider(standing)}", colours.muted)
    if proposal.deadline is not None:
        left = (proposal.deadline - now).total_seconds()
        words = f"starts by itself in {duration(left)}" if left > 0 else "starts when the search wants it"
        return Text(words, style=f"bold {colours.warn if left < 15 else colours.wait}")
    if not proposal.waits:
        return Text("starts when a worker is free", style=colours.muted)
    waited = max(0.0, (now - proposal.created).total_seconds())
    return Text(f"? waits for you {duration(waited)}", style=f"bold {colours.wait}")

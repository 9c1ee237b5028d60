"""What waits for the human: pending proposals, one line each. Posts `Picked` when another one is highlighted, `Opened`
when one is to be seen in full."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from llmzero_tui.format import duration, plain
from llmzero_tui.values.snapshot import ProposalRow
from llmzero_tui.widgets.appearance import look, row


class Inbox(OptionList, inherit_bindings=False):
    """Pending proposals, the oldest first."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "cursor_up", show=False),
        Binding("down,j", "cursor_down", show=False),
        Binding("home", "first", show=False),
        Binding("end,G", "last", show=False),
        Binding("pageup", "page_up", show=False),
        Binding("pagedown", "page_down", show=False),
        Binding("enter", "select", show=False),
    ]

    class Picked(Message):
        """Another proposal is highlighted."""

        def __init__(self, proposal: ProposalRow) -> None:
            super().__init__()
            self.proposal = proposal

    class Opened(Message):
        """The highlighted proposal is to be seen in full."""

        def __init__(self, proposal: ProposalRow) -> None:
            super().__init__()
            self.proposal = proposal

    def __init__(self) -> None:
        super().__init__(id="inbox")
        self._proposals: tuple[ProposalRow, ...] = ()
        self._ages: tuple[str, ...] = ()

    def on_mount(self) -> None:
        self.border_title = "Inbox"

    @property
    def current(self) -> ProposalRow | None:
        """The highlighted proposal."""
        if self.highlighted is None or self.highlighted >= len(self._proposals):
            return None
        return self._proposals[self.highlighted]

    def show(self, proposals: tuple[ProposalRow, ...], now: datetime) -> None:
        """Take the inbox of a snapshot; lines are drawn anew when a proposal or an age shown has changed."""
        ages = tuple(_waits(p, now) for p in proposals)
        if (proposals, ages) == (self._proposals, self._ages) and self.option_count:
            return
        same = [p.id for p in proposals] == [p.id for p in self._proposals] and self.option_count
        kept = self.current
        self._proposals, self._ages = proposals, ages
        waiting = sum(p.waits for p in proposals)
        self.border_title = f"Inbox {waiting}" if waiting else "Inbox"
        self.set_class(bool(waiting), "-waiting")
        if same and proposals:
            for index in range(len(proposals)):
                self.replace_option_prompt_at_index(index, self._line(index))
            return
        self.clear_options()
        if not proposals:
            quiet = Text("no proposal waits for you", style=look(self).palette.faint)
            self.add_option(Option(look(self).done(quiet), disabled=True))
            return
        self.add_options([Option(self._line(i)) for i in range(len(proposals))])
        ids = [p.id for p in proposals]
        self.highlighted = ids.index(kept.id) if kept is not None and kept.id in ids else 0

    def restyle(self) -> None:
        """Draw every line in other colours."""
        self.on_resize()

    def on_resize(self) -> None:
        for index in range(len(self._proposals)):
            self.replace_option_prompt_at_index(index, self._line(index))

    def pick(self, proposal_id: int) -> None:
        """Highlight a proposal."""
        for index, proposal in enumerate(self._proposals):
            if proposal.id == proposal_id:
                self.highlighted = index

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        if self.current is not None and self.has_focus:
            self.post_message(self.Picked(self.current))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        if self.current is not None:
            self.post_message(self.Opened(self.current))

    def _line(self, index: int) -> Text:
        proposal, age = self._proposals[index], self._ages[index]
        colours = look(self).palette
        glyph, colour = look(self).glyph("pending" if proposal.waits else "proposed")
        left = Text.assemble(
            (f"{glyph} ", colour),
            (f"#{proposal.node} ", colours.text),
            (plain(proposal.label, 40), colours.text),
        )
        width = max(10, self.scrollable_content_region.width - 2)
        return look(self).done(row(left, Text(age, style=colours.muted), width))


def _waits(proposal: ProposalRow, now: datetime) -> str:
    """How long it has waited, or how long until it goes ahead by itself."""
    if not proposal.waits:
        return "starts by itself"
    if proposal.deadline is not None:
        left = (proposal.deadline - now).total_seconds()
        return f"starts in {duration(left)}" if left > 0 else "starts when wanted"
    minutes = int((now - proposal.created).total_seconds()) // 60
    return f"waits {duration(60 * minutes).removesuffix('00s')}" if minutes else "new"

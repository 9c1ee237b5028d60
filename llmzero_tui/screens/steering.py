"""What a human tells the engine: every command goes out here, with a question first where it cannot be taken back.

Mixed into the run screen. A command is a row: it counts as done when its result row says so, never before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from textual.screen import Screen

from llmzero_tui.data import Proposal, RunSnapshot
from llmzero_tui.format import plain
from llmzero_tui.screens.base import Polled

GATES = ("auto", "timeout", "manual")


class Steering(Polled):
    """The actions of a run screen that write commands."""

    snapshot: RunSnapshot | None = None
    selected: int | None = None

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._told: set[int] = set()
        self._known = False

    # ---- sending ----------------------------------------------------------------------------------------------------

    def tell(self, kind: str, **fields: Any) -> None:
        """Send a command; the header shows what becomes of it."""
        self.app.send(self.feed.path, kind, fields)  # type: ignore[attr-defined]

    def answered(self, snapshot: RunSnapshot) -> None:
        """Say once what was refused. Refusals from before this viewer came are history."""
        for command in snapshot.commands:
            if command.state != "refused" or command.id in self._told:
                continue
            self._told.add(command.id)
            if self._known:
                reason = plain(command.message, 200) or "no reason given"
                self.notify(f"{plain(command.kind, 20)} refused: {reason}", severity="error", timeout=10, markup=False)
        self._known = True

    @property
    def _target(self) -> Proposal | None:
        return self.snapshot.proposal(self.selected) if self.snapshot else None

    def _ask(self, screen: Screen[Any], then: Any) -> None:
        self.app.push_screen(screen, then)

    # ---- proposals --------------------------------------------------------------------------------------------------

    def action_approve(self) -> None:
        """The proposal as it is, with the revision that was looked at."""
        proposal = self._target
        if proposal is not None:
            self.tell("approve", proposal_id=proposal.id, revision=proposal.revision)

    def action_reject(self) -> None:
        """Turn it down; the reason goes to the advisor's next evidence."""
        from llmzero_tui.screens.dialogs import AskText

        proposal = self._target
        if proposal is None:
            return

        def send(reason: str | None) -> None:
            if reason is not None:
                self.tell("reject", proposal_id=proposal.id, revision=proposal.revision,
                          payload={"reason": reason})  # fmt: skip

        title = f"Reject #{proposal.node} {plain(proposal.label, 30)}"
        self._ask(AskText(title, "Why? (may stay empty)", button="Reject"), send)

    def action_edit(self) -> None:
        """Change the proposal's values."""
        from llmzero_tui.screens.edit import Edited, EditScreen, Subject

        proposal, snapshot = self._target, self.snapshot
        if proposal is None or snapshot is None:
            return

        def send(edited: Edited | None) -> None:
            if edited is not None:
                self.tell("edit", proposal_id=proposal.id, revision=proposal.revision,
                          payload=edited.payload())  # fmt: skip

        subject = Subject(
            title=f"Edit #{proposal.node} before it goes ahead", node=proposal.parent, steps=(proposal.step,),
            before=proposal.configuration, changes=proposal.changes, optimizer=proposal.optimizer,
            reference=proposal.reference, note=proposal.rationale,
        )  # fmt: skip
        self._ask(EditScreen(snapshot.space, subject), send)

    def action_branch(self) -> None:
        """A transition of the human's own, from a checkpoint of the selected node."""
        from llmzero_tui.screens.edit import Edited, EditScreen, Subject

        snapshot = self.snapshot
        if snapshot is None or snapshot.detail is None or snapshot.detail.stage is None:
            return
        stage = snapshot.detail.stage
        node = snapshot.nodes[stage.node]

        def send(edited: Edited | None) -> None:
            if edited is not None:
                payload: Mapping[str, object] = {"parent": stage.node, **edited.payload(), "step": edited.step}
                self.tell("expand", payload=payload)

        subject = Subject(
            title=f"Branch from #{stage.node} by hand", node=stage.node, steps=tuple(sorted(node.kept, reverse=True)),
            before=stage.configuration, changes={}, optimizer="keep", reference="base", note="",
        )  # fmt: skip
        self._ask(EditScreen(snapshot.space, subject), send)

    # ---- the run ----------------------------------------------------------------------------------------------------

    def action_pause(self) -> None:
        self.tell("pause")

    def action_resume(self) -> None:
        self.tell("resume")

    def action_prune(self) -> None:
        """Close a subtree, after a question."""
        from llmzero_tui.screens.dialogs import Confirm

        snapshot = self.snapshot
        node = snapshot.nodes.get(self.selected) if snapshot and self.selected is not None else None
        if snapshot is None or node is None:
            return
        below = _below(snapshot, node.id)
        words = f"#{node.id} {plain(node.label, 30)}" + (f" and {below} nodes below it" if below else "")

        def send(yes: bool | None) -> None:
            if yes:
                self.tell("prune", node_id=node.id)

        self._ask(Confirm("Prune", f"Close {words} to further search? What trains there is stopped."), send)

    def action_stop_node(self) -> None:
        self.tell("stop-node", node_id=self.selected)

    def action_stop(self) -> None:
        """End the run, after its name was typed."""
        from llmzero_tui.screens.dialogs import AskText

        snapshot = self.snapshot
        if snapshot is None:
            return
        name = snapshot.run.name

        def send(typed: str | None) -> None:
            if typed is not None:
                self.tell("stop")

        words = f"The segment in progress ends after its step. Type {plain(name, 64)} to stop the run."
        self._ask(AskText("Stop the run", words, button="Stop", must_be=name), send)

    def action_gate(self) -> None:
        """Whether proposals wait."""
        from llmzero_tui.screens.dialogs import Choose

        now = self.snapshot.run.gate if self.snapshot else ""

        def send(mode: str | None) -> None:
            if mode is not None:
                self.tell("gate", payload={"mode": mode})

        words = ("never waits", "goes ahead by itself after a while", "waits until you decide")
        self._ask(Choose("Gate: do proposals wait for you?", tuple(zip(GATES, words, strict=True)), now), send)

    # ---- elsewhere --------------------------------------------------------------------------------------------------

    def action_sql(self) -> None:
        """Ask this run's database."""
        self.app.open_sql(self.feed.path)  # type: ignore[attr-defined]

    def action_runs(self) -> None:
        """Back to the list."""
        self.app.close_run()  # type: ignore[attr-defined]


def _below(snapshot: RunSnapshot, node_id: int) -> int:
    """How many nodes hang under one."""
    children: dict[int, list[int]] = {}
    for node in snapshot.nodes.values():
        if node.parent is not None:
            children.setdefault(node.parent, []).append(node.id)
    found = list(children.get(node_id, []))
    for each in found:
        found.extend(children.get(each, []))
    return len(found)

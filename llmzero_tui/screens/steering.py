"""What a human tells the engine about the run and its nodes: each act a command, with a question first where it cannot
be taken back.

Mixed into the run screen. A command is a row: it counts as done when its result row says so, never before.
"""

from __future__ import annotations

from typing import Any

from llmzero_tui.format import plain
from llmzero_tui.screens.deciding import Deciding
from llmzero_tui.values.snapshot import ProposalRow, RunSnapshot

GATES = ("auto", "timeout", "manual")


class Steering(Deciding):
    """The actions of a run screen that write commands, and the screens they open."""

    snapshot: RunSnapshot | None = None
    selected: int | None = None

    @property
    def _target(self) -> ProposalRow | None:
        return self.snapshot.proposal(self.selected) if self.snapshot else None

    # ---- proposals --------------------------------------------------------------------------------------------------

    def action_branch(self) -> None:
        """A transition of the human's own, from a checkpoint of the selected node."""
        from llmzero_tui.screens.edit import EditSubject

        snapshot = self.snapshot
        if snapshot is None or snapshot.detail is None or snapshot.detail.stage is None:
            return
        stage = snapshot.detail.stage
        node = snapshot.nodes[stage.node]
        subject = EditSubject(
            title=f"Branch from #{stage.node} by hand", node=stage.node, steps=tuple(sorted(node.kept, reverse=True)),
            before=stage.configuration, changes={}, optimizer="keep", reference="base", note="",
        )  # fmt: skip
        self._open_form(subject, ("expand", stage.node))

    def action_decide(self) -> None:
        """The selected proposal in full."""
        from llmzero_tui.feeds.decision import DecisionFeed
        from llmzero_tui.screens.decision import DecisionScreen

        app: Any = self.app
        feed = DecisionFeed(self.feed.path, app.clock, app.opener)
        app.push_screen(DecisionScreen(feed, self.selected, self._drafts, self._told))
        app.call_after_refresh(app.poll)

    def action_decision(self) -> None:
        """What was proposed for the selected node, and who decided."""
        self.action_decide()

    def action_trajectory(self) -> None:
        """The best path as stages."""
        from llmzero_tui.feeds.trajectory import TrajectoryFeed
        from llmzero_tui.screens.trajectory import TrajectoryScreen

        app: Any = self.app
        app.push_screen(TrajectoryScreen(TrajectoryFeed(self.feed.path, app.clock, app.opener), self.selected))
        app.call_after_refresh(app.poll)

    # ---- nodes ------------------------------------------------------------------------------------------------------

    def action_prune(self) -> None:
        """Close a subtree, after showing what is cut and asking why."""
        from llmzero_tui.screens.prune import PruneScreen

        snapshot, node_id = self.snapshot, self.selected
        if snapshot is None or node_id is None or node_id not in snapshot.nodes:
            return

        def send(reason: str | None) -> None:
            if reason is not None:
                self.tell("prune", node_id=node_id, payload={"reason": reason} if reason else {})

        best = snapshot.run.best.node if snapshot.run.best else None
        self._ask(PruneScreen(snapshot.nodes, node_id, best), send)

    def action_stop_node(self) -> None:
        """End the selected segment after its step, with a reason."""
        from llmzero_tui.screens.dialogs import AskText

        node_id = self.selected

        def send(reason: str | None) -> None:
            if reason is not None:
                self.tell("stop-node", node_id=node_id, payload={"reason": reason} if reason else {})

        words = "It ends after its step, with a checkpoint. Why? (may stay empty)"
        self._ask(AskText(f"Stop the segment of #{node_id}", words, button="Stop it"), send)

    def action_annotate(self) -> None:
        """A note on the selected node; an empty one takes it away."""
        from llmzero_tui.screens.dialogs import AskText

        snapshot, node_id = self.snapshot, self.selected
        node = snapshot.nodes.get(node_id) if snapshot is not None and node_id is not None else None
        if node is None:
            return
        before = node.note

        def send(text: str | None) -> None:
            if text is not None and text != before:
                self.tell("annotate", node_id=node_id, payload={"text": text})

        words = "Everyone who looks at this run sees it." + (" Empty: the note is taken away." if before else "")
        self._ask(AskText(f"Note on #{node.id} {plain(node.label, 30)}", words, button="Keep", text=before), send)

    # ---- the run ----------------------------------------------------------------------------------------------------

    def action_pause(self) -> None:
        self.tell("pause")

    def action_resume(self) -> None:
        self.tell("resume")

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

    def action_budget(self) -> None:
        """Other limits for the run."""
        from llmzero_tui.screens.budget import BudgetScreen

        if self.snapshot is None:
            return

        def send(limits: dict[str, float | int] | None) -> None:
            if limits:
                self.tell("budget", payload=limits)

        self._ask(BudgetScreen(self.snapshot.run), send)

    # ---- elsewhere --------------------------------------------------------------------------------------------------

    def action_sql(self) -> None:
        """Ask this run's database."""
        self.app.open_sql(self.feed.path)  # type: ignore[attr-defined]

    def action_runs(self) -> None:
        """Back to the list."""
        self.app.close_run()  # type: ignore[attr-defined]

"""What a human tells the engine about the run and its nodes: each act a command, with a question first where it cannot
be taken back.

A part of the run screen; proposals are answered in `parts.decisions`. A command is a row: it counts as
done when its result row says so, never before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from textual.screen import Screen

from engine.errors import UserError
from llmzero_tui.format import plain
from llmzero_tui.screens.parts.decisions import DecisionController
from llmzero_tui.values.ranges import FORM, range_text, read_range
from llmzero_tui.values.snapshot import RunSnapshot

T = TypeVar("T")
GATES = ("auto", "timeout", "manual")


class Steering:
    """The actions of the run screen that write commands about nodes and the run.

    Args:
        snapshot: what the screen shows now. selected: the node that the keys mean.
    """

    def __init__(
        self,
        decisions: DecisionController,
        snapshot: Callable[[], RunSnapshot | None],
        selected: Callable[[], int | None],
    ) -> None:
        self._decisions = decisions
        self._tell = decisions.tell
        self._snapshot = snapshot
        self._selected = selected

    def _ask(self, screen: Screen[T], then: Callable[[T | None], None]) -> None:
        self._decisions.screen.app.push_screen(screen, then)

    # ---- nodes ------------------------------------------------------------------------------------------------------

    def action_branch(self) -> None:
        """A transition of the human's own, from a checkpoint of the selected node."""
        from llmzero_tui.screens.edit import EditSubject

        snapshot = self._snapshot()
        if snapshot is None or snapshot.detail is None or snapshot.detail.stage is None:
            return
        stage = snapshot.detail.stage
        node = snapshot.nodes[stage.node]
        subject = EditSubject(
            title=f"Branch from #{stage.node}", node=stage.node, steps=tuple(sorted(node.kept, reverse=True)),
            before=stage.configuration, changes={}, optimizer="keep", reference="keep", note="",
        )  # fmt: skip
        self._decisions.open_form(subject, ("expand", stage.node))

    def action_prune(self) -> None:
        """Close a subtree, after showing what is cut and asking why."""
        from llmzero_tui.screens.prune import PruneScreen

        snapshot, node_id = self._snapshot(), self._selected()
        if snapshot is None or node_id is None or node_id not in snapshot.nodes:
            return

        def send(reason: str | None) -> None:
            if reason is not None:
                self._tell("prune", node_id=node_id, payload={"reason": reason} if reason else {})

        best = snapshot.run.best.node if snapshot.run.best else None
        self._ask(PruneScreen(snapshot.nodes, node_id, best), send)

    def action_stop_node(self) -> None:
        """End the selected segment after its step, with a reason."""
        from llmzero_tui.screens.dialogs import AskText

        node_id = self._selected()

        def send(reason: str | None) -> None:
            if reason is not None:
                self._tell("stop-node", node_id=node_id, payload={"reason": reason} if reason else {})

        words = "It stops after the current step, with a checkpoint. Reason (optional)"
        self._ask(AskText(f"Stop the segment of #{node_id}", words, button="Stop"), send)

    def action_annotate(self) -> None:
        """A note on the selected node; an empty one takes it away."""
        from llmzero_tui.screens.dialogs import AskText

        snapshot, node_id = self._snapshot(), self._selected()
        node = snapshot.nodes.get(node_id) if snapshot is not None and node_id is not None else None
        if node is None:
            return
        before = node.note

        def send(text: str | None) -> None:
            if text is not None and text != before:
                self._tell("annotate", node_id=node_id, payload={"text": text})

        words = "Visible to everyone who opens this run." + (" Leave empty to remove the note." if before else "")
        self._ask(AskText(f"Note on #{node.id} {plain(node.label, 30)}", words, button="Save", text=before), send)

    # ---- the run ----------------------------------------------------------------------------------------------------

    def action_pause(self) -> None:
        self._tell("pause")

    def action_resume(self) -> None:
        self._tell("resume")

    def action_stop(self) -> None:
        """End the run, after its name was typed."""
        from llmzero_tui.screens.dialogs import AskText

        snapshot = self._snapshot()
        if snapshot is None:
            return
        name = snapshot.run.name

        def send(typed: str | None) -> None:
            if typed is not None:
                self._tell("stop")

        words = f"The running segment stops after the current step. Type {plain(name, 64)} to stop the run."
        self._ask(AskText("Stop the run", words, button="Stop", must_be=name), send)

    def action_gate(self) -> None:
        """Whether proposals wait."""
        from llmzero_tui.screens.dialogs import Choose

        snapshot = self._snapshot()
        now = snapshot.run.gate if snapshot else ""

        def send(mode: str | None) -> None:
            if mode is not None:
                self._tell("gate", payload={"mode": mode})

        words = ("never waits", "starts by itself after a while", "waits until you decide")
        self._ask(Choose("Gate: do proposals wait for you?", tuple(zip(GATES, words, strict=True)), now), send)

    def action_space(self) -> None:
        """Another range of a hyperparameter from now on."""
        from engine.domain.space import Space
        from llmzero_tui.screens.dialogs import AskText, Choose

        snapshot = self._snapshot()
        if snapshot is None or not snapshot.space:
            return
        space = Space.from_json(snapshot.space)

        def ask(name: str | None) -> None:
            if name is None:
                return
            words = f"{space[name].doc}\nFrom now on it is chosen within: {FORM}"
            dialog = AskText(f"Range of {name}", words, button="Send", text=range_text(space[name]))
            self._ask(dialog, lambda text: self._send_range(name, range_text(space[name]), text))

        options = tuple((each.name, each.allowed) for each in space)
        self._ask(Choose("Space: which hyperparameter?", options, ""), ask)

    def _send_range(self, name: str, before: str, text: str | None) -> None:
        if text is None or text == before:
            return
        try:
            self._tell("space", payload={"name": name, **read_range(text)})
        except UserError as mistake:
            self._decisions.screen.app.notify(plain(str(mistake), 200), severity="error", markup=False)

    def action_budget(self) -> None:
        """Other limits for the run."""
        from llmzero_tui.screens.budget import BudgetScreen

        snapshot = self._snapshot()
        if snapshot is None:
            return

        def send(limits: dict[str, float | int] | None) -> None:
            if limits:
                self._tell("budget", payload=limits)

        self._ask(BudgetScreen(snapshot.run), send)

"""Carries out what a human asked for: one method a command, each returning the line that says what was done.

A command that does not fit the run as it is now is refused with one line (UserError).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from engine.controller import commands
from engine.controller.budget import BudgetTracker
from engine.controller.commands import ReceivedCommand
from engine.controller.proposal_queue import ProposalQueue
from engine.controller.run_state import RunState
from engine.controller.space_changes import SpaceChanges
from engine.domain.proposals import Proposal, ProposalGate, in_words
from engine.domain.space import Configuration, Intent, Space, Transition
from engine.domain.tree import NodeState, Tree
from engine.errors import UserError, one_line
from engine.words import change_text


class CommandHandler:
    """The human's hands on a run. `stop_segment` asks a running segment to end after its step."""

    def __init__(
        self,
        run: RunState,
        space: Space,
        proposals: ProposalQueue,
        budget: BudgetTracker,
        space_changes: SpaceChanges,
        stop_segment: Callable[[int, str], Awaitable[None]],
        *,
        segment_steps: int,
        gate_seconds: float,
    ) -> None:
        self._run = run
        self._space = space
        self._proposals = proposals
        self._budget = budget
        self._space_changes = space_changes
        self._stop_segment = stop_segment
        self._segment_steps = segment_steps
        self._gate_seconds = gate_seconds

    async def carry_out(self, asked: ReceivedCommand) -> str:
        """Do it; the answer is one line. Raises UserError when it is refused."""
        match asked.command:
            case commands.ApproveCommand() as approve:
                return self._approve(approve, asked.author)
            case commands.EditCommand() as edit:
                return self._edit(edit, asked.author)
            case commands.RejectCommand() as reject:
                return self._reject(reject, asked.author)
            case commands.ExpandCommand() as expand:
                return self._expand(expand, asked.author)
            case _:
                return await self._beyond_proposals(asked)

    async def _beyond_proposals(self, asked: ReceivedCommand) -> str:
        match asked.command:
            case commands.PruneCommand() as prune:
                return await self._prune(prune, asked.author)
            case commands.StopNodeCommand() as stop:
                return await self._stop(stop, asked.author)
            case commands.AnnotateCommand() as note:
                return self._annotate(note)
            case commands.BudgetCommand() as budget:
                return self._change_budget(budget, asked.author)
            case commands.SpaceCommand() as space:
                return self._space_changes.change(space, asked.author)
            case commands.GateCommand() as gate:
                self._proposals.set_gate(ProposalGate(gate.mode, self._gate_seconds))
                return f"gate {gate.mode}"
            case other:
                raise ValueError(f"{other.kind} is handled by the loop")

    def _waiting(self, proposal_id: int, revision: int) -> Proposal:
        """The proposal as the human saw it. Raises UserError that says what changed since."""
        for proposal in self._run.proposals.values():
            if proposal.id == proposal_id:
                if proposal.revision != revision:
                    raise UserError(
                        f"proposal {proposal_id} of #{proposal.node} is at revision {proposal.revision} now "
                        f"({in_words(proposal.transition.changes)}), you saw revision {revision}; review it again"
                    )
                return proposal
        gone = self._run.decided.get(proposal_id)
        if gone is None:
            raise UserError(f"there is no proposal {proposal_id}")
        why = f": {gone.reason}" if gone.reason and not gone.reason.startswith(gone.state) else ""
        line = f"proposal {proposal_id} is no longer waiting: {gone.state} by {gone.by}{why}"
        if gone.revision != revision:
            line += f"; it is at revision {gone.revision} now ({gone.changes}), you saw revision {revision}"
        raise UserError(one_line(line))

    def _approve(self, command: commands.ApproveCommand, author: str) -> str:
        proposal = self._waiting(command.proposal_id, command.revision)
        self._proposals.close(proposal, "approved", author, "approved")
        return f"#{proposal.node} approved"

    def _reject(self, command: commands.RejectCommand, author: str) -> str:
        proposal = self._waiting(command.proposal_id, command.revision)
        self._proposals.close(proposal, "rejected", author, command.reason or "rejected")
        return f"#{proposal.node} rejected"

    def _edit(self, command: commands.EditCommand, author: str) -> str:
        proposal = self._waiting(command.proposal_id, command.revision)
        old = proposal.transition
        parent = self._run.tree[old.parent].configuration
        edited = replace(
            old,
            changes=command.changes,
            optimizer=command.optimizer or old.optimizer,
            reference=command.reference or old.reference,
            rationale=command.rationale or f"edited by {author}; before: {old.rationale}",
        )
        transition = self._checked(
            replace(edited, intent=edited_intent(edited, parent, self._space, self._run.tree)), parent
        )
        self._run.edit(proposal, transition, self._space.apply(parent, transition.changes))
        self._proposals.close(self._run.proposals[proposal.node], "edited", author, "edited and approved")
        return f"#{proposal.node} edited: {change_text(transition.changes, transition.label)}"

    def _expand(self, command: commands.ExpandCommand, author: str) -> str:
        tree = self._run.tree
        node = tree.nodes.get(command.parent)
        if node is None:
            raise UserError(f"there is no node #{command.parent}")
        if node.pruned:
            raise UserError(f"#{node.id} is pruned: nothing is trained from it any more")
        kept = [c.step for c in node.checkpoints if c.kept]
        if command.step not in kept:
            there = ", ".join(map(str, kept)) or "none"
            raise UserError(f"#{node.id} has no checkpoint at step {command.step}; its checkpoints: {there}")
        changes = bool(command.changes) or tree.moves_reference(node.id, command.reference)
        transition = self._checked(
            Transition(
                parent=node.id,
                step=command.step,
                intent=Intent.CHANGE if changes else Intent.KEEP,
                changes=command.changes,
                optimizer=command.optimizer,
                reference=command.reference,
                rationale=command.rationale or f"proposed by {author}",
            ),
            node.configuration,
        )
        proposal = self._proposals.add_human(transition, self._segment_steps, author)
        return f"#{proposal.node} queued: {change_text(transition.changes, transition.label)}"

    def _checked(self, transition: Transition, parent: Configuration) -> Transition:
        """The transition with its label. Raises UserError with everything the space finds wrong."""
        known = {name: value for name, value in transition.changes.items() if name in self._space}
        labelled = replace(transition, label=self._space.describe(parent, known))
        if wrong := self._space.check_transition(parent, labelled):
            raise UserError("; ".join(wrong))
        return labelled

    async def _prune(self, command: commands.PruneCommand, author: str) -> str:
        if command.node_id not in self._run.tree.nodes:
            raise UserError(f"there is no node #{command.node_id}")
        if command.node_id == self._run.tree.root.id:
            raise UserError("#0 is the base and cannot be pruned; choose a node below it")
        if self._run.tree[command.node_id].pruned:
            raise UserError(f"#{command.node_id} is already pruned")
        reason = _reason(f"pruned by {author}", command.reason)
        subtree = self._run.tree.subtree(command.node_id)
        for node in subtree:
            why = reason if node.id == command.node_id else f"pruned with #{command.node_id}"
            if node.state is NodeState.RUNNING:
                await self._stop_segment(node.id, why)
            elif proposal := self._run.proposals.get(node.id):
                self._proposals.close(proposal, "rejected", author, why)
            elif node.state is NodeState.QUEUED:
                self._run.set_state(node.id, NodeState.REJECTED, why)
        self._run.prune(command.node_id, reason)
        why = f": {one_line(command.reason)}" if command.reason else ""
        return f"#{command.node_id} pruned with {len(subtree) - 1} below it{why}"

    async def _stop(self, command: commands.StopNodeCommand, author: str) -> str:
        node = self._run.tree.nodes.get(command.node_id)
        if node is None or node.state is not NodeState.RUNNING:
            raise UserError(f"#{command.node_id} is not training")
        await self._stop_segment(node.id, _reason(f"stopped by {author}", command.reason))
        return f"#{node.id} stops after the current step"

    def _annotate(self, command: commands.AnnotateCommand) -> str:
        text = command.text.strip()
        if command.node_id not in self._run.tree.nodes:
            raise UserError(f"there is no node #{command.node_id}")
        self._run.annotate(command.node_id, text)
        return f"#{command.node_id} note saved" if text else f"#{command.node_id} note removed"

    def _change_budget(self, command: commands.BudgetCommand, author: str) -> str:
        """What has not begun and finds no room any more is withdrawn; what trains goes on to its end."""
        line = self._budget.change(command.given, author)
        for node_id in self._budget.beyond(self._proposals.waiting(stock=False)):
            self._proposals.withdraw(node_id, f"not started when {author} lowered the budget")
        return line


def _reason(what: str, why: str) -> str:
    return f"{what}: {one_line(why)}" if why.strip() else what


def edited_intent(edited: Transition, parent: Configuration, space: Space, tree: Tree) -> Intent:
    """What a human's edit makes of a proposal, given its intent before: what only goes on becomes a change where
    anything changes, an anneal where it is none any more; a first segment and a repair stay what they are."""
    match edited.intent:
        case Intent.KEEP | Intent.CURRICULUM:
            changed = bool(edited.changes) or tree.moves_reference(edited.parent, edited.reference)
            return Intent.CHANGE if changed else Intent.KEEP
        case Intent.ANNEAL if space.check_transition(parent, edited):
            return Intent.CHANGE
        case same:
            return same

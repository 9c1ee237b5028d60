"""The tree and its rows as one thing: every change of the tree is written to the store in the same call.

The controller changes a run only through here, and a resume rebuilds the same tree from the rows.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from engine.advisors.base import Series
from engine.controller import node_rows, recovery, retention
from engine.controller.advisor_calls import AdvisorCallRecorder
from engine.controller.node_rows import TrainingRewards
from engine.controller.run_record import CommandInbox, RunRecorder, now
from engine.domain.policy import Policy, steering_prompts
from engine.domain.proposals import HUMAN, Decision, Proposal, in_words
from engine.domain.score import PromptSet, Score, score_of
from engine.domain.space import Configuration, Transition
from engine.domain.tree import Checkpoint, Node, NodeState, Tree
from engine.run.rundir import RunDirectory
from engine.store.errors import DamagedDatabase, StoreFault, one_line
from engine.store.writer import Writer
from engine.training import events


class RunState:
    """The run's tree with its store. Not thread-safe: the controller's event loop owns it."""

    def __init__(
        self, writer: Writer, directory: RunDirectory, base: str, tree: Tree, proposals: dict[int, Proposal]
    ) -> None:
        """`base` is the model directory or hub id of the untrained policy: the root's checkpoint."""
        self._writer = writer
        self.record = RunRecorder(writer)
        self.calls = AdvisorCallRecorder(writer)
        self.inbox = CommandInbox(writer)
        self.directory = directory
        self.base = base
        self.tree = tree
        self.proposals = proposals
        self.rewards = TrainingRewards(tree)
        self.seeds: dict[int, int] = {}
        self.reasons: dict[int, str] = {}
        self.decided: dict[int, Decision] = {}

    @classmethod
    def begin(cls, writer: Writer, directory: RunDirectory, base: str, configuration: Configuration) -> RunState:
        """A new run: the root is the base model, not yet scored."""
        root = Node(id=0, transition=None, configuration=dict(configuration), state=NodeState.FINISHED)
        run = cls(writer, directory, base, Tree(root), {})
        run._insert_node(root, seed=0, advisor="", proposal=None)
        return run

    @classmethod
    def load(cls, writer: Writer, directory: RunDirectory, base: str) -> RunState | None:
        """The run as an earlier engine left it, or None when there was none.

        Segments that ended with their engine are queued again and go on from their last checkpoint: what was trained
        since is all a crash loses. Checkpoints whose files are gone are noticed, and never branched from.

        Raises:
            DamagedDatabase: rows that no engine has written.
        """
        rows = writer.rows("SELECT * FROM nodes ORDER BY node_id")
        if not rows:
            return None
        checkpoints = writer.rows("SELECT * FROM checkpoints ORDER BY seq")
        pending = writer.rows("SELECT * FROM proposals WHERE state = 'pending' ORDER BY proposal_id")
        try:
            tree, proposals = node_rows.tree(rows, checkpoints), node_rows.proposals(pending)
        except (ValueError, TypeError, KeyError) as error:  # another hand wrote what no row of ours has
            raise DamagedDatabase(directory.database, one_line(error)) from error
        run = cls(writer, directory, base, tree, proposals)
        run.seeds = {row["node_id"]: row["seed"] for row in rows}
        run.reasons = {row["node_id"]: row["reason"] for row in rows}
        run.decided = {
            row["proposal_id"]: Decision(
                row["revision"], row["state"], row["decided_by"], row["reason"], in_words(json.loads(row["changes"]))
            )
            for row in writer.rows("SELECT * FROM proposals WHERE state <> 'pending'")
        }
        run.rewards.load(writer)
        recovery.recover(run)
        run.calls.give_up_earlier()
        return run

    # ---- proposals ------------------------------------------------------------------------------------------------

    def propose(
        self, transition: Transition, configuration: Configuration, *, steps: int, seed: int, advisor: str,
        call_id: int | None, deadline: datetime | None,
    ) -> Proposal:  # fmt: skip
        """Add a node that waits at the gate, with its proposal row."""
        node_id = self._writer.next_id("nodes")
        parent = self.tree[transition.parent]
        node = Node(
            id=node_id, transition=transition, configuration=dict(configuration), state=NodeState.PROPOSED,
            start_steps=parent.start_steps + transition.step, planned_steps=steps,
        )  # fmt: skip
        proposal = Proposal(self._writer.next_id("proposals"), 1, node_id, transition, advisor, deadline)
        self.tree.add(node)
        self.proposals[node_id] = proposal
        self._insert_node(node, seed=seed, advisor=advisor, proposal=proposal.id)
        self._writer.insert(
            "proposals", proposal_id=proposal.id, revision=1, node_id=node_id, parent_id=transition.parent,
            branch_step=transition.step, intent=transition.intent, **node_rows.transition_columns(transition),
            advisor=advisor, call_id=call_id, state="pending", reason="", deadline=deadline, decided_by="",
            created=now(), decided=None,
        )  # fmt: skip
        return proposal

    def set_deadline(self, proposal: Proposal, deadline: datetime | None) -> Proposal:
        """Change until when a proposal waits; None waits for a human."""
        changed = replace(proposal, deadline=deadline)
        self.proposals[proposal.node] = changed
        self._writer.update("proposals", {"proposal_id": proposal.id}, deadline=deadline)
        return changed

    def edit(self, proposal: Proposal, transition: Transition, configuration: Configuration) -> None:
        """Replace a proposal by what a human wants instead; the caller has validated it. The revision grows."""
        self.tree.replan(proposal.node, transition, configuration)
        self.proposals[proposal.node] = Proposal(
            proposal.id, proposal.revision + 1, proposal.node, transition, HUMAN, proposal.deadline
        )
        shared = {**node_rows.transition_columns(transition), "advisor": HUMAN}
        self._writer.update("proposals", {"proposal_id": proposal.id}, revision=proposal.revision + 1, **shared)
        self._writer.update(
            "nodes", {"node_id": proposal.node}, configuration=json.dumps(dict(configuration)), **shared
        )

    def decide(self, proposal: Proposal, state: str, by: str, reason: str) -> None:
        """Close a proposal: approved or edited nodes are queued, rejected and superseded ones never happen."""
        del self.proposals[proposal.node]
        self.decided[proposal.id] = Decision(
            proposal.revision, state, by, reason, in_words(proposal.transition.changes)
        )
        queued = state in ("approved", "edited")
        self._writer.update(
            "proposals", {"proposal_id": proposal.id}, state=state, decided_by=by, reason=reason, decided=now()
        )
        self.set_state(proposal.node, NodeState.QUEUED if queued else NodeState.REJECTED, reason)

    # ---- nodes ----------------------------------------------------------------------------------------------------

    def set_state(self, node_id: int, state: NodeState, reason: str = "") -> None:
        """Change a node's state with one line of reason; ends get their time."""
        self.tree.set_state(node_id, state)
        self.reasons[node_id] = reason
        values: dict[str, Any] = {"state": state, "reason": reason}
        if state is NodeState.RUNNING:
            values["started"] = now()
        elif not state.in_flight:
            values["ended"] = now()
        self._writer.update("nodes", {"node_id": node_id}, **values)

    def progress(self, node_id: int, steps: int, trainer_seconds: float | None = None) -> None:
        """GRPO steps trained so far, and the trainer's seconds when known."""
        self.tree.set_steps(node_id, steps)
        seconds = {} if trainer_seconds is None else {"trainer_seconds": trainer_seconds}
        self._writer.update("nodes", {"node_id": node_id}, trained_steps=steps, **seconds)

    def requeue(self, node_id: int, done: int, seconds: float, reason: str) -> None:
        """Put a segment that was cut off back into the queue with `done` steps and the trainer's `seconds` for them;
        the rows of what came after go."""
        self.tree.cut(node_id, done)
        for table in ("metrics", "checkpoints", "completions"):
            self._writer.delete(table, above=("step", done), node_id=node_id)
        self.tree.set_state(node_id, NodeState.QUEUED)
        self.reasons[node_id] = reason
        self._writer.update(
            "nodes", {"node_id": node_id}, state=NodeState.QUEUED, trained_steps=done, trainer_seconds=seconds,
            started=None, ended=None, reason=reason,
        )  # fmt: skip

    def plan_steps(self, node_id: int, steps: int) -> None:
        """GRPO steps of a segment that has not begun: the last one of a budget takes what is left."""
        if steps != self.tree[node_id].planned_steps:
            self.tree.set_planned(node_id, steps)
            self._writer.update("nodes", {"node_id": node_id}, planned_steps=steps)

    def prune(self, node_id: int, reason: str) -> None:
        """Close a subtree to expansion; the reason joins why its first node ended."""
        self.tree.prune(node_id)
        for node in self.tree.subtree(node_id):
            self._writer.update("nodes", {"node_id": node.id}, pruned=True)
        if reason not in (known := self.reasons.get(node_id, "")):
            self.reasons[node_id] = f"{known}; {reason}" if known else reason
        self._writer.update("nodes", {"node_id": node_id}, reason=self.reasons.get(node_id, ""))

    def annotate(self, node_id: int, text: str) -> None:
        """Keep a human's note on a node in place of the one before; an empty one takes it away."""
        self._writer.update("nodes", {"node_id": node_id}, note=text or None)

    def score(self, node_id: int, step: int, path: Path, evaluation: events.Evaluation, size: int) -> None:
        """Record a checkpoint with its validation score and what it answered."""
        score = evaluation.score(steering_prompts(evaluation.n))
        self.tree.add_checkpoint(node_id, Checkpoint(step, score))
        self._writer.insert(
            "checkpoints", node_id=node_id, step=step, path=self.relative(path), bytes=size, n=score.n,
            greedy=score.greedy, sampled=score.sampled, value=score.value, kept=True,
            outcomes=score.outcomes or None, effective_n=score.effective_n, seconds=evaluation.seconds,
        )  # fmt: skip
        self._completions(evaluation.samples, node_id, step)
        self._unscored(evaluation, node_id, step)

    def pick(self, policy: Policy, path: Path) -> None:
        """Record which policy the closing evaluations have picked: from now on the run reports it."""
        self.record.pick(policy, self.relative(path))

    def forget_files(self, node_id: int, step: int) -> None:
        """The files of a checkpoint were deleted; the score stays."""
        self.tree.forget_files(node_id, step)
        self._writer.update("checkpoints", {"node_id": node_id, "step": step}, kept=False)

    def drop_optimizer(self, node_id: int, step: int) -> None:
        """Leave of a checkpoint's files the policy alone. Raises OSError or ValueError where that cannot be done."""
        path = self.checkpoint_path(node_id, step)
        if freed := retention.drop_optimizer(path):
            size = sum(each.stat().st_size for each in path.iterdir())
            self._writer.update("checkpoints", {"node_id": node_id, "step": step}, bytes=size)
            self.event("info", "optimizer state deleted", f"#{node_id} step {step}: {freed} bytes", node_id)

    # ---- what happened --------------------------------------------------------------------------------------------

    def metrics(self, event: events.StepMetrics, node_id: int) -> None:
        """Record what a GRPO step has told of itself."""
        for name, value in event.values.items():
            self._writer.insert("metrics", node_id=node_id, step=event.step, name=name, value=value)
        if (reward := event.values.get("reward")) is not None:
            self.rewards.add(node_id, reward)

    def samples(self, event: events.CompletionSamples, node_id: int) -> None:
        """Record completions of training."""
        self._completions(event.samples, node_id, event.step)

    def _completions(self, samples: Sequence[events.CompletionSample], node_id: int, step: int) -> None:
        for sample in samples:
            self._writer.insert("completions", node_id=node_id, step=step, **sample.model_dump())

    def evaluation(self, event: events.EvaluationResult, policy: Policy, path: Path, kind: str) -> Score:
        """Record what a policy scored apart from the steering score; returns it."""
        score = event.evaluation.score(PromptSet(event.split, event.seed, event.evaluation.n))
        self._writer.insert(
            "evaluations", node_id=policy.node, step=policy.step, path=self.relative(path), kind=kind,
            split=event.split, seed=event.seed, n=score.n, greedy=score.greedy, sampled=score.sampled,
            seconds=event.evaluation.seconds, outcomes=score.outcomes or None, effective_n=score.effective_n,
            policy=policy.name, members=policy.key,
        )  # fmt: skip
        self._unscored(event.evaluation, policy.node, policy.step)
        return score

    def _unscored(self, evaluation: events.Evaluation, node_id: int, step: int) -> None:
        if evaluation.errors:
            failed = f"{evaluation.errors} of {2 * evaluation.n} answers could not be scored and count as wrong"
            message = f"step {step}: {failed}; the first: {evaluation.first_error}"
            self.event("warning", "reward errors", message, node_id, errors=evaluation.errors)

    def measured(self, policy: Policy, spec: events.EvaluationSpec) -> Score | None:
        """What an earlier evaluation of this very policy on the same prompts gave; None where there was none."""
        rows = self._writer.rows(
            "SELECT n, greedy, sampled, outcomes FROM policy_evaluations "
            "WHERE policy_key = ? AND split = ? AND seed = ? AND n = ? ORDER BY seq DESC LIMIT 1",
            (policy.key, spec.split, spec.seed, spec.n),
        )
        return score_of(next(iter(rows), None), "", PromptSet(spec.split, spec.seed, spec.n))

    def event(self, level: str, kind: str, message: str, node_id: int | None = None, **detail: object) -> None:
        """One line for the log: level info, warning or error."""
        self.record.event(level, kind, message, node_id, **detail)

    def event_of_this_end(self, kind: str, message: str, node_id: int, **detail: object) -> None:
        """One line of how the search ended, unless an engine that was killed at this end, with nothing trained since,
        has told it."""
        told = "SELECT 1 FROM events WHERE kind = ? AND message = ? AND ts >= (SELECT max(ts) FROM checkpoints)"
        if not self._writer.rows(told, (kind, message)):
            self.event("info", kind, message, node_id, **detail)

    # ---- what was written -----------------------------------------------------------------------------------------

    def rows(self, sql: str, params: Sequence[object] = ()) -> list[dict[str, Any]]:
        """What is committed, from any thread; see `flush`."""
        return self._writer.rows(sql, params)

    def flush(self) -> None:
        """Return once everything written is committed. Raises StoreFault when it cannot be."""
        self._writer.flush()

    def fault(self) -> StoreFault | None:
        """Why nothing can be written at the moment, or None. Raises what the tables refused: a bug of ours."""
        self._writer.raise_bug()
        return self._writer.fault

    def close(self) -> None:
        """Commit what is left and close the database. Raises StoreFault when the rest could not be written."""
        self._writer.close()

    def series(self, node_id: int, last_step: int) -> Series:
        """Metrics of a segment up to a step, by name. Safe to call in any thread."""
        rows = self._writer.rows(
            "SELECT name, step, value FROM metrics WHERE node_id = ? AND step <= ? ORDER BY name, step",
            (node_id, last_step),
        )
        curves: dict[str, list[tuple[int, float]]] = {}
        for row in rows:
            curves.setdefault(row["name"], []).append((row["step"], row["value"]))
        return curves

    # ---- paths ----------------------------------------------------------------------------------------------------

    def relative(self, path: Path) -> str:
        """A path as the database names it: relative to the run's directory where it lies inside."""
        return str(path.relative_to(self.directory.path)) if path.is_relative_to(self.directory.path) else str(path)

    def checkpoint_path(self, node_id: int, step: int) -> Path:
        """Directory of a checkpoint; the root's is where the base model lies."""
        if node_id == self.tree.root.id:
            return Path(self.base)
        return self.directory.segment(node_id) / f"checkpoint-{step}"

    def _insert_node(self, node: Node, *, seed: int, advisor: str, proposal: int | None) -> None:
        self.seeds[node.id] = seed
        self._writer.insert(
            "nodes", **node_rows.node_columns(node), depth=self.tree.depth(node.id), advisor=advisor,
            proposal_id=proposal, seed=seed, created=now(), ended=None if node.transition else now(),
        )  # fmt: skip

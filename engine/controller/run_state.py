"""The tree and its rows as one thing: every change of the tree is written to the store in the same call.

The controller changes a run only through here, and a resume rebuilds the same tree from the rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.advisors.base import Advice, AdvisorCall, Series
from engine.controller import recovery
from engine.controller.reward_errors import RewardErrorCounter
from engine.domain.policy import Policy
from engine.domain.prompt_sets import steering_prompts
from engine.domain.proposals import HUMAN, Decision, Proposal, in_words
from engine.domain.score import PromptSet, Score, score_of
from engine.domain.space import Configuration, Intent, KLReference, OptimizerState, Transition
from engine.domain.tree import Checkpoint, Node, NodeState, Tree
from engine.run.rundir import RunDirectory
from engine.store.writer import Writer
from engine.training import events

UNFINISHED = "unfinished"
"""Stands as the error of a call whose answer is still being written."""


def now() -> datetime:
    """UTC, without a zone: what the store's TIMESTAMP columns hold."""
    return datetime.now(UTC).replace(tzinfo=None)


class RunState:
    """The run's tree with its store. Not thread-safe: the controller's event loop owns it."""

    def __init__(
        self, writer: Writer, directory: RunDirectory, base: str, tree: Tree, proposals: dict[int, Proposal]
    ) -> None:
        """`base` is the model directory or hub id of the untrained policy: the root's checkpoint."""
        self.writer = writer
        self.directory = directory
        self.base = base
        self.tree = tree
        self.proposals = proposals
        self.rewards = RewardErrorCounter(tree)
        self.seeds: dict[int, int] = {}
        self.reasons: dict[int, str] = {}
        self.decided: dict[int, Decision] = {}
        self._open_calls: dict[str, int] = {}  # key of a call in progress → call_id

    @classmethod
    def begin(cls, writer: Writer, directory: RunDirectory, base: str, configuration: Configuration) -> RunState:
        """A new run: the root is the base model, not yet scored."""
        root = Node(id=0, transition=None, configuration=dict(configuration), state=NodeState.FINISHED)
        ledger = cls(writer, directory, base, Tree(root), {})
        ledger._insert_node(root, seed=0, advisor="", proposal=None)
        return ledger

    @classmethod
    def load(cls, writer: Writer, directory: RunDirectory, base: str) -> RunState | None:
        """The ledger of an earlier engine on this run, or None when there is none.

        Segments that ended with their engine are queued again and go on from their last checkpoint: what was trained
        since is all a crash loses. Checkpoints whose files are gone are noticed, and never branched from.
        """
        rows = writer.rows("SELECT * FROM nodes ORDER BY node_id")
        if not rows:
            return None
        tree = Tree(_node(rows[0]))
        for row in rows[1:]:
            tree.add(_node(row))
        for row in writer.rows("SELECT * FROM checkpoints ORDER BY seq"):
            tree.add_checkpoint(row["node_id"], _checkpoint(row))
        proposals = {
            row["node_id"]: Proposal(
                row["proposal_id"], row["revision"], row["node_id"], _transition(row), row["advisor"], row["deadline"]
            )
            for row in writer.rows("SELECT * FROM proposals WHERE state = 'pending' ORDER BY proposal_id")
        }
        ledger = cls(writer, directory, base, tree, proposals)
        ledger.seeds = {row["node_id"]: row["seed"] for row in rows}
        ledger.reasons = {row["node_id"]: row["reason"] for row in rows}
        ledger.decided = {
            row["proposal_id"]: Decision(
                row["revision"], row["state"], row["decided_by"], row["reason"], in_words(json.loads(row["changes"]))
            )
            for row in writer.rows("SELECT * FROM proposals WHERE state <> 'pending'")
        }
        ledger.rewards.load(writer)
        recovery.recover(ledger)
        for row in writer.rows("SELECT call_id FROM agent_calls WHERE error = ?", (UNFINISHED,)):
            writer.update("agent_calls", row, error="cancelled: the engine ended before the answer")
        return ledger

    # ---- proposals ------------------------------------------------------------------------------------------------

    def propose(
        self, transition: Transition, configuration: Configuration, *, steps: int, seed: int, advisor: str,
        call_id: int | None, deadline: datetime | None,
    ) -> Proposal:  # fmt: skip
        """Add a node that waits at the gate, with its proposal row."""
        node_id = self.writer.next_id("nodes")
        parent = self.tree[transition.parent]
        node = Node(
            id=node_id, transition=transition, configuration=dict(configuration), state=NodeState.PROPOSED,
            start_steps=parent.start_steps + transition.step, planned_steps=steps,
        )  # fmt: skip
        proposal = Proposal(self.writer.next_id("proposals"), 1, node_id, transition, advisor, deadline)
        self.tree.add(node)
        self.proposals[node_id] = proposal
        self._insert_node(node, seed=seed, advisor=advisor, proposal=proposal.id)
        self.writer.insert(
            "proposals", proposal_id=proposal.id, revision=1, node_id=node_id, parent_id=transition.parent,
            branch_step=transition.step, intent=transition.intent, label=transition.label,
            changes=json.dumps(dict(transition.changes)), optimizer=transition.optimizer,
            reference=transition.reference, rationale=transition.rationale, expected=transition.expected,
            advisor=advisor, call_id=call_id, state="pending", reason="", deadline=deadline, decided_by="",
            created=now(), decided=None,
        )  # fmt: skip
        return proposal

    def set_deadline(self, proposal: Proposal, deadline: datetime | None) -> Proposal:
        """Change until when a proposal waits; None waits for a human."""
        changed = replace(proposal, deadline=deadline)
        self.proposals[proposal.node] = changed
        self.writer.update("proposals", {"proposal_id": proposal.id}, deadline=deadline)
        return changed

    def record_gate(self, mode: str) -> None:
        """Write down the mode of the gate, for whoever looks."""
        self.writer.update_run(gate=mode)

    def record_budget(self, limits: str, **more: str) -> None:
        """Write down the limits of now (JSON), for whoever looks and for a resume."""
        self.writer.update_run(budget=limits, **more)

    def record_activity(self, doing: str | None) -> None:
        """Write down what the workers do besides training (JSON), for whoever looks."""
        self.writer.update_run(activity=doing)

    def edit(self, proposal: Proposal, transition: Transition, configuration: Configuration) -> None:
        """Replace a proposal by what a human wants instead; the caller has validated it. The revision grows."""
        self.tree.replan(proposal.node, transition, configuration)
        self.proposals[proposal.node] = Proposal(
            proposal.id, proposal.revision + 1, proposal.node, transition, HUMAN, proposal.deadline
        )
        shared: dict[str, Any] = {
            "label": transition.label,
            "changes": json.dumps(dict(transition.changes)),
            "optimizer": transition.optimizer,
            "reference": transition.reference,
            "rationale": transition.rationale,
            "expected": transition.expected,
            "advisor": HUMAN,
        }
        self.writer.update("proposals", {"proposal_id": proposal.id}, revision=proposal.revision + 1, **shared)
        self.writer.update("nodes", {"node_id": proposal.node}, configuration=json.dumps(dict(configuration)), **shared)

    def decide(self, proposal: Proposal, state: str, by: str, reason: str) -> None:
        """Close a proposal: approved or edited nodes are queued, rejected and superseded ones never happen."""
        del self.proposals[proposal.node]
        self.decided[proposal.id] = Decision(
            proposal.revision, state, by, reason, in_words(proposal.transition.changes)
        )
        queued = state in ("approved", "edited")
        self.writer.update(
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
        self.writer.update("nodes", {"node_id": node_id}, **values)

    def progress(self, node_id: int, steps: int, trainer_seconds: float | None = None) -> None:
        """GRPO steps trained so far, and the trainer's seconds when known."""
        self.tree.set_steps(node_id, steps)
        seconds = {} if trainer_seconds is None else {"trainer_seconds": trainer_seconds}
        self.writer.update("nodes", {"node_id": node_id}, trained_steps=steps, **seconds)

    def plan_steps(self, node_id: int, steps: int) -> None:
        """GRPO steps of a segment that has not begun: the last one of a budget takes what is left."""
        if steps != self.tree[node_id].planned_steps:
            self.tree.set_planned(node_id, steps)
            self.writer.update("nodes", {"node_id": node_id}, planned_steps=steps)

    def prune(self, node_id: int, reason: str) -> None:
        """Close a subtree to expansion; the reason joins why its first node ended."""
        self.tree.prune(node_id)
        for node in self.tree.subtree(node_id):
            self.writer.update("nodes", {"node_id": node.id}, pruned=True)
        if reason not in (known := self.reasons.get(node_id, "")):
            self.reasons[node_id] = f"{known}; {reason}" if known else reason
        self.writer.update("nodes", {"node_id": node_id}, reason=self.reasons.get(node_id, ""))

    def annotate(self, node_id: int, text: str) -> None:
        """Keep a human's note on a node in place of the one before; an empty one takes it away."""
        self.writer.update("nodes", {"node_id": node_id}, note=text or None)

    def score(self, node_id: int, step: int, path: Path, evaluation: events.Evaluation, size: int) -> None:
        """Record a checkpoint with its validation score and what it answered."""
        score = evaluation.score(steering_prompts(evaluation.n))
        self.tree.add_checkpoint(node_id, Checkpoint(step, score))
        self.writer.insert(
            "checkpoints", node_id=node_id, step=step, path=self.relative(path), bytes=size, n=score.n,
            greedy=score.greedy, sampled=score.sampled, value=score.value, kept=True,
            outcomes=score.outcomes or None, effective_n=score.effective_n,
        )  # fmt: skip
        self._completions(evaluation.samples, node_id, step)
        self._unscored(evaluation, node_id, step)

    def pick(self, policy: Policy, path: Path) -> None:
        """Record which policy the closing evaluations have picked: from now on the run reports it."""
        self.writer.update_run(
            best_node=policy.node, best_step=policy.step, best_path=self.relative(path), policy=policy.name,
            members=policy.key,
        )  # fmt: skip

    def unpick(self) -> None:
        """The run goes on: it reports its best checkpoint by validation again, until the next end picks one."""
        self.writer.update_run(best_node=None, best_step=None, best_path=None, policy=None, members=None)

    def forget_files(self, node_id: int, step: int) -> None:
        """The files of a checkpoint were deleted; the score stays."""
        self.tree.forget_files(node_id, step)
        self.writer.update("checkpoints", {"node_id": node_id, "step": step}, kept=False)

    # ---- what happened --------------------------------------------------------------------------------------------

    def metrics(self, event: events.StepMetrics, node_id: int) -> None:
        for name, value in event.values.items():
            self.writer.insert("metrics", node_id=node_id, step=event.step, name=name, value=value)
        if (reward := event.values.get("reward")) is not None:
            self.rewards.add(node_id, reward)

    def samples(self, event: events.CompletionSamples, node_id: int) -> None:
        self._completions(event.samples, node_id, event.step)

    def _completions(self, samples: Sequence[events.CompletionSample], node_id: int, step: int) -> None:
        for sample in samples:
            self.writer.insert("completions", node_id=node_id, step=step, **sample.model_dump())

    def evaluation(self, event: events.EvaluationResult, policy: Policy, path: Path, kind: str) -> Score:
        """Record what a policy scored apart from the steering score; returns it."""
        score = event.evaluation.score(PromptSet(event.split, event.seed, event.evaluation.n))
        self.writer.insert(
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
        found = self.writer.rows(
            "SELECT n, greedy, sampled, outcomes FROM policy_evaluations "
            "WHERE policy_key = ? AND split = ? AND seed = ? AND n = ? ORDER BY seq DESC LIMIT 1",
            (policy.key, spec.split, spec.seed, spec.n),
        )
        return score_of(next(iter(found), None), "", PromptSet(spec.split, spec.seed, spec.n))

    def advice(self, advice: Advice, node_id: int) -> int | None:
        """Log an advice: its calls, and its diagnoses of `node_id`; see the view current_diagnoses for which of several
        looks counts. Returns the last call's id."""
        call_id: int | None = None
        for call in advice.calls:
            call_id = self._write_call(call, advice.advisor, node_id)
            self._open_calls.pop(call.key, None)
        for diagnosis in advice.diagnoses:
            signals = [
                {"metric": s.metric, "baseline": s.baseline, "value": s.value, "steps": [s.first_step, s.last_step]}
                for s in diagnosis.signals
            ]
            self.writer.insert(
                "diagnoses", node_id=node_id, call_id=call_id or 0, pathology=diagnosis.pathology,
                severity=diagnosis.severity, evidence=diagnosis.text, signals=json.dumps(signals), step=advice.step,
            )  # fmt: skip
        return call_id

    def call_grows(self, call: AdvisorCall, advisor: str) -> None:
        """A call has begun, or its rationale has grown: its row shows it until `advice` completes it."""
        self._write_call(replace(call, error=UNFINISHED), advisor, call.node)

    def give_up_calls(self, reason: str) -> None:
        """Calls in progress will not be completed."""
        for call_id in self._open_calls.values():
            self.writer.update("agent_calls", {"call_id": call_id}, error=f"cancelled: {reason}")
        self._open_calls.clear()

    def _write_call(self, call: AdvisorCall, advisor: str, node_id: int | None) -> int:
        """Insert a call's row, or bring the one it has up to date. Returns its id."""
        values: dict[str, Any] = {
            "response": call.response, "rationale": call.rationale, "prompt_tokens": call.prompt_tokens,
            "completion_tokens": call.completion_tokens, "milliseconds": call.milliseconds, "error": call.error,
        }  # fmt: skip
        known = self._open_calls.get(call.key) if call.key else None
        if known is not None:
            self.writer.update("agent_calls", {"call_id": known}, **values)
            return known
        call_id = self.writer.next_id("agent_calls")
        self.writer.insert(
            "agent_calls", call_id=call_id, node_id=node_id, advisor=advisor, role=call.role, model=call.model,
            prompt_version=call.prompt_version, request=call.request, images=json.dumps(list(call.images)), **values,
        )  # fmt: skip
        if call.key:
            self._open_calls[call.key] = call_id
        return call_id

    def event(self, level: str, kind: str, message: str, node_id: int | None = None, **detail: object) -> None:
        """One line for the log: level info, warning or error."""
        self.writer.insert(
            "events", level=level, kind=kind, node_id=node_id, message=message, detail=json.dumps(detail)
        )

    def series(self, node_id: int, last_step: int) -> Series:
        """Metrics of a segment up to a step, by name. Safe to call in any thread."""
        rows = self.writer.rows(
            "SELECT name, step, value FROM metrics WHERE node_id = ? AND step <= ? ORDER BY name, step",
            (node_id, last_step),
        )
        found: dict[str, list[tuple[int, float]]] = {}
        for row in rows:
            found.setdefault(row["name"], []).append((row["step"], row["value"]))
        return found

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
        transition = node.transition
        self.seeds[node.id] = seed
        self.writer.insert(
            "nodes", node_id=node.id, parent_id=node.parent, branch_step=transition.step if transition else None,
            depth=self.tree.depth(node.id), state=node.state, reason="",
            intent=transition.intent if transition else "base", label=transition.label if transition else "base",
            configuration=json.dumps(dict(node.configuration)),
            changes=json.dumps(dict(transition.changes) if transition else {}),
            optimizer=transition.optimizer if transition else OptimizerState.RESET,
            reference=transition.reference if transition else KLReference.BASE,
            rationale=transition.rationale if transition else "", expected=transition.expected if transition else "",
            advisor=advisor, proposal_id=proposal, seed=seed, planned_steps=node.planned_steps, trained_steps=0,
            start_steps=node.start_steps, trainer_seconds=0.0, pruned=False, created=now(), started=None,
            ended=None if transition else now(),
        )  # fmt: skip


def _transition(row: Mapping[str, Any]) -> Transition:
    return Transition(
        parent=row["parent_id"],
        step=row["branch_step"],
        intent=Intent(row["intent"]),
        changes=json.loads(row["changes"]),
        optimizer=OptimizerState(row["optimizer"]),
        reference=KLReference(row["reference"]),
        label=row["label"],
        rationale=row["rationale"],
        expected=row["expected"],
    )


def _checkpoint(row: Mapping[str, Any]) -> Checkpoint:
    n, outcomes = row["n"], row["outcomes"] or ""
    score = Score(n, row["greedy"], row["sampled"], outcomes, (steering_prompts(n),))
    return Checkpoint(row["step"], score, row["kept"])


def _node(row: Mapping[str, Any]) -> Node:
    return Node(
        id=row["node_id"],
        transition=None if row["parent_id"] is None else _transition(row),
        configuration=json.loads(row["configuration"]),
        state=NodeState(row["state"]),
        start_steps=row["start_steps"],
        steps=row["trained_steps"],
        planned_steps=row["planned_steps"],
        pruned=row["pruned"],
    )

"""What the decision and trajectory screens show: a proposal with all that bears on it, a path with all that was said.

Made by their feeds, read by their screens. Immutable values and how rows become them; no reader, no widget, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from engine.analysis.summary import derived_node_state
from llmzero_tui.format import parameter
from llmzero_tui.values.nodes import ShownScore
from llmzero_tui.values.rows import proposal_of, values_of
from llmzero_tui.values.snapshot import CommandRow, DiagnosisRow, ProposalRow, Row, RunRow, StageRow, Values

if TYPE_CHECKING:
    from engine.analysis.dynamics import ParameterDynamics


PENDING = "pending"


@dataclass(frozen=True, slots=True)
class ProposalRecord:
    """A proposal and where it stands: `state` pending, approved, edited, rejected, refused or superseded; `by` decided
    so, for `reason`; `node_state` is what its node does now; `model` made it ("" for rules and humans); `selected` says
    why the search wanted it."""

    proposal: ProposalRow
    state: str
    by: str
    reason: str
    decided: datetime | None
    node_state: str
    model: str = ""
    selected: str = ""

    @property
    def pending(self) -> bool:
        return self.state == PENDING


@dataclass(frozen=True, slots=True)
class CheckpointScore:
    """A scored checkpoint: `step` counts within its node; `kept` says whether its files are there to branch from."""

    node: int
    step: int
    value: float
    low: float
    high: float
    n: int
    kept: bool


@dataclass(frozen=True, slots=True)
class Sibling:
    """What was tried from the same node before: where it left, and how it ended."""

    node: int
    step: int
    label: str
    intent: str
    state: str
    reason: str
    trained: int
    best: ShownScore | None


@dataclass(frozen=True, slots=True)
class BranchPoint:
    """A kept checkpoint that a human may branch from, with its node's configuration."""

    node: int
    step: int
    label: str
    state: str
    value: float
    low: float
    high: float
    n: int
    configuration: Values


@dataclass(frozen=True, slots=True)
class ProposalDetail:
    """One proposal with everything that bears on it. `stages` lead from the base to the node it branches
    from; `reward` is the curve along them: (step from the base, value, whether of that node)."""

    standing: ProposalRecord
    stages: tuple[StageRow, ...]
    scores: tuple[CheckpointScore, ...]
    siblings: tuple[Sibling, ...]
    diagnoses: tuple[DiagnosisRow, ...]
    reward: tuple[tuple[int, float, bool], ...]

    @property
    def proposal(self) -> ProposalRow:
        return self.standing.proposal


@dataclass(frozen=True, slots=True)
class DecisionView:
    """Which node's proposal is looked at; None: the oldest that waits."""

    node: int | None


@dataclass(frozen=True, slots=True)
class DecisionSnapshot:
    """One look of the decision screen. `detail` is None for a node that came without a proposal."""

    taken: datetime
    run: RunRow
    inbox: tuple[ProposalRow, ...]
    commands: tuple[CommandRow, ...]
    space: tuple[Row, ...]
    detail: ProposalDetail | None


@dataclass(frozen=True, slots=True)
class PathStage:
    """A stage of a path with its score where it was left, and what was found in it."""

    stage: StageRow
    score: CheckpointScore | None
    diagnoses: tuple[DiagnosisRow, ...]

    @property
    def steps(self) -> int:
        """GRPO steps of this stage that the path uses."""
        return self.stage.trained if self.stage.left_at is None else self.stage.left_at


@dataclass(frozen=True, slots=True)
class TrajectoryView:
    """The node whose path is shown; None: the best one."""

    node: int | None


@dataclass(frozen=True, slots=True)
class TrajectorySnapshot:
    """One look of the trajectory screen; the first stage is the base. `dynamics` is over all transitions of the run,
    and empty beside another path than the best."""

    taken: datetime
    run: RunRow
    node: int | None
    best: bool
    stages: tuple[PathStage, ...]
    space: tuple[Row, ...]
    dynamics: tuple[ParameterDynamics, ...] = ()


# ---- rows to values --------------------------------------------------------------------------------


def standing_of(row: Row, *, live: bool) -> ProposalRecord:
    """A row of ui_proposal.sql."""
    state = derived_node_state(row["node_state"], live=live)
    return ProposalRecord(
        proposal=proposal_of(row), state=row["state"], by=row["decided_by"], reason=row["reason"],
        decided=row["decided"], node_state=state, model=row["model"],
        selected=row["selected"] or "",
    )  # fmt: skip


def sibling_of(row: Row, *, live: bool) -> Sibling:
    state = derived_node_state(row["state"], live=live)
    best = ShownScore(row["value"], row["low"], row["high"], row["n"], row["node_id"]) if row["n"] else None
    return Sibling(
        row["node_id"], row["branch_step"] or 0, row["label"], row["intent"], state, row["reason"],
        row["trained_steps"], best,
    )  # fmt: skip


def score_of(row: Row) -> CheckpointScore:
    return CheckpointScore(row["node_id"], row["step"], row["value"], row["low"], row["high"], row["n"], row["kept"])


def place_of(row: Row, *, live: bool) -> BranchPoint:
    state = derived_node_state(row["state"], live=live)
    return BranchPoint(
        row["node_id"], row["step"], row["label"], state, row["value"], row["low"], row["high"], row["n"],
        values_of(row["configuration"]),
    )  # fmt: skip


# ---- in words --------------------------------------------------------------------------------------


def differences(before: ProposalRow, after: ProposalRow) -> str:
    """Which values of a proposal are others now: "learning_rate 5e-5 → 2e-5, optimizer keep → reset"."""
    old, new = _asked(before), _asked(after)
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return ", ".join(f"{name} {old.get(name, '–')} → {new.get(name, '–')}" for name in names)


def _asked(proposal: ProposalRow) -> dict[str, str]:
    """Everything a proposal asks for, as text; a value it does not change is its parent's."""
    values: Values = {**proposal.configuration, **proposal.changes}
    asked = {name: parameter(value) for name, value in values.items()}
    return {
        **asked, "optimizer": proposal.optimizer, "reference": proposal.reference, "checkpoint": f"step {proposal.step}"
    }  # fmt: skip


def became(seen: ProposalRow, now: ProposalRecord) -> str:
    """What became of a proposal since it was seen, in one line; "" when nothing did."""
    changed = differences(seen, now.proposal) if now.proposal.revision != seen.revision else ""
    if now.pending:
        return f"changed in the meantime: {changed or 'its words'}" if now.proposal.revision != seen.revision else ""
    doing = {"queued": "waits for a worker", "running": "is training"}.get(now.node_state, now.node_state)
    if now.state in ("approved", "edited"):
        who = {"auto": "by the gate (auto)", "timeout": "by the gate: timeout"}.get(now.by, f"by {now.by}")
        words = f"{'edited and approved' if now.state == 'edited' else 'approved'} {who}"
        return f"{words}; #{seen.node} {doing}" + (f" · {changed}" if changed else "")
    if now.state == "superseded":
        return f"withdrawn by the engine: {now.reason}"
    return f"{now.state} by {now.by or 'the engine'}" + (f": {now.reason}" if now.reason else "")

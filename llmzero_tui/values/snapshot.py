"""What the screens show: immutable values, and how rows of a run's database become them.

Made by the feeds (`llmzero_tui.feeds`), read by screens and widgets. No reader, no widget, no clock, no file here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.analysis.activity import WorkerActivity, doings
from engine.analysis.summary import FINAL_STATES, SPENDING, derived_node_state, derived_state, eta
from engine.domain.score import score_of
from llmzero_tui.values.curves import PLAIN, CurveSelection, CurveTrace
from llmzero_tui.values.decided import decision
from llmzero_tui.values.nodes import Nodes

if TYPE_CHECKING:
    from llmzero_tui.values.calls import CallLine

Row = dict[str, Any]
Values = Mapping[str, float | int]
TERMINAL = FINAL_STATES
UNREAD = "unread"
"""State of a run whose header was not read yet."""


@dataclass(frozen=True, slots=True)
class ShownScore:
    """A score in [0, 1] out of `n` prompts with its 95% interval, and whose it is: `policy` is its name (a soup has
    one, and for `node` and `step` those of its newest member)."""

    value: float
    low: float
    high: float
    n: int
    node: int | None = None
    step: int | None = None
    policy: str = ""


@dataclass(frozen=True, slots=True)
class RunRow:
    """The header of a run. `best` is the validation score of the policy that it reports, `test` that policy's test
    score, `reranked` the score by which it was picked at the end, and `decision` says against what. `spent` is a
    fraction of the budget of now, whose limits are `budget` (steps, nodes, minutes, gpu_hours; 0 is none) and in
    steps `limit`; times are UTC; `eta` is seconds, None when unknown."""

    path: Path
    name: str
    state: str
    task: str = ""
    model: str = ""
    advisor: str = ""
    reason: str = ""
    nodes: int = 0
    best: ShownScore | None = None
    test: ShownScore | None = None
    reranked: ShownScore | None = None
    decision: str = ""
    steps: int = 0
    limit: int = 0
    spent: float = 0.0
    wall_seconds: float = 0.0
    created: datetime | None = None
    ended: datetime | None = None
    gate: str = ""
    live: bool = False
    budget: Values = field(default_factory=dict)
    trainer_seconds: float = 0.0
    waiting_seconds: float = 0.0
    activity: tuple[WorkerActivity, ...] = ()

    @property
    def headline(self) -> ShownScore | None:
        """The validation score to show where there is one: that which decided, else that which steers."""
        return self.reranked or self.best

    @property
    def over(self) -> bool:
        return self.state in TERMINAL

    @property
    def eta(self) -> float | None:
        """Seconds until the budget is spent, at the pace so far."""
        return eta(
            self.spent, self.wall_seconds, running=self.live and self.state in SPENDING,
            waiting_seconds=self.waiting_seconds, minutes=self.budget.get("minutes", 0),
        )  # fmt: skip

    def doing(self, node: int | None) -> str:
        """What a worker does between the steps of a node (None: for none of them), in words; "" for nothing."""
        return next((each.words for each in self.activity if each.node == node), "")


@dataclass(frozen=True, slots=True)
class NodeRow:
    """A node of the tree as it is drawn; `kept` are the steps whose files still exist. `human`: made or edited by one;
    `note` is a human's. Foreign text."""

    id: int
    parent: int | None
    branch_step: int | None
    state: str
    intent: str
    label: str
    trained: int
    planned: int
    start: int
    pruned: bool
    best: ShownScore | None = None
    kept: tuple[int, ...] = ()
    scores: tuple[tuple[int, float], ...] = ()
    human: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class ProposalRow:
    """A transition that has not begun; `revision` goes back with the answer, so that a stale one is refused.

    `waits`: for the human (gate timeout or manual); otherwise it goes ahead by itself when a worker is free.
    """

    id: int
    revision: int
    node: int
    parent: int
    step: int
    intent: str
    label: str
    changes: Values
    optimizer: str
    reference: str
    rationale: str
    expected: str
    advisor: str
    deadline: datetime | None
    created: datetime
    configuration: Values
    waits: bool = True


@dataclass(frozen=True, slots=True)
class StageRow:
    """A node of the trajectory that leads to the selected one, with everything that is known of it; `selected` says why
    the search wanted it."""

    node: int
    left_at: int | None
    state: str
    reason: str
    intent: str
    label: str
    configuration: Values
    changes: Values
    optimizer: str
    reference: str
    rationale: str
    expected: str
    advisor: str
    branch_step: int | None
    planned: int
    trained: int
    start: int
    seconds: float
    selected: str = ""


@dataclass(frozen=True, slots=True)
class SampleRow:
    """One completion. Foreign text. `components` are the parts of its reward before weighting, as far as recorded."""

    step: int
    prompt: str
    completion: str
    answer: str
    reward: float
    correct: bool
    truncated: bool
    components: Values = field(default_factory=dict)
    split: str = "train"


@dataclass(frozen=True, slots=True)
class DiagnosisRow:
    """A named pathology of a segment; `severity` in [0, 1]."""

    pathology: str
    severity: float
    evidence: str
    advisor: str
    model: str


@dataclass(frozen=True, slots=True)
class EventRow:
    """One line of the log."""

    seq: int
    level: str
    kind: str
    node: int | None
    message: str
    ts: datetime


@dataclass(frozen=True, slots=True)
class CommandRow:
    """What a human asked, and how far it is: sent, taken, done or refused."""

    id: int
    kind: str
    node: int | None
    proposal: int | None
    author: str
    ts: datetime
    state: str
    message: str
    answered: datetime | None


@dataclass(frozen=True, slots=True)
class SmallMetric:
    """A metric of the strip: a value per part of the segment, and the latest."""

    name: str
    values: tuple[float | None, ...]
    latest: float | None


@dataclass(frozen=True, slots=True)
class ModelRemark:
    """What a model says about a node, or the call's error. Foreign text; `images` name the plots it was shown."""

    call: int
    node: int | None
    role: str
    model: str
    rationale: str
    seconds: float
    error: str
    images: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeDetail:
    """Everything about the selected node. `traces`: the plotted metric, then those beside it. `samples` and `calls` are
    None until they are looked at."""

    node: int
    traces: tuple[CurveTrace, ...]
    stages: tuple[StageRow, ...] = ()
    strip: tuple[SmallMetric, ...] = ()
    samples: tuple[SampleRow, ...] | None = None
    diagnoses: tuple[DiagnosisRow, ...] = ()
    said: tuple[ModelRemark, ...] = ()
    calls: tuple[CallLine, ...] | None = None

    @property
    def trace(self) -> CurveTrace:
        """The plotted metric along the trajectory."""
        return self.traces[0]

    @property
    def stage(self) -> StageRow | None:
        return self.stages[-1] if self.stages else None

    @property
    def about(self) -> tuple[object, ...]:
        """What it is about: another node or metric, or something that was not looked at before."""
        return self.node, self.trace.metric, self.trace.sight, self.samples is None, self.calls is None


@dataclass(frozen=True, slots=True)
class RunView:
    """What the run screen looks at: the node (None: whatever trains), the metric of the plot, its width in columns and
    what of the curves is seen, whether its samples or its calls are on screen, and which nodes have a line there."""

    node: int | None = None
    metric: str = "reward"
    columns: int = 60
    samples: bool = False
    lines: tuple[int, ...] = ()
    sight: CurveSelection = PLAIN
    calls: bool = False


@dataclass(frozen=True, slots=True)
class RunSnapshot:
    """One look at a run. Unchanged parts are the same objects as in the snapshot before.

    `sparks` is the reward of nodes in parts of what was planned, for those looked at so far; `extent` their scale.
    """

    taken: datetime
    run: RunRow
    nodes: Nodes
    inbox: tuple[ProposalRow, ...]
    events: tuple[EventRow, ...]
    commands: tuple[CommandRow, ...]
    space: tuple[Row, ...]
    data_time: datetime | None
    detail: NodeDetail | None
    metrics: tuple[str, ...] = ()
    writing: tuple[ModelRemark, ...] = ()
    sparks: Mapping[int, tuple[float | None, ...]] = field(default_factory=dict)
    extent: tuple[float, float] = (0.0, 1.0)

    @property
    def running(self) -> NodeRow | None:
        """The segment that trains now; the latest of several."""
        return self.nodes.running

    @property
    def waiting(self) -> int:
        """How many proposals wait for the human."""
        return sum(p.waits for p in self.inbox)

    def proposal(self, node_id: int | None) -> ProposalRow | None:
        """The pending proposal of a node."""
        return next((p for p in self.inbox if p.node == node_id), None)


@dataclass(frozen=True, slots=True)
class RunsSnapshot:
    """All runs of a directory, newest first."""

    taken: datetime
    runs: tuple[RunRow, ...]


@dataclass(frozen=True, slots=True)
class FeedFailure:
    """Why there is no snapshot this time, in one line. The display keeps what it has."""

    reason: str


# ---- rows to values --------------------------------------------------------------------------------


def json_of(text: Any, default: Any) -> Any:
    """JSON of the database; what cannot be parsed is `default` (the file may come from another version)."""
    try:
        return json.loads(text) if isinstance(text, str) and text else default
    except ValueError:
        return default


def _values(text: Any) -> dict[str, float | int]:
    found = json_of(text, {})
    return {str(k): v for k, v in found.items() if isinstance(v, int | float)} if isinstance(found, dict) else {}


def run_of(path: Path, row: Row, *, live: bool) -> RunRow:
    """The header from a row of run_header.sql. A run whose engine is gone without having said so is `crashed`."""
    settings = json_of(row["config"], {})
    budget = _values(row["budget"]) or settings.get("budget", {})
    state = derived_state(str(row["state"]), live=live)
    whose = row["best_node"], row["best_step"], row["best_policy"]
    best = test = reranked = None
    if row["best_n"]:
        best = ShownScore(row["best_value"], row["best_low"], row["best_high"], row["best_n"], *whose)
    if row["test_n"]:
        test = ShownScore(row["test_value"], row["test_low"], row["test_high"], row["test_n"], *whose)
    decided = score_of(row, "reranked_")
    if decided is not None:
        reranked = ShownScore(decided.value, *decided.interval, decided.n, *whose)
    return RunRow(
        path=path, name=row["name"], state=state, task=row["task"], model=row["model"], advisor=row["advisor"],
        reason=row["reason"], nodes=row["nodes"], best=best, test=test, reranked=reranked,
        decision=decision(row["best_policy"], decided, row["leader_policy"], score_of(row, "leader_")),
        steps=row["steps"] or 0,
        limit=int(budget.get("steps", 0)), budget=budget, spent=row["budget_fraction"] or 0.0,
        trainer_seconds=row["trainer_seconds"] or 0.0, wall_seconds=row["wall_seconds"] or 0.0,
        waiting_seconds=row["waiting_seconds"] or 0.0, activity=doings(row["activity"]) if live else (),
        created=row["created"], ended=row["ended"],
        gate=row["gate"] or settings.get("gate", {}).get("mode", ""), live=live,
    )  # fmt: skip


def sample_of(row: Row) -> SampleRow:
    """A row of `ui_samples`."""
    return SampleRow(**{**row, "components": _values(row["components"])})


def said_of(row: Row) -> ModelRemark:
    """A row of `ui_calls` or `ui_writing`."""
    return ModelRemark(**{**row, "images": tuple(map(str, json_of(row["images"], [])))})


def stage_of(row: Row) -> StageRow:
    return StageRow(
        node=row["node_id"], left_at=row["left_at"], state=row["state"], reason=row["reason"], intent=row["intent"],
        label=row["label"], configuration=_values(row["configuration"]), changes=_values(row["changes"]),
        optimizer=row["optimizer"], reference=row["reference"], rationale=row["rationale"],
        expected=row["expected"], advisor=row["advisor"], branch_step=row["branch_step"],
        planned=row["planned_steps"], trained=row["trained_steps"], start=row["start_steps"],
        seconds=row["trainer_seconds"], selected=row["selected"] or "",
    )  # fmt: skip


def proposal_of(row: Row) -> ProposalRow:
    return ProposalRow(
        id=row["proposal_id"], revision=row["revision"], node=row["node_id"], parent=row["parent_id"],
        step=row["branch_step"], intent=row["intent"], label=row["label"], changes=_values(row["changes"]),
        optimizer=row["optimizer"], reference=row["reference"], rationale=row["rationale"],
        expected=row["expected"], advisor=row["advisor"], deadline=row["deadline"], created=row["created"],
        configuration=_values(row["parent_configuration"]), waits=row["waits"],
    )  # fmt: skip


def parts(rows: Iterable[Row], count: int) -> tuple[float | None, ...]:
    """Values by part, in `count` cells; a part outside (more steps than planned) falls into the last."""
    cells: list[float | None] = [None] * count
    for row in rows:
        cells[max(0, min(count - 1, row["part"]))] = row["value"]
    return tuple(cells)


def event_of(row: Row) -> EventRow:
    return EventRow(row["seq"], row["level"], row["kind"], row["node_id"], row["message"], row["ts"])


def command_of(row: Row) -> CommandRow:
    return CommandRow(
        id=row["command_id"], kind=row["kind"], node=row["node_id"], proposal=row["proposal_id"],
        author=row["author"], ts=row["ts"], state=row["state"] or "sent", message=row["message"] or "",
        answered=row["answered"],
    )  # fmt: skip


def node_of(row: Row, *, live: bool = True) -> NodeRow:
    """A row of ui_nodes.sql with its lists of scored checkpoints, in the order of steps."""
    steps, values = row["steps"] or (), row["scores"] or ()
    scores = tuple(zip(steps, values, strict=True))
    most = max(range(len(steps)), key=lambda i: (values[i], steps[i]), default=None)
    best = None
    if most is not None:
        ends = row["lows"][most], row["highs"][most]
        best = ShownScore(values[most], *ends, row["counts"][most], row["node_id"], steps[most])
    return NodeRow(
        id=row["node_id"], parent=row["parent_id"], branch_step=row["branch_step"],
        state=derived_node_state(row["state"], live=live),
        intent=row["intent"], label=row["label"], trained=row["trained_steps"], planned=row["planned_steps"],
        start=row["start_steps"], pruned=row["pruned"],
        best=best, kept=tuple(row["kept"] or ()), scores=scores, human=bool(row["human"]), note=row["note"] or "",
    )  # fmt: skip

"""What the screens show of a run, and what happened that a user wants to hear of: immutable values.

Made by the feeds (`llmzero_tui.feeds`) through `values.rows`, read by screens and widgets. No reader, no widget, no
clock, no file here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from engine.analysis.rows import WorkerActivity
from engine.analysis.summary import FINAL_STATES, SPENDING, eta
from llmzero_tui.values.curves import PLAIN, CurveSelection, CurveTrace
from llmzero_tui.values.nodes import NodeRow, Nodes, ShownScore

if TYPE_CHECKING:
    from engine.analysis.forecast import BranchForecast
    from llmzero_tui.values.calls import CallLine


Row = dict[str, Any]
Values = Mapping[str, float | int | bool | str]
UNREAD = "unread"
"""State of a run whose header was not read yet."""


@dataclass(frozen=True, slots=True)
class RunRow:
    """The header of a run. `best` is the validation score of the policy that it reports, `test` that policy's test
    score, `reranked` the score by which it was picked at the end, and `decision` says against what. `spent` is a
    fraction of the budget of now, whose limits are `budget` (steps, nodes, minutes, gpu_hours; 0 is none) and in
    steps `limit`; `advisor_state` says whether a model that advises answers; times are UTC; `eta` is
    seconds, None when unknown."""

    path: Path
    name: str
    state: str
    task: str = ""
    model: str = ""
    advisor: str = ""
    advisor_state: str = ""
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
    budget: Mapping[str, float | int] = field(default_factory=dict)
    trainer_seconds: float = 0.0
    evaluation_seconds: float = 0.0
    waiting_seconds: float = 0.0
    activity: tuple[WorkerActivity, ...] = ()

    @property
    def headline(self) -> ShownScore | None:
        """The validation score to show where there is one: that which decided, else that which steers."""
        return self.reranked or self.best

    @property
    def over(self) -> bool:
        return self.state in FINAL_STATES

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
    components: Mapping[str, float | int] = field(default_factory=dict)
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
        return self.node, self.trace.metric, self.trace.selection, self.samples is None, self.calls is None


@dataclass(frozen=True, slots=True)
class RunView:
    """What the run screen looks at: the node (None: whatever trains), the metric of the plot, its width in columns and
    what of the curves is seen, whether its samples or its calls are on screen, and which nodes have a line there."""

    node: int | None = None
    metric: str = "reward"
    columns: int = 60
    samples: bool = False
    lines: tuple[int, ...] = ()
    selection: CurveSelection = PLAIN
    calls: bool = False


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """A segment that trains now: on which device of which machine, its utilization (0 to 1), memory in GB, tokens a
    second; None where it has not been told."""

    node: int
    step: int
    planned: int
    device: str
    busy: float | None
    memory: float | None
    tokens: float | None


@dataclass(frozen=True, slots=True)
class RunSnapshot:
    """One look at a run. Unchanged parts are the same objects as in the snapshot before.

    `sparks` is the reward of nodes in parts of what was planned, for those looked at so far; `extent` their scale.
    `yardstick` says of a run at rest how plain GRPO compares with its policy.
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
    yardstick: str = ""
    workers: tuple[TrainingRow, ...] = ()
    forecasts: tuple[BranchForecast, ...] = ()

    @property
    def queued(self) -> list[NodeRow]:
        """Segments that wait for a worker."""
        return [node for node in self.nodes.values() if node.state == "queued"]

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


Kind = Literal["waiting", "collapsed", "no signal", "finished", "stopped", "failed", "lost"]


@dataclass(frozen=True, slots=True)
class News:
    """Something worth a bell. `node` is that of a proposal or a segment; `reason` the run's own word, foreign text."""

    path: Path
    name: str
    kind: Kind
    node: int | None = None
    reason: str = ""

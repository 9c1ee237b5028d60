"""Where a run stands, for those without screens: read once, told the same by `show`, `tail` and `--headless`.

Reads through a reader, formats text and JSON, prints nothing. Every score stands with its n and its 95% interval.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from engine.analysis.summary import FINAL_STATES, RunSummary, derived_node_state, evaluation_share, summarise
from engine.domain.score import Score
from engine.run.rundir import RunDirectory
from engine.store import queries
from engine.store.reader import Reader
from engine.words import advisor_state, change_text, counted, intent_name
from llmzero_tui.format import MISSING, age, duration, mark, number, plain, score
from llmzero_tui.text.output import table
from llmzero_tui.values.calls import record_words
from llmzero_tui.values.rows import json_of
from llmzero_tui.values.standing import measured

Row = dict[str, Any]
SHORT = {
    "reward": "reward", "kl": "kl", "entropy": "entropy", "completions/mean_length": "length",
    "completions/clipped_ratio": "truncated",
}  # fmt: skip
"""What is told of a node that trains, in this order, under a short name."""
USAGE = {"device/utilization": "{:.0%} busy", "device/memory_gb": "{:.1f} GB", "tokens_per_second": "{:.0f} tokens/s"}
"""What is told of a worker's device, in this order."""
UNITS = {"steps": "steps", "nodes": "nodes", "minutes": "minutes", "gpu_hours": "GPU hours"}


@dataclass(frozen=True, slots=True)
class RunningNode:
    """A node that trains, with the latest value of its telling metrics by TRL's names; `doing` is what its worker does
    between two steps, "scoring the checkpoint 64/256"; `device` what it trains on, `usage` how much of that it uses."""

    node: int
    label: str
    step: int
    planned: int
    changed: str
    metrics: Mapping[str, float]
    doing: str = ""
    device: str = ""
    usage: Mapping[str, float] = field(default_factory=dict)

    def as_dict(self) -> Row:
        """For JSON."""
        return {"node": self.node, "label": self.label, "step": self.step, "planned": self.planned,
                "metrics": dict(self.metrics), "doing": self.doing, "device": self.device,
                "usage": dict(self.usage)}  # fmt: skip


@dataclass(frozen=True, slots=True)
class RunFacts:
    """One look at a run: its summary, its nodes (rows of cli_nodes), what trains, what waits for the human, and what
    the advisors' changes gained (rows of advisor_record)."""

    directory: RunDirectory
    summary: RunSummary
    nodes: tuple[Row, ...]
    running: tuple[RunningNode, ...]
    waiting: tuple[Row, ...]
    record: tuple[Row, ...] = ()

    def as_dict(self) -> Row:
        """For `show --json`: those of `ls --json`, and the tree, what trains, what waits."""
        return {
            **headline(self.directory, self.summary), "running": [each.as_dict() for each in self.running],
            "tree": list(self.nodes), "waiting": self.questions,
        }  # fmt: skip

    @property
    def name(self) -> str:
        """The run's name for a terminal: a directory can be called anything."""
        return plain(self.directory.name, 60)

    @property
    def questions(self) -> list[Row]:
        """The proposals that wait, for JSON."""
        return [{key: row[key] for key in ("proposal_id", "revision", "node_id", "label")} for row in self.waiting]


def read_facts(reader: Reader, directory: RunDirectory) -> RunFacts:
    """All of it. Raises UserError: the run has not begun. QueryError, EngineGone: as a query does."""
    summary = summarise(reader)
    running = reader.rows(queries.load("cli_running")) if summary.live else []
    inbox = reader.rows(queries.load("ui_inbox")) if summary.state not in FINAL_STATES else []
    nodes = [{**row, "state": _node_state(row, summary)} for row in reader.rows(queries.load("cli_nodes"))]
    return RunFacts(
        directory, summary, tuple(nodes),
        tuple(_running(row, summary) for row in running),
        tuple(row for row in inbox if row["waits"]),
        tuple(reader.rows("SELECT * FROM advisor_record")),
    )  # fmt: skip


def _node_state(row: Row, summary: RunSummary) -> str:
    scored = row["parent_id"] is not None or row["best_n"] is not None
    return derived_node_state(row["state"], live=summary.live, scored=scored)


def headline(directory: RunDirectory, summary: RunSummary) -> Row:
    """A run in facts, for JSON: the same keys everywhere."""
    return {**summary.as_dict(), "name": directory.name, "path": str(directory.path.resolve())}


def _running(row: Row, summary: RunSummary) -> RunningNode:
    metrics = json_of(row["metrics"], {})
    told = {name: metrics[name] for name in SHORT if isinstance(metrics.get(name), int | float)}
    usage = {name: metrics[name] for name in USAGE if isinstance(metrics.get(name), int | float)}
    doing = next((each.words for each in summary.activity if each.node == row["node_id"]), "")
    changed = change_text(json_of(row["changes"], {}), row["label"])
    return RunningNode(
        row["node_id"], row["label"], row["trained_steps"], row["planned_steps"], changed, told, plain(doing, 80),
        plain(row["device"] or "", 80), usage,
    )  # fmt: skip


# ---- words ----------------------------------------------------------------------------------------------------------


def state_words(summary: RunSummary) -> str:
    """ "● training", with the reason where there is one."""
    reason = f": {plain(summary.reason, 200)}" if summary.reason else ""
    return f"{mark(summary.state).glyph} {summary.state}{reason}"


def best_words(summary: RunSummary) -> str:
    """ "best 0.431 [0.37, 0.49] (#9 step 25, n 256)"; "selected …" with the score that decided, once that is so."""
    if summary.best_validation is None:
        return "no score yet"
    if summary.best_reranked is not None:
        return f"selected {measured(summary.best_reranked, plain(summary.best_policy, 120))}"
    return f"best {measured(summary.best_validation, plain(summary.best_policy, 120))}"


def test_words(summary: RunSummary) -> str:
    """ "test .488 [.46, .52] (n 1024)", or "" where nothing was measured on it."""
    return f"test {measured(summary.best_test)}" if summary.best_test else ""


def spent_words(summary: RunSummary) -> str:
    """ "42% of the budget", with the time it took and what is left of it."""
    spent = MISSING if summary.budget_fraction is None else f"{summary.budget_fraction:.0%}"
    time = duration(summary.wall_seconds)
    if summary.eta_seconds is not None:
        time += f", {duration(summary.eta_seconds)} left"
    return f"{spent} of the budget · {time}"


def limit_words(summary: RunSummary) -> str:
    """What is spent of each limit: "630 of 1500 steps, 14 of 40 minutes"."""
    spent = {
        "steps": float(summary.steps), "nodes": float(summary.nodes), "minutes": summary.wall_seconds / 60,
        "gpu_hours": summary.trainer_seconds / 3600,
    }  # fmt: skip
    parts = [
        f"{_count(spent[name])} of {_count(limit)} {UNITS[name]}"
        for name in UNITS
        if (limit := float(summary.budget.get(name) or 0))
    ]
    return ", ".join(parts) or "no limits known"


def scoring_words(evaluation_seconds: float, trainer_seconds: float) -> str:
    """ "evaluation took 12% of the workers' time"."""
    return f"evaluation took {evaluation_share(evaluation_seconds, trainer_seconds):.0%} of the workers' time"


def running_words(running: RunningNode) -> str:
    """ "#13 beta 0.02  step 31/50  reward .67  kl .0027", between two steps with what goes on."""
    metrics = "".join(f"  {SHORT[name]} {number(value)}" for name, value in running.metrics.items())
    doing = f"  {running.doing}" if running.doing else ""
    return f"#{running.node} {plain(running.changed, 200)}  step {running.step}/{running.planned}{doing}{metrics}"


def device_words(running: RunningNode) -> str:
    """ "#13 on NVIDIA H200 (node-7), 93% busy, 41.2 GB, 2150 tokens/s"; "" where it was not told."""
    if not running.device:
        return ""
    return ", ".join(
        [f"#{running.node} on {running.device}", *(USAGE[name].format(value) for name, value in running.usage.items())]
    )


def activity_words(summary: RunSummary) -> list[str]:
    """What workers do for no node: "scoring the base model 120/256"."""
    return [plain(each.words, 80) for each in summary.activity if each.node is None]


def waiting_words(row: Row) -> str:
    """A proposal that waits for the human."""
    return f"? #{row['node_id']} {plain(change_text(json_of(row['changes'], {}), row['label']), 200)} waits for you"


def status_line(summary: RunSummary) -> str:
    """How far a run is, in one line: steps, nodes, budget, time, best score."""
    parts = [
        *activity_words(summary),
        f"{counted(summary.steps, 'step')} in {counted(summary.nodes, 'node')}",
        spent_words(summary),
        best_words(summary),
    ]
    return " · ".join(filter(None, [*parts, test_words(summary)]))


def head_lines(facts: RunFacts) -> Iterator[str]:
    """What the run is, how far, how good, what trains and what waits."""
    summary = facts.summary
    yield f"{facts.name}  {state_words(summary)}"
    yield f"task {plain(summary.task)} · model {plain(summary.model)} · advisor {advisor_words(summary)}"
    if any(row["answers"] for row in facts.record):
        yield f"advice {' · '.join(map(record_words, facts.record))}"
    yield f"began {minute(summary.started)} UTC · {counted(summary.nodes, 'node')} · {spent_words(summary)}"
    yield f"spent {limit_words(summary)}; {scoring_words(summary.evaluation_seconds, summary.trainer_seconds)}"
    yield " · ".join(filter(None, [best_words(summary), test_words(summary)]))
    if summary.state not in FINAL_STATES:
        yield f"data {age(summary.age_seconds)} old"
    yield from (f"{mark('running').glyph} {words}" for words in activity_words(summary))
    yield from (f"{mark('running').glyph} {running_words(each)}" for each in facts.running)
    yield from (f"  {words}" for each in facts.running if (words := device_words(each)))
    yield from map(waiting_words, facts.waiting)


def advisor_words(summary: RunSummary) -> str:
    """Who advises, and whether it answers."""
    state = advisor_state(summary.advisor_answered, summary.advisor_failing, minute)
    return ", ".join(filter(None, [plain(summary.advisor), state]))


def minute(time: datetime | None) -> str:
    """A time to the minute."""
    return time.strftime("%Y-%m-%d %H:%M") if time else MISSING


def score_cells(measured: Score | None) -> tuple[str, str]:
    """A score with its interval, and its n, as two cells of a table."""
    return (score(measured.value, *measured.interval), str(measured.n)) if measured else (MISSING, "")


def _count(value: float) -> str:
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.1f}"


# ---- the tree -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TreeBranch:
    """A node of the tree with how deep it hangs; `best` is that of the reported policy."""

    row: Row
    depth: int
    best: bool

    @property
    def name(self) -> str:
        return f"#{self.row['node_id']} {plain(self.row['label'], 30) or 'base'}"

    @property
    def state(self) -> str:
        return str(self.row["state"]) + (", pruned" if self.row["pruned"] else "")

    @property
    def shown_state(self) -> str:
        """With its glyph."""
        return f"{mark(str(self.row['state'])).glyph} {self.state}"


def branches(nodes: Sequence[Row], best: int | None) -> list[TreeBranch]:
    """The nodes below their parents, as deep as they are."""
    children: dict[int | None, list[Row]] = {}
    for row in nodes:
        children.setdefault(row["parent_id"], []).append(row)
    lines: list[TreeBranch] = []
    stack = [(row, 0) for row in reversed(children.get(None, []))]
    while stack:
        row, depth = stack.pop()
        lines.append(TreeBranch(row, depth, row["node_id"] == best))
        stack += [(child, depth + 1) for child in reversed(children.get(row["node_id"], []))]
    return lines


def tree_lines(facts: RunFacts) -> Iterator[str]:
    """The tree as a table."""
    tree = branches(facts.nodes, facts.summary.best_node)
    rows = [
        [each.name, each.shown_state, each.row["trained_steps"], *_best(each), intent_name(each.row["intent"])]
        for each in tree
    ]
    indents = [2 * each.depth for each in tree]
    yield from table(["node", "state", "steps", "best validation", "n", "intent"], rows, right={2, 4}, indents=indents)


def best_score(row: Row) -> str:
    """The best score of a node of `cli_nodes` with its n."""
    told, n = _best_cells(row)
    return f"{told} (n {n})" if n else told


def _best(branch: TreeBranch) -> tuple[str, str]:
    told, n = _best_cells(branch.row)
    return (f"{told} ★" if branch.best else told), n


def _best_cells(row: Row) -> tuple[str, str]:
    return score(row["best_value"], row["best_low"], row["best_high"]), str(row["best_n"] or "")

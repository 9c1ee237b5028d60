"""What a report says of a run, read from its database: decisions, cost, samples, and what humans did.

Read by `writing`. It reads only; what others wrote is cleaned by the page.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.analysis.dynamics import ParameterDynamics
from engine.analysis.summary import RunSummary, summarise
from engine.run.rundir import RunDirectory
from engine.store.queries import load
from engine.store.reader import Reader
from llmzero_tui.text.summary import RunResult, read_result

Row = dict[str, Any]
SAMPLED_PROMPTS = 4
WORKER = "SELECT message FROM events WHERE kind = 'worker ready' ORDER BY seq DESC LIMIT 1"


@dataclass(frozen=True, slots=True)
class SamplePair:
    """What base and reported policy wrote for one validation prompt: text, and whether it was correct."""

    prompt: str
    answer: str
    before: Row
    after: Row


@dataclass(frozen=True, slots=True)
class RunReport:
    """Everything that a report says of one run."""

    directory: RunDirectory
    summary: RunSummary
    result: RunResult
    decisions: list[Row]
    scores: list[Row]
    parameters: list[Row]
    cost: Row
    advice: list[Row]
    samples: list[SamplePair]
    humans: list[Row]
    header: Row
    environment: str
    """Where the last worker ran and the versions of what trains; "" where none began."""

    @property
    def dynamics(self) -> list[ParameterDynamics]:
        return self.result.dynamics


def read_report(reader: Reader, directory: RunDirectory) -> RunReport:
    """All facts of a run as it stands. Raises UserError when it has not begun."""
    result = read_result(reader)
    rows = reader.rows
    return RunReport(
        directory=directory,
        summary=summarise(reader),
        result=result,
        decisions=rows(load("report_decisions")),
        scores=rows(load("report_scores")),
        parameters=rows(load("report_parameters")),
        cost=rows(load("report_cost"))[0],
        advice=rows("SELECT * FROM cost"),
        samples=_samples(reader, result),
        humans=rows(load("report_commands")),
        header=rows("SELECT * FROM run_header")[0],
        environment=_environment(rows(WORKER)),
    )


def _environment(rows: list[Row]) -> str:
    """ "Trained on cpu: torch 2.13.0, …" of what a worker said when it was ready."""
    where = str(rows[0]["message"]).partition(" on ")[2] if rows else ""
    return f"Trained on {where}." if where else ""


def _samples(reader: Reader, result: RunResult) -> list[SamplePair]:
    """Prompts for which both have written something; none where nothing beats the base."""
    best = result.strategy.reported
    if not result.strategy.stages or best.node is None:
        return []
    before, after = (
        {row["prompt"]: row for row in reader.rows(load("report_samples"), (node, step))}
        for node, step in ((0, 0), (best.node, best.step or 0))
    )
    both = [prompt for prompt in before if prompt in after][:SAMPLED_PROMPTS]
    return [SamplePair(prompt, before[prompt]["answer"], before[prompt], after[prompt]) for prompt in both]

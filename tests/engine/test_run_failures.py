"""A run whose segments all fail: it ends instead of burning time, and goes on once the cause is mended."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.advisors.rules import RulesAdvisor
from engine.controller.loop import MAX_FAILURES
from engine.run.config import parse
from engine.store.queries import load
from engine.store.reader import open_run
from engine.training.events import Evaluate, SegmentEnd, SegmentEnded, SegmentSpec
from llmzero_tui.text.facts import read_facts, tree_lines
from llmzero_tui.values.rows import node_of
from tests.engine import live
from tests.engine.simulated import SimulatedExecutor, search

RUN_FILE = """
name = "broken"
[task]
name = "knights"
[budget]
steps = 0
nodes = 12
[search]
segment_steps = 6
[evaluation]
validation_prompts = 64
"""


def test_a_run_that_only_fails_ends_and_a_resume_starts_counting_anew(tmp_path: Path) -> None:
    config, where = parse(RUN_FILE), tmp_path / "broken"
    state, directory = search(config, where, SimulatedExecutor(0.0, lambda _: SegmentEnd.CRASHED), RulesAdvisor())
    assert state == "failed"
    assert len(live.rows(directory, "SELECT 1 FROM nodes WHERE state = 'crashed'")) == MAX_FAILURES
    assert f"{MAX_FAILURES} segments failed" in live.rows(directory, "SELECT reason FROM runs")[0]["reason"]

    state, _ = search(config, where, SimulatedExecutor(0.0), RulesAdvisor())
    assert state == "finished"
    trained = live.rows(directory, "SELECT 1 FROM nodes WHERE node_id > 0 AND state = 'finished'")
    assert len(trained) == 12 - MAX_FAILURES


class NoStart(SimulatedExecutor):
    """Segments cannot begin; evaluations can."""

    async def _train(self, job: SegmentSpec) -> None:
        why = "vLLM did not start: RuntimeError: no driver"
        self._tell(
            SegmentEnded(job=job.job, end=SegmentEnd.CRASHED, steps=0, trainer_seconds=0.0, detail=why, unstarted=True)
        )


@pytest.mark.long
def test_segments_that_cannot_begin_are_no_tries_and_the_run_ends_at_the_second(tmp_path: Path) -> None:
    config, where = parse(RUN_FILE), tmp_path / "broken"
    state, directory = search(config, where, NoStart(0.0), RulesAdvisor())
    assert state == "failed"
    reason = live.rows(directory, "SELECT reason FROM runs")[0]["reason"]
    assert reason.startswith("no segment could begin, 2 times in a row: vLLM did not start: RuntimeError: no driver")
    assert live.rows(directory, "SELECT count(*) AS n FROM nodes WHERE state = 'crashed'")[0]["n"] == 0
    assert live.rows(directory, "SELECT state FROM nodes WHERE node_id = 1")[0]["state"] == "queued"

    state, _ = search(config, where, SimulatedExecutor(0.0), RulesAdvisor())
    assert state == "finished"
    trained = live.rows(directory, "SELECT 1 FROM nodes WHERE node_id > 0 AND state = 'finished'")
    assert len(trained) == 12


class NoEvaluation(SimulatedExecutor):
    """Evaluations crash."""

    async def _evaluate(self, job: Evaluate) -> None:
        why = "the worker exited with code 7"
        self._tell(SegmentEnded(job=job.job, end=SegmentEnd.CRASHED, steps=0, trainer_seconds=0.0, detail=why))


def test_a_base_that_could_not_be_scored_has_crashed_wherever_it_is_shown_until_it_is_scored(tmp_path: Path) -> None:
    config, where = parse(RUN_FILE), tmp_path / "broken"
    state, directory = search(config, where, NoEvaluation(0.0), RulesAdvisor())
    assert state == "failed"
    reader = open_run(directory.path)
    try:
        drawn = node_of(reader.rows(load("ui_nodes"), ["[]"])[0], live=False)
        _, line = tree_lines(facts := read_facts(reader, directory))
        reason = reader.rows("SELECT reason FROM failures WHERE node_id = 0")[0]["reason"]
    finally:
        reader.close()
    assert drawn.state == "crashed"
    assert line.startswith("#0 base  ✗ crashed")
    assert (facts.summary.nodes, facts.summary.failed_nodes) == (0, 0)
    assert "code 7" in reason

    state, _ = search(config, where, SimulatedExecutor(0.0), RulesAdvisor())
    assert state == "finished"
    assert live.rows(directory, "SELECT state, reason FROM nodes WHERE node_id = 0") == [
        {"state": "finished", "reason": ""}
    ]

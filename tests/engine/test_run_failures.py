"""A run whose segments all fail: it ends instead of burning time, and goes on once the cause is mended."""

from __future__ import annotations

from pathlib import Path

from engine.advisors.rules import RulesAdvisor
from engine.controller.loop import MAX_FAILURES
from engine.run.config import parse
from engine.training.events import SegmentEnd
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

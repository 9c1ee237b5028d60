"""What becomes of a segment that collapses, by strategy."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from engine.advisors.factory import make
from engine.run.config import parse
from engine.store.reader import open_run
from tests.engine.simulated import SimulatedExecutor, search


@pytest.mark.parametrize("strategy", ["llmzero", "fixed", "adarft", "skill"])
def test_a_collapse_ends_a_segment_of_a_tree_and_is_only_told_of_a_single_branch(strategy: str, tmp_path: Path) -> None:
    config = parse(
        f"""
name = "early"
[task]
name = "knights"
[budget]
steps = 0
nodes = 9
[search]
strategy = "{strategy}"
segment_steps = 6
[evaluation]
validation_prompts = 64
"""
    )
    executor = SimulatedExecutor(0.2, collapses=lambda job: int(job.job) >= 7)
    state, directory = search(config, tmp_path / "run", executor, make("rules"))
    assert state == "finished"
    reader = open_run(directory.path)
    kinds = Counter(row["kind"] for row in reader.rows("SELECT kind FROM events"))
    states = Counter(row["state"] for row in reader.rows("SELECT state FROM nodes"))
    roots = reader.rows("SELECT node_id FROM nodes WHERE parent_id = 0 AND state <> 'rejected'")
    reader.close()
    tree = strategy == "llmzero"
    assert (kinds["early stop"] > 0, kinds["would stop"] > 0) == (tree, not tree)
    assert states["early-stopped"] == kinds["early stop"]
    assert tree or len(roots) == 1

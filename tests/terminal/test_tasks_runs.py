"""A search on every tiny task, on a generator of reasoning_gym and on a user's file: each ends with a strategy."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.run import launch
from tasks import registry
from tests.engine import live
from tests.unit.cli_process import ROOT, llmzero, run_file

RUN = """
name = "whole"
[task]
name = "{task}"
[model]
path = "{model}"
[budget]
steps = 0
nodes = 3
[search]
segment_steps = 3
roots = 2
[evaluation]
checkpoints = 1
validation_prompts = 16
rerank_prompts = 16
test_prompts = 16
[advisor]
kind = "rules"
[training]
batch_size = 16
threads = 1
"""
OWN_ROWS = f"{ROOT / 'docs' / 'examples' / 'words.jsonl'}:{ROOT / 'docs' / 'examples' / 'reward.py'}:reward"
OWN = f"{ROOT / 'docs' / 'examples' / 'my_task.py'}:Backwards"
TASKS = {
    **dict.fromkeys(registry.names(), ""),
    "reasoning_gym/chain_sum:tiny": "",
    OWN_ROWS: str(ROOT / "assets" / "tiny" / "dedup"),
    OWN: str(ROOT / "assets" / "tiny" / "dedup"),
}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    for directory in launch.list_runs(tmp_path / "runs"):
        live.kill(directory)


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_a_search_ends_with_a_strategy(place: Path, task: str) -> None:
    if task.startswith("reasoning_gym/"):
        pytest.importorskip("reasoning_gym")
    text = RUN.format(task=task, model=TASKS[task])
    done = llmzero("run", run_file(place, text), "--headless", cwd=place, timeout=250)
    assert done.returncode == 0, done.stderr
    strategy = tomllib.loads((place / "runs" / "whole" / "strategy.toml").read_text())
    assert strategy["run"] == "whole"
    [facts] = json.loads(llmzero("ls", "--json", cwd=place).stdout)
    assert (facts["state"], facts["nodes"]) == ("finished", 3)

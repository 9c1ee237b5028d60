"""`llmzero replay` as a user has it: a schedule trained again by real runs, plain GRPO beside it, and not twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tomli_w

from engine.compare import records
from engine.run.rundir import RunDirectory
from engine.store.reader import open_run
from tests.unit.cli_process import llmzero

STAGE = {"steps": 4, "optimizer": "keep", "reference": "base", "rationale": "a start"}
STRATEGY = {
    "format": 2, "run": "found", "task": "knights", "base": "assets/tiny/knights",
    "found_by": {"strategy": "llmzero", "advisor": "rules", "seed": 4, "steps": 200, "nodes": 4},
    "run_file": {
        "task": {"name": "knights"},
        "evaluation": {"checkpoints": 1, "validation_prompts": 8, "rerank_prompts": 8, "test_prompts": 16},
        "space": {"max_completion_length": {"low": 24, "high": 32, "default": 24}},
        "training": {"batch_size": 16, "threads": 1},
    },
    "scores": {"test": {"value": 0.8, "low": 0.75, "high": 0.84, "n": 1024.0}},
    "stage": [
        {**STAGE, "configuration": {"learning_rate": 2e-4}},
        {**STAGE, "steps": 3, "optimizer": "reset", "configuration": {"learning_rate": 2e-4, "beta": 0.05}},
    ],
}  # fmt: skip

NODES = """
SELECT parent_id, trained_steps, optimizer, json_extract(configuration, '$.beta')::DOUBLE AS beta, rationale
FROM nodes WHERE node_id > 0 ORDER BY node_id
"""


@pytest.mark.long
@pytest.mark.timeout(900)  # two real runs; a minute on a machine that does nothing else
def test_a_schedule_is_trained_again_stage_by_stage_beside_plain_grpo_and_not_twice(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(tomli_w.dumps(STRATEGY), encoding="utf-8")
    done = llmzero("replay", "s.toml", "--seed", "7", "--json", cwd=tmp_path, timeout=600)
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert outcome["searched"]["value"] == 0.8
    assert outcome["base"]["n"] == 16
    for which in ("replay", "plain"):
        assert list(outcome[which]["seeds"]) == ["7"]
        assert 0 <= outcome[which]["mean"] <= 1
    assert outcome["difference"]["mean"] == pytest.approx(outcome["replay"]["mean"] - outcome["plain"]["mean"])

    (run,) = [path for path in (tmp_path / "runs").iterdir() if "-replay-7-" in path.name]
    reader = open_run(RunDirectory(run).path)
    nodes = reader.rows(NODES)
    reader.close()
    assert [(n["parent_id"], n["trained_steps"], n["optimizer"]) for n in nodes] == [(0, 4, "keep"), (1, 3, "reset")]
    assert nodes[1]["beta"] == 0.05
    assert nodes[0]["rationale"] == "stage 1 of 2 of the schedule: a start"

    results = tmp_path / "runs" / "replay-found.jsonl"
    assert len(records.load(results)) == 2
    again = llmzero("replay", "s.toml", "--seed", "7", cwd=tmp_path, timeout=100)
    assert again.returncode == 0, again.stderr
    assert len(records.load(results)) == 2
    for words in ("base model", "searched policy", "its schedule again", "plain GRPO", "paired over 1 seed"):
        assert words in again.stdout

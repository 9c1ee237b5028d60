"""A whole search with low-rank adapters by real parts: killed, resumed, finished, exported."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from engine.run import launch
from engine.run.config import parse
from engine.run.rundir import RunDirectory
from engine.training import lora
from engine.training.events import LoraSpec
from llmzero_tui import cli
from tests.engine import live


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunDirectory]:
    """A run with adapters of rank 4, not yet started; no engine of it outlives the test."""
    text = live.SMALL.format(**live.DEFAULTS) + "[training.lora]\nrank = 4\n"
    yield launch.create_run(parse(text, default_name="adapted"), tmp_path / "runs")
    for directory in launch.list_runs(tmp_path / "runs"):
        live.kill(directory)


@pytest.mark.long
def test_a_killed_search_over_adapters_goes_on_and_its_winner_is_exported(run: RunDirectory, tmp_path: Path) -> None:
    live.start(run)
    live.wait_for_rows(run, "SELECT 1 FROM nodes WHERE state = 'running' AND node_id > 1")
    live.kill(run)
    live.start(run)
    assert live.wait_for_end(run) == "finished", run.log.read_text()

    [row] = live.rows(run, "SELECT best_path, model, test_n FROM run_header")
    assert row["test_n"] == 64
    checkpoint = run.path / row["best_path"]
    assert (checkpoint / lora.WEIGHTS).is_file()
    assert not list(run.path.glob("segments/**/model.safetensors"))

    output = tmp_path / "best"
    assert cli.main(["--runs-dir", str(run.path.parent), "export", "adapted", "--to", str(output)]) == 0
    assert {"config.json", "model.safetensors", "tokenizer.json", "strategy.toml", "README.md", "adapter"} <= {
        path.name for path in output.iterdir()
    }
    rank = json.loads((output / "adapter" / "adapter_config.json").read_text())["r"]
    tokens = torch.arange(3, 12)[None]
    with torch.no_grad():
        merged = AutoModelForCausalLM.from_pretrained(output)(input_ids=tokens).logits
        spec = LoraSpec(rank=rank, scaling=2.0)
        adapted = lora.load_policy(row["model"], spec, str(checkpoint), torch.float32)(input_ids=tokens).logits
    assert torch.allclose(merged, adapted, atol=1e-4)


@pytest.mark.long
def test_the_base_that_is_gone_is_one_line_at_an_export(
    run: RunDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    live.start(run)
    assert live.wait_for_end(run) == "finished", run.log.read_text()
    import duckdb

    with duckdb.connect(str(run.database)) as connection:
        connection.execute("UPDATE runs SET model = '/nowhere/base'")
    code = cli.main(["--runs-dir", str(run.path.parent), "export", "adapted", "--to", str(tmp_path / "best")])
    assert code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "the adapter cannot be merged into /nowhere/base" in line
    assert not (tmp_path / "best").exists()

"""A whole search over adapters that vLLM generates and scores for: checked, killed, resumed, finished."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.run import launch
from engine.run.config import parse
from engine.run.rundir import RunDirectory
from llmzero_tui import cli
from tests.engine import live

TABLES = '[training.lora]\nrank = 4\n[training.vllm]\nmode = "colocate"\n'


@pytest.fixture
def text(wide_base: str) -> str:
    """The run file."""
    settings = {**live.DEFAULTS, "nodes": 4, "hang_seconds": 600}
    return f'{live.SMALL.format(**settings)}{TABLES}[model]\npath = "{wide_base}"\n'


@pytest.fixture
def run(text: str, tmp_path: Path) -> Iterator[RunDirectory]:
    """A run, not yet started; no engine of it outlives the test."""
    config = parse(text, default_name="generated")
    search = config.search.model_copy(update={"no_signal": "go-on"})  # an untrained base earns nothing
    yield launch.create_run(config.model_copy(update={"search": search}), tmp_path / "runs")
    for directory in launch.list_runs(tmp_path / "runs"):
        live.kill(directory)


def test_check_takes_the_build_that_is_installed(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "run.toml"
    file.write_text(text)
    assert cli.main(["--runs-dir", str(tmp_path / "runs"), "check", str(file)]) == 0
    said = capsys.readouterr()
    assert "colocate: one instance for each worker, kept over its segments" in said.out + said.err


def test_a_killed_search_with_vllm_goes_on_to_its_end(run: RunDirectory) -> None:
    live.start(run)
    live.wait_for_rows(run, "SELECT 1 FROM nodes WHERE state = 'running' AND node_id > 1", seconds=500)
    live.kill(run)
    live.start(run)
    assert live.wait_for_end(run, 500) == "finished", run.log.read_text()
    assert live.rows(run, "SELECT test_n FROM run_header")[0]["test_n"] == 64
    told = live.rows(
        run, "SELECT max(value) AS worst FROM metrics WHERE name LIKE 'sampling/sampling_logp_difference/mean'"
    )
    assert told[0]["worst"] < 0.01
    setups = live.rows(run, "SELECT message FROM events WHERE kind = 'started' ORDER BY seq")
    assert len(setups) >= 4

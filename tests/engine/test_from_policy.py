"""`[model] run = "RUN"`: a new search begins from a policy of an old run, and needs nothing of that run afterwards."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine.analysis.strategy import read_strategy
from engine.errors import UserError
from engine.host.model_files import shipped_base
from engine.run import launch, source_policy
from engine.run.rundir import RunDirectory
from engine.store.reader import open_run
from llmzero_tui import cli
from tests.engine.live import DEFAULTS, SMALL, rows, wait_for
from tests.unit.cli_process import finished_run

SETTINGS = {"nodes": 1, "segment_steps": 2, "workers": 1, "comparator": "off", "gate": "manual", "hang_seconds": 120}
RUN_FILE = SMALL.format(**{**DEFAULTS, **SETTINGS}).replace("[budget]", '[model]\nrun = "{asked}"\n[budget]')


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An old run whose policy is a model that can be trained."""
    monkeypatch.chdir(tmp_path)
    old = finished_run(tmp_path / "runs", "old")
    shutil.rmtree(old.segment(1) / "checkpoint-4")
    shutil.copytree(shipped_base("knights"), old.segment(1) / "checkpoint-4")
    return tmp_path / "runs"


def begin(runs: Path, asked: str) -> RunDirectory:
    Path("new.toml").write_text('name = "new"\n' + RUN_FILE.replace("{asked}", asked), encoding="utf-8")
    assert cli.main(["run", "new.toml", "--detach"]) == 0
    return launch.find_run(runs, "new")


@pytest.mark.long
def test_a_search_from_a_policy_goes_on_without_the_old_run_and_at_another_place(runs: Path) -> None:
    new = begin(runs, "old")
    wait_for("the base's score", lambda: rows(new, "SELECT 1 FROM checkpoints WHERE node_id = 0"))
    assert cli.main(["stop", "new"]) == 0
    assert 'run = "old#1 step 4"' in new.config.read_text(encoding="utf-8")
    shutil.rmtree(runs / "old")
    moved = RunDirectory(new.path.rename(runs / "moved"))
    assert cli.main(["resume", "moved", "--detach"]) == 0
    wait_for("a proposal", lambda: rows(moved, "SELECT 1 FROM proposals WHERE state = 'pending'"))
    assert cli.main(["stop", "moved"]) == 0
    reader = open_run(moved.path)
    strategy = read_strategy(reader.rows)
    reader.close()
    assert not strategy.run_file["model"].keys() & {"run", "path"}, "a replay starts from the base of the file"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("none", "model.run = 'none': no run none"),
        ("old#7", "old#7: there is no such checkpoint"),
        ("old#1 step 9", "old#1 step 9: there is no such checkpoint"),
        ("old#0", "old#0: there is no such checkpoint"),
        ("#1", "names no policy"),
    ],
)
def test_what_is_no_policy_is_one_line(runs: Path, asked: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        source_policy.find(runs, asked)


def test_a_policy_is_named_by_run_node_or_step(runs: Path) -> None:
    for asked in ("old", "old#1", "old#1 step 4"):
        assert source_policy.find(runs, asked).name == "old#1 step 4"
    shutil.rmtree(runs / "old" / "segments" / "1")
    with pytest.raises(UserError, match="files of old#1 step 4 are gone"):
        source_policy.find(runs, "old")

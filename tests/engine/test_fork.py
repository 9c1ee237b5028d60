"""`llmzero fork`: a new run with the tree of another; the other stays as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.advisors.rules import RulesAdvisor
from engine.controller.run_state import RunState
from engine.errors import UserError
from engine.run import forking, launch
from engine.run.config import load, parse
from engine.run.evaluation_sizes import settled
from engine.run.rundir import RunDirectory
from engine.store.errors import DamagedDatabase
from engine.store.writer import Writer
from llmzero_tui import cli
from tests.engine.live import rows
from tests.engine.simulated import SimulatedExecutor, search
from tests.engine.store_engine import engine_process
from tests.engine.test_renamed_run import RUN
from tests.unit.cli_process import finished_run

TREE = "SELECT node_id, parent_id, changes, seed FROM nodes WHERE state = 'finished' ORDER BY node_id"


def test_a_fork_keeps_the_tree_and_goes_on_under_its_own_budget_and_space(tmp_path: Path) -> None:
    _, old = search(parse(RUN.format(nodes=2)), tmp_path / "before", SimulatedExecutor(0.05), RulesAdvisor())
    old.config.write_text(RUN.format(nodes=2), encoding="utf-8")
    tree = rows(old, TREE)
    settings = {"budget.nodes": 4, "space.temperature.high": 1.9}
    config = forking.changed(load(old.config), "after", settings)
    new = forking.fork(old, config, tmp_path)
    assert launch.list_runs(tmp_path)[0].name == "after"
    state, _ = search(load(new.config), new.path, SimulatedExecutor(0.05), RulesAdvisor())
    assert state == "finished"
    grown = rows(new, TREE)
    assert grown[: len(tree)] == tree
    assert len(grown) == 5
    told = [row["message"] for row in rows(new, "SELECT message FROM events WHERE kind IN ('forked', 'edited')")]
    assert told[0] == "forked from before with 2 nodes"
    assert any("budget.nodes 2 → 4" in line for line in told[1:])
    assert any("space.temperature" in line for line in told[1:])
    assert not any("name" in line for line in told)
    assert rows(old, TREE) == tree
    assert rows(old, "SELECT name, state FROM runs") == [{"name": "before", "state": "finished"}]


def test_a_fork_asks_as_many_prompts_as_its_source_whatever_its_budget(tmp_path: Path) -> None:
    _, old = search(settled(parse(RUN.format(nodes=2))), tmp_path / "before", SimulatedExecutor(0.05), RulesAdvisor())
    asked = load(old.config) if old.config.is_file() else settled(parse(RUN.format(nodes=2)))
    old.config.write_text(RUN.format(nodes=2), encoding="utf-8")  # every size left open, as the user wrote it
    new = forking.fork(old, forking.changed(load(old.config), "after", {"budget.nodes": 400}), tmp_path)
    assert load(new.config).evaluation == asked.evaluation


def test_a_live_run_can_be_forked_and_files_of_checkpoints_are_linked(tmp_path: Path) -> None:
    source = launch.create_run(parse(RUN.format(nodes=2)), tmp_path)
    with engine_process(source.path) as engine:
        assert engine.poll() is None
        fork = forking.fork(source, forking.changed(load(source.config), "after", {}), tmp_path)
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith(".")] == []
    assert fork.database.is_file()
    done = finished_run(tmp_path, "one")
    linked = forking.fork(done, forking.changed(load(done.config), "two", {}), tmp_path)
    weights = [each.segment(1) / "checkpoint-4" / "model.safetensors" for each in (done, linked)]
    assert weights[0].samefile(weights[1])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"budget.stepps": 3}, "unknown key budget.stepps"),
        ({"budget.steps": -1}, "budget.steps = -1"),
        ({"gate.mode.x": 1}, "mode is no table"),
    ],
)
def test_a_setting_that_is_none_is_one_line(settings: dict[str, object], words: str) -> None:
    with pytest.raises(UserError, match=words):
        forking.changed(parse(RUN.format(nodes=2)), "after", settings)


def test_what_cannot_change_in_a_run_leaves_no_fork(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    finished_run(tmp_path / "runs", "one")
    assert cli.main(["fork", "one", "--set", "search.seed=3", "--detach"]) == 2
    assert "--set search.seed = 3: stays 0 in a fork: " in capsys.readouterr().err
    assert cli.main(["fork", "one", "--set", "name=two", "--detach"]) == 2
    assert "--to NAME" in capsys.readouterr().err
    assert cli.main(["fork", "one", "--detach"]) == 2
    assert "run one is finished; raise a limit in the fork" in capsys.readouterr().err
    assert cli.main(["fork", "one", "--set", "budget.steps=1", "--detach"]) == 2
    assert "budget.steps = 1: the tree of one has spent" in capsys.readouterr().err
    assert cli.main(["fork", "one", "--set", "budget.nodes=1", "--set", "budget.steps=0", "--detach"]) == 2
    assert "budget.nodes = 1: the tree of one has spent 1" in capsys.readouterr().err
    assert [each.name for each in launch.list_runs(tmp_path / "runs")] == ["one"]
    assert RunDirectory(tmp_path / "runs" / "one").segment(1).is_dir()


def test_a_run_whose_rows_another_hand_changed_is_damaged_in_one_line(tmp_path: Path) -> None:
    directory = finished_run(tmp_path, "one")
    writer = Writer(directory.database)
    writer.update("nodes", {"node_id": 1}, intent="\x1b]0;evil\x07")
    writer.flush()
    with pytest.raises(DamagedDatabase) as damaged:
        RunState.load(writer, directory, "base")
    writer.close()
    assert "is damaged: " in str(damaged.value)
    assert str(damaged.value).isprintable()

"""`snapshot` and `export` write what they make whole, and never over anything."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import duckdb
import pytest

from llmzero_tui import cli
from tests.unit.cli_process import HOSTILE, finished_run


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_snapshot_has_every_row_and_the_views(tmp_path: Path) -> None:
    directory = finished_run(tmp_path / "runs", "one")
    assert cli.main(["snapshot", "one", "copy.duckdb"]) == 0
    for query in ("FROM nodes ORDER BY node_id", "FROM checkpoints ORDER BY seq", "FROM best_trajectory", "FROM meta"):
        found = []
        for path in (directory.database, tmp_path / "copy.duckdb"):
            with duckdb.connect(str(path), read_only=True) as connection:
                found.append(connection.sql(query).fetchall())
        assert found[0] == found[1]
        assert found[0]
    assert {path.name for path in tmp_path.iterdir()} == {"runs", "copy.duckdb"}


def test_an_export_is_a_model_directory_with_its_strategy_and_card(tmp_path: Path) -> None:
    finished_run(tmp_path / "runs", "one", label=HOSTILE)
    assert cli.main(["export", "one", "--to", "best"]) == 0
    made = tmp_path / "best"
    assert {path.name for path in made.iterdir()} == {"config.json", "model.safetensors", "strategy.toml", "README.md"}
    assert tomllib.loads((made / "strategy.toml").read_text())["stage"][0]["steps"] == 4
    card = (made / "README.md").read_text()
    assert "test 0.250 [0.10, 0.49] (n 16) → 0.750 [0.51, 0.90] (n 16), 3.0 times the base" in card
    assert "plain GRPO: no segment trained the default configuration; `llmzero replay` does" in card
    assert "\x1b" not in card
    assert "evil" not in card


def test_a_moved_run_is_exported_and_copied_under_its_new_name(tmp_path: Path) -> None:
    finished_run(tmp_path / "runs", "before").path.rename(tmp_path / "runs" / "it's")
    assert cli.main(["export", "it's", "--to", "best"]) == 0
    card = (tmp_path / "best" / "README.md").read_text()
    assert "it's" in card
    assert "before" not in card
    assert cli.main(["snapshot", "it's", "copy.duckdb"]) == 0
    with duckdb.connect(str(tmp_path / "copy.duckdb"), read_only=True) as connection:
        assert connection.sql("SELECT name FROM run_header").fetchall() == [("it's",)]


@pytest.mark.parametrize("command", [["snapshot", "one", "there"], ["export", "one", "--to", "there"]])
def test_what_is_there_is_not_overwritten(
    tmp_path: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    finished_run(tmp_path / "runs", "one")
    (tmp_path / "there").write_text("precious")
    assert cli.main(command) == 2
    assert "not overwritten" in capsys.readouterr().err
    assert (tmp_path / "there").read_text() == "precious"


@pytest.mark.parametrize("command", [["snapshot", "one", "no/x"], ["export", "one", "--to", "no/x"]])
def test_a_place_that_is_none_is_refused(
    tmp_path: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    finished_run(tmp_path / "runs", "one")
    assert cli.main(command) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"runs"}


def test_a_policy_whose_files_are_gone_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = finished_run(tmp_path / "runs", "one")
    shutil.rmtree(directory.segment(1))
    assert cli.main(["export", "one", "--to", "best"]) == 2
    assert "the files of #1 step 4 (segments/1/checkpoint-4) are gone" in capsys.readouterr().err
    assert not (tmp_path / "best").exists()

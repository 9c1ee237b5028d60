"""Saved queries run as they are in the DuckDB shell and say what they answer; the history is bounded and private."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import duckdb
import pytest

from engine.errors import UserError
from engine.store.reader import open_run
from llmzero_tui.user import queries
from tests.tui import sample_run


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample_run.build(tmp_path_factory.mktemp("runs"))


@pytest.mark.parametrize("query", queries.packaged(), ids=lambda q: q.name)
def test_a_packaged_query_says_what_it_answers_and_finds_something_in_any_shell(
    run: Path, query: queries.SavedQuery
) -> None:
    assert 20 < len(query.words) <= 90
    assert query.text.endswith(";")
    with duckdb.connect(str(run / "run.duckdb"), read_only=True) as shell:
        there = shell.sql(query.text).fetchall()
    reader = open_run(run)
    try:
        here = reader.query(query.text, lane="adhoc")
    finally:
        reader.close()
    assert len(there) == here.num_rows > 0


def test_no_two_packaged_queries_answer_the_same() -> None:
    found = queries.packaged()
    assert len({q.words for q in found}) == len({q.text for q in found}) == len(found) >= 20


def test_a_saved_query_comes_back_with_its_explanation_on_top() -> None:
    path = queries.save("my nodes", "how  many\nnodes", "-- an old remark\nSELECT 1", overwrite=False)
    assert path.read_text() == "-- how many nodes\nSELECT 1\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert queries.own() == [
        queries.SavedQuery("my nodes", "how many nodes", "-- how many nodes\nSELECT 1", own=True)
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", ".hidden", "x" * 41, "a\x1b[31m", "a\nb", "-x"])
def test_a_name_that_leads_elsewhere_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a query name") as refused:
        queries.save(name, "words", "SELECT 1", overwrite=True)
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.rglob("*.sql"))


def test_a_query_needs_an_explanation_and_replaces_none_unasked() -> None:
    with pytest.raises(UserError, match="what it answers"):
        queries.save("x", "  ", "SELECT 1", overwrite=False)
    queries.save("x", "one", "SELECT 1", overwrite=False)
    with pytest.raises(UserError, match="exists"):
        queries.save("x", "two", "SELECT 2", overwrite=False)
    queries.save("x", "two", "SELECT 2", overwrite=True)
    assert [q.words for q in queries.own()] == ["two"]


def test_files_that_are_no_queries_are_left_out() -> None:
    queries.own_dir().mkdir(parents=True)
    (queries.own_dir() / "a.sql").write_bytes(b"\xff\xfe\x00")
    (queries.own_dir() / "b.sql").write_text("   ")
    (queries.own_dir() / "c.sql").write_text("SELECT '" + "x" * 200_000 + "'")
    (queries.own_dir() / "d.sql").mkdir()
    (queries.own_dir() / "e.sql").write_text("SELECT 1")
    assert [(q.name, q.words) for q in queries.own()] == [("e", "")]


def test_the_history_is_private_bounded_and_without_repetitions() -> None:
    for number in range(queries.KEPT + 20):
        queries.remember(f"SELECT {number}")
    queries.remember("SELECT 100")
    found = queries.history()
    assert len(found) == queries.KEPT
    assert found[-2:] == [f"SELECT {queries.KEPT + 19}", "SELECT 100"]
    assert found.count("SELECT 100") == 1
    assert stat.S_IMODE(queries.history_file().stat().st_mode) == 0o600
    queries.remember("x" * (queries.LONGEST + 1))
    assert queries.history() == found


def test_a_damaged_history_loses_its_damaged_lines_only() -> None:
    queries.remember("SELECT 'é\n\x1b[31m\ud800'")
    with queries.history_file().open("a") as file:
        file.write('{"not": "text"}\n["x"]\nnonsense\n' + json.dumps("SELECT 2") + "\n")
    assert queries.history() == ["SELECT 'é\n\x1b[31m\ud800'", "SELECT 2"]


def test_a_history_that_cannot_be_kept_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "XDG_STATE_HOME").write_text("in the way")
    with pytest.raises(UserError, match="cannot be written") as refused:
        queries.remember("SELECT 1")
    assert "\n" not in str(refused.value)
    assert queries.history() == []

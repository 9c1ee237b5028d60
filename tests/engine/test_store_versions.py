"""A run's file of an older schema: an engine brings it up to date, a reader shows it as if it were."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pytest

from engine.errors import UserError
from engine.store import socket_reader
from engine.store.many import ManyRuns
from engine.store.protocol import SCHEMA_VERSION
from engine.store.queries import load
from engine.store.query_process import QueryLimits
from engine.store.reader import FileReader, SocketReader
from engine.store.server import StoreServer
from engine.store.snapshot import snapshot
from engine.store.upgrade import ADDED
from engine.store.writer import Writer
from llmzero_tui.feeds.run import RunFeed
from tests.engine.store_engine import small_search
from tests.tui.sample_run import NOW, build

STORE = Path(socket_reader.__file__).parent


def aged(database: Path, version: int) -> None:
    """Make a file what `version` of llmzero left: without what came later."""
    with duckdb.connect(str(database)) as tool:
        for number, tables in ADDED.items():
            for table, columns in tables.items() if number > version else ():
                for column in columns:
                    tool.execute(f'ALTER TABLE "{table}" DROP COLUMN "{column}"')
        tool.execute("UPDATE meta SET value = ? WHERE key = 'schema_version'", [str(version)])
        for (view,) in tool.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall():
            tool.execute(f'DROP VIEW "{view}"')
        tool.execute((Path(__file__).parent / "views_2.sql").read_text(encoding="utf-8"))


def columns(database: Path) -> dict[str, list[str]]:
    with duckdb.connect(str(database), read_only=True) as tool:
        found: dict[str, list[str]] = {}
        sql = "SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal ORDER BY 1, column_index"
        for table, column in tool.execute(sql).fetchall():
            found.setdefault(table, []).append(column)
        return found


def written(directory: Path) -> Path:
    """The file of a finished run."""
    writer = Writer(directory / "run.duckdb")
    small_search(writer)
    writer.close()
    return directory / "run.duckdb"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The directory of a finished run of version 1."""
    aged(written(tmp_path), 1)
    return tmp_path


def test_an_engine_brings_an_old_file_up_to_date_and_loses_nothing(old: Path, tmp_path: Path) -> None:
    before = FileReader(old / "run.duckdb")
    nodes = before.rows("SELECT * EXCLUDE (note) FROM nodes ORDER BY node_id")
    before.close()
    writer = Writer(old / "run.duckdb")
    writer.update("nodes", {"node_id": 3}, note="kept")
    writer.insert("events", level="info", kind="test", message="goes on", detail="{}")
    writer.flush()
    assert writer.rows("SELECT value FROM meta WHERE key = 'schema_version'") == [{"value": str(SCHEMA_VERSION)}]
    assert writer.rows("SELECT * EXCLUDE (note) FROM visible_nodes ORDER BY node_id") == nodes
    assert writer.rows("SELECT note FROM visible_nodes WHERE node_id = 3") == [{"note": "kept"}]
    writer.close()
    (tmp_path / "new").mkdir()
    fresh = Writer(tmp_path / "new" / "run.duckdb")
    fresh.close()
    assert columns(old / "run.duckdb") == columns(tmp_path / "new" / "run.duckdb")


def test_views_are_replaced_where_they_are_others_and_left_where_they_are_the_same(tmp_path: Path) -> None:
    database = tmp_path / "run.duckdb"

    def opened_after(*statements: str) -> list[str]:
        with duckdb.connect(str(database)) as tool:
            for statement in statements:
                tool.execute(statement)
        Writer(database).close()
        return columns(database)["scores"]

    ours = opened_after()
    assert opened_after("CREATE OR REPLACE VIEW scores AS SELECT 1 AS one") == ["one"]  # by hand: not looked for
    assert opened_after("UPDATE meta SET value = 'those of another version' WHERE key = 'views'") == ours


def test_a_copy_keeps_what_its_own_views_are(tmp_path: Path) -> None:
    with duckdb.connect(str(written(tmp_path))) as tool:
        tool.execute("UPDATE meta SET value = 'those of another version' WHERE key = 'views'")
    snapshot(tmp_path, tmp_path / "copy.duckdb")
    Writer(tmp_path / "run.duckdb").close()
    sql = "SELECT value FROM meta WHERE key = 'views'"
    with duckdb.connect(str(tmp_path / "copy.duckdb")) as copy, duckdb.connect(str(tmp_path / "run.duckdb")) as run:
        assert copy.execute(sql).fetchone() == run.execute(sql).fetchone()


def test_a_file_that_was_brought_up_to_date_is_so_only_once(old: Path) -> None:
    for _ in range(2):
        writer = Writer(old / "run.duckdb")
        writer.close()
    assert columns(old / "run.duckdb")["completions"].count("components") == 1


def test_an_old_file_is_read_with_the_questions_of_now_and_left_as_it_is(old: Path) -> None:
    before = (old / "run.duckdb").read_bytes()
    reader = FileReader(old / "run.duckdb")
    assert reader.rows("SELECT note, advisor = 'human' AS human FROM visible_nodes WHERE node_id = 3") == [
        {"note": None, "human": False}
    ]
    header = reader.rows(load("run_header"))[0]
    assert (header["budget"], header["best_policy"], header["test_n"]) == (None, "#3 step 50", 1000)
    assert reader.rows("SELECT components FROM completions") == [{"components": None}]
    assert reader.rows("SELECT stage FROM best_trajectory") == [{"stage": 0}, {"stage": 1}, {"stage": 2}]
    assert reader.rows("SELECT count(*) AS n FROM current_state") == [{"n": 1}]
    reader.close()
    assert (old / "run.duckdb").read_bytes() == before


def test_every_column_of_an_old_or_renamed_run_is_explained_once_by_readers_and_when_it_is_up_to_date(
    tmp_path: Path,
) -> None:
    def explained(reader: FileReader | Writer) -> list[tuple[str, ...]]:
        # That view of version 2 is in the old file only, and dropped when an engine opens it.
        rows = reader.rows("SELECT * FROM documentation WHERE \"table\" <> 'best_checkpoint'")
        return [(row["table"], row["column"], row["type"], row["comment"]) for row in rows]

    directories = {name: tmp_path / name for name in ("new", "old", "renamed")}
    for directory in directories.values():
        directory.mkdir()
        written(directory)
    aged(directories["old"] / "run.duckdb", 1)
    directories["renamed"] = directories["renamed"].rename(tmp_path / "another name")
    told = {}
    for name, directory in directories.items():
        reader = FileReader(directory / "run.duckdb")
        told[name] = explained(reader)
        reader.close()
    writer = Writer(directories["old"] / "run.duckdb")
    told["up to date"] = explained(writer)
    writer.close()
    assert all(comment for *_, comment in told["new"])
    assert told["old"] == told["renamed"] == told["up to date"] == told["new"]


def test_an_old_run_beside_a_new_one_answers_one_query(old: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    new.mkdir()
    written(new)
    many = ManyRuns([old, new], QueryLimits.given())
    before, now = many.query(
        "SELECT run, count(*) AS n, count(note) AS notes, max(value) AS best "
        "FROM nodes JOIN scores USING (run, node_id) GROUP BY run ORDER BY run = 'new'"
    ).to_pylist()
    assert (before["run"], now["run"], before["notes"]) == (old.name, "new", 0)
    assert (before["n"], before["best"]) == (now["n"], now["best"])


def test_a_copy_of_an_old_file_is_of_the_version_of_now(old: Path) -> None:
    snapshot(old, old / "copy.duckdb")
    reader = FileReader(old / "copy.duckdb")
    assert reader.rows("SELECT value FROM meta WHERE key = 'schema_version'") == [{"value": str(SCHEMA_VERSION)}]
    assert len(reader.rows("SELECT note FROM nodes")) == 6
    reader.close()


def test_the_screens_show_an_old_run(tmp_path: Path) -> None:
    run = build(tmp_path, state="finished")
    aged(run / "run.duckdb", 1)
    from llmzero_tui.values.snapshot import RunView

    feed = RunFeed(run, lambda: NOW)
    snapshot = feed.read(RunView(node=10, samples=True))
    feed.close()
    assert snapshot.run.limit == 1500
    assert {node.note for node in snapshot.nodes.values()} == {""}
    assert [node.id for node in snapshot.nodes.values() if node.human] == [14]


def test_an_engine_of_another_version_is_named_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Writer(tmp_path / "run.duckdb")
    server = StoreServer(writer, tmp_path / "engine.sock", lambda command_id: None)
    server.start()
    monkeypatch.setattr(socket_reader, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
    try:
        with pytest.raises(UserError) as refused:
            SocketReader(tmp_path / "engine.sock")
    finally:
        server.close()
        writer.close()
    line = str(refused.value)
    assert f"schema version {SCHEMA_VERSION}, this llmzero {SCHEMA_VERSION + 1}" in line
    assert "llmzero resume" in line
    assert "\n" not in line


def test_a_newer_file_is_refused_by_readers_with_both_versions(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "run.duckdb")
    small_search(writer)
    writer.update("meta", {"key": "schema_version"}, value="99")
    writer.close()
    shutil.copy(tmp_path / "run.duckdb", tmp_path / "kept")
    with pytest.raises(UserError, match=f"schema version 99.* reads up to {SCHEMA_VERSION}: install a newer one"):
        FileReader(tmp_path / "run.duckdb")
    assert (tmp_path / "kept").read_bytes() == (tmp_path / "run.duckdb").read_bytes()

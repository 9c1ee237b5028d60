"""The copy of a run for other tools: whole, as of one moment, also while rows arrive; nothing is overwritten."""

from __future__ import annotations

import errno
import threading
from pathlib import Path

import duckdb
import pytest

from engine.errors import UserError
from engine.store.errors import EngineGone
from engine.store.reader import SocketReader, open_run
from engine.store.server import StoreServer
from engine.store.snapshot import snapshot
from engine.store.writer import Writer
from tests.engine.store_engine import engine_process, small_search
from tests.unit.cli_process import finished_run


def contents(path: Path) -> dict[str, list[str]]:
    """All rows of all tables as text (NaN equals itself there), by another tool."""
    with duckdb.connect(str(path), read_only=True) as tool:
        tables = [row[0] for row in tool.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        return {
            each: [repr(row) for row in tool.execute("FROM query_table(?) ORDER BY ALL", [each]).fetchall()]
            for each in tables
        }


def test_a_copy_of_a_run_at_rest_has_all_rows_views_and_comments(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "run.duckdb")
    small_search(writer)
    writer.close()
    target = tmp_path / "copy.duckdb"
    copied = snapshot(tmp_path, target)
    original = contents(tmp_path / "run.duckdb")
    assert contents(target) == original
    assert copied.rows == sum(len(each) for each in original.values())
    with duckdb.connect(str(target), read_only=True) as tool:
        assert len(tool.execute("FROM best_trajectory").fetchall()) == 3
        assert tool.execute(
            "SELECT count(*) FROM duckdb_columns() WHERE comment IS NULL AND NOT internal AND table_name = 'nodes'"
        ).fetchall() == [(0,)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.duckdb", "run.duckdb"]


def test_a_copy_of_a_live_run_is_of_one_moment(tmp_path: Path) -> None:
    """Two tables grow in step, one transaction each time; a copy may not show one ahead of the other."""
    writer = Writer(tmp_path / "run.duckdb")
    server = StoreServer(writer, tmp_path / "engine.sock", lambda command_id: None)
    server.start()
    small_search(writer)
    ended = threading.Event()

    def grow() -> None:
        while not ended.is_set():
            for _ in range(50):
                writer.insert("events", level="info", kind="grow", message="x", detail={})
                writer.insert("metrics", node_id=9, step=1, name="grow", value=0.0)
            writer.flush()

    growing = threading.Thread(target=grow)
    growing.start()
    counts = []
    for number in range(5):
        target = tmp_path / f"copy{number}.duckdb"
        snapshot(tmp_path, target)
        found = contents(target)
        events = [row for row in found["events"] if "'grow'" in row]
        metrics = [row for row in found["metrics"] if "'grow'" in row]
        assert len(events) == len(metrics)
        counts.append(len(events))
    ended.set()
    growing.join()
    server.close()
    writer.close()
    assert counts == sorted(counts)
    assert counts[-1] > counts[0]


def test_a_copy_can_be_opened_as_a_run(tmp_path: Path) -> None:
    with engine_process(tmp_path):
        target = tmp_path / "other" / "run.duckdb"
        target.parent.mkdir()
        reader = open_run(tmp_path)
        snapshot(reader, target)
        assert reader.rows("SELECT 1 AS x") == [{"x": 1}]
        reader.close()
    again = Writer(target)
    assert again.rows("SELECT name FROM runs") == [{"name": tmp_path.name}]
    again.close()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "run.duckdb")
    writer.close()
    (tmp_path / "mine.duckdb").write_text("mine")
    with pytest.raises(UserError, match="not overwritten"):
        snapshot(tmp_path, tmp_path / "mine.duckdb")
    with pytest.raises(UserError, match="is not a directory"):
        snapshot(tmp_path, tmp_path / "missing" / "x.duckdb")
    assert (tmp_path / "mine.duckdb").read_text() == "mine"


@pytest.mark.parametrize(("asked", "number"), [("v1.1.0", 64), ("v1.2.0", 65), ("v1.4.0", 67)])
def test_a_copy_can_be_written_for_older_tools(tmp_path: Path, asked: str, number: int) -> None:
    """DuckDB writes the number of its format after the magic word; 1.3.2 reads 64 to 66, see docs/sql.md."""
    writer = Writer(tmp_path / "run.duckdb")
    small_search(writer)
    writer.close()
    target = tmp_path / "copy.duckdb"
    snapshot(tmp_path, target, asked)
    head = target.read_bytes()[:20]
    assert head[8:12] == b"DUCK"
    assert int.from_bytes(head[12:20], "little") == number
    assert contents(target) == contents(tmp_path / "run.duckdb")


def test_a_copy_says_its_version_and_refuses_an_unknown_one(tmp_path: Path) -> None:
    Writer(tmp_path / "run.duckdb").close()
    assert snapshot(tmp_path, tmp_path / "a.duckdb").storage_version == "v1.0.0+"
    assert snapshot(tmp_path, tmp_path / "b.duckdb", "latest").storage_version == "v2.0.0+"
    with pytest.raises(UserError, match=r"storage version '1\.3' is unknown: one of v1\.1\.0, "):
        snapshot(tmp_path, tmp_path / "c.duckdb", "1.3")


def test_an_engine_that_dies_leaves_no_half_copy(tmp_path: Path) -> None:
    with engine_process(tmp_path) as process:
        reader = SocketReader(tmp_path / "engine.sock")
        process.kill()
        process.wait()
        with pytest.raises(EngineGone):
            snapshot(reader, tmp_path / "copy.duckdb")
        reader.close()
    assert [path.name for path in tmp_path.iterdir() if "copy" in path.name] == []


def test_a_directory_that_takes_nothing_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = finished_run(tmp_path / "runs", "one").path

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(UserError, match=r"copy.duckdb cannot be written: Read-only file system"):
        snapshot(run, tmp_path / "copy.duckdb")


def test_a_name_as_long_as_a_file_system_takes_is_written(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "runs", "one").path
    assert snapshot(run, tmp_path / ("y" * 244 + ".duckdb")).rows > 0
    assert [each.name for each in tmp_path.iterdir() if each.suffix == ".partial"] == []
    with pytest.raises(UserError, match="File name too long"):
        snapshot(run, tmp_path / ("y" * 300 + ".duckdb"))

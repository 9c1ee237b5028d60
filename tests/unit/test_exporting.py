"""Files that leave a run are whole or not there; a format holds every value; nothing is replaced unasked."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.errors import UserError
from llmzero_tui.files.exporting import (
    CopyStopped,
    copy_directory,
    file_name,
    file_size,
    save_answer,
    target,
    whole_directory,
    whole_file,
)
from llmzero_tui.values.answers import PIECE

MANY_TYPES = """
SELECT 1 AS a, 2 AS a, 'x,"y"' || chr(10) || chr(27) AS text, NULL AS nothing, [1, 2] AS list, {'k': 1.5} AS struct,
    sum(1) AS huge, INTERVAL 90 SECOND AS span, 1.50::DECIMAL(9, 2) AS money, 'nan'::DOUBLE AS broken,
    TIMESTAMP '2026-03-02 09:00:00' AS ts, true AS yes
"""


@pytest.fixture
def answer() -> pa.Table:
    with duckdb.connect() as connection:
        return connection.sql(MANY_TYPES).to_arrow_table()


@pytest.mark.parametrize("name", ["x.csv", "x.json", "x.parquet", "x.CSV"])
def test_every_type_and_two_columns_of_one_name_are_written(tmp_path: Path, answer: pa.Table, name: str) -> None:
    written = save_answer(answer, tmp_path / name, overwrite=False)
    assert (written.what, written.size) == ("1 row", (tmp_path / name).stat().st_size)
    text = (tmp_path / name).read_bytes()
    if name.endswith(".json"):
        (row,) = json.loads(text)
        assert (row["a"], row["a_2"], row["list"], row["broken"]) == (1, 2, [1, 2], None)
    elif name.endswith(".parquet"):
        (row,) = pq.read_table(tmp_path / name).to_pylist()
        assert (row["a"], row["a_2"], row["span"], row["struct"]) == (1, 2, "00:01:30", {"k": 1.5})
    else:
        header, row = csv.reader(io.StringIO(text.decode(), newline=""))
        assert header[:3] == ["a", "a", "text"]
        assert row[:4] == ["1", "2", 'x,"y"\n\x1b', ""]


def test_rows_beyond_a_piece_are_all_there(tmp_path: Path) -> None:
    count = PIECE * 2 + 3
    answer = pa.table({"x": range(count)})
    for ending in ("csv", "json", "parquet"):
        save_answer(answer, tmp_path / f"x.{ending}", overwrite=False)
    with duckdb.connect() as connection:
        for ending in ("csv", "json", "parquet"):
            rows = getattr(connection, f"read_{ending}")(str(tmp_path / f"x.{ending}"))
            (found,) = rows.aggregate("count(*), sum(x)").fetchall()
            assert found == (count, sum(range(count)))
    assert save_answer(answer.slice(0, 0), tmp_path / "none.json", overwrite=False).what == "0 rows"
    assert json.loads((tmp_path / "none.json").read_text()) == []


def test_what_parquet_cannot_hold_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    table = pa.table({"x": pa.array([None], pa.list_(pa.month_day_nano_interval()))})
    with pytest.raises(UserError, match="parquet cannot hold") as refused:
        save_answer(table, tmp_path / "x.parquet", overwrite=False)
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_replaced_only_when_told(tmp_path: Path, answer: pa.Table) -> None:
    (tmp_path / "x.csv").write_text("precious")
    with pytest.raises(UserError, match="not overwritten"):
        save_answer(answer, tmp_path / "x.csv", overwrite=False)
    assert (tmp_path / "x.csv").read_text() == "precious"
    save_answer(answer, tmp_path / "x.csv", overwrite=True)
    assert (tmp_path / "x.csv").read_text().startswith("a,a,text")


def half_a_file(path: Path) -> None:
    with whole_file(path) as file:
        file.write(b"half")
        raise RuntimeError


def half_a_directory(path: Path) -> None:
    with whole_directory(path) as made:
        (made / "half").write_text("x")
        raise RuntimeError


def test_a_writing_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("before")
    with pytest.raises(RuntimeError):
        half_a_file(tmp_path / "x")
    with pytest.raises(RuntimeError):
        half_a_directory(tmp_path / "d")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("x", "before")]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "no file name"), ("a\x1b[31m.csv", "printable"), ("a\nb.csv", "printable"),
        ("no/where.csv", "not a directory"),
        ("x.exe", "must end in"), ("/", "not a file name"), ("..", "not a file name"), ("sub.csv", "is a directory"),
        ("x" * 300 + ".csv", "not a file name"), ("~nobody-of-this-name/x.csv", "no"),
    ],
)  # fmt: skip
def test_a_name_that_is_no_file_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, wrong: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub.csv").mkdir()
    with pytest.raises(UserError, match=wrong) as refused:
        target(text, suffixes=(".csv", ".json"))
    assert "\n" not in str(refused.value)
    assert "\x1b" not in str(refused.value)


def test_a_name_may_have_blanks_and_begin_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert target(" ~/my rows.csv ", suffixes=(".csv",)) == tmp_path / "my rows.csv"


@pytest.mark.parametrize(
    ("name", "shown"), [("knights-01", "knights-01"), ("[b]\x1b[31m/../x", "b-..-x"), ("..", "run")]
)
def test_a_runs_name_becomes_a_files_name(name: str, shown: str) -> None:
    assert file_name(name) == shown


@pytest.mark.parametrize(
    ("count", "shown"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 KB"), (123_456, "123 KB"), (2.4e9, "2.4 GB")]
)
def test_sizes_are_said_as_people_say_them(count: float, shown: str) -> None:
    assert file_size(count) == shown


def test_a_copy_tells_how_far_it_is_and_stops_when_told(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "one").write_bytes(b"x" * (9 << 20))
    (tmp_path / "a" / "b" / "two").write_bytes(b"y")
    (tmp_path / "a" / "left-out").write_bytes(b"z")
    told: list[tuple[int, int]] = []

    def tell(stop_at: int) -> Callable[[int, int], bool]:
        def progress(done: int, total: int) -> bool:
            told.append((done, total))
            return done >= stop_at

        return progress

    (tmp_path / "c").mkdir()
    size = copy_directory(tmp_path / "a", tmp_path / "c", ("left-out",), tell(1 << 40))
    assert size == (9 << 20) + 1 == told[-1][0] == told[0][1]
    assert len(told) > 3
    assert {p.name for p in (tmp_path / "c").rglob("*")} == {"one", "b", "two"}
    with pytest.raises(CopyStopped), whole_directory(tmp_path / "d") as made:
        copy_directory(tmp_path / "a", made, (), tell(2))
    assert not (tmp_path / "d").exists()
    assert {p.name for p in tmp_path.iterdir()} == {"a", "c"}

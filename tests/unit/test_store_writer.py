"""The writer: order, numbers, types, and what happens when a row, the disk or another process is in the way."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from math import isnan
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import UserError
from engine.store.changes import NoSuchRow
from engine.store.errors import StoreFault
from engine.store.writer import Writer
from tests.engine.store_engine import ROOT, checkpoint_row, engine_process, metric_rows, node_row, run_row


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    opened = Writer(tmp_path / "run.duckdb")
    yield opened
    opened.close()


def event(writer: Writer, message: str, **more: object) -> int:
    return writer.insert("events", level="info", kind="test", message=message, detail="{}", **more)


def test_rows_get_a_seq_over_all_tables_and_the_time_in_utc(writer: Writer) -> None:
    before = datetime.now(UTC).replace(tzinfo=None)
    first = event(writer, "one")
    metric_rows(writer, 1)
    last = event(writer, "two")
    writer.flush()
    assert (first, last) == (1, 3)
    rows = writer.rows("SELECT seq, ts FROM events ORDER BY seq")
    assert [row["seq"] for row in rows] == [1, 3]
    assert before <= rows[0]["ts"] <= rows[1]["ts"] <= datetime.now(UTC).replace(tzinfo=None)


def test_a_table_without_seq_returns_zero(writer: Writer) -> None:
    assert writer.insert("meta", key="note", value="x") == 0


def test_seq_and_ids_go_on_after_reopening(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "run.duckdb")
    assert [writer.next_id(table) for table in ("nodes", "proposals", "agent_calls", "commands")] == [0, 1, 1, 1]
    node_row(writer, 0)
    node_row(writer, 7, 0, 0)
    event(writer, "one")
    assert writer.next_id("nodes") == 8
    writer.close()
    again = Writer(tmp_path / "run.duckdb")
    assert again.next_id("nodes") == 8
    assert event(again, "two") == 2
    again.close()


def test_ids_are_given_once_to_many_threads(writer: Writer) -> None:
    given_out: list[int] = []
    threads = [
        threading.Thread(target=lambda: given_out.extend(writer.next_id("commands") for _ in range(200)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(given_out) == list(range(1, 1601))


def test_rows_that_many_threads_number_come_in_the_order_of_their_numbers(writer: Writer) -> None:
    usual = {"kind": "pause", "payload": "{}", "author": "me"}
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [
            threading.Thread(target=lambda: [writer.insert_new("commands", **usual) for _ in range(100)])
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    writer.flush()
    numbers = [row["command_id"] for row in writer.rows("SELECT command_id FROM commands ORDER BY rowid")]
    assert numbers == list(range(1, 801))


@pytest.mark.parametrize(
    ("table", "row", "error"),
    [
        ("nowhere", {}, KeyError),
        ("meta; DROP TABLE meta", {}, KeyError),
        ("events", {"levle": "info"}, KeyError),
        ("events", {"level": "info"}, ValueError),
        ("meta", {"key": "k", "value": 3}, TypeError),
        ("meta", {"key": "k", "value": b"x"}, TypeError),
        ("budget", {"steps": "3"}, TypeError),
        ("budget", {"steps": 2**31}, ValueError),
        ("budget", {"steps": 1, "nodes": 1, "trainer_seconds": "1"}, TypeError),
    ],
)
def test_what_the_tables_do_not_take_is_refused_at_the_call(
    writer: Writer, table: str, row: dict[str, object], error: type[Exception]
) -> None:
    complete = {"nodes": 0, "trainer_seconds": 0.0, "wall_seconds": 0.0, "fraction": 0.0} if table == "budget" else {}
    with pytest.raises(error):
        writer.insert(table, **{**complete, **row})
    writer.insert("meta", key="after", value="fine")
    writer.flush()
    assert writer.rows("SELECT value FROM meta WHERE key = 'after'") == [{"value": "fine"}]


@pytest.mark.parametrize(
    "change",
    [
        lambda w: w.update("nowhere", {"a": 1}, b=2),
        lambda w: w.update("runs", {"nmae": "x"}, state="y"),
        lambda w: w.update("runs", {"name": "x"}, stat="y"),
        lambda w: w.delete("metrics", nod_id=1),
    ],
)
def test_updates_and_deletes_check_names_at_the_call(writer: Writer, change: object) -> None:
    with pytest.raises(KeyError):
        change(writer)  # type: ignore[operator]


def test_an_update_or_delete_without_key_is_refused(writer: Writer) -> None:
    with pytest.raises(ValueError, match="needs a key"):
        writer.delete("metrics")
    with pytest.raises(ValueError, match="needs a key"):
        writer.update("runs", {}, state="x")


def test_an_update_that_hits_no_row_is_a_bug_and_the_rows_beside_it_are_written(writer: Writer) -> None:
    event(writer, "before")
    writer.update("nodes", {"node_id": 77}, state="finished")
    event(writer, "after")
    with pytest.raises(NoSuchRow, match=r"nodes has no row with node_id = 77 to set state in"):
        writer.flush()
    writer.flush()
    assert [row["message"] for row in writer.rows("SELECT message FROM events ORDER BY seq")] == ["before", "after"]


def test_the_row_of_the_run_is_updated_whatever_the_run_is_called(writer: Writer) -> None:
    writer.update_run(state="training")
    with pytest.raises(NoSuchRow, match="runs has no row with any key"):
        writer.flush()
    run_row(writer, "first")
    for name in ("second", "third", "second"):
        writer.update_run(name=name, state=f"as {name}")
    writer.flush()
    assert writer.rows("SELECT name, state FROM runs") == [{"name": "second", "state": "as second"}]


@pytest.mark.parametrize("count", [1, 40])
def test_values_come_back_as_they_went_in(writer: Writer, count: int) -> None:
    """Once by executemany, once by Arrow."""
    hostile = "a\0b\x1b[31m'; DROP TABLE events; -- \u202e 🤖"
    zoned = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=timezone(timedelta(hours=5)))
    for _ in range(count):
        event(writer, hostile, ts=zoned)
        event(writer, "lone \ud800 surrogate")
        writer.insert("metrics", node_id=1, step=1, name="kl", value=float("nan"))
    writer.flush()
    rows = writer.rows("SELECT message, ts FROM events ORDER BY seq")
    assert len(rows) == 2 * count
    assert {(row["message"], row["ts"]) for row in rows[::2]} == {(hostile, datetime(2026, 1, 1, 22, 4, 5, 6))}
    assert {row["message"] for row in rows[1::2]} == {"lone ? surrogate"}
    assert all(isnan(row["value"]) for row in writer.rows("SELECT value FROM metrics"))


def test_objects_become_json_where_text_is_kept(writer: Writer) -> None:
    node_row(writer, 0, configuration={"learning_rate": 1e-4, "doc": "é"})
    writer.flush()
    rows = writer.rows("SELECT configuration ->> 'doc' AS doc FROM nodes")
    assert rows == [{"doc": "é"}]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), st.integers(0, 5)),
        st.tuples(st.just("update"), st.integers(0, 5)),
        st.tuples(st.just("delete"), st.integers(0, 5)),
        st.tuples(st.just("many"), st.integers(0, 5)),
        st.tuples(st.just("flush"), st.just(0)),
    ),
    max_size=40,
)


def test_changes_take_effect_in_the_order_of_the_calls(writer: Writer) -> None:
    examples = itertools.count()

    @settings(max_examples=40, deadline=None)
    @given(steps=STEPS)
    def take_effect(steps: list[tuple[str, int]]) -> None:
        name = f"example {next(examples)}"
        model: list[tuple[int, int, int]] = []
        for number, (what, node) in enumerate(steps):
            if what == "insert" or what == "many":
                for step in range(20 if what == "many" else 1):
                    seq = writer.insert("metrics", node_id=node, step=step, name=name, value=number)
                    model.append((seq, node, number))
            elif what == "update" and any(n == node for _, n, _ in model):
                writer.update("metrics", {"node_id": node, "name": name}, value=number)
                model = [(seq, n, number if n == node else value) for seq, n, value in model]
            elif what == "delete":
                writer.delete("metrics", node_id=node, name=name)
                model = [row for row in model if row[1] != node]
            elif what == "flush":
                writer.flush()
        writer.flush()
        rows = writer.rows("SELECT seq, node_id, value FROM metrics WHERE name = ? ORDER BY seq", [name])
        assert [(row["seq"], row["node_id"], row["value"]) for row in rows] == model

    take_effect()


def test_who_reads_on_by_seq_misses_no_row_of_many_threads(writer: Writer) -> None:
    def write(thread: int) -> None:
        for step in range(500):
            writer.insert("metrics", node_id=thread, step=step, name="reward", value=0.0)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    seen: list[int] = []
    while len(seen) < 2000:
        alive = any(thread.is_alive() for thread in threads)
        seen += [
            row["seq"]
            for row in writer.rows("SELECT seq FROM metrics WHERE seq > ? ORDER BY seq", [seen[-1] if seen else 0])
        ]
        if not alive:
            writer.flush()
    assert seen == list(range(1, 2001))


def test_rows_are_committed_without_a_flush(writer: Writer) -> None:
    event(writer, "alone")
    deadline = datetime.now(UTC) + timedelta(seconds=20)
    while not writer.rows("SELECT 1 FROM events"):
        assert datetime.now(UTC) < deadline


def test_a_row_that_breaks_a_key_is_our_bug_and_costs_no_other_row(writer: Writer) -> None:
    event(writer, "before", seq=10)
    event(writer, "twice", seq=10)
    event(writer, "after")
    with pytest.raises(duckdb.ConstraintException):
        writer.flush()
    event(writer, "later")
    writer.flush()
    assert [row["message"] for row in writer.rows("SELECT message FROM events ORDER BY seq")] == [
        "before", "after", "later",
    ]  # fmt: skip


DISK_FULL = """
import resource, signal, sys
from pathlib import Path
from engine.store.changes import NoSuchRow
from engine.store.errors import StoreFault
from engine.store.writer import Writer

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
writer = Writer(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
written = failed = 0
while not failed:
    for _ in range(100):
        writer.insert("events", level="info", kind="test", message="x" * 1000 + str(written), detail="{}")
        written += 1
    try:
        writer.flush()
    except StoreFault as error:
        failed += 1
        assert str(error).count("\\n") == 0, error
assert writer.fault is not None
writer.insert("events", level="info", kind="test", message="while full", detail="{}")
written += 1
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
writer.flush()
assert writer.fault is None
print(written)
if sys.argv[2] == "close":
    writer.close()
else:
    import os
    os._exit(0)
"""


@pytest.mark.parametrize("end", ["close", "die"])
def test_a_full_disk_is_a_fault_that_loses_nothing(tmp_path: Path, end: str) -> None:
    path = tmp_path / "run.duckdb"
    done = subprocess.run(
        [sys.executable, "-c", DISK_FULL, str(path), end], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    written = int(done.stdout)
    assert written > 200
    again = Writer(path)
    rows = again.rows("SELECT count(*) AS n, max(seq) AS seq FROM events")
    again.close()
    assert rows == [{"n": written, "seq": written}]


CHECKPOINT_FAILS = """
import os, resource, signal, sys, threading
from pathlib import Path
from engine.store.changes import NoSuchRow
from engine.store.errors import StoreFault
from engine.store.writer import Writer

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
writer = Writer(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (24 << 20, resource.RLIM_INFINITY))
written, faults, answers, wrong, over = 0, [], [], [], threading.Event()

def ask():
    while not over.is_set():
        try:
            answers.append(writer.rows("SELECT count(*) AS n FROM completions")[0]["n"])
        except StoreFault:
            pass
        except BaseException as error:
            wrong.append(error)

asked = sys.argv[2] == "asked"  # whose queries may keep DuckDB from a checkpoint until the log itself is refused
asking = threading.Thread(target=ask)
if asked:
    asking.start()
while not faults:
    for _ in range(500):
        writer.insert("completions", node_id=1, step=1, prompt=os.urandom(1000).hex(), completion="", answer="",
                      reward=0.0, correct=False, truncated=False)
        written += 1
    try:
        writer.flush()
    except StoreFault as error:
        faults.append(str(error))
assert asked or "checkpoint" in faults[0], faults
writer.rows("SELECT 1")  # while nothing can be written, what is there is read
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
writer.flush()
over.set()
if asked:
    asking.join()
assert not wrong, wrong
assert bool(answers) == asked
writer.close()
print(written)
"""


@pytest.mark.parametrize("asked", ["asked", "alone"])
def test_a_commit_whose_checkpoint_fails_is_not_written_twice(tmp_path: Path, asked: str) -> None:
    """DuckDB reports an error although the rows are in, and refuses the database until it is opened anew; who asks it
    meanwhile gets an answer, or a fault of the store."""
    path = tmp_path / "run.duckdb"
    done = subprocess.run(
        [sys.executable, "-c", CHECKPOINT_FAILS, str(path), asked],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    again = Writer(path)
    rows = again.rows("SELECT count(*) AS n, count(DISTINCT seq) AS different FROM completions")
    again.close()
    assert rows == [{"n": int(done.stdout), "different": int(done.stdout)}]


def test_closing_while_the_disk_is_full_says_so(tmp_path: Path) -> None:
    program = DISK_FULL.split("resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY")[0] + (
        "\ntry:\n    writer.close()\nexcept StoreFault as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "run.duckdb")],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "rows wait" in done.stdout


def test_kill_9_loses_at_most_what_was_not_flushed(tmp_path: Path) -> None:
    with engine_process(tmp_path) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("write\n")
        process.stdin.flush()
        safe = 0
        while safe < 2000:
            safe = int(process.stdout.readline())
        process.kill()
        rest = [int(line) for line in process.stdout if line.endswith("\n")]
    safe = max([safe, *rest])
    again = Writer(tmp_path / "run.duckdb")
    found = again.rows("SELECT count(*) AS n, max(seq) AS seq FROM metrics")[0]
    assert safe <= found["n"] == found["seq"] <= safe + 37
    assert again.insert("metrics", node_id=1, step=1, name="reward", value=0.0) == found["seq"] + 1
    again.close()


def test_a_second_writer_is_told_who_holds_the_run(tmp_path: Path) -> None:
    with engine_process(tmp_path) as process, pytest.raises(UserError, match=rf"held by process {process.pid}\b"):
        Writer(tmp_path / "run.duckdb")


def test_a_second_writer_of_the_same_process_is_refused_too(writer: Writer) -> None:
    with pytest.raises(UserError, match=rf"held by process {os.getpid()}\b"):
        Writer(writer.path)


def test_a_file_that_this_process_lets_go_is_waited_for(tmp_path: Path) -> None:
    """As where a screen has read a run at rest and its connection is closing in another thread."""
    Writer(tmp_path / "run.duckdb").close()
    reading = duckdb.connect()
    reading.execute(f"ATTACH '{tmp_path / 'run.duckdb'}' AS run (READ_ONLY)")
    closing = threading.Timer(0.2, reading.close)
    closing.start()
    Writer(tmp_path / "run.duckdb").close()
    closing.join()


def test_files_that_cannot_be_a_run_are_refused_in_one_line(tmp_path: Path) -> None:
    text = tmp_path / "run.duckdb"
    text.write_text("this is no database\n" * 1000)
    for path in (text, tmp_path / "missing" / "run.duckdb"):
        with pytest.raises(UserError, match=r"cannot be opened|it is not a DuckDB database") as caught:
            Writer(path)
        assert "\n" not in str(caught.value)


def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "run.duckdb")
    run_row(writer)
    writer.update("meta", {"key": "schema_version"}, value="99")
    writer.close()
    with pytest.raises(UserError, match="schema version 99"):
        Writer(tmp_path / "run.duckdb")


def test_after_closing_nothing_is_taken(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "run.duckdb")
    writer.close()
    with pytest.raises(StoreFault, match="is closed"):
        event(writer, "late")


class Endless(threading.Thread):
    """A query that keeps the database busy until `end`."""

    def __init__(self, writer: Writer) -> None:
        super().__init__()
        self._cursor = writer.cursor()
        self.start()

    def run(self) -> None:
        with pytest.raises(duckdb.InterruptException):
            self._cursor.execute(
                "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range + b.range = 3"
            )

    def end(self) -> None:
        while self.is_alive():  # an interrupt before the query has begun is lost
            self._cursor.interrupt()
            self.join(0.01)
        self._cursor.close()


def test_insert_and_update_do_not_wait_for_the_disk(writer: Writer) -> None:
    """Neither a query that keeps the database busy nor a commit that does not come holds up the caller."""
    node_row(writer, 0)
    checkpoint_row(writer, 0, 0, 1, 2)
    busy = Endless(writer)
    with writer.still():
        metric_rows(writer, 2000)
        for _ in range(100):
            writer.update("nodes", {"node_id": 0}, reason="x")
        assert writer.rows("SELECT count(*) AS n FROM metrics") == [{"n": 0}], "all were taken, none is on disk"
    assert busy.is_alive()
    writer.flush()
    busy.end()
    assert writer.rows("SELECT count(*) AS n FROM metrics") == [{"n": 2000}]

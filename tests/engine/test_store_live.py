"""The server and its readers, over real sockets: who may connect, what SQL may do, lanes, and engines that go."""

from __future__ import annotations

import getpass
import shutil
import signal
import socket
import stat
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import psutil
import pytest

from engine.errors import UserError
from engine.store.errors import EngineGone, QueryError, QueryInterrupted
from engine.store.protocol import PREFIX, frame
from engine.store.reader import FileReader, Reader, SocketReader, open_run
from engine.store.server import StoreServer
from engine.store.writer import Writer
from tests.engine.store_engine import checkpoint_row, engine_process, metric_rows, node_row, run_row

ENDLESS = "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range + b.range = 3"


@dataclass
class Engine:
    """A writer and a server in this process."""

    directory: Path
    writer: Writer
    server: StoreServer
    commands: list[int] = field(default_factory=list)


def start(directory: Path) -> Engine:
    commands: list[int] = []
    writer = Writer(directory / "run.duckdb")
    server = StoreServer(writer, directory / "engine.sock", commands.append)
    server.start()
    return Engine(directory, writer, server, commands)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = start(tmp_path)
    run_row(made.writer)
    node_row(made.writer, 0)
    node_row(made.writer, 1, 0, 0, configuration={"learning_rate": 1e-4}, label="<b>\x1b[31m")
    checkpoint_row(made.writer, 0, 0, 10, 20)
    checkpoint_row(made.writer, 1, 50, 40, 50)
    metric_rows(made.writer, 300)
    made.writer.flush()
    yield made
    made.server.close()
    made.writer.close()


@pytest.fixture
def reader(engine: Engine) -> Iterator[SocketReader]:
    opened = SocketReader(engine.directory / "engine.sock")
    yield opened
    opened.close()


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        threading.Event().wait(0.005)


def running(engine: Engine) -> int:
    """Queries that run in the database now."""
    return len(engine.writer._connections._cursors)


# ---- who may connect -----------------------------------------------------------------------------------------------


def test_only_the_owner_may_connect(engine: Engine) -> None:
    mode = (engine.directory / "engine.sock").stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


def test_the_socket_is_gone_after_closing_and_a_stale_one_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "engine.sock"
    for _ in range(2):
        left_over = socket.socket(socket.AF_UNIX)
        left_over.bind(str(path))
        left_over.close()
        engine = start(tmp_path)
        with_answer = SocketReader(path)
        assert with_answer.rows("SELECT 1 AS x") == [{"x": 1}]
        with_answer.close()
        engine.server.close()
        engine.writer.close()
        assert not path.exists()


def test_a_file_in_the_sockets_place_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "engine.sock").write_text("mine")
    writer = Writer(tmp_path / "run.duckdb")
    server = StoreServer(writer, tmp_path / "engine.sock", lambda command_id: None)
    with pytest.raises(UserError, match="in the way"):
        server.start()
    server.close()
    writer.close()
    assert (tmp_path / "engine.sock").read_text() == "mine"


def test_a_path_too_long_for_the_kernel_works(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120) / ("e" * 120)
    deep.mkdir(parents=True)
    engine = start(deep)
    try:
        opened = open_run(deep)
        assert opened.live
        assert opened.rows("SELECT 1 AS x") == [{"x": 1}]
        assert stat.S_IMODE((deep / "engine.sock").stat().st_mode) == 0o600
        opened.close()
    finally:
        engine.server.close()
        engine.writer.close()


# ---- reading -------------------------------------------------------------------------------------------------------

QUESTIONS: list[tuple[str, list[object]]] = [
    ("SELECT * FROM nodes ORDER BY node_id", []),
    ("SELECT * FROM metrics WHERE seq > ? AND step <= ? ORDER BY seq", [10, 120]),
    ("SELECT sum(step) AS total, avg(value) AS mean, count(*) AS n, max(ts) AS latest FROM metrics", []),
    ("SELECT * FROM scores ORDER BY seq", []),
    ("FROM best_trajectory", []),
    ("DESCRIBE metrics", []),
    ("SHOW TABLES", []),
    (
        "SELECT ? AS moment, ? AS text, ? AS truth, ? AS nothing, ? AS list",
        [datetime(2026, 1, 2), "ü'", True, None, [1, 2]],
    ),
    ("WITH a AS (SELECT 1.5::DECIMAL(5,2) AS d) SELECT d, d::HUGEINT AS h, [1, NULL] AS l, {'a': 'b'} AS s FROM a", []),
    ("SELECT 'nan'::DOUBLE IS NULL AS x, 1 AS x, now()::TIMESTAMPTZ > '2020-01-01'::TIMESTAMPTZ AS later", []),
]
MISTAKES = [
    "SELCT 1",
    "SELECT * FROM metrix",
    "SELECT nam FROM metrics",
    "SELECT 1; SELECT 2",
    "",
    "-- nothing",
    "SELECT '",
    "SELECT error('a\nb\x1b[31m')",
    "SELECT ?",
    "SELECT CAST('x' AS INTEGER)",
    "DROP TABLE metrics",
    "\ud800",
    "SELECT \0",
]


def test_the_same_question_gives_the_same_rows_and_errors_live_and_at_rest(engine: Engine, tmp_path: Path) -> None:
    def ask(reader: Reader) -> list[object]:
        answers: list[object] = [reader.rows(sql, params) for sql, params in QUESTIONS]
        answers += [reader.query(sql, params).schema for sql, params in QUESTIONS]
        for sql in MISTAKES:
            with pytest.raises(QueryError) as caught:
                reader.rows(sql)
            answers.append(str(caught.value))
        return answers

    live = open_run(engine.directory)
    assert live.live
    while_live = ask(live)
    live.close()
    engine.server.close()
    engine.writer.close()
    at_rest = open_run(engine.directory)
    assert not at_rest.live
    assert ask(at_rest) == while_live
    at_rest.close()
    # The fixture closes them again: closing twice is allowed.


@pytest.mark.parametrize("sql", MISTAKES)
def test_errors_are_one_printable_line(reader: SocketReader, sql: str) -> None:
    with pytest.raises(QueryError) as caught:
        reader.rows(sql)
    assert str(caught.value).isprintable()
    assert 0 < len(str(caught.value)) <= 401


def test_errors_name_the_candidates(reader: SocketReader) -> None:
    with pytest.raises(QueryError, match=r'metrix does not exist! Did you mean "metrics"'):
        reader.rows("SELECT * FROM metrix")


def test_a_parameter_that_sql_cannot_hold_is_our_bug(reader: SocketReader) -> None:
    with pytest.raises(TypeError, match="parameters"):
        reader.rows("SELECT ?", [object()])


def test_limits_cut_and_say_so(reader: SocketReader) -> None:
    assert reader.query("SELECT * FROM range(100001)", lane="adhoc").num_rows == 100_000
    assert reader.truncated
    assert reader.query("SELECT * FROM range(100000)", lane="adhoc").num_rows == 100_000
    assert not reader.truncated
    assert reader.query("SELECT * FROM range(200000)").num_rows == 200_000
    assert not reader.truncated
    assert reader.query("SELECT * FROM range(10)", limit=3).num_rows == 3
    assert reader.truncated
    assert reader.query("SELECT * FROM range(10)", limit=0).num_rows == 0


def test_an_endless_answer_ends_at_its_limit(reader: SocketReader) -> None:
    assert reader.query("SELECT * FROM range(1000000000000)", lane="adhoc").num_rows == 100_000
    assert reader.truncated


def test_an_answer_of_too_many_bytes_is_cut(reader: SocketReader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.store.execute.RESULT_BYTES", 8 << 20)
    wide = reader.query("SELECT repeat('x', 1000) AS x FROM range(100000)")
    assert reader.truncated
    assert 8 << 20 < wide.nbytes < 12 << 20


def test_a_query_that_wants_too_much_memory_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.store.database.memory_limit", lambda: 64 << 20)
    engine = start(tmp_path)
    reader = SocketReader(tmp_path / "engine.sock")
    with pytest.raises(QueryError, match="Out of Memory"):
        reader.rows("SELECT list(repeat('x', 10000) || range) FROM range(100000)", lane="long")
    metric_rows(engine.writer, 10)
    engine.writer.flush()
    assert reader.rows("SELECT count(*) AS n FROM metrics") == [{"n": 10}]
    reader.close()
    engine.server.close()
    engine.writer.close()


# ---- what SQL cannot do --------------------------------------------------------------------------------------------

HOSTILE = [
    "INSERT INTO nodes SELECT * FROM nodes",
    "UPDATE runs SET state = 'finished'",
    "DELETE FROM metrics",
    "TRUNCATE metrics",
    "DROP TABLE metrics",
    "ALTER TABLE metrics ADD COLUMN x INTEGER",
    "CREATE TABLE mine AS SELECT 1",
    "CREATE TEMP TABLE mine AS SELECT 1",
    "CREATE OR REPLACE VIEW scores AS SELECT 1",
    "CREATE OR REPLACE MACRO wilson_low(k, n) AS 0",
    "CREATE SEQUENCE mine",
    "COMMENT ON TABLE runs IS 'mine'",
    "MERGE INTO metrics USING (SELECT 1 AS a) s ON false WHEN NOT MATCHED THEN INSERT VALUES (1, 1, 1, 'x', 1, now())",
    "WITH gone AS (DELETE FROM metrics RETURNING *) SELECT * FROM gone",
    "EXPLAIN ANALYZE DELETE FROM metrics",
    "FROM query('DELETE FROM metrics')",
    "FROM query('WITH gone AS (DELETE FROM metrics RETURNING *) SELECT * FROM gone')",
    "FROM query('COPY metrics TO ''{out}''')",
    "SELECT 1; DELETE FROM metrics",
    "COPY metrics TO '{out}'",
    "COPY (SELECT 1) TO '{out}' (FORMAT parquet)",
    "COPY metrics FROM '{secret}'",
    "EXPORT DATABASE '{out}'",
    "IMPORT DATABASE '{out}'",
    "ATTACH '{out}' AS other",
    "COPY FROM DATABASE run TO other",
    "DETACH run",
    "USE memory",
    "SELECT * FROM read_csv('{secret}')",
    "SELECT * FROM read_text('{secret}')",
    "SELECT * FROM read_blob('{secret}')",
    "SELECT * FROM '{secret}'",
    "SELECT * FROM glob('{folder}/*')",
    "SELECT * FROM sniff_csv('{secret}')",
    "SELECT * FROM read_duckdb('{secret}')",
    "FROM query('SELECT * FROM read_text(''{secret}'')')",
    "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT * FROM read_text(''{secret}'')'))",
    "SELECT * FROM destroy_external_resource('query', 'WITH d AS (DELETE FROM metrics RETURNING *) SELECT * FROM d')",
    "SELECT * FROM destroy_external_resource('read_text', '{secret}')",
    "INSTALL httpfs",
    "LOAD httpfs",
    "LOAD '{secret}'",
    "SELECT getenv('HOME')",
    "SET enable_external_access = true",
    "SET GLOBAL temp_directory = '{out}'",
    "RESET enable_external_access",
    "SET VARIABLE x = 1",
    "PRAGMA enable_profiling",
    "PRAGMA add_parquet_key('a', '0123456789abcdef')",
    "CALL enable_logging()",
    "SELECT * FROM enable_profiling(save_location := '{out}')",
    "CHECKPOINT",
    "FORCE CHECKPOINT",
    "VACUUM",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "PREPARE p AS DELETE FROM metrics",
    "EXECUTE p",
    "DEALLOCATE p",
    "CREATE SECRET (TYPE s3)",
    "UPDATE EXTENSIONS",
    "PIVOT metrics ON name USING sum(value)",
    "INSERT INTO commands VALUES (99, 'stop', NULL, NULL, NULL, '{{}}', 'x', now())",
]


def fingerprint(engine: Engine) -> object:
    """Everything that SQL could have changed: rows, catalog, settings, temporary objects."""
    tables = [row["table_name"] for row in engine.writer.rows("SELECT table_name FROM duckdb_tables()")]
    return (
        [
            engine.writer.rows("SELECT count(*) AS n, sum(hash(t)) AS h FROM query_table(?) t", [name])
            for name in tables
        ],
        engine.writer.rows("SELECT view_name, sql, comment FROM duckdb_views() ORDER BY 1"),
        engine.writer.rows(
            "SELECT function_name, macro_definition FROM duckdb_functions() WHERE NOT internal ORDER BY 1"
        ),
        engine.writer.rows("SELECT sequence_name FROM duckdb_sequences()"),
        engine.writer.rows("SELECT name, value FROM duckdb_settings() WHERE name NOT LIKE '%wal%' ORDER BY 1"),
        engine.writer.rows("SELECT database_name, path FROM duckdb_databases() ORDER BY 1"),
        sorted(path.name for path in engine.directory.parent.rglob("*")),
    )


def test_no_sql_changes_anything_or_reaches_a_file(engine: Engine, reader: SocketReader, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    secret = folder / "secret.csv"
    secret.write_text("password\nopen sesame\n")
    engine.writer.flush()
    before = fingerprint(engine)
    for text in HOSTILE:
        sql = text.format(out=folder / "out", secret=secret, folder=folder)
        for lane in ("adhoc", "tick", "long"):
            with pytest.raises(QueryError) as caught:
                reader.rows(sql, lane=lane)
            assert str(caught.value).isprintable(), sql
            assert "sesame" not in str(caught.value), sql
    assert fingerprint(engine) == before
    assert [path.name for path in folder.iterdir()] == ["secret.csv"]


def test_a_file_at_rest_is_as_closed(engine: Engine, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    secret = folder / "secret.csv"
    secret.write_text("password\nopen sesame\n")
    engine.server.close()
    engine.writer.close()
    content = (engine.directory / "run.duckdb").read_bytes()
    reader = FileReader(engine.directory / "run.duckdb")
    for text in HOSTILE:
        with pytest.raises(QueryError) as caught:
            reader.rows(text.format(out=folder / "out", secret=secret, folder=folder))
        assert "sesame" not in str(caught.value)
    with pytest.raises(UserError, match="is not running"):
        reader.command("stop")
    reader.close()
    assert (engine.directory / "run.duckdb").read_bytes() == content
    assert [path.name for path in folder.iterdir()] == ["secret.csv"]


def test_variables_of_the_program_are_no_tables(reader: SocketReader) -> None:
    for name in ("rows", "batch", "table", "batches", "statement", "params", "request"):
        with pytest.raises(QueryError):
            reader.rows("SELECT * FROM query_table(?)", [name])


# ---- commands ------------------------------------------------------------------------------------------------------


def test_a_command_is_on_disk_before_it_is_answered(engine: Engine, reader: SocketReader) -> None:
    first = reader.command("prune", node_id=1, payload={"why": "\x1b[31m '; DROP TABLE commands; --"})
    second = reader.command("approve", proposal_id=3, revision=2, author="ann")
    assert (first, second) == (1, 2)
    assert engine.commands == [1, 2]
    rows = reader.rows("SELECT * FROM commands ORDER BY command_id")
    assert [(r["kind"], r["node_id"], r["proposal_id"], r["revision"], r["author"]) for r in rows] == [
        ("prune", 1, None, None, getpass.getuser()),
        ("approve", None, 3, 2, "ann"),
    ]
    assert "DROP TABLE commands" in rows[0]["payload"]


@pytest.mark.parametrize("error", [KeyError("uid not found: 1000"), OSError("No username set in the environment")])
def test_who_has_no_login_name_is_human(
    engine: Engine, reader: SocketReader, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def nobody() -> str:
        raise error

    monkeypatch.setattr(getpass, "getuser", nobody)
    reader.command("pause")
    assert reader.rows("SELECT author FROM commands") == [{"author": "human"}]


def test_an_unknown_command_is_refused_by_reader_and_server(engine: Engine, reader: SocketReader) -> None:
    from engine.store import queries

    with pytest.raises(UserError, match="unknown command 'explode'"):
        reader.command("explode")
    insert = queries.load("insert_command")
    for params in (
        ["explode", None, None, None, "{}", "x"],
        ["stop"],
        ["stop", "x", None, None, "{}", "x"],
        [],
        ["stop", None, None, None, None, "x"],
    ):
        with pytest.raises(QueryError):
            reader.rows(insert, params)
    assert engine.commands == []
    assert reader.rows("SELECT count(*) AS n FROM commands") == [{"n": 0}]


def test_many_viewers_command_at_once(engine: Engine) -> None:
    def viewer(_: int) -> list[int]:
        mine = SocketReader(engine.directory / "engine.sock")
        ids = [mine.command("pause") for _ in range(10)]
        mine.close()
        return ids

    with ThreadPoolExecutor(6) as pool:
        ids = [command for each in pool.map(viewer, range(6)) for command in each]
    assert sorted(ids) == sorted(engine.commands) == list(range(1, 61))


# ---- interruption and lanes ----------------------------------------------------------------------------------------


class Asking(threading.Thread):
    """A query in a thread, with how it ended."""

    def __init__(self, reader: Reader, sql: str = ENDLESS) -> None:
        super().__init__()
        self._reader, self._sql = reader, sql
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            self._reader.rows(self._sql, lane="long")
        except (QueryError, EngineGone) as error:
            self.error = error


def test_a_long_query_is_interrupted_and_the_reader_stays_usable(engine: Engine, reader: SocketReader) -> None:
    asking = Asking(reader)
    wait_until(lambda: running(engine) == 1)
    reader.interrupt()
    asking.join(10)
    assert isinstance(asking.error, QueryInterrupted)
    assert reader.rows("SELECT 1 AS x") == [{"x": 1}]
    reader.interrupt()
    assert reader.rows("SELECT 2 AS x") == [{"x": 2}]


def test_a_query_that_waits_for_its_turn_is_interrupted_too(engine: Engine) -> None:
    readers = [SocketReader(engine.directory / "engine.sock") for _ in range(3)]
    asking = [Asking(each) for each in readers]
    wait_until(lambda: running(engine) == 2)
    for each in readers:
        wait_until(lambda each=each: each._in_flight is not None)  # type: ignore[misc]
        each.interrupt()
    for thread in asking:
        thread.join(10)
    assert [type(thread.error) for thread in asking] == [QueryInterrupted] * 3
    for each in readers:
        each.close()


def test_the_live_view_does_not_wait_for_long_queries(engine: Engine, reader: SocketReader) -> None:
    readers = [SocketReader(engine.directory / "engine.sock") for _ in range(4)]
    asking = [Asking(each) for each in readers]
    wait_until(lambda: running(engine) == 2)
    for _ in range(20):
        assert len(reader.rows("SELECT * FROM metrics WHERE seq > ?", [250])) > 0
    assert reader.command("pause") == 1
    assert all(thread.is_alive() for thread in asking), "the long queries are still unanswered"
    assert running(engine) == 2
    for each in readers:
        each.close()
    for thread in asking:
        thread.join(10)
    wait_until(lambda: running(engine) == 0)


def test_a_viewer_that_leaves_takes_its_queries_along(engine: Engine) -> None:
    reader = SocketReader(engine.directory / "engine.sock")
    asking = Asking(reader)
    wait_until(lambda: running(engine) == 1)
    reader.close()
    asking.join(10)
    assert isinstance(asking.error, EngineGone)
    wait_until(lambda: running(engine) == 0)


def test_a_file_reader_interrupts_too(engine: Engine) -> None:
    engine.server.close()
    engine.writer.close()
    reader = FileReader(engine.directory / "run.duckdb")
    asking = Asking(reader)
    wait_until(lambda: reader._job is not None)
    reader.interrupt()
    asking.join(10)
    assert isinstance(asking.error, QueryInterrupted)
    assert reader.rows("SELECT 1 AS x") == [{"x": 1}]
    reader.close()


def test_several_threads_may_share_a_reader(reader: SocketReader) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda number: reader.rows("SELECT ? AS x", [number])[0]["x"], range(200))
        assert list(answers) == list(range(200))


def test_many_viewers_read_while_rows_arrive(engine: Engine) -> None:
    def viewer(_: int) -> list[int]:
        mine = SocketReader(engine.directory / "engine.sock")
        seen = [0]
        while len(seen) <= 2300:
            seen += [r["seq"] for r in mine.rows("SELECT seq FROM metrics WHERE seq > ? ORDER BY seq", [seen[-1]])]
        mine.close()
        return seen[1:]

    with ThreadPoolExecutor(4) as pool:
        viewers = [pool.submit(viewer, number) for number in range(4)]
        metric_rows(engine.writer, 2000)
        engine.writer.flush()
        results = [each.result(30) for each in viewers]
    assert all(result == sorted(set(result)) for result in results)
    assert all(result == results[0] for result in results)


# ---- strangers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n" * 10,
        struct.pack("<IQ", 2**32 - 1, 0),
        struct.pack("<IQ", 5, 2**63),
        PREFIX.pack(4, 0) + b"null",
        PREFIX.pack(9, 0) + b"not json!",
        frame({"id": "one", "sql": "SELECT 1"}),
        frame({"sql": "SELECT 1"}),
        PREFIX.pack(100, 0) + b"cut",
        b"",
    ],
)
def test_nonsense_ends_that_conversation_only(engine: Engine, reader: SocketReader, data: bytes) -> None:
    stranger = socket.socket(socket.AF_UNIX)
    stranger.settimeout(10)
    stranger.connect(str(engine.directory / "engine.sock"))
    stranger.sendall(data)
    stranger.shutdown(socket.SHUT_WR)
    assert stranger.recv(1) == b""
    stranger.close()
    assert reader.rows("SELECT 1 AS x") == [{"x": 1}]


@pytest.mark.parametrize(
    "request_",
    [
        {"sql": 3},
        {"sql": "SELECT 1", "limit": "x"},
        {"sql": "SELECT 1", "params": 3},
        {"sql": "SELECT ?", "params": [{"time": "x"}]},
        {},
    ],
)
def test_a_malformed_request_is_answered_with_an_error(reader: SocketReader, request_: dict[str, object]) -> None:
    reader._send(request_, 10)
    with pytest.raises(QueryError):
        reader._receive()
    assert reader.rows("SELECT 1 AS x") == [{"x": 1}]


def test_a_viewer_that_does_not_read_holds_up_nobody(engine: Engine, reader: SocketReader) -> None:
    lazy = SocketReader(engine.directory / "engine.sock")
    for _ in range(7):
        lazy._send({"sql": "SELECT repeat('x', 300) AS x FROM range(100000)", "lane": "tick"}, 10)
    other = SocketReader(engine.directory / "engine.sock")
    assert other.rows("SELECT 1 AS x", lane="adhoc") == [{"x": 1}]
    assert reader.rows("SELECT count(*) AS n FROM nodes") == [{"n": 2}]
    lazy.close()
    other.close()


# ---- engines that go -----------------------------------------------------------------------------------------------


def test_a_killed_engine_is_a_fault_and_its_file_is_readable(tmp_path: Path) -> None:
    with engine_process(tmp_path) as process:
        reader = open_run(tmp_path)
        assert isinstance(reader, SocketReader)
        assert reader.pid == process.pid
        asking = Asking(reader)
        wait_until(lambda: reader._in_flight is not None)
        process.send_signal(signal.SIGKILL)
        asking.join(10)
        assert isinstance(asking.error, EngineGone)
        with pytest.raises(EngineGone):
            reader.rows("SELECT 1")
        assert not reader.live
    assert (tmp_path / "engine.sock").exists()
    again = open_run(tmp_path)
    assert not again.live
    assert again.rows("SELECT name FROM runs") == [{"name": tmp_path.name}]
    again.close()


def test_a_file_held_by_an_engine_that_does_not_answer_names_its_pid(tmp_path: Path) -> None:
    with engine_process(tmp_path) as process:
        (tmp_path / "engine.sock").unlink()
        with pytest.raises(UserError, match=rf"process {process.pid} \(python.*holds its database") as caught:
            open_run(tmp_path)
        assert "\n" not in str(caught.value)


def test_an_engine_that_hangs_does_not_hang_the_viewer(tmp_path: Path) -> None:
    with engine_process(tmp_path) as process:
        process.send_signal(signal.SIGSTOP)
        stopped = psutil.Process(process.pid)
        while stopped.status() != psutil.STATUS_STOPPED:
            time.sleep(0.01)
        with pytest.raises(UserError, match=rf"process {process.pid}, is stopped"):
            open_run(tmp_path)
        assert stopped.status() == psutil.STATUS_STOPPED, "the viewer gave up before the engine went on"
        process.send_signal(signal.SIGCONT)


def test_a_run_that_never_was(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run was started there"):
        open_run(tmp_path / "nothing")
    (tmp_path / "run.duckdb").write_text("")
    with pytest.raises(UserError, match=r"no tables yet|is damaged: it is empty"):
        open_run(tmp_path)


def test_a_file_at_rest_may_be_read_without_write_permission(engine: Engine, tmp_path: Path) -> None:
    engine.server.close()
    engine.writer.close()
    folder = tmp_path / "copy"
    folder.mkdir()
    shutil.copy(engine.directory / "run.duckdb", folder)
    (folder / "run.duckdb").chmod(0o400)
    folder.chmod(0o500)
    reader = open_run(folder)
    assert reader.rows("SELECT count(*) AS n FROM nodes") == [{"n": 2}]
    reader.close()
    folder.chmod(0o700)


def test_a_viewer_of_a_run_at_rest_does_not_stop_it_from_being_taken_up(tmp_path: Path) -> None:
    """A file that one process reads cannot be written by another: the reader lets go of it between questions."""
    start_and_stop = start(tmp_path)
    run_row(start_and_stop.writer)
    start_and_stop.server.close()
    start_and_stop.writer.close()
    viewer = open_run(tmp_path)
    assert viewer.rows("SELECT name FROM runs") == [{"name": tmp_path.name}]
    with engine_process(tmp_path) as process:
        with pytest.raises(EngineGone, match=rf"resumed by process {process.pid}\b"):
            viewer.rows("SELECT name FROM runs")
        viewer.close()
        again = open_run(tmp_path)
        assert again.live
        assert again.rows("SELECT name FROM runs") == [{"name": tmp_path.name}]
        again.close()


def test_a_viewer_that_connects_while_the_server_closes_is_let_go(tmp_path: Path) -> None:
    engine = start(tmp_path)
    busy, free = threading.Event(), threading.Event()

    def hold() -> None:
        busy.set()
        free.wait(20)

    engine.server._loop.call_soon_threadsafe(hold)
    assert busy.wait(20)
    viewers = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(8)]
    for viewer in viewers:  # the kernel takes them, the server learns of them when it is free again
        viewer.connect(str(tmp_path / "engine.sock"))
    closing = threading.Thread(target=engine.server.close)
    closing.start()
    wait_until(lambda: not (tmp_path / "engine.sock").exists())
    free.set()
    closing.join(20)
    for viewer in viewers:
        viewer.settimeout(5)
        with suppress(ConnectionError):
            assert viewer.recv(1) == b""
        viewer.close()
    engine.writer.close()


def test_a_server_may_be_closed_at_once_or_without_a_start(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "run.duckdb")
    for begin in (True, False):
        server = StoreServer(writer, tmp_path / "engine.sock", lambda command_id: None)
        if begin:
            server.start()
        server.close()
        assert not (tmp_path / "engine.sock").exists()
    writer.close()


def test_closing_the_server_stops_queries_that_run(tmp_path: Path) -> None:
    engine = start(tmp_path)
    reader = SocketReader(tmp_path / "engine.sock")
    asking = Asking(reader)
    wait_until(lambda: running(engine) == 1)
    engine.server.close()
    engine.writer.close()
    assert running(engine) == 0, "the endless query ended with the server"
    asking.join(10)
    assert isinstance(asking.error, EngineGone)
    reader.close()

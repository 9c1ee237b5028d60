"""Ad-hoc SQL runs in a process of its own: whatever it asks for, the engine and whoever asked go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from engine.errors import UserError
from engine.store import query_process
from engine.store.errors import EngineGone, QueryError, QueryInterrupted
from engine.store.many import ManyRuns
from engine.store.query_process import QueryLimits
from engine.store.reader import FileReader, Reader, SocketReader, open_run
from engine.store.writer import Writer
from tests.engine.store_engine import engine_process, small_search
from tests.unit.cli_process import environment

BOMBS = {
    "a list": "SELECT range(3000000000)",
    "lists of lists": "SELECT list(list_transform(range(100000), lambda x: range(x))) FROM range(1000)",
    "a long text": "SELECT length(repeat('x', 1000000000) || range) FROM range(20)",
    "a product": "SELECT a.range FROM range(1000000) a, range(1000000) b ORDER BY hash(a.range + b.range)",
    "levenshtein": "SELECT levenshtein(repeat('ab', 300000), repeat('ba', 300000))",
    "a recursion": "WITH RECURSIVE t AS (SELECT 1::HUGEINT AS x UNION ALL SELECT x + 1 FROM t) SELECT max(x) FROM t",
    "an aggregate": "SELECT string_agg(repeat('x', 1000000), '') FROM range(100000)",
}
ENDLESS = "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range + b.range = 3"
MODEST = QueryLimits(seconds=3, memory=256)


@pytest.fixture(autouse=True)
def _no_process_is_kept() -> Iterator[None]:
    yield
    query_process.end_all()
    assert not children(os.getpid())


def children(parent: int) -> list[psutil.Process]:
    """The processes for queries below one process."""
    return [
        each for each in psutil.Process(parent).children() if "engine.store.query_worker" in " ".join(each.cmdline())
    ]


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def memory(process: subprocess.Popen[str]) -> int:
    return int(psutil.Process(process.pid).memory_info().rss)


@pytest.mark.parametrize("sql", BOMBS.values(), ids=list(BOMBS))
def test_a_bomb_ends_at_a_limit_that_the_error_names(tmp_path: Path, sql: str) -> None:
    with engine_process(tmp_path) as engine:
        reader = open_run(tmp_path)
        assert reader.live
        reader.limits = MODEST
        before = memory(engine)
        with pytest.raises(QueryError) as caught:
            reader.rows(sql, lane="adhoc")
        assert str(caught.value) in (
            "the query was stopped: it took longer than 3 s; LLMZERO_SQL_SECONDS allows more",
            "the query was stopped: it took more memory than 256 MB; LLMZERO_SQL_MEMORY allows more",
        )
        assert memory(engine) < before + (32 << 20)
        assert reader.rows("SELECT count(*) AS n FROM runs", lane="adhoc") == [{"n": 1}]
        assert reader.rows("SELECT count(*) AS n FROM runs") == [{"n": 1}]
        reader.close()


def test_a_run_at_rest_has_the_same_limits(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "run.duckdb")
    small_search(writer)
    writer.close()
    reader = FileReader(tmp_path / "run.duckdb")
    reader.limits = MODEST
    with pytest.raises(QueryError, match="memory than 256 MB"):
        reader.rows(BOMBS["a list"], lane="adhoc")
    with pytest.raises(QueryError, match="longer than 3 s"):
        reader.rows(ENDLESS, lane="adhoc")
    assert len(reader.rows("FROM nodes", lane="adhoc")) == 6
    reader.close()


def test_the_same_answer_live_and_at_rest_and_from_the_engine_itself(tmp_path: Path) -> None:
    sql = "SELECT name, count(*) AS n, max(value) AS top FROM metrics WHERE step > ? GROUP BY ALL ORDER BY ALL"
    with engine_process(tmp_path) as engine:
        assert engine.stdin is not None
        engine.stdin.write("write\n")
        engine.stdin.flush()
        reader = open_run(tmp_path)
        wait_until(lambda: reader.rows("SELECT count(*) AS n FROM metrics")[0]["n"] > 5000)
        counts = [
            reader.rows("SELECT count(*) AS n FROM metrics", lane=lane)[0]["n"] for lane in ("tick", "adhoc") * 10
        ]
        assert counts == sorted(counts), "each copy is of the moment of its question, while rows arrive"
        assert counts[-1] > counts[0]
        reader.close()
    resting = open_run(tmp_path)
    assert resting.rows(sql, [3], lane="adhoc") == resting.rows(sql, [3])
    resting.close()


def test_a_reader_that_closes_takes_its_query_along(tmp_path: Path) -> None:
    with engine_process(tmp_path):
        reader = SocketReader(tmp_path / "engine.sock")
        errors: list[Exception] = []
        asking = threading.Thread(target=_ask, args=(reader, errors))
        asking.start()
        wait_until(lambda: any(each.cpu_times().user > 0.8 for each in children(os.getpid())))
        reader.close()
        asking.join(5)
        assert not children(os.getpid())
        assert isinstance(errors[0], QueryInterrupted | EngineGone)


def test_an_interrupted_reader_stays_usable(tmp_path: Path) -> None:
    with engine_process(tmp_path):
        reader = SocketReader(tmp_path / "engine.sock")
        errors: list[Exception] = []
        asking = threading.Thread(target=_ask, args=(reader, errors))
        asking.start()
        wait_until(lambda: any(each.cpu_times().user > 0.8 for each in children(os.getpid())))
        reader.interrupt()
        asking.join(5)
        assert [type(each) for each in errors] == [QueryInterrupted]
        assert reader.rows("SELECT 1 AS x", lane="adhoc") == [{"x": 1}]
        reader.close()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["killed", "ctrl+c"])
def test_a_command_that_ends_leaves_no_process_behind(tmp_path: Path, how: signal.Signals) -> None:
    run = tmp_path / "runs" / "run"
    run.mkdir(parents=True)
    (run / "run.toml").touch()
    with engine_process(run):
        command = [sys.executable, "-m", "llmzero_tui", "sql", "run", ENDLESS]
        asking = subprocess.Popen(command, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE)
        wait_until(lambda: any(each.cpu_times().user > 0.8 for each in children(asking.pid)))
        (query,) = children(asking.pid)
        asking.send_signal(how)
        assert asking.wait(10) == (-9 if how == signal.SIGKILL else 130)
        wait_until(lambda: not query.is_running(), 5)


def test_one_query_over_a_live_run_and_one_at_rest(tmp_path: Path) -> None:
    for name in ("live", "rest"):
        (tmp_path / name).mkdir()
        writer = Writer(tmp_path / name / "run.duckdb")
        small_search(writer)
        writer.close()
    with engine_process(tmp_path / "live"):
        many = ManyRuns([tmp_path / "live", tmp_path / "rest"], QueryLimits.given())
        sql = "SELECT run, count(*) AS n, max(value) AS best FROM nodes JOIN scores USING (run, node_id) GROUP BY run"
        live, rest = many.query(f"{sql} ORDER BY run").to_pylist()
    assert (live.pop("run"), rest.pop("run")) == ("live", "rest")
    assert live == rest
    assert rest["n"] > 0


def test_the_live_view_does_not_wait_for_ad_hoc_queries(tmp_path: Path) -> None:
    with engine_process(tmp_path):
        asking = [SocketReader(tmp_path / "engine.sock") for _ in range(2)]
        threads = [threading.Thread(target=_ask, args=(each, [])) for each in asking]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(children(os.getpid())) == 2)
        reader = SocketReader(tmp_path / "engine.sock")
        for _ in range(30):
            reader.rows("SELECT count(*) FROM metrics")
        assert all(thread.is_alive() for thread in threads), "the endless queries are still unanswered"
        assert len(children(os.getpid())) == 2
        for each in [*asking, reader]:
            each.close()
        for thread in threads:
            thread.join(10)


def test_an_engine_goes_on_when_a_viewer_holds_it_still_and_leaves(tmp_path: Path) -> None:
    with engine_process(tmp_path):
        rude = SocketReader(tmp_path / "engine.sock")
        with rude._asking:
            rude._send({"still": True}, 10)
            assert rude._receive(last=False)[0]["still"]
        rude.close()
        reader = SocketReader(tmp_path / "engine.sock")
        assert reader.command("pause") == 1, "a command is written at once"
        reader.close()


def test_a_limit_that_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMZERO_SQL_MEMORY", "lots")
    with pytest.raises(UserError, match=r"^LLMZERO_SQL_MEMORY 'lots': a number from 64 to 1048576$"):
        QueryLimits.given()
    assert QueryLimits.given("5", "128") == QueryLimits(5, 128)
    with pytest.raises(UserError, match="--seconds '-1'"):
        QueryLimits.given("-1")


def _ask(reader: Reader, errors: list[Exception]) -> None:
    try:
        reader.rows(ENDLESS, lane="adhoc")
    except (QueryError, EngineGone) as error:
        errors.append(error)

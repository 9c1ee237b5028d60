"""One damaged, empty or foreign run.duckdb, or a run that cannot be asked, is one line; the others are listed."""

from __future__ import annotations

import errno
import fcntl
import gc
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import duckdb
import pytest

from engine.errors import UserError
from engine.run import launch
from engine.run.config import parse
from engine.run.preflight import check
from engine.run.rundir import Holder, RunDirectory, RunLock
from engine.store.errors import DamagedDatabase
from engine.store.file_reader import FileReader
from engine.store.reader import Reader, ask_run, open_run
from engine.store.writer import Writer
from llmzero_tui.cli import main
from llmzero_tui.feeds import runs as feed_module
from llmzero_tui.feeds.runs import RunsFeed
from llmzero_tui.values.snapshot import UNREAD
from tests.engine.store_engine import engine_process
from tests.unit.cli_process import RUN_FILE, environment, finished_run, llmzero


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 3)


def scramble(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for place in range(3000, len(data), 5000):
        data[place] ^= 0xFF
    path.write_bytes(data)


def replace(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def made(path: Path) -> None:
        path.unlink()
        make(path)

    return made


def foreign(path: Path) -> None:
    with duckdb.connect(str(path)) as file:
        file.execute("CREATE TABLE mine (i INTEGER)")


def no_version(path: Path) -> None:
    with duckdb.connect(str(path)) as file:
        file.execute("UPDATE meta SET value = 'x' WHERE key = 'schema_version'")


COMMANDS = (
    ["show", "bad"], ["attach", "bad"], ["stop", "bad"], ["resume", "bad"], ["sql", "bad", "SELECT 1"], ["tail", "bad"],
    ["export", "bad", "--to", "out"], ["snapshot", "bad", "copy.duckdb"],
)  # fmt: skip
DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut": (cut, "Could not read enough bytes"),
    "scrambled": (scramble, "checksum"),
    "empty": (replace(Path.touch), "it is empty"),
    "text": (
        replace(lambda path: path.write_text("no database\n" * 2000, encoding="utf-8")),
        "it is not a DuckDB database",
    ),
    "foreign": (replace(foreign), "it is not a run's database: it has no table events"),
    "version": (no_version, "it has no schema version"),
    "directory": (replace(Path.mkdir), "it is a directory"),
    "fifo": (replace(os.mkfifo), "it is not a regular file"),
    "dangling": (replace(lambda path: path.symlink_to("nothing")), "it is a link to nothing"),
}


@pytest.mark.parametrize("run_file", [True, False], ids=["with its run.toml", "without"])
@pytest.mark.parametrize(("damage", "words"), DAMAGES.values(), ids=list(DAMAGES))
def test_a_damaged_run_is_one_line_and_hides_no_other(
    tmp_path: Path, damage: Callable[[Path], object], words: str, run_file: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "runs"
    good, bad = finished_run(runs, "good"), finished_run(runs, "bad")
    damage(bad.database)
    if not run_file:
        bad.config.unlink()
    assert main(["--runs-dir", str(runs), "ls"]) == 0
    listed = capsys.readouterr()
    assert len(listed.err.splitlines()) == 1
    assert words in listed.err
    assert [" ".join(line.split()[:3]) for line in sorted(listed.out.splitlines()[1:])] == [
        "bad ✗ damaged", "good ✓ finished",
    ]  # fmt: skip
    for command in COMMANDS:
        assert main(["--runs-dir", str(runs), *command]) == 2
        said = capsys.readouterr()
        assert (said.out, len(said.err.splitlines())) == ("", 1), said.err
        assert words in said.err
    with pytest.raises(DamagedDatabase):
        open_run(bad.path)
    feed = RunsFeed(runs, datetime.now)
    feed.read()  # one look may end after one run
    seen = {run.name: run for run in feed.read().runs}
    assert seen["good"].state == "finished"
    assert (seen["bad"].state, words in seen["bad"].reason) == ("damaged", True)
    assert open_run(good.path).rows("SELECT state FROM runs") == [{"state": "finished"}]


def not_begun(run: RunDirectory) -> None:
    run.database.unlink()
    Writer(run.database).close()


LOST: dict[str, tuple[Callable[[RunDirectory], object], str]] = {
    "no database": (lambda run: run.database.unlink(), "no run was started there"),
    "not begun": (not_begun, "the run has not begun"),
    "half a database": (lambda run: cut(run.database), "Could not read enough bytes"),
}


@pytest.mark.parametrize(("lose", "words"), LOST.values(), ids=list(LOST))
def test_a_query_over_all_runs_leaves_out_what_ls_cannot_read_with_the_same_words(
    tmp_path: Path, lose: Callable[[RunDirectory], object], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "runs"
    finished_run(runs, "good")
    lose(finished_run(runs, "bad"))
    assert main(["--runs-dir", str(runs), "ls", "--json"]) == 0
    [trouble] = [each["reason"] for each in json.loads(capsys.readouterr().out) if each["name"] == "bad"]
    assert words in trouble
    assert main(["--runs-dir", str(runs), "sql", "SELECT 1 AS x", "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == [{"run": "good", "x": 1}]
    assert said.err == f"llmzero: bad is left out: {trouble}\n"
    seen = {run.name: run.reason for run in RunsFeed(runs, datetime.now).read().runs}
    assert "bad" in seen


def test_a_run_that_cannot_be_read_lets_others_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "READ_SECONDS", 0.0)  # one run a look
    bad = finished_run(tmp_path / "runs", "bad")
    finished_run(tmp_path / "runs", "good")
    cut(bad.database)
    os.utime(bad.database, (2_000_000_000, 2_000_000_000))  # the newest is read first
    feed = RunsFeed(tmp_path / "runs", datetime.now)
    assert {run.name: run.state for run in feed.read().runs} == {"bad": "damaged", "good": UNREAD}
    for _ in range(2):
        assert {run.name: run.state for run in feed.read().runs} == {"bad": "damaged", "good": "finished"}


def file_readers() -> int:
    """How many there are in this process."""
    gc.collect()
    return sum(isinstance(each, FileReader) for each in gc.get_objects())


@pytest.mark.parametrize("lose", [lose for lose, _ in LOST.values()], ids=list(LOST))
def test_a_run_that_cannot_be_read_leaves_no_reader_behind(
    tmp_path: Path, lose: Callable[[RunDirectory], object]
) -> None:
    """A list of runs looks at it again and again."""
    lose(finished_run(tmp_path / "runs", "bad"))
    feed, before = RunsFeed(tmp_path / "runs", datetime.now), file_readers()
    for _ in range(3):
        feed.read()
    assert file_readers() == before


def test_an_engine_that_goes_while_its_run_is_asked_leaves_no_run_unreadable(tmp_path: Path) -> None:
    """As at the end of every run: it answers the door, and then closes."""
    run = finished_run(tmp_path / "runs", "good")
    asked: list[bool] = []
    with engine_process(run.path) as engine:

        def question(reader: Reader) -> str:
            asked.append(reader.live)
            if engine.poll() is None:
                engine.kill()
                engine.wait()
            return str(reader.rows("SELECT state FROM runs")[0]["state"])

        assert ask_run(run.path, question) == "finished"
    assert asked == [True, False]


def test_an_engine_makes_no_tables_in_a_foreign_database(tmp_path: Path) -> None:
    foreign(tmp_path / "run.duckdb")
    with pytest.raises(DamagedDatabase, match="not a run's database"):
        Writer(tmp_path / "run.duckdb")
    with duckdb.connect(str(tmp_path / "run.duckdb")) as file:
        assert file.execute("SELECT table_name FROM duckdb_tables()").fetchall() == [("mine",)]


@pytest.mark.long
def test_a_stopped_engine_is_named_with_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = finished_run(tmp_path / "runs", "bad")
    with engine_process(run.path) as engine:
        lock = RunLock(run, Holder(engine.pid, "0", "2026-03-02T09:00:00+00:00"))
        words = f"bad: its engine, process {engine.pid}, is stopped: `kill -CONT {engine.pid}` continues it"
        try:
            engine.send_signal(signal.SIGSTOP)
            for command in COMMANDS:
                code = main(["--runs-dir", str(tmp_path / "runs"), *command])
                said = capsys.readouterr()
                assert (code, said.out, said.err) == (2, "", f"llmzero: {words}\n"), command
            assert llmzero("show", "bad", cwd=tmp_path).stderr == f"llmzero: {words}\n"
        finally:
            engine.send_signal(signal.SIGCONT)
            lock.release()


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    run = finished_run(tmp_path / "runs", "alpha")

    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    RunLock(run, Holder(os.getpid(), "0", "")).release()  # leaves engine.lock
    monkeypatch.setattr(fcntl, "flock", refuse)
    report = check(parse(RUN_FILE, default_name="beta"), tmp_path / "runs")
    assert [each.text for each in report.errors if "has no locks" in each.text] == [
        f"{tmp_path}/runs: its file system has no locks, which a run needs: choose a --runs-dir on another one "
        f"({os.strerror(code)})"
    ]
    assert run.holder() is None
    with pytest.raises(UserError, match="its file system has no locks"):
        RunLock(run, Holder(1, "0", ""))


needs_root = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")


def as_nobody(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", sys.executable]
    return subprocess.run(
        [*command, "-m", "llmzero_tui", *arguments], cwd=place, env=environment(), capture_output=True, text=True,
        timeout=60, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


@needs_root
@pytest.mark.parametrize("command", ["show", "stop", "sql", "resume"])
def test_a_live_run_of_another_user_is_named_as_such(command: str) -> None:
    import tempfile

    more = ["SELECT 1"] if command == "sql" else []
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        place = Path(name)
        place.chmod(0o755)
        run = finished_run(place / "runs", "alpha")
        with engine_process(run.path) as engine:
            lock = RunLock(run, Holder(engine.pid, "0", "2026-03-02T09:00:00+00:00"))
            done = as_nobody(place, command, "alpha", *more)
            lock.release()
    assert done.returncode == 2, done.stderr
    assert "process" in done.stderr
    assert "belongs to root" in done.stderr or "is held by engine" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@needs_root
def test_runs_that_another_user_locked_away_are_one_line() -> None:
    import tempfile

    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        place = Path(name)
        place.chmod(0o755)
        finished_run(place / "runs", "mine")
        secret = finished_run(place / "runs", "secret")
        secret.path.chmod(0o700)
        assert json.loads(as_nobody(place, "ls", "--json").stdout)[0]["name"] == "mine"
        done = as_nobody(place, "show", "secret")
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
        assert "Permission denied" in done.stderr
        (place / "runs").chmod(0o700)
        for words in (["ls"], ["show", "mine"]):
            done = as_nobody(place, *words)
            assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
            assert "Permission denied" in done.stderr


def read_only(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One command while `place`/runs is a read-only mount, in a namespace of its own."""
    script = 'mount --bind -o ro runs runs && exec "$@"'
    command = ["unshare", "-m", "sh", "-c", script, "sh", sys.executable, "-m", "llmzero_tui", *arguments]
    return subprocess.run(
        command, cwd=place, env=environment(), capture_output=True, text=True, timeout=60, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


@needs_root
def test_a_run_on_a_read_only_mount_is_shown_and_not_resumed(tmp_path: Path) -> None:
    finished_run(tmp_path / "runs", "alpha", state="stopped")
    shown = read_only(tmp_path, "show", "alpha")
    if "mount" in shown.stderr:
        pytest.skip("no mounts here")
    assert shown.returncode == 0, shown.stderr
    assert read_only(tmp_path, "sql", "alpha", "SELECT count(*) FROM nodes").returncode == 0
    assert read_only(tmp_path, "snapshot", "alpha", "copy.duckdb").returncode == 0
    assert read_only(tmp_path, "ls").returncode == 0
    resumed = read_only(tmp_path, "resume", "alpha", "--detach")
    assert resumed.returncode == 2
    assert resumed.stderr.endswith("not writable: Read-only file system\n")
    assert len(resumed.stderr.splitlines()) == 1


def test_a_live_directory_that_was_moved_is_found_under_its_new_name(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "runs", "alpha", state="training")
    with engine_process(run.path) as engine:
        lock = RunLock(run, Holder(engine.pid, "0", "2026-03-02T09:00:00+00:00"))
        moved = RunDirectory(run.path.rename(tmp_path / "runs" / "beta"))
        assert moved.holder() is not None
        assert llmzero("sql", "beta", "SELECT 1", cwd=tmp_path).returncode == 0
        gone = llmzero("show", "alpha", cwd=tmp_path)
        assert (gone.returncode, gone.stderr) == (2, "llmzero: no run alpha in runs; there: beta\n")
        os.close(lock._handle)
    assert launch.list_runs(tmp_path / "runs")[0].name == "beta"

"""Making, finding and starting runs, without a trainer: what is left behind when something is wrong."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import Fault, UserError
from engine.run import launch
from engine.run.config import RunConfig, load, parse
from engine.run.daemon import _ReadyLine
from engine.run.evaluation_sizes import settled
from engine.run.rundir import Holder, RunDirectory, RunLock


def config(name: str) -> RunConfig:
    return parse('[task]\nname = "knights"\n', default_name=name)


def test_a_new_run_has_its_configuration_written_out(tmp_path: Path) -> None:
    directory = launch.create_run(config("one"), tmp_path / "below" / "runs")
    assert load(directory.config) == settled(config("one"))
    assert directory.segments.is_dir()


def test_a_name_that_is_taken_is_refused(tmp_path: Path) -> None:
    directory = launch.create_run(config("one"), tmp_path)
    (directory.path / "precious").write_text("data")
    with pytest.raises(UserError, match="run one exists"):
        launch.create_run(config("one"), tmp_path)
    assert (directory.path / "precious").read_text() == "data"


@pytest.mark.parametrize("where", ["file", "file/below"])
def test_a_file_in_the_place_of_the_runs_directory_is_refused(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="not writable"):
        launch.create_run(config("one"), tmp_path / where)


def test_a_disk_that_is_full_leaves_no_half_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(UserError, match="No space left"):
        launch.create_run(config("one"), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("task", ["knights", "my task.py:Mine", "/a/b/.py:X", "é.py:Y", "x" * 200 + ".py:Z"])
def test_the_default_name_of_any_task_is_a_valid_name(task: str) -> None:
    assert config(launch.default_name(task)).name.count("-") >= 2


def test_a_run_is_found_by_name_prefix_and_path(tmp_path: Path) -> None:
    for name in ("alpha", "alpine", "beta", "be"):
        launch.create_run(config(name), tmp_path)
    assert launch.find_run(tmp_path, "beta").name == "beta"
    assert launch.find_run(tmp_path, "alph").name == "alpha"
    assert launch.find_run(tmp_path, "be").name == "be"
    assert launch.find_run(Path("elsewhere"), str(tmp_path / "alpine")).name == "alpine"
    assert launch.find_run(tmp_path, "beta").path.is_absolute()
    with pytest.raises(UserError, match=r"not unique: alpha, alpine"):
        launch.find_run(tmp_path, "al")
    with pytest.raises(UserError, match="no run gamma"):
        launch.find_run(tmp_path, "gamma")
    with pytest.raises(UserError, match="which run"):
        launch.find_run(tmp_path, "")


def test_runs_are_listed_newest_first_and_nothing_else_is(tmp_path: Path) -> None:
    for age, name in enumerate(("old", "new")):
        directory = launch.create_run(config(name), tmp_path)
        os.utime(directory.config, (1_700_000_000 + age, 1_700_000_000 + age))
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    assert [run.name for run in launch.list_runs(tmp_path)] == ["new", "old"]
    assert launch.list_runs(tmp_path / "none") == []


def test_an_engine_is_not_started_on_a_run_that_is_held(tmp_path: Path) -> None:
    directory = launch.create_run(config("one"), tmp_path)
    lock = RunLock(directory, Holder(4711, "1", "today"))
    with pytest.raises(UserError, match="run one is held by engine 4711 since today"):
        launch.start_engine(directory)
    lock.release()


def test_an_engine_says_why_it_does_not_start(tmp_path: Path) -> None:
    directory = launch.create_run(config("one"), tmp_path)
    directory.config.write_text('name = "one"\n[task]\nname = 3\n')
    with pytest.raises(UserError, match=re.escape("task.name")):
        launch.start_engine(directory)
    assert directory.holder() is None


def test_an_engine_that_is_broken_is_a_fault_with_its_last_words(tmp_path: Path) -> None:
    directory = launch.create_run(config("one"), tmp_path)
    directory.database.write_bytes(b"this is no database at all")
    with pytest.raises((Fault, UserError), match=r"run\.duckdb"):
        launch.start_engine(directory)


def sham(where: Path, monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """What stands in for the interpreter of a daemon, for nothing real hangs on request."""
    file = where / "python"
    file.write_text(f"#!/bin/sh\n{program}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "executable", str(file))
    monkeypatch.setattr(launch, "LOOK_SECONDS", 0.1)


def test_an_engine_that_hangs_before_it_serves_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sham(tmp_path, monkeypatch, "echo 'stuck in the mud' >&2; exec sleep 60")
    monkeypatch.setattr(launch, "IDLE_SECONDS", 1.0)
    directory = launch.create_run(config("one"), tmp_path / "runs")
    directory.log.write_text("of an earlier engine\n")
    said = r"llmzero ended it after \d+ s, .* no CPU time for 1 s; start it again; its last words: stuck in the mud$"
    with pytest.raises(Fault, match=said):
        launch.start_engine(directory)


def test_an_engine_that_computes_without_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sham(tmp_path, monkeypatch, "while :; do :; done")
    monkeypatch.setattr(launch, "CPU_SECONDS", 0.3)
    directory = launch.create_run(config("one"), tmp_path / "runs")
    with pytest.raises(Fault, match=r"after \d+ s, 0\.\d s of them on a CPU, because it was not ready yet"):
        launch.start_engine(directory)


def test_an_engine_that_gets_on_slowly_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It computes a little again and again, as on a machine that is busy, for longer than one may be idle."""
    slow = "import os, sys, time; until = time.monotonic() + 4\nwhile time.monotonic() < until:\n"
    slow += "    x = sum(range(500_000)); time.sleep(.1)\nos.execv(sys.argv[1], sys.argv[1:])"
    sham(tmp_path, monkeypatch, f'exec {sys.executable} -c "{slow}" {sys.executable} "$@"')
    monkeypatch.setattr(launch, "IDLE_SECONDS", 2.0)
    directory = launch.create_run(config("one"), tmp_path / "runs")
    directory.config.write_text('name = "one"\n[task]\nname = 3\n')
    with pytest.raises(UserError, match=r"task\.name"):
        launch.start_engine(directory)


def test_it_is_said_who_ended_an_engine_that_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sham(tmp_path, monkeypatch, "kill -9 $$")
    directory = launch.create_run(config("one"), tmp_path / "runs")
    directory.log.write_text("of an earlier engine\n")
    with pytest.raises(Fault, match=r"SIGKILL ended it after 0 s, not llmzero but the kernel where .*start it again$"):
        launch.start_engine(directory)


def test_removing_a_run_leaves_nothing(tmp_path: Path) -> None:
    directory = launch.create_run(config("one"), tmp_path)
    launch.remove_run(directory)
    assert list(tmp_path.iterdir()) == []
    launch.remove_run(RunDirectory(tmp_path / "never"))


def test_an_engine_imports_no_torch() -> None:
    program = "import sys, engine.run.daemon; assert not {'torch', 'transformers', 'trl', 'textual'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_an_engine_whose_starter_is_gone_goes_on() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    _ReadyLine(writer).say("ready")
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(writer)

"""The lock of a run: one engine at a time, known by name, freed however it dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from engine.errors import UserError
from engine.run.rundir import Holder, RunDirectory, RunLock

ME = Holder(pid=os.getpid(), version="1", started="2026-03-02T09:00:00+00:00")
HOLD = """
import os, sys, time
from pathlib import Path
from engine.run.rundir import Holder, RunDirectory, RunLock
lock = RunLock(RunDirectory(Path(sys.argv[1])), Holder(os.getpid(), "1", "now"))
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path)


def test_nobody_holds_a_fresh_directory(directory: RunDirectory) -> None:
    assert directory.holder() is None


def test_the_holder_is_known_while_it_holds(directory: RunDirectory) -> None:
    lock = RunLock(directory, ME)
    assert directory.holder() == ME
    lock.release()
    assert directory.holder() is None
    assert not directory.holder_file.exists()


def test_a_second_engine_is_told_who_holds_the_run(directory: RunDirectory) -> None:
    lock = RunLock(directory, ME)
    with pytest.raises(UserError, match=f"held by engine {os.getpid()} since 2026-03-02"):
        RunLock(directory, ME)
    lock.release()
    RunLock(directory, ME).release()


def test_a_killed_engine_holds_nothing(directory: RunDirectory) -> None:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(directory.path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    holder = directory.holder()
    assert holder is not None
    assert holder.pid == process.pid
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert directory.holder_file.exists()
    assert directory.holder() is None
    RunLock(directory, ME).release()


def test_viewers_that_ask_who_holds_a_run_never_keep_an_engine_out(directory: RunDirectory) -> None:
    RunLock(directory, ME).release()
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            directory.holder()

    viewers = [threading.Thread(target=look) for _ in range(2)]
    for viewer in viewers:
        viewer.start()
    try:
        for _ in range(30):
            RunLock(directory, ME).release()
    finally:
        stop.set()
        for viewer in viewers:
            viewer.join()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x"}', "\x00"])
def test_a_holder_that_has_not_written_its_name_yet_is_unknown_and_there(directory: RunDirectory, text: str) -> None:
    lock = RunLock(directory, ME)
    directory.holder_file.write_text(text)
    assert directory.holder() == Holder(0, "", "")
    with pytest.raises(UserError, match="just starting"):
        RunLock(directory, ME)
    lock.release()


def test_a_directory_that_is_none_cannot_be_locked(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="not writable"):
        RunLock(RunDirectory(tmp_path / "file"), ME)

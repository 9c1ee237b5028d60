"""Scratch directories: what a dead process left is removed, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engine.executors.scratch import Scratch

RUN = "0123456789ab"
HOLDER = f"""
import sys
from engine.executors.scratch import Scratch
print(Scratch("{RUN}", 1).path, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What stands for /tmp, here and in processes that are started."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def holder() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.communicate()


def held(holder: subprocess.Popen[str]) -> Path:
    assert holder.stdout is not None
    directory = Path(holder.stdout.readline().strip())
    (directory / "copies").mkdir()
    (directory / "copies" / "weights").write_bytes(b"w" * 1000)
    return directory


def test_what_a_killed_process_left_goes_with_the_next_and_not_before(holder: subprocess.Popen[str]) -> None:
    directory = held(holder)
    Scratch(RUN, 1)
    assert (directory / "copies" / "weights").is_file()
    holder.kill()
    holder.wait()
    assert directory.is_dir()
    Scratch("ba9876543210", 7)
    assert not directory.exists()


def test_nothing_but_our_own_names_is_removed(place: Path) -> None:
    first = Scratch(RUN, 0)
    own = first.path.name
    kept = [f"{own}.old", own[:-9], f"x{own}", own.replace("llmzero-", "llmzero-1"), "llmzero-tracking-abcdefgh"]
    for name in kept:
        (place / name).mkdir()
    (place / f"{own[:-8]}aaaaaaaa").symlink_to(place / kept[0])
    (place / f"{own[:-8]}bbbbbbbb").write_text("a file")
    left = place / f"{own[:-8]}cccccccc"
    left.mkdir()
    second = Scratch(RUN, 0)
    assert not left.exists()
    expected = {*kept, own, second.path.name, f"{own[:-8]}aaaaaaaa", f"{own[:-8]}bbbbbbbb"}
    assert {path.name for path in place.iterdir()} == expected
    second.remove()
    assert first.path.is_dir()
    assert not second.path.exists()


def test_those_that_are_made_at_the_same_time_are_all_there() -> None:
    """One that another sees before it is locked is made anew: locks are of open files, so threads are as processes."""
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda number: Scratch(RUN, number), range(200)))
    assert all(each.path.is_dir() for each in made)

"""Where a file is written: regular files are replaced whole, links are followed, FIFOs and devices are written into."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from engine import files
from engine.files import whole
from llmzero_tui import cli
from tests.unit.cli_process import environment, finished_run, llmzero


def write(path: Path, data: bytes = b"new") -> None:
    with whole(path) as file:
        file.write(data)


def test_a_regular_file_is_replaced_and_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"old")
    path.chmod(0o640)
    before = path.stat().st_ino
    write(path)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert path.stat().st_ino != before, "replaced in one step, not overwritten"


def test_nothing_changes_when_the_block_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"old")

    def half() -> None:
        with whole(path) as file:
            file.write(b"new")
            raise ValueError("half")

    with pytest.raises(ValueError, match="half"):
        half()
    assert [each.name for each in tmp_path.iterdir()] == ["a.csv"]
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("there", [True, False], ids=["to a file", "dangling"])
def test_a_link_is_followed_and_stays(tmp_path: Path, there: bool) -> None:
    target = tmp_path / "data" / "a.csv"
    target.parent.mkdir()
    if there:
        target.write_bytes(b"old")
    first, second = tmp_path / "first", tmp_path / "second"
    first.symlink_to("second")
    second.symlink_to(target)
    write(first)
    assert first.is_symlink()
    assert second.is_symlink()
    assert target.read_bytes() == b"new"


def test_a_fifo_is_written_into_and_stays(tmp_path: Path) -> None:
    fifo = tmp_path / "f"
    os.mkfifo(fifo)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(fifo.read_bytes()))
    reader.start()
    write(fifo)
    reader.join(10)
    assert got == [b"new"]
    assert stat.S_ISFIFO(fifo.stat().st_mode)


def test_a_fifo_that_nobody_reads_is_refused_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "READER_SECONDS", 0.2)
    os.mkfifo(tmp_path / "f")
    with pytest.raises(OSError, match="nobody reads from it"):
        write(tmp_path / "f")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes device nodes")
@pytest.mark.parametrize(("minor", "full"), [(3, False), (7, True)], ids=["null", "full"])
def test_a_device_is_written_into_and_stays(tmp_path: Path, minor: int, full: bool) -> None:
    finished_run(tmp_path / "runs", "alpha")
    node, link = tmp_path / "device", tmp_path / "link"
    try:
        os.mknod(node, 0o666 | stat.S_IFCHR, os.makedev(1, minor))
        node.read_bytes() if minor == 3 else None
    except PermissionError:
        pytest.skip("no device nodes here")
    link.symlink_to(node)
    for name in ("device", "link"):
        done = llmzero("sql", "alpha", "SELECT 1", "--format", "csv", "-o", name, cwd=tmp_path)
        assert done.returncode == (2 if full else 0)
        assert done.stderr == (f"llmzero: {name}: cannot be written: No space left on device\n" if full else "")
    assert stat.S_ISCHR(node.lstat().st_mode)
    assert link.is_symlink()


def test_a_directory_is_refused_in_one_line(tmp_path: Path) -> None:
    finished_run(tmp_path / "runs", "alpha")
    done = llmzero("sql", "alpha", "SELECT 1", "-o", "runs", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, "llmzero: runs: cannot be written: it is a directory\n")


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
def test_an_answer_goes_through_a_fifo_whole(tmp_path: Path, kind: str) -> None:
    finished_run(tmp_path / "runs", "alpha")
    os.mkfifo(tmp_path / "f")
    command = [sys.executable, "-m", "llmzero_tui", "sql", "alpha", "SELECT 42 AS x", "--format", kind, "-o", "f"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment()) as process:
        data = subprocess.run(["cat", "f"], cwd=tmp_path, capture_output=True, timeout=30, check=True).stdout
        assert process.wait(30) == 0
    assert data.startswith({"csv": b"x\n42\n", "json": b'[\n  {\n    "x": 42', "parquet": b"PAR1"}[kind])


def test_standard_output_by_name_is_appended_to_not_replaced(tmp_path: Path) -> None:
    finished_run(tmp_path / "runs", "alpha")
    log = tmp_path / "log"
    log.write_text("before\n", encoding="utf-8")
    command = [sys.executable, "-m", "llmzero_tui", "sql", "alpha", "SELECT 42 AS x"]
    with log.open("ab") as out:
        subprocess.run([*command, "-o", "/dev/stdout"], cwd=tmp_path, env=environment(), stdout=out, check=True)
    assert log.read_text(encoding="utf-8").split() == ["before", "x", "42"]


# ---- what a run consists of -----------------------------------------------------------------------------------------

OWN = ("run.duckdb", "run.duckdb.wal", "run.toml", "engine.lock", "engine.log", "strategy.toml", "worker-0.log")
CHECKPOINT = "segments/1/checkpoint-4"


@pytest.mark.parametrize("name", [*OWN, "cell.json", f"{CHECKPOINT}/model.safetensors", "segments/new.csv"])
@pytest.mark.parametrize("way", ["by name", "by a link", "through a directory's link", "through /proc"])
def test_an_answer_never_goes_into_a_file_of_a_run(
    tmp_path: Path, name: str, way: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of any run, present or not yet; by any name; and nothing that was there is changed."""
    monkeypatch.chdir(tmp_path)
    runs = tmp_path / "runs"
    finished_run(runs, "alpha")
    finished_run(runs, "other")
    (tmp_path / "link.csv").symlink_to(runs / "other" / name)
    (tmp_path / "elsewhere").symlink_to(runs / "other")
    output = {
        "by name": f"runs/other/{name}",
        "by a link": "link.csv",
        "through a directory's link": f"elsewhere/{name}",
        "through /proc": f"/proc/self/cwd/runs/other/{name}",
    }[way]
    before = {path: path.read_bytes() for path in runs.rglob("*") if path.is_file()}
    assert cli.main(["sql", "alpha", "SELECT 1", "--format", "csv", "-o", output]) == 2
    said = capsys.readouterr().err
    assert said == f"llmzero: {output} belongs to run other and is not overwritten; choose another name\n"
    assert {path: path.read_bytes() for path in runs.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    "command",
    [
        ["snapshot", "alpha", "runs/alpha/run.duckdb.wal"],
        ["export", "alpha", "--to", "runs/alpha/segments/9"],
        ["new", "runs/alpha/strategy.toml"],
    ],
)
def test_nothing_that_is_written_out_joins_a_run(
    tmp_path: Path, command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    directory = finished_run(tmp_path / "runs", "alpha")
    before = sorted(directory.path.rglob("*"))
    assert cli.main(command) == 2
    assert "belongs to run alpha" in capsys.readouterr().err
    assert sorted(directory.path.rglob("*")) == before


def test_a_users_own_files_are_replaced_in_a_runs_directory_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a run file that a user wrote is the user's: it is no run."""
    monkeypatch.chdir(tmp_path)
    directory = finished_run(tmp_path / "runs", "alpha")
    for path in (directory.path / "mine.csv", tmp_path / "run.toml"):
        path.write_text("before", encoding="utf-8")
        assert cli.main(["sql", "alpha", "SELECT 42 AS x", "--format", "csv", "-o", str(path)]) == 0
        assert path.read_text(encoding="utf-8") == "x\n42\n"

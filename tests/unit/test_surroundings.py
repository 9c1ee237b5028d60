"""Where a command finds itself: other locales, no home, a deleted directory, streams that are full or closed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.unit.cli_process import environment, finished_run

FULL = "llmzero: the output cannot be written: No space left on device\n"
COMMAND = f"{sys.executable} -m llmzero_tui"


def shell(line: str, cwd: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    """One line of a shell, in which `llmzero` is the program."""
    return subprocess.run(
        ["bash", "-c", f'llmzero() {{ {COMMAND} "$@"; }}; {line}'], cwd=cwd, env=environment(**extra),
        capture_output=True, text=True, encoding="utf-8", timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("llmzero --help > /dev/full", 1, FULL), ("llmzero sql --help > /dev/full", 1, FULL),
        ("llmzero ls > /dev/full", 1, FULL), ("llmzero sql alpha 'FROM nodes' > /dev/full", 1, FULL),
        ("llmzero ls >&-", 1, "llmzero: the output cannot be written: Bad file descriptor\n"),
        ("llmzero show alpha <&-", 0, ""),
        ("llmzero show beta 2>/dev/full", 2, ""),
        ("llmzero show beta 2>&-", 2, ""),
        ("llmzero ls <&- >&- 2>&-", 1, ""),
        ("llmzero show alpha | head -1 > /dev/null; exit ${PIPESTATUS[0]}", 0, ""),
        ("llmzero <&-", 2, "llmzero: no terminal here; `llmzero ls` lists the runs, `llmzero --help` the commands\n"),
    ],
)  # fmt: skip
def test_a_stream_that_is_full_or_closed_is_one_line(tmp_path: Path, line: str, code: int, words: str) -> None:
    finished_run(tmp_path / "runs", "alpha")
    done = shell(line, tmp_path)
    assert (done.returncode, done.stderr) == (code, words)


def test_a_closed_stream_gives_its_number_to_no_file(tmp_path: Path) -> None:
    """Otherwise what is meant for the terminal would be written into the file that was opened next."""
    finished_run(tmp_path / "runs", "alpha")
    done = shell("llmzero sql alpha 'SELECT 42 AS x' -o out.csv >&- 2>&-", tmp_path)
    assert (done.returncode, (tmp_path / "out.csv").read_text(encoding="utf-8")) == (0, "x\n42\n")


@pytest.mark.parametrize("command", ["ls", "show alpha", "check run.toml", "run /tmp/run.toml", "sql 'SELECT 1'"])
def test_a_working_directory_that_is_gone_is_one_line(tmp_path: Path, command: str) -> None:
    (tmp_path / "d").mkdir()
    done = shell(f"cd d; rmdir ../d; llmzero {command}", tmp_path)
    words = "llmzero: the working directory does not exist any more: change to another one\n"
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith(words)


@pytest.mark.parametrize(
    ("command", "words"),
    [("ls", "alpha"), ("show alpha", "#1"), ("sql alpha 'SELECT 42 AS x'", "42"), ("sql 'SELECT 42 AS x'", "alpha"),
     ("tail alpha", ""), ("doctor", "python")],
)  # fmt: skip
def test_what_needs_no_working_directory_works_without_one(tmp_path: Path, command: str, words: str) -> None:
    finished_run(tmp_path / "runs", "alpha")
    (tmp_path / "d").mkdir()
    done = shell(f"cd d; rmdir ../d; llmzero --runs-dir {tmp_path / 'runs'} {command}", tmp_path)
    assert done.returncode in (0, 1) if command == "doctor" else done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert words in done.stdout.lower()


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")
def test_a_user_without_name_and_home_reads_runs() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        place = Path(name)
        place.chmod(0o755)
        finished_run(place / "runs", "alpha")
        unknown = "env -u HOME -u XDG_CONFIG_HOME -u XDG_STATE_HOME setpriv --reuid 54321 --regid 54321 --clear-groups"
        for words in ("ls", "show alpha"):
            done = shell(f"{unknown} {COMMAND} {words}", place)
            assert (done.returncode, done.stderr) == (0, ""), words


@pytest.mark.skipif(shutil.which("localedef") is None, reason="needs localedef")
def test_everything_is_utf_8_whatever_the_locale(tmp_path: Path) -> None:
    where = tmp_path / "locales"
    where.mkdir()
    made = subprocess.run(
        ["localedef", "-i", "en_US", "-f", "ISO-8859-1", str(where / "en_US.iso88591")],
        capture_output=True,
        check=False,
    )
    if made.returncode > 1:
        pytest.skip("no sources of locales here")
    run = finished_run(tmp_path / "runs", "alpha", label="lr↑ naïve")
    latin = {"LOCPATH": str(where), "LC_ALL": "en_US.iso88591"}
    for more in (latin, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}):
        for words in ("ls", "show alpha"):
            done = subprocess.run(
                [*COMMAND.split(), *words.split()], cwd=tmp_path, env=environment(**more), capture_output=True,
                timeout=120, check=False,
            )  # fmt: skip
            assert (done.returncode, done.stderr) == (0, b""), more
        assert shell("llmzero sql alpha 'SELECT label FROM nodes' -o out.csv", tmp_path, **more).returncode == 0
        assert "lr↑ naïve" in (tmp_path / "out.csv").read_text(encoding="utf-8")
        assert shell("rm -f new.toml; llmzero new new.toml", tmp_path, **more).returncode == 0
        assert "[task]" in (tmp_path / "new.toml").read_text(encoding="utf-8")
    assert run.database.exists()

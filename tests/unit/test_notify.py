"""News on their way out of the terminal: the bell, the user's command, what it is told, and how it may fail."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from llmzero_tui.user import notify
from llmzero_tui.user.notify import Notifier, call, sentence
from llmzero_tui.user.preferences import TerminalSettings
from llmzero_tui.values.snapshot import News

HOSTILE = "$(touch /tmp/x); `id` \x1b[31m\u202eevil\0\n[b]x[/b] <b>&"
WAITING = News(Path("runs/knights-01"), "knights-01", "waiting", 16)
FAILED = News(Path("runs/knights-01"), HOSTILE, "failed", reason=HOSTILE)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No state of the machine's."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 20
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, what
        pause.wait(0.01)


def writes_environment(to: Path) -> tuple[str, ...]:
    """A command that writes what it was given, whole or not at all."""
    code = (
        "import json, os, sys; p = sys.argv[1]; f = open(p + '.part', 'w'); "
        "json.dump([sys.argv[2:], dict(os.environ)], f); f.close(); os.replace(p + '.part', p)"
    )
    return (sys.executable, "-c", code, str(to))


def test_the_bell_rings_only_when_it_is_on() -> None:
    rung: list[bool] = []
    for bell in (False, True):
        Notifier(TerminalSettings(bell=bell), lambda: rung.append(True), pytest.fail).tell(WAITING)
    assert rung == [True]


def test_the_command_finds_facts_in_its_environment_and_nothing_in_its_words(home: Path) -> None:
    heard = home / "heard.json"
    Notifier(
        TerminalSettings(notify_command=(*writes_environment(heard), "a", "$HOME")), pytest.fail, pytest.fail
    ).tell(FAILED)
    until(heard.exists, "the command ran")
    words, facts = json.loads(heard.read_text())
    assert words == ["a", "$HOME"]
    assert facts["LLMZERO_EVENT"] == "failed"
    assert facts["LLMZERO_RUN_DIR"] == str(Path("runs/knights-01").absolute())
    assert facts["LLMZERO_RUN"] == "$(touch /tmp/x); `id` evil [b]x[/b] <b>&"
    assert all(value.isprintable() for name, value in facts.items() if name.startswith("LLMZERO_"))
    assert facts["PATH"] == os.environ["PATH"]


def test_a_desktop_notification_is_words_without_markup(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = home / "heard.json"
    bin = home / "bin"
    bin.mkdir()
    program = bin / "notify-send"
    python, flag, code, path = writes_environment(heard)
    program.write_text(f"#!/bin/sh\nexec '{python}' {flag} \"{code}\" '{path}' \"$@\"\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin}:/usr/bin:/bin")
    Notifier(TerminalSettings(desktop=True), pytest.fail, pytest.fail).tell(FAILED)
    until(heard.exists, "notify-send ran")
    words, _ = json.loads(heard.read_text())
    assert words[:4] == ["--app-name=LLMZero", "--urgency=critical", "--", "LLMZero"]
    assert words[4].endswith("[b]x[/b] &lt;b&gt;&amp;")


def test_a_desktop_without_notify_send_says_so(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("PATH", str(home))
    said: list[str] = []
    Notifier(TerminalSettings(desktop=True), pytest.fail, said.append).tell(WAITING)
    assert said == ["desktop: there is no notify-send on the PATH"]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((sys.executable, "-c", "import sys; sys.exit('\\x1b[31mno\\nway')"), "exit code 1: no way"),
        (("/no/such/program",), "cannot be run: No such file or directory"),
        (("/",), "cannot be run: Permission denied"),
    ],
)
def test_a_command_that_fails_is_told_and_logged(home: Path, words: tuple[str, ...], why: str) -> None:
    said: list[str] = []
    Notifier(TerminalSettings(notify_command=words), pytest.fail, said.append).tell(WAITING)
    until(lambda: said, "it was told")
    assert said == [f"{words[0]}: {why}"]
    log = (home / "state" / "llmzero" / "notify.log").read_text()
    assert log.count("\n") == 1
    assert f"Z {words[0]}: {why}" in log


def _gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_command_that_hangs_is_ended_with_its_children(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "HOOK_SECONDS", 1.0)
    assert call(("sh", "-c", f"sleep 600 & echo $! > {home / 'child'}; wait"), {}) == "not done after 1 seconds: killed"
    child = home / "child"
    until(lambda: not child.exists() or _gone(int(child.read_text())), "the command's own child has ended")


def test_telling_returns_at_once_and_keeps_the_order(home: Path) -> None:
    out, gate = home / "out", home / "gate"
    words = ("sh", "-c", f'while [ ! -e {gate} ]; do sleep .02; done; printf "%s\\n" "$LLMZERO_NODE" >> {out}')
    notifier = Notifier(TerminalSettings(notify_command=words), pytest.fail, pytest.fail)
    for node in range(3):
        notifier.tell(News(Path(), "a", "waiting", node))
    assert not out.exists(), "no command has come to its end"
    gate.touch()
    until(lambda: out.exists() and out.read_text().count("\n") == 3, "all of them ran")
    assert out.read_text().split() == ["0", "1", "2"]


def test_too_many_at_a_time_are_left_out_and_told(home: Path) -> None:
    said: list[str] = []
    gate, out = home / "gate", home / "out"
    words = ("sh", "-c", f"while [ ! -e {gate} ]; do sleep .02; done; echo >> {out}")
    notifier = Notifier(TerminalSettings(notify_command=words), pytest.fail, said.append)
    for node in range(notify.BACKLOG + 5):
        notifier.tell(News(Path(), "a", "waiting", node))
    gate.touch()
    taken = notify.BACKLOG + 5 - len(said)
    until(lambda: out.exists() and out.read_text().count("\n") == taken, "the others ran")
    assert said
    assert all("32 of its calls are already waiting" in line for line in said)


def test_every_kind_of_news_is_a_sentence() -> None:
    assert sentence(WAITING) == "knights-01: proposal #16 waits for you"
    assert sentence(News(Path(), "a", "finished")) == "a finished"
    assert sentence(News(Path(), "a", "stopped", reason="a human asked")) == "a stopped: a human asked"
    assert sentence(News(Path(), "a", "lost")).startswith("a: the engine ended without a message")

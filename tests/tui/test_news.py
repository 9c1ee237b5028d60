"""News: told once, whatever screen is in front, and never what was there before the viewer came."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from llmzero_tui.app import LLMZeroApp
from llmzero_tui.feeds.news import NewsFeed, _socket
from llmzero_tui.screens.run import RunScreen
from llmzero_tui.screens.sql import SqlScreen
from llmzero_tui.user.preferences import TerminalSettings
from llmzero_tui.values.snapshot import News
from tests.tui import sample_run
from tests.tui.conftest import app_on, until
from tests.tui.live_engine import RUNNING, Engine, live


def propose(engine: Engine, node: int) -> None:
    """A proposal of a new node waits from now on."""
    engine.writer.insert(
        "proposals", proposal_id=node, revision=1, node_id=node, parent_id=10, branch_step=50, intent="change",
        label="lr↑", changes="{}", optimizer="keep", reference="base", rationale="", expected="", advisor="rules",
        state="pending", reason="", decided_by="", created=sample_run.NOW,
    )  # fmt: skip
    engine.writer.flush()


def set_state(engine: Engine, state: str, reason: str = "") -> None:
    engine.writer.update("runs", {"name": "knights-01"}, state=state, reason=reason)
    engine.writer.flush()


def told(app: LLMZeroApp) -> list[str]:
    return [each.message for each in app._notifications]


def test_the_first_look_finds_nothing_new_and_each_thing_is_told_once(runs: Path, engine: Engine) -> None:
    feed = NewsFeed(runs)
    run = runs / "knights-01"
    assert feed.read() == ()
    propose(engine, 40)
    assert feed.read() == (News(run, "knights-01", "waiting", 40),)
    assert feed.read() == ()
    propose(engine, 41)
    propose(engine, 42)
    assert [news.node for news in feed.read()] == [41, 42]
    engine.writer.update("proposals", {"proposal_id": 41}, state="approved")
    engine.writer.flush()
    assert feed.read() == ()
    set_state(engine, "failed", "disk full")
    assert feed.read() == (News(run, "knights-01", "failed", reason="disk full"),)
    assert feed.read() == ()
    feed.close()


def test_a_segment_that_collapses_and_a_run_without_a_signal_are_news(runs: Path, engine: Engine) -> None:
    feed = NewsFeed(runs)
    run = runs / "knights-01"
    feed.read()
    engine.writer.update("nodes", {"node_id": RUNNING}, state="early-stopped")
    engine.writer.insert(
        "events", level="warning", kind="no signal", node_id=None, message="all rewards 0", detail="{}"
    )
    engine.writer.flush()
    collapsed, none = feed.read()
    assert collapsed == News(run, "knights-01", "collapsed", RUNNING)
    assert none == News(run, "knights-01", "no signal", reason="all rewards 0")
    assert feed.read() == ()
    feed.close()


def test_nothing_waits_under_an_auto_gate(runs: Path, engine: Engine) -> None:
    engine.writer.update("runs", {"name": "knights-01"}, gate="auto")
    engine.writer.flush()
    feed = NewsFeed(runs)
    feed.read()
    propose(engine, 40)
    assert feed.read() == ()
    feed.close()


@pytest.mark.parametrize(("state", "kind"), [("training", "lost"), ("finished", "finished"), ("stopped", "stopped")])
def test_an_engine_that_goes_is_lost_unless_it_said_how_the_run_ended(runs: Path, state: str, kind: str) -> None:
    feed = NewsFeed(runs)
    found: list[News] = []
    with live(runs / "knights-01") as engine:
        assert feed.read() == ()
        set_state(engine, state)
    for _ in range(4):
        found += feed.read()
    assert [news.kind for news in found] == [kind]
    with live(runs / "knights-01"):
        assert feed.read() == (), "it lives again, and that is no news"
        feed.close()


def test_a_new_engines_socket_is_not_that_of_the_dead_one_whatever_its_inode(tmp_path: Path) -> None:
    marks, inodes = [], []
    for _ in range(2):  # most file systems give away first the number of what was removed last
        with socket.socket(socket.AF_UNIX) as engine:
            engine.bind(str(tmp_path / "engine.sock"))
        marks.append(_socket(tmp_path))
        inodes.append((tmp_path / "engine.sock").stat().st_ino)
        (tmp_path / "engine.sock").unlink()
    assert marks[0] != marks[1], inodes
    assert _socket(tmp_path) is None


def test_a_run_that_lies_elsewhere_is_watched_when_it_is_open(runs: Path, tmp_path: Path, engine: Engine) -> None:
    feed = NewsFeed(tmp_path / "nothing-here")
    feed.read(runs / "knights-01")
    propose(engine, 40)
    assert [news.node for news in feed.read(runs / "knights-01")] == [40]
    feed.close()


def test_runs_at_rest_are_not_opened(runs: Path) -> None:
    def opener(path: Path) -> None:
        raise AssertionError(f"{path} was opened")

    (runs / "sums-02" / "note").write_text("not a socket")
    assert NewsFeed(runs, opener).read() == ()  # type: ignore[arg-type]


async def test_news_come_while_another_screen_is_in_front_and_run_the_command_once(
    runs: Path, engine: Engine, tmp_path: Path
) -> None:
    heard = tmp_path / "heard"
    command = (sys.executable, "-c", f"import os; open({str(heard)!r}, 'a').write(os.environ['LLMZERO_NODE'] + ' ')")
    app = app_on(runs / "knights-01", runs)
    app.settings = TerminalSettings(notify_command=command)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.snapshot, "a snapshot")
        await until(pilot, lambda: app.news._watched, "it is watched")
        await pilot.press("colon")
        await until(pilot, lambda: isinstance(app.screen, SqlScreen), "the SQL screen")
        await until(pilot, lambda: all(w.known for w in app.news._watched.values()), "the first look")
        propose(engine, 40)
        await until(pilot, lambda: "knights-01: proposal #40 waits for you" in told(app), "the news")
        await until(pilot, lambda: heard.exists() and heard.read_text() == "40 ", "the command")
        set_state(engine, "finished")
        await until(pilot, lambda: "knights-01 finished" in told(app), "the end")
        await until(pilot, lambda: heard.read_text() == "40  ", "the command")
        await pilot.pause(1.2)
        assert heard.read_text() == "40  "
        assert sum("waits" in line for line in told(app)) == 1


async def test_a_command_that_cannot_run_is_shown_and_survived(runs: Path, engine: Engine) -> None:
    app = app_on(None, runs)
    app.settings = TerminalSettings(notify_command=("/no/such/program",))
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until(pilot, lambda: any(w.known for w in app.news._watched.values()), "the first look")
        propose(engine, 40)
        words = "notification: /no/such/program: cannot be run: No such file or directory"
        await until(pilot, lambda: words in told(app), "the fault")
        assert app.is_running

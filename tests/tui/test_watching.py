"""A view that only watches: everything can be looked at, nothing that lasts can be done, by key, mouse or palette."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.command import CommandList
from textual.pilot import Pilot
from textual.screen import Screen

from llmzero_tui.actions import of
from llmzero_tui.actions.registry import lasting
from llmzero_tui.app import ONLY_WATCHES, LLMZeroApp
from llmzero_tui.screens.base import KeyedScreen
from llmzero_tui.screens.decision import DecisionScreen
from llmzero_tui.screens.run import RunScreen
from llmzero_tui.screens.runs import RunsScreen
from llmzero_tui.screens.sql import SqlScreen
from llmzero_tui.user.places import passing_state, state_dir, write_private
from llmzero_tui.widgets.keybar import KeyBar
from tests.tui.conftest import until
from tests.tui.live_engine import Engine
from tests.tui.sample_run import NOW


@asynccontextmanager
async def watching(runs: Path, run: Path | None) -> AsyncIterator[tuple[Pilot[int], LLMZeroApp, list[str]]]:
    """The app as a view that only watches, as `app.run` starts it, and what it notified."""
    app = LLMZeroApp(runs, run, clock=lambda: NOW, watch=True, tour=True)
    said: list[str] = []
    with passing_state():
        async with app.run_test(size=(120, 40), notifications=True) as pilot:
            notify = app.notify
            app.notify = lambda words, **how: (said.append(words), notify(words, **how))[1]  # type: ignore[method-assign, func-returns-value]
            await until(pilot, lambda: isinstance(app.screen, RunsScreen | RunScreen) and app.screen.ready, "the app")
            yield pilot, app, said


def everything(directory: Path) -> dict[str, int]:
    """Every file with its time; those of an open database left out."""
    return {
        str(path): path.stat().st_mtime_ns
        for path in directory.rglob("*")
        if path.is_file() and "run.duckdb" not in path.name
    }


async def test_a_key_that_steers_says_so_and_sends_nothing(runs: Path, run: Path, engine: Engine) -> None:
    async with watching(runs, run) as (pilot, app, said):
        screen = app.screen
        assert isinstance(screen, RunScreen)
        await until(pilot, lambda: screen.snapshot and screen.snapshot.inbox, "a snapshot")
        screen.look_at(15)
        await until(pilot, lambda: screen.context().target is not None, "the proposal")
        shown = str(screen.query_one(KeyBar).render())
        assert "d Decide" in shown
        assert "q Detach" in shown
        assert not [word for word in ("Approve", "Edit", "Reject", "Pause", "Prune", "Write") if word in shown]
        for key in ("a", "r", "e", "space", "B", "n", "w", "comma"):
            said.clear()
            await pilot.press(key)
            assert (said, app.screen) == ([ONLY_WATCHES], screen), key
        await pilot.press("d")
        await until(pilot, lambda: isinstance(app.screen, DecisionScreen), "looking goes on")
        assert engine.commands == []
        assert engine.writer.rows("SELECT * FROM commands WHERE ts > ?", [NOW]) == []


@pytest.mark.parametrize("kind", ["run", "runs", "sql"])
async def test_no_action_that_lasts_does_anything(
    runs: Path, run: Path, engine: Engine, tmp_path: Path, kind: str
) -> None:
    """As the palette starts them, whatever their guards say."""
    async with watching(runs, None if kind == "runs" else run) as (pilot, app, said):
        if kind == "sql":
            app.open_sql(run)
            await until(pilot, lambda: isinstance(app.screen, SqlScreen) and app.screen.is_mounted, "SQL")
        screen = app.screen
        assert isinstance(screen, KeyedScreen)
        assert screen.kind == kind
        before, deep = everything(tmp_path), len(app.screen_stack)
        done = [action for action in of(kind) if lasting(action)]
        assert done
        for action in done:
            said.clear()
            allowed = screen.check_action(action.id, ())
            await screen.run_action(action.id)
            assert said == ([ONLY_WATCHES] if allowed else []), action.id
        await pilot.pause()
        assert len(app.screen_stack) == deep
        assert everything(tmp_path) == before
        assert engine.commands == []


async def test_the_palette_steers_no_more_than_keys(runs: Path, run: Path, engine: Engine) -> None:
    async with watching(runs, run) as (pilot, app, said):
        screen = app.screen
        assert isinstance(screen, RunScreen)
        await until(pilot, lambda: screen.context().training, "a snapshot")
        await pilot.press("ctrl+p", *"Pause training")
        await until(pilot, lambda: app.screen.query_one(CommandList).option_count == 1, "the only hit")
        await pilot.press("down", "enter")
        await until(pilot, lambda: app.screen is screen, "the palette is gone")
        await until(pilot, lambda: said, "an answer")
        assert said == [ONLY_WATCHES]
        assert engine.commands == []


async def test_news_are_shown_but_not_told_outside(
    runs: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user's own views tell them; a second viewer would tell them twice."""
    from llmzero_tui.user import notify
    from llmzero_tui.values.snapshot import News

    told: list[News] = []
    monkeypatch.setattr(notify.Notifier, "tell", lambda _self, news: told.append(news))
    async with watching(runs, None) as (_pilot, app, said):
        app.tell_news((News(run, "knights-01", "finished"),))
        assert said
        assert told == []


async def test_no_tour_and_so_no_mark_of_it(runs: Path, run: Path) -> None:
    async with watching(runs, run) as (pilot, app, _said):
        screen: Screen[object] = app.screen
        assert isinstance(screen, RunScreen)
        await until(pilot, lambda: screen.snapshot, "a snapshot")
        assert app.screen is screen
        assert not app.tour_due


def test_what_a_watching_view_remembers_is_gone_with_it() -> None:
    write_private(state_dir() / "sql-history.jsonl", '"SELECT 1"\n')
    outside, before = state_dir(), os.environ["XDG_STATE_HOME"]
    with passing_state():
        assert state_dir() != outside
        assert not state_dir().exists()
        write_private(state_dir() / "clipboard.txt", "text")
        passing = state_dir()
    assert not passing.exists()
    assert os.environ["XDG_STATE_HOME"] == before
    assert [each.name for each in outside.iterdir()] == ["sql-history.jsonl"]

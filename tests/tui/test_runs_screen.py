"""The list of runs: what it shows, filtering, sorting, deleting, and hundreds of runs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import datetime
from pathlib import Path

import pytest
from textual.widgets import Input, Static

from engine.run.rundir import Holder, RunDirectory, RunLock
from engine.store.reader import Reader, open_run
from llmzero_tui.app import LLMZeroApp
from llmzero_tui.feeds.runs import RunsFeed, recall, remember
from llmzero_tui.screens.dialogs import AskText
from llmzero_tui.screens.run import RunScreen
from llmzero_tui.screens.runs import SORTS, RunsScreen
from llmzero_tui.user.places import state_dir
from llmzero_tui.values.nodes import ShownScore
from llmzero_tui.values.snapshot import UNREAD, RunRow, RunsSnapshot
from llmzero_tui.widgets.runs_table import RunsTable, columns_for
from tests.tui import sample_run
from tests.tui.conftest import app_on, until
from tests.tui.live_engine import Engine


def shown(app: LLMZeroApp) -> list[str]:
    """The lines of the table, without its head."""
    if not isinstance(app.screen, RunsScreen) or not app.screen.ready:
        return []
    table = app.screen.query_one(RunsTable)
    return [table.render_line(y).text.rstrip() for y in range(1, len(table.runs) + 1)]


def listed(app: LLMZeroApp) -> list[str]:
    """The first two columns of the list: the name, and the state with its glyph."""
    return [" ".join(line.split()[:3]) for line in shown(app)]


def all_read(app: LLMZeroApp) -> bool:
    lines = listed(app)
    return len(lines) == 3 and not any("…" in line for line in lines)


def title(app: LLMZeroApp) -> str:
    return str(app.screen.query_one("#title", Static).render())


async def test_the_list_shows_state_as_glyph_and_word(runs: Path, engine: Engine) -> None:
    app = app_on(None, runs)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "knights-01 ● training" in listed(app), "the live run")
        assert sorted(listed(app)) == ["knights-00 ✓ finished", "knights-01 ● training", "sums-02 ✗ failed"]


def test_live_runs_that_answer_slowly_keep_no_other_run_unread(
    runs: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmzero_tui.feeds.runs.READ_SECONDS", 0.0)
    feed = RunsFeed(runs, lambda: sample_run.NOW)
    looks = [feed.read([runs / "knights-01"]).runs for _ in range(3)]
    assert [sum(run.state == UNREAD for run in look) for look in looks] == [2, 1, 0]
    feed.close()


async def test_a_new_run_appears_and_a_state_changes_by_itself(runs: Path, engine: Engine) -> None:
    app = app_on(None, runs)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: len(listed(app)) == 3, "three runs")
        sample_run.build(runs, name="new-03", state="finished")
        engine.writer.update("runs", {"name": "knights-01"}, state="paused")
        engine.writer.flush()
        await until(pilot, lambda: "new-03 ✓ finished" in listed(app), "the new run")
        await until(pilot, lambda: "knights-01 ‖ paused" in listed(app), "the pause")


async def test_a_wide_list_has_the_test_score_with_its_n_the_task_and_when_it_ends(runs: Path, engine: Engine) -> None:
    app = app_on(None, runs)
    async with app.run_test(size=(160, 50)) as pilot:
        await until(pilot, lambda: "knights-01 ● training" in listed(app), "the live run")
        finished = next(line for line in shown(app) if "knights-00" in line)
        assert finished.split()[3:11] == ["knights", "14", ".587", "[.53,", ".65]", ".558", "[.53,", ".59]"]
        assert finished.split()[11] == "1024"
        assert "100%" in finished
        live = next(line for line in shown(app) if "knights-01" in line).split()
        assert live[-1] == "14m03s"
        assert live[-2] == "19m20s"
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: app.screen.query_one(RunsTable).size.width < 80, "the small screen")
        assert all(len(line) <= 78 for line in shown(app))


async def test_an_empty_list_says_how_to_begin(tmp_path: Path) -> None:
    app = app_on(None, tmp_path / "none")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "llmzero demo" in str(app.screen.query_one("#empty").render()), "how to begin")
        await pilot.press("enter", "colon", "o", "D", "j", "k", "G")
        assert isinstance(app.screen, RunsScreen)
        assert app.is_running


async def test_ascii_shows_nothing_but_ascii(runs: Path, engine: Engine) -> None:
    app = app_on(runs / "knights-01", ascii=True)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: getattr(app.screen, "snapshot", None), "a snapshot")
        for key in ("1", "2", "3", "4", "tab", "question_mark", "escape", "comma", "escape", "backspace"):
            await pilot.press(key)
            await pilot.pause()
            lines = ["".join(s.text for s in line) for line in app.screen._compositor.render_strips()]
            assert "".join(lines).isascii(), (key, [c for c in "".join(lines) if not c.isascii()])


# ---- looking --------------------------------------------------------------------------------------------------------


async def test_the_filter_takes_keys_as_text_and_escape_shows_all(runs: Path) -> None:
    app = app_on(None, runs)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: all_read(app), "the runs")
        await pilot.press("slash", *"sq")
        assert isinstance(app.screen, RunsScreen)
        assert app.screen.query_one("#filter", Input).value == "sq"
        assert listed(app) == []
        assert "No run has “sq”" in str(app.screen.query_one("#empty").render())
        await pilot.press("backspace", *"ums FAIL", "enter")
        assert listed(app) == ["sums-02 ✗ failed"]
        assert "1 of 3 · newest first · /sums FAIL" in title(app)
        await pilot.press("escape")
        assert len(listed(app)) == 3


async def test_sorting_walks_the_columns_and_the_title_says_which(runs: Path, engine: Engine) -> None:
    app = app_on(None, runs)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "knights-01 ● training" in listed(app), "the runs")
        names = {}
        for _ in SORTS:
            await pilot.press("o")
            names[title(app).partition(" · ")[2]] = [line.split()[0] for line in listed(app)]
        assert names["by name"] == ["knights-00", "knights-01", "sums-02"]
        assert names["by state"] == ["knights-01", "sums-02", "knights-00"]
        assert names["by test score"][0] == "knights-00"
        assert names["by budget spent"][0] == "knights-00"
        assert set(names) == {
            "newest first", "by name", "by state", "by validation score", "by test score", "by budget spent",
        }  # fmt: skip


async def test_the_cursor_stays_with_its_run_whatever_comes_before_it(runs: Path) -> None:
    app = app_on(None, runs)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: all_read(app), "the runs")
        screen = app.screen
        assert isinstance(screen, RunsScreen)
        await pilot.press("j")
        assert screen.current is not None
        name = screen.current.name
        for _ in SORTS:
            await pilot.press("o")
            assert screen.current.name == name
        sample_run.build(runs, name="new-03", state="finished")
        await until(pilot, lambda: len(listed(app)) == 4, "the new run")
        assert screen.current.name == name
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen), "the run")
        assert isinstance(app.screen, RunScreen)
        assert app.screen.feed.path.name == name


async def test_a_double_click_opens_the_run_under_it(runs: Path) -> None:
    app = app_on(None, runs)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: all_read(app), "the runs")
        row = next(i for i, line in enumerate(listed(app)) if line.startswith("knights-00"))
        await pilot.click(RunsTable, offset=(5, row + 2))
        assert isinstance(app.screen, RunsScreen)
        assert app.screen.current is not None
        assert app.screen.current.name == "knights-00"
        await pilot.click(RunsTable, offset=(5, row + 2), times=2)
        await until(pilot, lambda: isinstance(app.screen, RunScreen), "the run")


async def test_a_click_on_a_head_sorts_by_it(runs: Path, engine: Engine) -> None:
    app = app_on(None, runs)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: all_read(app), "the runs")
        screen = app.screen
        assert isinstance(screen, RunsScreen)
        head = screen.query_one(RunsTable).render_line(0).text
        for name in SORTS:
            await pilot.click(RunsTable, offset=(head.index(name) + 1, 1))
            await until(pilot, lambda name=name: screen.sorted_by == name, f"sorted by {name}")  # type: ignore[misc]


# ---- deleting -------------------------------------------------------------------------------------------------------


async def on_run(app: LLMZeroApp, pilot: object, name: str) -> RunsScreen:
    screen = app.screen
    assert isinstance(screen, RunsScreen)
    table = screen.query_one(RunsTable)
    table.go(next(i for i, run in enumerate(table.runs) if run.path.name == name))
    return screen


async def test_deleting_asks_for_the_name_and_takes_the_directory(runs: Path) -> None:
    app = app_on(None, runs)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: all_read(app), "the runs")
        await on_run(app, pilot, "sums-02")
        await pilot.press("D")
        await until(pilot, lambda: isinstance(app.screen, AskText), "the question")
        await pilot.press(*"sums", "enter")
        assert isinstance(app.screen, AskText), "only the whole name will do"
        await pilot.press(*"-02", "enter")
        await until(pilot, lambda: len(listed(app)) == 2, "it is gone from the list")
        assert not any("sums-02" in path.name for path in runs.iterdir())


async def test_escape_deletes_nothing(runs: Path) -> None:
    app = app_on(None, runs)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: all_read(app), "the runs")
        await pilot.press("D")
        await until(pilot, lambda: isinstance(app.screen, AskText), "the question")
        await pilot.press("escape")
        await until(pilot, lambda: len(listed(app)) == 3, "the list")
        assert len(list(runs.iterdir())) == 3


async def test_a_live_run_is_not_deleted_and_the_refusal_names_who_holds_it(runs: Path, engine: Engine) -> None:
    app = app_on(None, runs)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until(pilot, lambda: "knights-01 ● training" in listed(app), "the live run")
        await on_run(app, pilot, "knights-01")
        await pilot.press("D")
        await until(pilot, lambda: said(app, "knights-01 has a running engine"), "the refusal")
        assert isinstance(app.screen, RunsScreen)
        lock = RunLock(RunDirectory(runs / "knights-00"), Holder(os.getpid(), "0", "2026-03-02T09:00:00Z"))
        try:
            await on_run(app, pilot, "knights-00")
            await pilot.press("D")
            await until(pilot, lambda: isinstance(app.screen, AskText), "the question")
            await pilot.press(*"knights-00", "enter")
            await until(pilot, lambda: said(app, f"held by engine {os.getpid()}"), "the refusal")
        finally:
            lock.release()
        assert len(list(runs.iterdir())) == 3


def said(app: LLMZeroApp, words: str) -> bool:
    """Whether a notification has these words."""
    return any(words in each.message for each in app._notifications)


# ---- many -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def many(built: Path, tmp_path: Path) -> Path:
    """Sixty runs."""
    directory = tmp_path / "many"
    directory.mkdir()
    for number in range(60):
        run = directory / f"run-{number:03}"
        run.mkdir()
        for file in ("run.duckdb", "run.toml"):
            shutil.copy(built / "knights-00" / file, run / file)
    return directory


def unread(snapshot: RunsSnapshot) -> int:
    return sum(run.state == UNREAD for run in snapshot.runs)


def counting(opened: list[str]) -> Callable[[Path], Reader]:
    def opener(path: Path) -> Reader:
        opened.append(path.name)
        return open_run(path)

    return opener


@pytest.mark.long
def test_hundreds_of_runs_are_read_a_few_at_a_look_what_is_on_the_screen_first(many: Path) -> None:
    opened: list[str] = []
    feed = RunsFeed(many, lambda: sample_run.NOW, counting(opened))
    visible = [many / f"run-{number:03}" for number in range(40, 43)]
    first = feed.read(visible)
    assert len(first.runs) == 60
    assert opened[:3] == [path.name for path in visible][: len(opened)]
    assert len(opened) < 40
    assert unread(first) == 60 - len(opened)
    while unread(feed.read(visible)):
        assert len(opened) <= 60
    assert len(opened) == 60
    feed.read(visible)
    assert len(opened) == 60, "what cannot change is read once"
    shutil.rmtree(many / "run-007")
    assert len(feed.read(visible).runs) == 59


def test_the_next_start_opens_only_what_changed(runs: Path) -> None:
    first = RunsFeed(runs, lambda: sample_run.NOW)
    while unread(before := first.read()):
        assert before.runs
    opened: list[str] = []
    feed = RunsFeed(runs, lambda: sample_run.NOW, counting(opened))
    assert feed.read() == before
    assert opened == []
    shutil.rmtree(runs / "knights-00")
    sample_run.build(runs, name="knights-00", state="failed")
    RunsFeed(runs, lambda: sample_run.NOW, counting(opened)).read()
    assert opened == ["knights-00"]


def test_a_remembered_header_is_the_one_that_was_read(tmp_path: Path) -> None:
    score = ShownScore(0.5, 0.4, 0.6, 256, node=7, step=50, policy="soup")
    read = RunRow(
        tmp_path / "full", "full", "finished", "knights", "base", "rules", "idle", "the budget is spent", nodes=9,
        best=score, test=replace(score, n=1024), reranked=replace(score, value=0.55), decision="over #3", steps=300,
        limit=400, spent=0.75, wall_seconds=61.5, created=datetime(2026, 3, 2, 10, 0, 1, 5), ended=sample_run.NOW,
        gate="auto", budget={"steps": 400, "minutes": 4.5}, trainer_seconds=40.0, evaluation_seconds=9.5,
        waiting_seconds=1.5,
    )  # fmt: skip
    unset = {each.name for each in fields(RunRow) if getattr(read, each.name) == each.default}
    assert unset == {"live", "activity"}, "only what is not remembered"
    headers = {read.path: ((1, 2, 3), read)}
    remember(tmp_path, headers)
    assert recall(tmp_path) == headers


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"shape": [], "runs": []}', '{"runs": [[1, 2, 3]]}'])
def test_broken_memories_are_forgotten(runs: Path, text: str) -> None:
    memory = state_dir() / "runs.json"
    feed = RunsFeed(runs, lambda: sample_run.NOW)
    while unread(before := feed.read()):
        assert before.runs
    kept = memory.read_text(encoding="utf-8")
    for broken in (text, kept.replace('"name"', '"nom"'), kept.replace("2026-03-02", "yesterday")):
        memory.write_text(broken, encoding="utf-8")
        again = RunsFeed(runs, lambda: sample_run.NOW)
        while unread(now := again.read()):
            assert now.runs
        assert now == before


def test_a_dead_engines_socket_does_not_make_a_run_be_read_again_and_again(runs: Path) -> None:
    opened: list[str] = []
    feed = RunsFeed(runs, lambda: sample_run.NOW, counting(opened))
    (runs / "knights-01" / "engine.sock").touch()
    while unread(feed.read()):
        assert len(opened) <= 3
    before = len(opened)
    for _ in range(5):
        feed.read()
    assert len(opened) == before


async def test_the_end_of_a_long_list_is_read_when_it_is_looked_at(many: Path) -> None:
    app = app_on(None, many)
    async with app.run_test(size=(120, 20)) as pilot:
        await until(pilot, lambda: len(listed_rows(app)) == 60, "the names")
        await pilot.press("G")
        screen = app.screen
        assert isinstance(screen, RunsScreen)
        await until(pilot, lambda: screen.current and screen.current.state == "finished", "the last run was read")
        table = screen.query_one(RunsTable)
        assert screen.current is not None
        assert screen.current.path in table.on_screen


def listed_rows(app: LLMZeroApp) -> list[str]:
    screen = app.screen
    return (
        [run.name for run in screen.query_one(RunsTable).runs]
        if isinstance(screen, RunsScreen) and screen.ready
        else []
    )


@pytest.mark.parametrize("width", [*range(1, 60, 3), 80, 100, 120, 160, 250, 400])
def test_the_columns_fit_any_width(width: int) -> None:
    columns = columns_for(width)
    assert not columns or sum(c.cells + 2 for c in columns) <= width
    if width >= 76:
        assert {"state", "validation", "test", "budget"} <= {c.name for c in columns}
    if width >= 92:
        assert "age" in {c.name for c in columns}
    if width >= 110:
        assert {"nodes", "n", "ETA"} <= {c.name for c in columns}

"""The SQL screen: asks, is refused, is interrupted; two limits are kept apart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import DataTable, TextArea

from llmzero_tui.screens.run import RunScreen
from llmzero_tui.screens.sql import SqlScreen
from llmzero_tui.widgets.result_grid import PAGE
from tests.fake_answers import serving
from tests.tui.conftest import app_on, until
from tests.tui.live_engine import Engine
from tests.unit.test_asking import script


@asynccontextmanager
async def opened(run: Path) -> AsyncIterator[tuple[Pilot[int], SqlScreen]]:
    """The SQL screen over a run, its editor focused."""
    app = app_on(run)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.snapshot, "a snapshot")
        await pilot.press("colon")
        await until(pilot, lambda: isinstance(app.screen, SqlScreen), "the SQL screen")
        assert isinstance(app.screen, SqlScreen)
        yield pilot, app.screen


def status(screen: SqlScreen) -> str:
    return str(screen.query_one("#status").render())


async def ask(pilot: Pilot[int], screen: SqlScreen, text: str, key: str = "f5") -> str:
    """Run a text; the status line once it ended."""
    screen.query_one(TextArea).load_text(text)
    await pilot.press(key)
    await until(pilot, lambda: not screen.busy, "an answer")
    return status(screen)


async def test_rows_come_in_pages_and_the_status_counts_them(run: Path, engine: Engine) -> None:
    async with opened(run) as (pilot, screen):
        assert "rows 1–200 of 450" in await ask(pilot, screen, "SELECT range AS x FROM range(450)")
        table = screen.query_one("#rows", DataTable)
        assert table.row_count == PAGE
        await pilot.press("escape", "n", "n")
        await until(pilot, lambda: "rows 401–450 of 450" in status(screen), "the last page")
        await pilot.press("n", "p", "p")
        await until(pilot, lambda: "rows 1–200" in status(screen), "the first page")


async def test_a_question_in_words_shows_its_query_its_rows_and_what_they_say(
    run: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "There are 17 nodes [row 1]."
    with serving(script("SELECT count(*) AS n FROM nodes", words=words)) as fake:
        monkeypatch.setenv("OLLAMA_HOST", fake.host)
        async with opened(run) as (pilot, screen):
            assert "rows 1–1 of 1" in await ask(pilot, screen, "? how many nodes are there?")
            shown = screen.query_one(TextArea).text
            assert shown == f"-- ? how many nodes are there?\n-- {words}\nSELECT count(*) AS n FROM nodes"
            assert "rows 1–1 of 1" in await ask(pilot, screen, shown), "the text runs as it stands"


async def test_a_question_without_a_model_names_saved_queries(
    run: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:1")
    async with opened(run) as (pilot, screen):
        said = await ask(pilot, screen, "?which segments failed")
        assert "refused" in said
        assert "saved queries (f2) that may answer it: " in said
        assert "failures" in said


async def test_what_is_cut_is_said(run: Path, engine: Engine) -> None:
    async with opened(run) as (pilot, screen):
        assert "only the first 10,000" in await ask(pilot, screen, "SELECT * FROM range(50000)")


@pytest.mark.parametrize(
    "text",
    [
        "SELEC 1",
        "SELECT * FROM nowhere",
        "DELETE FROM nodes",
        "DROP TABLE nodes",
        "SELECT 1; SELECT 2",
        "COPY nodes TO 'x'",
    ],
)
async def test_a_wrong_or_writing_text_is_answered_in_one_line(run: Path, engine: Engine, text: str) -> None:
    async with opened(run) as (pilot, screen):
        words = await ask(pilot, screen, text)
        if text.startswith("SELECT 1;"):
            assert "✗" in words or "rows" in words
        else:
            assert words.startswith(" ✗")
        assert "\n" not in words.strip()
        assert screen.app.is_running
    assert engine.writer.rows("SELECT count(*) AS n FROM nodes")[0]["n"] == 17


async def test_escape_stops_a_query_that_would_not_end(run: Path, engine: Engine) -> None:
    async with opened(run) as (pilot, screen):
        screen.query_one(TextArea).load_text(
            "SELECT count(*) FROM range(100000000000) a, range(1000) b WHERE a.range % 7 = b.range"
        )
        await pilot.press("f5")
        await until(pilot, lambda: screen.busy and screen._feed._reader is not None, "it runs")
        await pilot.press("escape")
        await until(pilot, lambda: not screen.busy, "it stops")
        assert "interrupted" in status(screen)
        assert "rows 1–1 of 1" in await ask(pilot, screen, "SELECT 1")


async def test_a_plain_key_runs_from_the_rows(run: Path, engine: Engine) -> None:
    async with opened(run) as (pilot, screen):
        await pilot.press("escape")
        assert screen.query_one("#rows").has_focus
        await pilot.press("r")
        await until(pilot, lambda: "rows 1–17 of 17" in status(screen), "rows")


async def test_letters_typed_into_the_editor_are_text(run: Path, engine: Engine) -> None:
    async with opened(run) as (pilot, screen):
        screen.query_one(TextArea).load_text("")
        await pilot.press(*"qrxnphe")
        assert screen.query_one(TextArea).text == "qrxnphe"
        assert isinstance(screen.app.screen, SqlScreen)


async def test_hostile_cells_are_plain_text(run: Path, engine: Engine) -> None:
    async with opened(run) as (pilot, screen):
        await ask(pilot, screen, "SELECT '[/b][red]x' || chr(27) || '[31m' || chr(7) AS \"[/i]name\", NULL AS nothing")
        table = screen.query_one("#rows", DataTable)
        assert table.get_row_at(0)[0].plain.strip() == "[/b][red]x"
        assert screen.app.is_running


async def test_escape_twice_goes_back(run: Path, engine: Engine) -> None:
    async with opened(run) as (pilot, screen):
        app = screen.app
        await pilot.press("escape", "escape")
        await until(pilot, lambda: isinstance(app.screen, RunScreen), "the run")

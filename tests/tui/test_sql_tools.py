"""Around the SQL screen: saved queries, history, tables, rows in full, copies, exports. Real keys on real runs."""

from __future__ import annotations

import csv
import json
import stat
import unicodedata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual import events
from textual.color import Color
from textual.pilot import Pilot
from textual.widgets import Input, OptionList

from llmzero_tui.feeds.sql import FETCHED, QueryAnswer
from llmzero_tui.files.exporting import ExportTarget
from llmzero_tui.screens.dialogs import SaveQuery
from llmzero_tui.screens.finder import Finder
from llmzero_tui.screens.place import AskFile
from llmzero_tui.screens.row_view import RowView, in_full
from llmzero_tui.screens.run import RunScreen
from llmzero_tui.screens.sql import SqlScreen
from llmzero_tui.user import queries
from llmzero_tui.user.places import state_dir
from llmzero_tui.widgets.appearance import look
from llmzero_tui.widgets.result_grid import NARROWEST, as_text, decimals, shares
from tests.tui.conftest import app_on, until
from tests.tui.live_engine import Engine, live
from tests.tui.sample_run import HOSTILE

SIZES = [(120, 40), (80, 24), (160, 50)]


@asynccontextmanager
async def opened(run: Path, size: tuple[int, int] = (120, 40)) -> AsyncIterator[tuple[Pilot[int], SqlScreen]]:
    """The SQL screen over a run, its editor focused."""
    app = app_on(run)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.snapshot, "a snapshot")
        await pilot.press("colon")
        await until(pilot, lambda: isinstance(app.screen, SqlScreen) and app.screen.editor.has_focus, "the SQL screen")
        assert isinstance(app.screen, SqlScreen)
        yield pilot, app.screen


def status(screen: SqlScreen) -> str:
    return str(screen.query_one("#status").render())


async def ask(pilot: Pilot[int], screen: SqlScreen, text: str) -> str:
    """Run a text; the status line once it ended."""
    screen.editor.load_text(text)
    screen.editor.focus()
    await pilot.press("f5")
    await until(pilot, lambda: not screen.busy, "an answer")
    return status(screen)


async def modal(pilot: Pilot[int], kind: type) -> None:
    await until(pilot, lambda: isinstance(pilot.app.screen, kind) and pilot.app.screen.is_mounted, kind.__name__)
    await pilot.pause()


async def back(pilot: Pilot[int], screen: SqlScreen) -> None:
    await until(pilot, lambda: pilot.app.screen is screen, "the SQL screen again")


async def name_file(pilot: Pilot[int], screen: SqlScreen, name: str) -> None:
    """Press what opens the export, and name the file."""
    await pilot.press("f9")
    await modal(pilot, AskFile)
    pilot.app.screen.query_one(Input).value = name
    await pilot.press("enter")


async def until_written(pilot: Pilot[int], screen: SqlScreen, words: str) -> None:
    await until(pilot, lambda: words in status(screen), words)


def copied() -> str:
    return (state_dir() / "clipboard.txt").read_text()


async def until_copied(pilot: Pilot[int], words: str) -> None:
    await until(
        pilot, lambda: any(str(n.message).startswith(f"copied {words};") for n in pilot.app._notifications), words
    )


# ---- saved queries, history, tables -------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
async def test_a_saved_query_is_found_by_a_word_and_goes_into_the_editor(run: Path, size: tuple[int, int]) -> None:
    async with opened(run, size) as (pilot, screen):
        before = screen.editor.text
        await pilot.press("f2")
        await modal(pilot, Finder)
        await pilot.press(*"verifier")
        await until(pilot, lambda: pilot.app.screen.query_one(OptionList).option_count == 1, "one entry")
        await pilot.press("enter")
        await back(pilot, screen)
        assert screen.editor.text.startswith("-- The shortest completions that were called correct")
        await pilot.press("ctrl+z")
        assert screen.editor.text == before


async def test_escape_leaves_the_editor_as_it_was(run: Path) -> None:
    async with opened(run) as (pilot, screen):
        before = screen.editor.text
        for key in ("f2", "f3"):
            await pilot.press(key)
            await modal(pilot, Finder)
            await pilot.press("down", "escape")
            await back(pilot, screen)
        assert screen.editor.text == before


async def test_what_was_asked_is_there_in_the_next_session_and_only_for_the_user(run: Path) -> None:
    async with opened(run) as (pilot, screen):
        await ask(pilot, screen, "SELECT 41")
        await ask(pilot, screen, "SELECT 42")
        await until(pilot, lambda: len(queries.history()) == 2, "the history")
    assert stat.S_IMODE(queries.history_file().stat().st_mode) == 0o600
    async with opened(run) as (pilot, screen):
        await pilot.press("f3")
        await modal(pilot, Finder)
        await pilot.press("down", "enter")
        await back(pilot, screen)
        assert screen.editor.text == "SELECT 41"


async def test_a_query_is_kept_under_a_name_and_found_again(run: Path) -> None:
    async with opened(run) as (pilot, screen):
        screen.editor.load_text("-- How many nodes\nSELECT count(*) FROM nodes")
        await pilot.press("f8")
        await modal(pilot, SaveQuery)
        await pilot.press(*"../x", "enter")
        assert "is not a query name" in str(pilot.app.screen.query_one("#wrong").render())
        pilot.app.screen.query_one("#name", Input).value = "node count"
        await pilot.press("enter")
        await back(pilot, screen)
        assert "saved as" in status(screen)
        assert [q.words for q in queries.own()] == ["How many nodes"]
        await pilot.press("f2")
        await modal(pilot, Finder)
        await pilot.press("enter")
        await back(pilot, screen)
        assert screen.editor.text == "-- How many nodes\nSELECT count(*) FROM nodes"
        await pilot.press("f8")
        await modal(pilot, SaveQuery)
        await pilot.press(*"node", "space", *"count", "enter")
        assert "again to replace it" in str(pilot.app.screen.query_one("#wrong").render())
        await pilot.press("enter")
        await back(pilot, screen)


async def test_hostile_files_of_queries_are_plain_text(run: Path) -> None:
    queries.own_dir().mkdir(parents=True)
    (queries.own_dir() / "[b]x[.sql").write_text(f"-- {HOSTILE}\nSELECT '\x1b]52;c;AAAA\x07'")
    queries.remember(f"SELECT '{HOSTILE}'")
    async with opened(run) as (pilot, screen):
        for key in ("f2", "f3"):
            await pilot.press(key)
            await modal(pilot, Finder)
            await pilot.press("enter")
            await back(pilot, screen)
            assert not set(screen.editor.text) & {"\x1b", "\x07", "\u202e"}
            await pilot.press("f5")
            await until(pilot, lambda: not screen.busy, "an answer")


async def test_a_paste_cannot_bring_escapes_into_the_editor(run: Path) -> None:
    async with opened(run) as (pilot, screen):
        screen.editor.load_text("")
        pilot.app.post_message(events.Paste("SELECT\u00a01\x1b[31m\u202e\r\n-- x"))
        await until(pilot, lambda: screen.editor.text, "the paste")
        assert screen.editor.text == "SELECT 1[31m\n-- x"


async def test_tables_and_columns_are_explained_and_their_names_inserted(run: Path, engine: Engine) -> None:
    async with opened(run) as (pilot, screen):
        screen.editor.load_text("SELECT ")
        screen.editor.move_cursor((0, 7))
        await pilot.press("f4")
        await modal(pilot, Finder)
        await pilot.press(*"size directory bytes")
        await until(pilot, lambda: pilot.app.screen.query_one(OptionList).option_count == 1, "one entry")
        assert "checkpoints.bytes" in str(pilot.app.screen.query_one("#shown").render())
        await pilot.press("enter")
        await back(pilot, screen)
        assert screen.editor.text == "SELECT bytes"
        assert not screen.busy


async def test_what_is_being_written_is_there_again(run: Path) -> None:
    async with opened(run) as (pilot, screen):
        app = screen.app
        screen.editor.load_text("")
        await pilot.press(*"SELECT 7", "escape", "escape")
        await until(pilot, lambda: isinstance(app.screen, RunScreen), "the run")
        await pilot.press("colon")
        await until(pilot, lambda: isinstance(app.screen, SqlScreen) and app.screen.is_mounted, "the SQL screen")
        assert app.screen.query_one("#editor").text == "SELECT 7"  # type: ignore[attr-defined]


async def test_an_error_is_marked_in_the_editor_until_the_text_changes(run: Path, engine: Engine) -> None:
    async with opened(run) as (pilot, screen):
        assert "line 2, column 3" in await ask(pilot, screen, "-- wrong\n  SELEC 2")

        def marked() -> list[str]:
            line = screen.editor.get_line(1)
            return [line.plain[s.start : s.end] for s in line.spans if "underline" in str(s.style)]

        assert marked() == ["SELEC"]
        await pilot.press("x")
        assert marked() == []


async def test_an_engine_that_ends_and_one_that_begins_are_asked_on(run: Path) -> None:
    async with opened(run) as (pilot, screen):
        with live(run):
            assert "rows 1–17 of 17" in await ask(pilot, screen, "FROM nodes")
            assert screen._feed._reader is not None
        assert "rows 1–17 of 17" in await ask(pilot, screen, "FROM nodes")
        assert screen._feed._reader is None, "the file of a run at rest is not kept"
        with live(run):
            assert "rows 1–17 of 17" in await ask(pilot, screen, "FROM nodes")


async def test_the_line_of_the_cursor_has_its_colours_too(run: Path) -> None:
    async with opened(run) as (pilot, screen):
        screen.editor.load_text("SELECT 1")
        await pilot.pause()
        colours = {segment.text: segment.style and segment.style.color for segment in screen.editor.render_line(0)}
        wanted = Color.parse(look(screen).palette.live).rgb
        assert [color.get_truecolor() for text, color in colours.items() if "ELECT" in text and color] == [wanted]


# ---- rows -----------------------------------------------------------------------------------------------------------


async def test_enter_shows_a_row_in_full_and_its_values_are_copied_whole(run: Path, engine: Engine) -> None:
    async with opened(run) as (pilot, screen):
        await ask(pilot, screen, "SELECT 'short' AS a, repeat('é', 300000) AS b, '{\"k\": [1, 2], \"long\": \"' || "
                                 "repeat('x', 60) || '\"}' AS c, NULL AS d FROM range(3)")  # fmt: skip
        await pilot.press("escape", "down", "right", "enter")
        await modal(pilot, RowView)
        view = pilot.app.screen
        assert view.query_one(".dialog").border_title == "Row 2 of 3"
        assert "280,000 more characters" in str(view.query_one("#value-1").render())
        assert '"k": [\n' in str(view.query_one("#value-2").render())
        assert "NULL" in str(view.query_one("#name-3").render())
        assert "▸ b" in str(view.query_one("#name-1").render())
        await pilot.press("y")
        await until(pilot, lambda: pilot.app._notifications, "a copy")
        assert copied() == "é" * 300_000
        await pilot.press("left", "n", "y")
        await until_copied(pilot, "a")
        assert copied() == "short"
        assert view.query_one(".dialog").border_title == "Row 3 of 3"
        await pilot.press("escape")
        await back(pilot, screen)


async def test_rows_and_pages_are_copied_for_a_spreadsheet(run: Path) -> None:
    async with opened(run) as (pilot, screen):
        await ask(pilot, screen, "SELECT range AS x, 'a' || chr(9) || chr(10) || chr(27) || 'b' AS y, NULL AS z, "
                                 "0.1 + 0.2 AS w FROM range(450)")  # fmt: skip
        await pilot.press("escape", "down", "Y")
        await until_copied(pilot, "the row")
        assert copied() == "1\ta b\t\t0.3\n"
        await pilot.press("n", "n", "A")
        await until_copied(pilot, "50 rows")
        lines = copied().splitlines()
        assert lines[0] == "x\ty\tz\tw"
        assert (lines[1].split("\t")[0], lines[-1].split("\t")[0], len(lines)) == ("400", "449", 51)


async def test_two_columns_of_one_name_are_two(run: Path, engine: Engine) -> None:
    async with opened(run) as (pilot, screen):
        await ask(pilot, screen, "SELECT 1 AS a, 2 AS a")
        assert [cell.plain.strip() for cell in screen.grid.get_row_at(0)] == ["1", "2"]


async def test_an_answer_without_rows_shows_its_columns(run: Path) -> None:
    async with opened(run) as (pilot, screen):
        assert "no rows" in await ask(pilot, screen, "SELECT 1 AS a, 2 AS b WHERE false")
        assert [str(column.label).strip() for column in screen.grid.columns.values()] == ["a", "b"]
        await pilot.press("escape", "enter", "y", "Y", "A")
        assert pilot.app.screen is screen


@pytest.mark.parametrize(
    ("wanted", "fixed", "space", "widths"),
    [
        ([5, 8], [True, False], 80, [5, 8]),
        ([5, 60, 60], [True, False, False], 80, [5, 34, 35]),
        ([5, 60, 20], [True, False, False], 61, [5, 30, 20]),
        ([60, 60, 60], [False] * 3, 20, [NARROWEST] * 3),
        ([30, 30], [True, True], 20, [30, 30]),
    ],
)
def test_wide_texts_give_way_to_each_other(wanted: list[int], fixed: list[bool], space: int, widths: list[int]) -> None:
    assert sorted(shares(wanted, fixed, space)) == sorted(widths)


@pytest.mark.parametrize(
    ("column", "digits"),
    [
        ([0.5, 0.58724, None], 5), ([1.0, 0.0], 0), ([1e-7, 0.5], None), ([float("nan")], None), ([float("inf")], None),
        ([123456.7, 0.25], 2), ([1, 2], None), ([None], None), ([], None), ([0.0001234567], 9),
    ],
)  # fmt: skip
def test_the_points_of_a_column_stand_in_line(column: list[object], digits: int | None) -> None:
    assert decimals(column) == digits


# ---- export ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alive", [True, False])
async def test_every_row_is_written_beyond_what_is_fetched(
    run: Path, tmp_path: Path, alive: bool, request: pytest.FixtureRequest
) -> None:
    if alive:
        request.getfixturevalue("engine")
    async with opened(run) as (pilot, screen):
        assert f"only the first {FETCHED:,}" in await ask(pilot, screen, "SELECT range AS x FROM range(150000)")
        for ending in ("csv", "parquet"):
            await name_file(pilot, screen, str(tmp_path / f"rows.{ending}"))
            await until_written(pilot, screen, f"rows.{ending}: 150,000 rows")
    with duckdb.connect() as connection:
        for ending in ("csv", "parquet"):
            rows = getattr(connection, f"read_{ending}")(str(tmp_path / f"rows.{ending}"))
            assert rows.aggregate("count(*), max(x)").fetchall() == [(150_000, 149_999)]


async def test_hostile_texts_are_written_as_they_are(run: Path, engine: Engine, tmp_path: Path) -> None:
    async with opened(run) as (pilot, screen):
        await ask(pilot, screen, "SELECT reason FROM nodes WHERE node_id = 12")
        for ending in ("csv", "json", "parquet"):
            await name_file(pilot, screen, str(tmp_path / f"a b [x].{ending}"))
            await until_written(pilot, screen, f"a b [x].{ending}: 1 row")
    with (tmp_path / "a b [x].csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["reason"], [HOSTILE]]
    assert json.loads((tmp_path / "a b [x].json").read_text()) == [{"reason": HOSTILE}]
    assert pq.read_table(tmp_path / "a b [x].parquet").to_pylist() == [{"reason": HOSTILE}]


async def test_a_file_is_replaced_only_when_enter_comes_twice(run: Path, tmp_path: Path) -> None:
    target = tmp_path / "x.csv"
    target.write_text("precious")
    async with opened(run) as (pilot, screen):
        await ask(pilot, screen, "SELECT 1 AS a")
        await name_file(pilot, screen, str(target))
        assert "again to replace it" in str(pilot.app.screen.query_one("#wrong").render())
        await pilot.press("escape")
        await back(pilot, screen)
        assert target.read_text() == "precious"
        await name_file(pilot, screen, str(target))
        await pilot.press("enter")
        await until(pilot, lambda: "wrote" in status(screen), "it is written")
    assert target.read_text() == "a\n1\n"


@pytest.mark.parametrize("name", ["", "x", "x.txt", "nowhere/x.csv", "a\x1b[31m.csv"])
async def test_a_wrong_name_is_said_while_it_is_typed(run: Path, name: str) -> None:
    async with opened(run) as (pilot, screen):
        await ask(pilot, screen, "SELECT 1 AS a")
        await name_file(pilot, screen, name)
        assert isinstance(pilot.app.screen, AskFile)
        assert str(pilot.app.screen.query_one("#wrong").render()).startswith("✗ ")


async def test_a_place_that_is_gone_meanwhile_is_one_line(run: Path, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    async with opened(run) as (pilot, screen):
        await ask(pilot, screen, "SELECT 1 AS a")
        await pilot.press("f9")
        await modal(pilot, AskFile)
        pilot.app.screen.query_one(Input).value = str(place / "x.csv")
        place.chmod(0o500)
        place.rmdir()
        await pilot.press("enter")
        assert str(pilot.app.screen.query_one("#wrong").render()).startswith("✗ ")
        screen.app.pop_screen()
        screen._export(QueryAnswer("SELECT 1", pa.table({"a": [1]})), ExportTarget(place / "x.csv", overwrite=False))
        await until(pilot, lambda: "nothing written" in status(screen), "it says so")
        assert "\n" not in status(screen)


async def test_escape_stops_an_export(run: Path, engine: Engine, tmp_path: Path) -> None:
    endless = "SELECT count(*) FROM range(100000000000) a, range(1000) b WHERE a.range % 7 = b.range"
    async with opened(run) as (pilot, screen):
        await ask(pilot, screen, "SELECT range AS x FROM range(20000)")
        assert screen._answer is not None
        screen._answer = replace(screen._answer, text=endless)
        await name_file(pilot, screen, str(tmp_path / "x.csv"))
        await until(pilot, lambda: screen.busy, "it runs")
        await pilot.press("escape")
        await until(pilot, lambda: not screen.busy, "it stops")
        assert "interrupted" in status(screen)
    assert list(tmp_path.glob("*.csv")) == []


@given(st.text() | st.lists(st.text()) | st.dictionaries(st.text(), st.text()) | st.binary() | st.floats() | st.none())
def test_no_value_of_any_kind_drives_a_terminal(value: object) -> None:
    cell, whole = as_text(value), in_full(value)
    assert whole
    assert "\n" not in cell
    assert not {unicodedata.category(c) for c in cell + whole.replace("\n", "")} & {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}

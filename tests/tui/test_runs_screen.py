"""The list of runs."""

from __future__ import annotations

from pathlib import Path

from llmzero_tui.app import LLMZeroApp
from llmzero_tui.screens.runs import RunsScreen, RunsTable
from tests.tui import sample_run
from tests.tui.conftest import app_on, until
from tests.tui.live_engine import Engine


def listed(app: LLMZeroApp) -> list[str]:
    """The first two columns of the list."""
    if not isinstance(app.screen, RunsScreen):
        return []
    table = app.screen.query_one(RunsTable)
    return [f"{row[0].plain} {row[1].plain}" for row in map(table.get_row_at, range(table.row_count))]


async def test_the_list_shows_state_as_glyph_and_word(runs: Path, engine: Engine) -> None:
    app = app_on(None, runs)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: len(listed(app)) == 3, "three runs")
        assert sorted(listed(app)) == ["knights-00 ✓ finished", "knights-01 ● training", "sums-02 ✗ failed"]


async def test_a_new_run_appears_and_a_state_changes_by_itself(runs: Path, engine: Engine) -> None:
    app = app_on(None, runs)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: len(listed(app)) == 3, "three runs")
        sample_run.build(runs, name="new-03", state="finished")
        engine.writer.update("runs", {"name": "knights-01"}, state="paused")
        engine.writer.flush()
        await until(pilot, lambda: "new-03 ✓ finished" in listed(app), "the new run")
        await until(pilot, lambda: "knights-01 ‖ paused" in listed(app), "the pause")


async def test_an_empty_list_says_how_to_begin(tmp_path: Path) -> None:
    app = app_on(None, tmp_path / "none")
    async with app.run_test(size=(80, 24)) as pilot:
        screen = app.screen
        await until(pilot, lambda: "llmzero demo" in str(app.screen.query_one("#empty").render()), "how to begin")
        await pilot.press("enter", "colon")
        assert app.screen is not None
        assert app.is_running
        assert screen is not None


async def test_ascii_shows_nothing_but_ascii(runs: Path, engine: Engine) -> None:
    app = app_on(runs / "knights-01", ascii=True)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: getattr(app.screen, "snapshot", None) and app.screen._plot, "a snapshot")  # type: ignore[attr-defined]
        for key in ("1", "2", "3", "4", "tab", "question_mark"):
            await pilot.press(key)
            await pilot.pause()
            lines = ["".join(s.text for s in line) for line in app.screen._compositor.render_strips()]
            assert "".join(lines).isascii(), [c for c in "".join(lines) if not c.isascii()]

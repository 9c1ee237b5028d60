"""The tour: once, over the first run that is opened, ended by escape at once; later from the palette and the help."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from llmzero_tui.app import LLMZeroApp
from llmzero_tui.screens.help import HelpScreen
from llmzero_tui.screens.run import RunScreen
from llmzero_tui.screens.tour import CARDS, TourScreen, shown, spelt
from llmzero_tui.user.preferences import TerminalSettings
from tests.tui.conftest import app_on, until
from tests.tui.sample_run import NOW


def first_start(runs: Path, run: Path | None, settings: TerminalSettings | None = None) -> LLMZeroApp:
    """The app as the command line starts it."""
    return LLMZeroApp(runs, run, clock=lambda: NOW, settings=settings, tour=not shown())


async def toured(pilot: Pilot[int], app: LLMZeroApp) -> TourScreen:
    def there() -> bool:
        return isinstance(app.screen, TourScreen) and any(card.border_title for card in app.screen.query(".card"))

    await until(pilot, there, "the tour")
    assert isinstance(app.screen, TourScreen)
    return app.screen


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
async def test_the_first_run_is_toured_once_and_never_again(runs: Path, run: Path, size: tuple[int, int]) -> None:
    app = first_start(runs, run)
    async with app.run_test(size=size) as pilot:
        tour = await toured(pilot, app)
        screen = app.screen_stack[-2]
        assert isinstance(screen, RunScreen)
        assert screen.snapshot is not None, "the run is on the screen before its tour"
        titles = []
        for card in CARDS:
            titles.append(str(tour.query_one(".card").border_title))
            pointed = [widget.id for widget in screen.query(".-pointed")]
            assert pointed == [card.target.removeprefix("#")]
            assert screen.query_one(card.target).region.area, "what it points at is on the screen"
            box = tour.query_one(".card").region
            assert tour.region.contains_region(box)
            await pilot.press("enter")
        assert titles == [card.title for card in CARDS]
        await until(pilot, lambda: app.screen is screen, "it is over")
        assert not screen.query(".-pointed")
        assert screen.pane == "tree"
        await until(pilot, shown, "it is remembered")
    again = first_start(runs, run)
    async with again.run_test(size=size) as pilot:
        await until(pilot, lambda: isinstance(again.screen, RunScreen) and again.screen.snapshot, "the run")
        again.poll()
        await until(pilot, lambda: not again._reading, "another look")
        assert isinstance(again.screen, RunScreen)


async def test_escape_ends_it_at_once_for_good(runs: Path, run: Path) -> None:
    app = first_start(runs, run)
    async with app.run_test(size=(120, 40)) as pilot:
        await toured(pilot, app)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, RunScreen), "the run")
        await until(pilot, shown, "it is remembered")
        assert not app.screen.query(".-pointed")


async def test_it_waits_for_a_run_to_be_opened_and_does_not_come_by_itself_otherwise(runs: Path, run: Path) -> None:
    app = first_start(runs, None)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: getattr(app.screen, "snapshot", None), "the list")
        assert app.screen.id == "runs"
        assert not shown()
        app.open_run(run)
        await toured(pilot, app)
    plain = app_on(run)
    async with plain.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: getattr(plain.screen, "snapshot", None), "the run")
        assert isinstance(plain.screen, RunScreen)


async def test_it_comes_again_from_the_help_and_walks_back(runs: Path, run: Path) -> None:
    app = app_on(run)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: getattr(app.screen, "snapshot", None), "the run")
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen), "the help")
        await pilot.press("t")
        tour = await toured(pilot, app)
        await pilot.press("right", "right", "left")
        assert tour.query_one(".card").border_title == CARDS[1].title
        await pilot.press("backspace", "backspace", "backspace")
        assert tour.query_one(".card").border_title == CARDS[0].title
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, RunScreen), "the run")


async def test_the_cards_name_the_keys_in_force(runs: Path, run: Path) -> None:
    app = first_start(runs, run, TerminalSettings(keys={"run.zoom": ("Z",), "run.inbox": ("f6",)}))
    async with app.run_test(size=(120, 40)) as pilot:
        tour = await toured(pilot, app)
        await pilot.press("enter")
        assert "Z gives it the whole screen" in str(tour.query_one("#words", Static).render())
    for card in CARDS:
        assert "{" not in spelt(card.words, app.look)

"""Pictures of the main screens at both sizes. After a wanted change: `pytest --snapshot-update` of this file.

Everything in them is fixed: the sample run, the clock, no animation, no cursor that blinks.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from llmzero_tui.screens.edit import EditScreen
from llmzero_tui.screens.run import RunScreen
from llmzero_tui.screens.runs import RunsScreen
from llmzero_tui.screens.sql import SqlScreen
from tests.tui.conftest import app_on, until
from tests.tui.live_engine import RUNNING, Engine

SIZES = ((120, 40), (80, 24))
Compare = Callable[..., bool]
Steps = Callable[[Pilot[int]], Awaitable[None]]


@pytest.fixture
def compare(snap_compare: Compare, runs: Path, engine: Engine) -> Callable[[str | None, tuple[int, int], Steps], bool]:
    """Take the picture of a run (None: of the list) after some steps."""

    def take(run: str | None, size: tuple[int, int], steps: Steps) -> bool:
        app = app_on(runs / run if run else None, runs)
        return snap_compare(app, terminal_size=size, run_before=steps)

    return take


async def settled(pilot: Pilot[int], node: int = RUNNING) -> RunScreen:
    """The run screen with everything about a node drawn."""
    app = pilot.app

    def drawn() -> bool:
        screen = app.screen
        if not isinstance(screen, RunScreen) or screen.snapshot is None or screen.snapshot.detail is None:
            return False
        plot: Any = screen._plot
        return screen.snapshot.detail.node == node == screen.selected and plot is not None and plot._curve is not None

    await until(pilot, drawn, f"#{node} is drawn")
    assert isinstance(app.screen, RunScreen)
    screen = app.screen
    app.poll()  # type: ignore[attr-defined]
    await until(pilot, lambda: not app._reading, "the last look")  # type: ignore[attr-defined]
    await pilot.pause()
    return screen


@pytest.mark.parametrize("size", SIZES)
def test_the_list_of_runs(compare: Any, size: tuple[int, int]) -> None:
    async def steps(pilot: Pilot[int]) -> None:
        await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen) and pilot.app.screen.current, "the list")

    assert compare(None, size, steps)


@pytest.mark.parametrize("size", SIZES)
def test_a_run(compare: Any, size: tuple[int, int]) -> None:
    async def steps(pilot: Pilot[int]) -> None:
        await settled(pilot)

    assert compare("knights-01", size, steps)


@pytest.mark.parametrize("keys", [("tab",), ("2",), ("3",), ("i",)], ids=["plot", "changes", "samples", "inbox"])
def test_a_run_pane_by_pane(compare: Any, keys: tuple[str, ...]) -> None:
    async def steps(pilot: Pilot[int]) -> None:
        await settled(pilot)
        await pilot.press(*keys)
        await settled(pilot, 16 if keys == ("i",) else RUNNING)

    assert compare("knights-01", (80, 24), steps)


@pytest.mark.parametrize("size", SIZES)
def test_the_form_of_a_proposal(compare: Any, size: tuple[int, int]) -> None:
    async def steps(pilot: Pilot[int]) -> None:
        await settled(pilot)
        await pilot.press("i")
        await settled(pilot, 16)
        await pilot.press("e")
        await until(pilot, lambda: isinstance(pilot.app.screen, EditScreen), "the form")
        await pilot.press("down")

    assert compare("knights-01", size, steps)


@pytest.mark.parametrize("size", SIZES)
def test_sql(compare: Any, size: tuple[int, int]) -> None:
    async def steps(pilot: Pilot[int]) -> None:
        await settled(pilot)
        await pilot.press("colon")
        await until(pilot, lambda: isinstance(pilot.app.screen, SqlScreen), "the SQL screen")
        screen = pilot.app.screen
        assert isinstance(screen, SqlScreen)
        await pilot.press("f5")
        await until(pilot, lambda: screen._answer is not None, "rows")
        screen._say("rows 1–17 of 17 · 7 ms", "dim")  # the time is the machine's
        await pilot.press("escape")

    assert compare("knights-01", size, steps)


@pytest.mark.parametrize("size", SIZES)
def test_help(compare: Any, size: tuple[int, int]) -> None:
    async def steps(pilot: Pilot[int]) -> None:
        await settled(pilot)
        await pilot.press("question_mark")
        await until(pilot, lambda: pilot.app.screen.id == "help", "the help")

    assert compare("knights-01", size, steps)


def test_the_light_theme(compare: Any) -> None:
    async def steps(pilot: Pilot[int]) -> None:
        screen = await settled(pilot)
        await screen.run_action("theme")
        await settled(pilot)

    assert compare("knights-01", (120, 40), steps)


def test_a_finished_run(compare: Any) -> None:
    async def steps(pilot: Pilot[int]) -> None:
        await settled(pilot)

    assert compare("knights-00", (120, 40), steps)

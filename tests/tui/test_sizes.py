"""Terminals of every size, and sizes that change while one looks: nothing crashes, nothing is drawn outside."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from textual.pilot import Pilot

from llmzero_tui.app import LLMZeroApp
from llmzero_tui.screens.base import KeyedScreen
from tests.tui.conftest import app_on, until
from tests.tui.live_engine import Engine

SIZES = [(80, 24), (160, 50), (400, 100), (40, 12), (20, 5), (1, 1), (2, 30), (200, 3), (99, 41)]
WAYS = {
    "runs": (),
    "filter": ("slash", "k"),
    "delete": ("D",),
    "settings of the run": ("enter", "comma"),
    "run": ("enter",),
    "zoom": ("enter", "z"),
    "help": ("enter", "question_mark"),
    "palette": ("enter", "ctrl+p"),
    "sql": ("colon",),
    "samples": ("enter", "S"),
    "agents": ("enter", "A"),
    "trajectory": ("enter", "T"),
    "inbox": ("enter", "i"),
    "decision": ("enter", "i", "enter"),
    "comparison": ("enter", "m", "down", "m", "c"),
}


async def settled(pilot: Pilot[int], app: LLMZeroApp) -> None:
    """Until the looks that were under way are on the screen."""
    await pilot.pause()
    await until(pilot, lambda: not app._reading, "the last look")
    await pilot.pause()


def drawn(app: LLMZeroApp) -> list[int]:
    """How many cells each line of the screen has."""
    return [sum(segment.cell_length for segment in line) for line in app.screen._compositor.render_strips()]


@pytest.mark.long
@pytest.mark.parametrize("way", WAYS)
async def test_every_screen_lives_through_every_size(runs: Path, engine: Engine, way: str) -> None:
    app = app_on(None, runs)
    random.seed(way)
    sizes = SIZES + [(random.randint(1, 260), random.randint(1, 80)) for _ in range(3)]
    async with app.run_test(size=(120, 40)) as pilot:
        await until(
            pilot, lambda: isinstance(app.screen, KeyedScreen) and getattr(app.screen, "current", None), "the list"
        )
        for key in WAYS[way]:
            await pilot.press(key)
            await settled(pilot, app)
        for width, height in [*sizes, (120, 40)]:
            await pilot.resize_terminal(width, height)
            await settled(pilot, app)
            assert drawn(app) == [width] * height
            await pilot.press("down", "tab")
        assert app.is_running


async def test_resizing_while_the_run_is_read_loses_nothing(run: Path, engine: Engine) -> None:
    app = app_on(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: getattr(app.screen, "snapshot", None), "a snapshot")
        for step in range(12):
            engine.step(33 + step)
            app.poll()
            await pilot.resize_terminal(*SIZES[step % 4])
        await pilot.resize_terminal(120, 40)
        await settled(pilot, app)
        app.poll()
        await until(pilot, lambda: app.screen.snapshot.nodes[13].trained == 44, "the last step")  # type: ignore[attr-defined]
        assert drawn(app) == [120] * 40

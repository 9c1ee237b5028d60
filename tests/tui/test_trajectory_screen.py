"""The trajectory screen: a path as stages, staircases that say where a value changes, what was said at every step."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Static

from llmzero_tui.feeds.trajectory import TrajectoryFeed
from llmzero_tui.screens.run import RunScreen
from llmzero_tui.screens.trajectory import TrajectoryScreen
from llmzero_tui.text.dynamics import dynamics_short
from llmzero_tui.values.proposal_detail import TrajectoryView
from llmzero_tui.widgets.sheet import Sheet
from llmzero_tui.widgets.stairs import stair
from tests.tui.conftest import app_on, until
from tests.tui.sample_run import NOW


def drawn(values: list[float | None], widths: list[int]) -> list[str]:
    return ["".join(c for c, _ in row).rstrip() for row in stair(values, widths, "", "")]


def test_a_value_that_falls_steps_down_and_is_named_where_it_changes() -> None:
    assert drawn([1e-4, 1e-4, 5e-5], [10, 10, 10]) == [
        "1e-4 ───────────────┐",
        "                    └ 5e-5 ───",
    ]


def test_a_value_that_rises_and_falls_again() -> None:
    assert drawn([0, 0.02, 0.01, 0], [8, 8, 8, 8]) == [
        "        ┌ .02 ──┐",
        "        │       └ .01 ──┐",
        "0 ──────┘               └ 0 ────",
    ]


def test_a_value_that_stays_is_one_line() -> None:
    assert drawn([8, 8], [6, 6]) == ["8 ──────────"]


@pytest.mark.parametrize("widths", [[3] * 9, [12] * 9, [1] * 9])
def test_many_levels_share_few_lines_and_every_line_has_its_width(widths: list[int]) -> None:
    rows = stair([1, 2, 3, 4, 5, 6, None, 7, 8], widths, "", "")
    assert len(rows) == 4
    assert all(len(row) == sum(widths) for row in rows)


@asynccontextmanager
async def on_path(
    run: Path, node: int, size: tuple[int, int] = (120, 40), *, ascii: bool = False
) -> AsyncIterator[tuple[Pilot[int], TrajectoryScreen]]:
    """The trajectory screen, come to from a node by its key."""
    app = app_on(run, ascii=ascii)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.snapshot, "a snapshot")
        assert isinstance(app.screen, RunScreen)
        app.screen.look_at(node)
        await pilot.press("T")
        await until(pilot, lambda: isinstance(app.screen, TrajectoryScreen), "the trajectory screen")
        screen = app.screen
        assert isinstance(screen, TrajectoryScreen)
        await until(pilot, lambda: screen.snapshot and screen.snapshot.stages, "a path")
        yield pilot, screen


def text_of(screen: Screen[Any], selector: str) -> str:
    widget = screen.query_one(selector)
    return "\n".join("".join(s.text for s in widget.render_line(y)) for y in range(widget.size.height))


def about(screen: Screen[Any]) -> str:
    return str(screen.query_one("#about", Static).render())


async def test_the_best_path_first_and_that_to_the_node_one_came_from(run: Path) -> None:
    async with on_path(run, 11) as (pilot, screen):
        assert (
            "the best trajectory  0.637 [0.58, 0.69] #13 step 25 n=256 after 175 steps  #0 → #1 → #5 → #10 → #13"
            in about(screen)
        )
        await until(
            pilot, lambda: "never changed: learning_rate 1e-4" in text_of(screen, "#stairs"), "room for the staircases"
        )
        await pilot.press("t")
        await until(pilot, lambda: about(screen).rstrip().endswith("#0 → #1 → #5 → #11"), "the other path")
        await until(pilot, lambda: "└ 5e-5 ─" in text_of(screen, "#stairs"), "its staircases")
        stairs = text_of(screen, "#stairs")
        assert "┌ .01 ──" in stairs
        assert ".462 [.40, .52]" in stairs
        assert "regularization" in stairs
        assert "capacity" not in stairs  # nothing of that kind changed
        await pilot.press("t")
        await until(pilot, lambda: "the best trajectory" in about(screen), "the best one again")


async def test_the_stage_under_the_cursor_is_the_one_that_is_read(run: Path) -> None:
    async with on_path(run, 11, (80, 24)) as (pilot, screen):
        assert "▸#13 continue" in text_of(screen, "#stairs")
        await pilot.press("left", "left", "h")
        assert "▸#1 lr 1e-4" in text_of(screen, "#stairs")
        told = text_of(screen, "#told").splitlines()
        assert told[0].startswith("2/5  #1 learning_rate 1e-4  ✓ finished  root from #0 step 0 · rules")
        assert any("restore exploration" in line for line in told)
        await pilot.press("l")
        assert text_of(screen, "#told").startswith("3/5  #5 continue")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunScreen), "back")


async def test_what_each_hyperparameter_did_over_the_run_stands_below(run: Path) -> None:
    feed = TrajectoryFeed(run, lambda: NOW)
    first = feed.read(TrajectoryView(None))
    assert [each.parameter for each in first.dynamics if each.ups + each.downs]
    assert feed.read(TrajectoryView(11)).dynamics == ()
    feed.close()
    lines = list(dynamics_short(first.dynamics))
    async with on_path(run, 13, (120, 60)) as (pilot, screen):
        screen.query_one("#told", Sheet).focus()
        await pilot.press("end")
        await until(pilot, lambda: lines[-1][:60] in text_of(screen, "#told"), "the dynamics")


async def test_what_was_found_before_a_step_stands_with_it(run: Path) -> None:
    async with on_path(run, 16) as (pilot, screen):
        await pilot.press("t")
        await until(pilot, lambda: "the trajectory to #16" in about(screen), "its path")
        told = text_of(screen, "#told")
        assert "entropy collapse" in told
        assert "(−52%) over steps 8–50" in told


@pytest.mark.parametrize("size", [(40, 10), (80, 24), (250, 70)])
async def test_any_size_draws_and_ascii_is_ascii(run: Path, size: tuple[int, int]) -> None:
    async with on_path(run, 12, size, ascii=True) as (pilot, screen):
        await pilot.press("t", "left", "left", "left", "right", "pagedown")
        for selector in ("#stairs", "#told"):
            assert text_of(screen, selector).isascii()
        assert pilot.app.is_running

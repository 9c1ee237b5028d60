"""The keys of the plot on the run screen: closer, farther, along, time, the parent, several metrics at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.pilot import Pilot

from llmzero_tui.screens.run import RunScreen
from llmzero_tui.values.curves import Axis, AxisWindow
from llmzero_tui.widgets.plot import MetricPlot
from llmzero_tui.widgets.strip import Strip
from tests.tui.conftest import app_on, until
from tests.tui.live_engine import Engine


@asynccontextmanager
async def looking_at(
    run: Path, node: int, size: tuple[int, int] = (120, 40), *, ascii: bool = False
) -> AsyncIterator[tuple[Pilot[int], RunScreen]]:
    """The run screen with the curve of a node drawn and the plot focused."""
    app = app_on(run, ascii=ascii)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.snapshot, "a snapshot")
        screen = app.screen
        assert isinstance(screen, RunScreen)
        screen.look_at(node)
        await until(pilot, lambda: drawn(screen, node), f"#{node}")
        screen.panel.plot.focus()
        await pilot.pause()
        yield pilot, screen


def drawn(screen: RunScreen, node: int) -> bool:
    """Whether the frame names the node and its reward, and nothing is on its way."""
    return title(screen).startswith(f"#{node} ") and title(screen).endswith("reward")


def title(screen: RunScreen) -> str:
    return str(screen.panel.plot.border_title or "")


def notes(screen: RunScreen) -> str:
    return str(screen.panel.plot.border_subtitle or "")


def picture(screen: RunScreen) -> str:
    plot = screen.panel.plot
    return "\n".join(plot.render_line(y).text for y in range(plot.size.height))


def read(screen: RunScreen) -> bool:
    """Whether what is drawn is what is looked at, in full."""
    detail = screen.snapshot.detail if screen.snapshot else None
    return detail is not None and detail.trace.selection.window == screen.panel.selection.window


async def test_closer_farther_along_and_everything_again(run: Path, engine: Engine) -> None:
    async with looking_at(run, 14) as (pilot, screen):
        await pilot.press("plus", "plus")
        assert screen.panel.selection.window == AxisWindow(71.25, 118.75)
        await until(pilot, lambda: "steps 71–119" in notes(screen) and read(screen), "the window")
        assert screen.snapshot is not None
        assert screen.snapshot.detail is not None
        assert screen.snapshot.detail.trace.width == 1
        await pilot.press("l", "right")
        await until(pilot, lambda: screen.panel.selection.window == AxisWindow(95, 142.5), "along")
        await pilot.press("h")
        await until(pilot, lambda: screen.panel.selection.window == AxisWindow(83.125, 130.625), "back")
        await pilot.press("minus", "minus")
        assert screen.panel.selection.window is None
        await pilot.press("equals_sign", "0")
        assert screen.panel.selection.window is None
        await until(pilot, lambda: "steps" not in notes(screen).split(" · ")[0], "everything")


async def test_a_window_is_drawn_at_once_from_what_is_there(run: Path, engine: Engine) -> None:
    async with looking_at(run, 14) as (pilot, screen):
        before = picture(screen)
        screen.poll_now = lambda: None  # type: ignore[method-assign] # the database never answers
        await pilot.press("plus")
        assert picture(screen) != before
        assert "steps 48–142" in notes(screen)


async def test_arrows_move_the_plot_only_while_it_has_the_focus(run: Path, engine: Engine) -> None:
    async with looking_at(run, 14) as (pilot, screen):
        await pilot.press("plus")
        screen.query_one("#tree").focus()
        window = screen.panel.selection.window
        await pilot.press("right", "left", "h", "l")
        await pilot.pause()
        assert screen.panel.selection.window == window


async def test_time_instead_of_steps_and_back(run: Path) -> None:
    async with looking_at(run, 14) as (pilot, screen):
        await pilot.press("plus", "u")
        assert screen.panel.selection.axis is Axis.CLOCK
        assert screen.panel.selection.window is None
        await until(pilot, lambda: "training time" in notes(screen), "time")
        assert "1m" in picture(screen).splitlines()[-1]
        await pilot.press("u")
        await until(pilot, lambda: "training time" not in notes(screen), "steps")


async def test_the_parent_goes_on_in_grey(run: Path) -> None:
    async with looking_at(run, 12) as (pilot, screen):
        before = picture(screen)
        await pilot.press("p")
        await until(pilot, lambda: "grey: #5→#10 continued" in notes(screen), "the parent's way on")
        assert picture(screen) != before
        await pilot.press("p")
        await until(pilot, lambda: picture(screen) == before, "as it was")


async def test_a_node_whose_parent_did_not_go_on_says_so(run: Path) -> None:
    async with looking_at(run, 10) as (pilot, screen):
        await pilot.press("p")
        await until(pilot, lambda: "the parent has no later steps" in notes(screen), "the words")


@pytest.mark.parametrize(("size", "headings"), [((120, 40), 4), ((80, 24), 2), ((160, 50), 4)])
async def test_marked_metrics_stand_beside_the_plotted_one_when_it_has_the_screen(
    run: Path, engine: Engine, size: tuple[int, int], headings: int
) -> None:
    async with looking_at(run, 14, size) as (pilot, screen):
        for metric in ("kl", "entropy", "grad_norm"):
            await until(pilot, lambda: screen.query_one(Strip).names, "metrics")
            screen.panel.metric = metric
            await pilot.press("M")
        screen.panel.metric = "reward"
        assert screen.panel.beside == ("kl", "entropy", "grad_norm")
        await pilot.press("z")
        names = ("reward", "kl", "entropy", "grad")
        await until(pilot, lambda: sum(f" {n}  " in picture(screen) for n in names) == headings, "all that have room")
        if headings < len(names):
            assert f"no room for {len(names) - headings} more" in notes(screen)
        await pilot.press("z")
        await until(pilot, lambda: " kl  " not in picture(screen), "the plotted one alone")


async def test_a_mark_of_the_strip_is_the_metric_under_its_cursor(run: Path, engine: Engine) -> None:
    async with looking_at(run, 14) as (pilot, screen):
        strip = screen.query_one(Strip)
        strip.focus()
        await pilot.press("right", "M")
        marked = [screen.panel.beside]
        await pilot.press("M")
        marked.append(screen.panel.beside)
        assert marked == [("kl",), ()]


async def test_another_node_is_seen_through_the_same_window(run: Path, engine: Engine) -> None:
    async with looking_at(run, 14) as (pilot, screen):
        await pilot.press("plus")
        window = screen.panel.selection.window
        screen.look_at(13)
        await until(pilot, lambda: "#13 · reward" in title(screen) and read(screen), "#13")
        assert screen.panel.selection.window == window
        screen.look_at(3)  # 34 steps: nothing there
        await until(pilot, lambda: "press 0 to reset the zoom" in picture(screen), "the way out")


async def test_no_key_stops_the_display_whatever_was_logged(run: Path) -> None:
    async with looking_at(run, 14, (80, 24), ascii=True) as (pilot, screen):
        for node in (8, 9, 0, 16):
            screen.look_at(node)
            for key in ("plus", "l", "u", "y", "plus", "s", "p", "h", "right_square_bracket", "minus", "u", "s", "0"):
                await pilot.press(key)
                assert picture(screen).isascii()
        assert screen.app.is_running
        assert isinstance(screen.panel.plot, MetricPlot)

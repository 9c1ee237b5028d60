"""Taking pictures of the app at rest: everything in them is fixed, so that any difference is one of what is shown.

Used by test_snapshots_*.py through the fixture `picture`. The sample run, the clock, the home directory and the time of
queries are given, nothing moves or blinks; a picture is taken once two looks at the run draw the same.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.screen import Screen
from textual.strip import Strip
from textual.widgets import Input, TextArea

from llmzero_tui.app import FirstScreen, LLMZeroApp
from llmzero_tui.screens.evidence import EvidenceScreen
from llmzero_tui.screens.run import RunScreen
from llmzero_tui.screens.runs import RunsScreen
from llmzero_tui.user.preferences import TerminalSettings
from llmzero_tui.values.snapshot import UNREAD
from tests.tui import sample_run

LOW, USUAL, LARGE = (80, 24), (120, 40), (160, 50)
SIZES = (LOW, USUAL, LARGE)
at_every_size = pytest.mark.parametrize("size", SIZES, ids=[f"{width}x{height}" for width, height in SIZES])
at_small_sizes = pytest.mark.parametrize("size", [LOW, USUAL], ids=["80x24", "120x40"])
"""For dialogs, whose width is fixed: on a larger terminal only more of what lies behind them is seen."""
ROUNDS = 400
RECTANGLE = re.compile(
    r'<rect fill="([^"]*)" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)" shape-rendering="crispEdges"/>'
)

Size = tuple[int, int]
Take = Callable[..., bool]
"""`take(size, *keys, on=…, run=…, first=…, node=…, do=…, **settings)`; see `camera`."""


def camera(snap_compare: Callable[..., bool], runs: Path, monkeypatch: pytest.MonkeyPatch) -> Take:
    """Takes the pictures of one test.

    What it returns opens `run` (None: the list of runs) or what `first` makes, goes to `node`, presses `keys` one by
    one, each when what it is about has been read, carries out the action `do`, and compares what is shown then, which
    must be a screen of the kind `on`.
    """
    home = runs.parent
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home)
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "LLMZERO_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("llmzero_tui.feeds.sql.time", SimpleNamespace(monotonic=lambda: 0.0))
    monkeypatch.setattr(Input, "_toggle_cursor", lambda self: None)  # a cursor is drawn where there is one
    monkeypatch.setattr(TextArea, "_toggle_cursor_blink_visible", lambda self: None)

    def take(
        size: Size, *keys: str, on: type[Screen[Any]] | None = None, run: str | None = "knights-01",
        first: FirstScreen | None = None, node: int | None = None, do: str = "", tour: bool = False, **settings: Any,
    ) -> bool:  # fmt: skip
        path = runs / run if run is not None else None
        app = LLMZeroApp(
            runs, path, first=first, clock=lambda: sample_run.NOW, settings=TerminalSettings(**settings), tour=tour
        )
        draw = app.export_screenshot
        monkeypatch.setattr(app, "export_screenshot", lambda **options: slim(draw(**options)))

        async def steps(pilot: Pilot[int]) -> None:
            await opened(pilot)
            if node is not None:
                assert isinstance(app.screen, RunScreen)
                app.screen.look_at(node)
            await read(pilot)
            for key in keys:
                await pilot.press(key)
                await read(pilot)
            if do:
                await app.screen.run_action(do)
            await at_rest(pilot)
            if on is not None:
                assert isinstance(app.screen, on), f"{app.screen} is in front"

        return snap_compare(app, terminal_size=size, run_before=steps)

    return take


async def opened(pilot: Pilot[int]) -> None:
    """Until the first screen has its data."""
    app = pilot.app
    assert isinstance(app, LLMZeroApp)

    def there() -> bool:
        polled = app.polled
        if isinstance(polled, RunsScreen):
            return polled.snapshot is not None and all(run.state != UNREAD for run in polled.snapshot.runs)
        if isinstance(polled, EvidenceScreen):
            return polled.snapshot is not None and polled.snapshot.table is not None
        return isinstance(polled, RunScreen) and polled.snapshot is not None

    for _ in range(ROUNDS):
        if there():
            return
        await pilot.pause(0.02)
    raise AssertionError("the first screen never had its data")


async def read(pilot: Pilot[int]) -> None:
    """Until nothing is being read or asked, and the right side of a run is about the selected node."""
    app = pilot.app
    assert isinstance(app, LLMZeroApp)
    for _ in range(ROUNDS):
        await pilot.pause()
        while app._reading is not None or any(not worker.is_finished for worker in app.workers):
            await asyncio.sleep(0.01)
        front = app.polled
        detail = front.snapshot.detail if isinstance(front, RunScreen) and front.snapshot is not None else None
        if not isinstance(front, RunScreen) or detail is None or detail.node == front.selected:
            return
        app.poll()
    raise AssertionError(f"{app.screen} was never read")


async def at_rest(pilot: Pilot[int]) -> None:
    """Until one more look at the run draws what is drawn already."""
    app = pilot.app
    assert isinstance(app, LLMZeroApp)
    before: list[Strip] | None = None
    for _ in range(ROUNDS):
        await read(pilot)
        await pilot.pause()
        drawn = app.screen._compositor.render_strips()
        if drawn == before and app.screen.size == app.size:
            return
        before = drawn
        app.poll()
    raise AssertionError(f"{app.screen} never came to rest")


def slim(svg: str) -> str:
    """The picture in a third of the bytes: without clips of lines and web fonts, neighbours of a colour joined."""
    svg = re.sub(r"<clipPath id=\"[\w-]+-line-\d+\">.*?</clipPath>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r" clip-path=\"url\(#[\w-]+-line-\d+\)\"", "", svg)
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(rf"(?:{RECTANGLE.pattern})+", lambda found: _joined(found.group()), svg)
    return svg.replace("&#160;", "\u00a0")


def _joined(rectangles: str) -> str:
    """Rectangles of a colour that touch in their line as one."""
    found: list[tuple[str, float, str, float, str]] = []
    for fill, x, y, width, height in RECTANGLE.findall(rectangles):
        last = found[-1] if found else ("", 0.0, "", 0.0, "")
        if (fill, y, height) == (last[0], last[2], last[4]) and abs(last[1] + last[3] - float(x)) < 0.01:
            found[-1] = (fill, last[1], y, last[3] + float(width), height)
        else:
            found.append((fill, float(x), y, float(width), height))
    return "".join(
        f'<rect fill="{fill}" x="{x:g}" y="{y}" width="{width:g}" height="{height}" shape-rendering="crispEdges"/>'
        for fill, x, y, width, height in found
    )

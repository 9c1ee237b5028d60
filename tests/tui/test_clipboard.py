"""A copy leaves the app by OSC 52 and by a file; neither can be made to do anything else."""

from __future__ import annotations

import base64
import re
import stat
from pathlib import Path

import pytest
from textual.pilot import Pilot

from llmzero_tui.app import LLMZeroApp
from llmzero_tui.screens.run import RunScreen
from llmzero_tui.user import clipboard
from llmzero_tui.user.places import state_dir
from tests.tui.conftest import app_on, until
from tests.tui.sample_run import HOSTILE


def kept() -> Path:
    return state_dir() / "clipboard.txt"


def told(app: LLMZeroApp) -> list[str]:
    return [str(each.message) for each in app._notifications]


async def on_run(pilot: Pilot[int], app: LLMZeroApp) -> RunScreen:
    await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.snapshot, "a snapshot")
    assert isinstance(app.screen, RunScreen)
    return app.screen


@pytest.mark.parametrize("text", ["", "ünï 漢字", HOSTILE, "a\x1b]52;c;AAAA\x07\x1b\\b", "x" * 200, "\ud800"])
@pytest.mark.parametrize("tmux", [False, True])
def test_nothing_in_a_text_ends_the_sequence(text: str, tmux: bool) -> None:
    made = clipboard.sequence(text, tmux=tmux)
    ends = re.findall(r"\x1b\]52;c;([A-Za-z0-9+/=]*)\x07", made)
    assert [base64.b64decode(end).decode() for end in ends] == [text.encode("utf-8", "replace").decode()] * (1 + tmux)
    rest = re.sub(r"\x1b+\]52;c;[A-Za-z0-9+/=]*\x07", "", made)
    assert rest == ("\x1bPtmux;\x1b\\" if tmux else "")


def test_a_pasted_text_presses_no_key() -> None:
    assert clipboard.harmless("a\tb\r\nc\x03\x1b[31m\x9bd\u202e\x00") == "a\tb\nc[31md"


async def test_a_copy_is_in_a_private_file_and_the_notification_names_it(run: Path) -> None:
    app = app_on(run)
    async with app.run_test(size=(120, 40)) as pilot:
        await on_run(pilot, app)
        app.copy("one\ntwo\x1b[31m", "2 rows")
        await until(pilot, lambda: told(app), "a notification")
    assert kept().read_text() == "one\ntwo[31m"
    assert stat.S_IMODE(kept().stat().st_mode) == 0o600
    assert stat.S_IMODE(kept().parent.stat().st_mode) == 0o700
    assert told(app) == [f"copied 2 rows; also in {kept()}"]


async def test_what_no_terminal_takes_is_only_in_the_file_and_that_is_said(run: Path) -> None:
    app = app_on(run)
    async with app.run_test(size=(120, 40)) as pilot:
        await on_run(pilot, app)
        app.copy("é" * clipboard.LIMIT, "everything")
        await until(pilot, lambda: told(app), "a notification")
    assert kept().read_text() == "é" * clipboard.LIMIT
    assert told(app) == [f"everything: too large for the terminal's clipboard; in {kept()}"]


async def test_a_place_that_cannot_be_written_is_said_in_one_line(run: Path) -> None:
    kept().parent.parent.mkdir(parents=True)
    kept().parent.write_text("in the way")
    app = app_on(run)
    async with app.run_test(size=(120, 40)) as pilot:
        await on_run(pilot, app)
        app.copy("one", "a row")
        await until(pilot, lambda: told(app), "a notification")
    assert told(app)[0].startswith("copied a row to the terminal's clipboard only: ")
    assert "\n" not in told(app)[0]


async def test_a_key_copies_the_selected_node(run: Path) -> None:
    app = app_on(run)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await on_run(pilot, app)
        screen.look_at(12)
        await until(
            pilot, lambda: screen.snapshot and screen.snapshot.detail and screen.snapshot.detail.node == 12, "12"
        )
        await pilot.press("Y")
        await until(pilot, lambda: told(app), "a notification")
    text = kept().read_text()
    assert text.startswith("knights-01 #12 max_completion_length 80, crashed, 21 of 50 steps\nfrom #5 step 25")
    assert "max_completion_length: 64 -> 80" in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert told(app)[0].startswith("copied node 12; also in ")

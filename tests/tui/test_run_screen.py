"""The run screen: what is chosen on it reaches the engine, what the engine answers reaches it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from textual.command import CommandPalette
from textual.pilot import Pilot
from textual.widgets import Input

from llmzero_tui.app import LLMZeroApp
from llmzero_tui.screens.budget import BudgetScreen
from llmzero_tui.screens.dialogs import AskText, Choose
from llmzero_tui.screens.edit import EditScreen
from llmzero_tui.screens.prune import PruneScreen
from llmzero_tui.screens.run import RunScreen
from llmzero_tui.screens.runs import RunsScreen
from llmzero_tui.screens.workers import WorkersScreen
from llmzero_tui.widgets.choice import Choice
from llmzero_tui.widgets.details import Details
from llmzero_tui.widgets.header import RunHeader
from llmzero_tui.widgets.inbox import Inbox
from llmzero_tui.widgets.strip import Strip
from llmzero_tui.widgets.tree import SearchTree
from tests.tui.conftest import app_on, until
from tests.tui.live_engine import RUNNING, Engine, live


@asynccontextmanager
async def opened(run: Path, size: tuple[int, int] = (120, 40)) -> AsyncIterator[tuple[Pilot[int], RunScreen]]:
    """The app on a run, with its first snapshot on screen."""
    app = app_on(run)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.snapshot, "a snapshot")
        assert isinstance(app.screen, RunScreen)
        screen = app.screen
        await until(pilot, lambda: screen.selected == RUNNING and screen.panel.plot is not None, "the running node")
        yield pilot, screen


def text_of(screen: RunScreen, selector: str = "#header") -> str:
    """What a widget shows, as lines of text."""
    widget = screen.query_one(selector)
    return "\n".join("".join(segment.text for segment in widget.render_line(y)) for y in range(widget.size.height))


def tick(screen: RunScreen) -> None:
    """A look at everything, now."""
    assert isinstance(screen.app, LLMZeroApp)
    screen.app.poll()


def looks_at(screen: RunScreen, node: int) -> bool:
    detail = screen.snapshot.detail if screen.snapshot else None
    return detail is not None and detail.node == node


def shows(screen: RunScreen, words: str, selector: str = "#header") -> bool:
    return words in text_of(screen, selector)


def sent(engine: Engine, count: int = 1) -> bool:
    return len(engine.commands) >= count


async def to_inbox(pilot: Pilot[int], screen: RunScreen) -> None:
    """Press i; the oldest proposal (#16) becomes the selected node."""
    await pilot.press("i")
    await until(pilot, lambda: screen.selected == 16 and screen.context().target is not None, "the proposal")


async def test_approve_carries_the_revision_and_is_done_only_when_the_engine_says_so(run: Path, engine: Engine) -> None:
    async with opened(run) as (pilot, screen):
        await pilot.press("i", "down")
        await until(pilot, lambda: screen.selected == 15, "the second proposal")
        await pilot.press("a")
        await until(pilot, lambda: sent(engine), "a command")
        row = engine.command(engine.commands[0])
        assert (row["kind"], row["proposal_id"], row["revision"]) == ("approve", 15, 2)
        await until(pilot, lambda: "approve #15 sent" in text_of(screen), "sent")
        assert "done" not in text_of(screen)
        for state in ("taken", "done"):
            engine.answer(engine.commands[0], state)
            tick(screen)
            words = f"approve #15 {state}"
            await until(pilot, partial(shows, screen, words), words)


async def test_a_refusal_is_shown_with_its_reason(run: Path, engine: Engine) -> None:
    async with opened(run) as (pilot, screen):
        await to_inbox(pilot, screen)
        await pilot.press("a")
        await until(pilot, lambda: sent(engine), "a command")
        engine.answer(engine.commands[0], "refused", "revision 1 is stale, it is 2 [/b]\x1b[31m")
        tick(screen)
        await until(pilot, lambda: screen.app._notifications, "a notice")
        notice = next(iter(screen.app._notifications))
        assert "refused: revision 1 is stale, it is 2 [/b]" in notice.message
        assert "\x1b" not in notice.message
        assert notice.severity == "error"
        assert not notice.markup


async def test_the_palette_stays_shut_over_a_dialog(run: Path, engine: Engine) -> None:
    app = app_on(run)
    async with app.run_test() as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.snapshot, "a snapshot")
        await pilot.press("B")
        await until(pilot, lambda: isinstance(app.screen, BudgetScreen), "the dialog")
        await pilot.press("ctrl+p")
        await pilot.pause()
        assert isinstance(app.screen, BudgetScreen)
        await pilot.press("escape", "ctrl+p")
        await until(pilot, lambda: isinstance(app.screen, CommandPalette), "the palette")


async def test_refusals_from_before_are_not_announced(run: Path, engine: Engine) -> None:
    engine.writer.insert("command_results", command_id=1, state="refused", message="long ago")
    engine.writer.flush()
    async with opened(run) as (_pilot, screen):
        assert not screen.app._notifications


async def test_edit_sends_only_valid_changes(run: Path, engine: Engine) -> None:
    async with opened(run) as (pilot, screen):
        await to_inbox(pilot, screen)
        await pilot.press("e")
        await until(pilot, lambda: isinstance(screen.app.screen, EditScreen), "the form")
        form = screen.app.screen
        form.query_one("#value-learning_rate", Input).value = "0.5"
        await pilot.press("enter")
        verdict = str(form.query_one("#verdict").render())
        assert "learning_rate" in verdict
        assert "1e-6 to 5e-4" in verdict
        assert not engine.commands
        form.query_one("#value-learning_rate", Input).value = "2e-5"
        form.query_one("#value-beta", Input).value = ""
        form.query_one("#optimizer", Choice).action_move(1)
        await pilot.press("enter")
        await until(pilot, lambda: sent(engine), "a command")
        row = engine.command(engine.commands[0])
        assert (row["kind"], row["proposal_id"], row["revision"]) == ("edit", 16, 1)
        assert row["payload"]["changes"] == {"learning_rate": 2e-5}
        assert (row["payload"]["optimizer"], row["payload"]["reference"]) == ("reset", "base")


async def test_a_text_in_a_number_field_is_answered_in_one_line(run: Path, engine: Engine) -> None:
    async with opened(run) as (pilot, screen):
        await to_inbox(pilot, screen)
        await pilot.press("e")
        await until(pilot, lambda: isinstance(screen.app.screen, EditScreen), "the form")
        form = screen.app.screen
        for wrong in ("abc", "nan", "inf", "1e999", "[/b]"):
            form.query_one("#value-temperature", Input).value = wrong
            await pilot.press("enter")
            assert "temperature" in str(form.query_one("#verdict").render())
        await pilot.press("escape")
        await until(pilot, lambda: screen.app.screen is screen, "closed")
        assert not engine.commands


async def test_reject_asks_for_a_reason(run: Path, engine: Engine) -> None:
    async with opened(run) as (pilot, screen):
        await to_inbox(pilot, screen)
        await pilot.press("r")
        await until(pilot, lambda: isinstance(screen.app.screen, AskText), "the question")
        await pilot.press(*"too bold", "enter")
        await until(pilot, lambda: sent(engine), "a command")
        row = engine.command(engine.commands[0])
        assert (row["kind"], row["payload"], row["revision"]) == ("reject", {"reason": "too bold"}, 1)


async def test_branching_by_hand_names_the_parent_and_its_checkpoint(run: Path, engine: Engine) -> None:
    async with opened(run) as (pilot, screen):
        await pilot.press("b")
        screen.look_at(5)
        await until(
            pilot, lambda: screen.snapshot and screen.snapshot.detail and screen.snapshot.detail.node == 5, "#5"
        )
        await pilot.press("e")
        await until(pilot, lambda: isinstance(screen.app.screen, EditScreen), "the form")
        form = screen.app.screen
        form.query_one("#step", Choice).action_move(1)
        form.query_one("#value-temperature", Input).value = "0.8"
        await pilot.press("enter")
        await until(pilot, lambda: sent(engine), "a command")
        payload = engine.command(engine.commands[0])["payload"]
        assert (payload["parent"], payload["step"], payload["changes"]) == (5, 25, {"temperature": 0.8})


async def test_prune_is_sent_after_enter_and_not_after_escape(run: Path, engine: Engine) -> None:
    async with opened(run) as (pilot, screen):
        for answer in ("escape", "enter"):
            await pilot.press("x")
            await until(pilot, lambda: isinstance(screen.app.screen, PruneScreen), "the question")
            assert not engine.commands
            await pilot.press(answer)
            await until(pilot, lambda: screen.app.screen is screen, "closed")
        await until(pilot, lambda: sent(engine), "a command")
        assert engine.command(engine.commands[0])["kind"] == "prune"
        assert engine.command(engine.commands[0])["node_id"] == RUNNING


async def test_stop_wants_the_name_of_the_run(run: Path, engine: Engine) -> None:
    async with opened(run) as (pilot, screen):
        await screen.run_action("stop")
        await until(pilot, lambda: isinstance(screen.app.screen, AskText), "the question")
        await pilot.press(*"knights-02", "enter")
        assert not engine.commands
        await pilot.press("backspace", "1", "enter")
        await until(pilot, lambda: sent(engine), "a command")
        assert engine.command(engine.commands[0])["kind"] == "stop"


async def test_space_pauses_and_then_resumes(run: Path, engine: Engine) -> None:
    async with opened(run) as (pilot, screen):
        await pilot.press("space")
        await until(pilot, lambda: sent(engine), "pause")
        engine.writer.update("runs", {"name": "knights-01"}, state="paused")
        engine.writer.flush()
        tick(screen)
        await until(pilot, lambda: screen.context().state == "paused", "paused")
        await pilot.press("space")
        await until(pilot, lambda: sent(engine, 2), "resume")
        assert [engine.command(c)["kind"] for c in engine.commands] == ["pause", "resume"]


async def test_the_gate_is_chosen_from_three_modes(run: Path, engine: Engine) -> None:
    async with opened(run) as (pilot, screen):
        await screen.run_action("gate")
        await until(pilot, lambda: isinstance(screen.app.screen, Choose), "the question")
        await pilot.press("up", "enter")
        await until(pilot, lambda: sent(engine), "a command")
        row = engine.command(engine.commands[0])
        assert (row["kind"], row["payload"]) == ("gate", {"mode": "timeout"})


async def test_the_workers_are_shown_with_their_devices_and_follow_the_run(run: Path, engine: Engine) -> None:
    detail = '{"device": "NVIDIA H200 (node-7)"}'
    engine.writer.insert("events", level="info", kind="started", node_id=RUNNING, message="set up", detail=detail)
    engine.step(31)
    async with opened(run) as (pilot, screen):
        await screen.run_action("workers")
        await until(pilot, lambda: isinstance(screen.app.screen, WorkersScreen), "the dialog")

        def told() -> str:
            return "\n".join(
                "".join(s.text for s in words.render_line(y))
                for words in screen.app.screen.query("#words")
                for y in range(words.size.height)
            )

        await until(pilot, lambda: "NVIDIA H200 (node-7)" in told() and "step 31/" in told(), "the device")
        for name, value in (("device/utilization", 0.93), ("device/memory_gb", 41.25), ("tokens_per_second", 2150.4)):
            engine.writer.insert("metrics", node_id=RUNNING, step=32, name=name, value=value)
        engine.step(32)
        tick(screen)
        await until(pilot, lambda: "93%" in told() and "41.2 GB  2,150 tokens/s" in told(), "what it uses")
        await pilot.press("escape")
        await until(pilot, lambda: screen.app.screen is screen, "the run again")


async def test_the_range_of_a_hyperparameter_is_changed_in_its_own_form(run: Path, engine: Engine) -> None:
    async with opened(run) as (pilot, screen):
        await screen.run_action("space")
        await until(pilot, lambda: isinstance(screen.app.screen, Choose), "the question")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(screen.app.screen, AskText), "the range")
        name = str(screen.app.screen.query_one(".dialog").border_title)
        field = screen.app.screen.query_one(Input)
        field.value = "1e-6..2e-4"
        await pilot.press("enter")
        await until(pilot, lambda: sent(engine), "a command")
        row = engine.command(engine.commands[0])
        assert row["kind"] == "space"
        assert row["payload"]["name"] in name
        assert (row["payload"]["low"], row["payload"]["high"]) == (1e-6, 2e-4)


async def test_keys_typed_into_the_filter_are_text(run: Path, engine: Engine) -> None:
    async with opened(run) as (pilot, screen):
        await pilot.press("slash", *"xaq r", "space")
        assert screen.query_one("#filter", Input).value == "xaq r "
        assert screen.app.is_running
        assert not engine.commands
        await pilot.press("escape")
        assert not screen.query_one("#filter").display


async def test_the_filter_leaves_what_matches_and_the_way_to_it(run: Path) -> None:
    app = app_on(run)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.snapshot, "a snapshot")
        await pilot.press("slash", *"nan")
        tree = app.screen.query_one(SearchTree)
        await until(pilot, lambda: [line.node for line in tree.lines] == [0, 4, 8], "the filtered tree")
        await pilot.press("escape")
        await until(pilot, lambda: len(tree.lines) == 17, "the whole tree")


async def test_the_cursor_drives_the_right_side(run: Path) -> None:
    app = app_on(run)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.snapshot, "a snapshot")
        screen = app.screen
        assert isinstance(screen, RunScreen)
        await pilot.press("home")
        await until(pilot, lambda: screen.selected == 0, "the root")
        await pilot.press("j")
        await until(pilot, lambda: "#1 ✓ finished" in text_of(screen, "#details"), "#1")
        assert not screen.following


async def test_the_policy_of_a_run_that_is_over_stands_beside_plain_grpo(runs: Path) -> None:
    app = app_on(runs / "knights-00")
    async with app.run_test(size=(160, 50)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.snapshot, "a snapshot")
        screen = app.screen
        assert isinstance(screen, RunScreen)
        await until(pilot, lambda: shows(screen, "plain GRPO, the default configuration", "#details"), "the yardstick")
        await pilot.press("home")
        await until(pilot, lambda: screen.selected == 0, "the root")
        await until(pilot, lambda: not shows(screen, "plain GRPO", "#details"), "no yardstick at another node")


async def test_the_view_follows_what_trains_until_the_human_looks_elsewhere(run: Path, engine: Engine) -> None:
    async with opened(run) as (pilot, screen):
        engine.writer.update("nodes", {"node_id": RUNNING}, state="finished")
        engine.writer.update("nodes", {"node_id": 15}, state="running")
        engine.writer.flush()
        tick(screen)
        await until(pilot, lambda: screen.selected == 15, "the next segment")
        await pilot.press("b")
        await until(pilot, lambda: screen.selected == RUNNING, "the best")
        engine.writer.update("nodes", {"node_id": 15}, state="finished")
        engine.writer.update("nodes", {"node_id": 16}, state="running")
        engine.writer.flush()
        tick(screen)
        await until(pilot, lambda: screen.snapshot and screen.snapshot.nodes[16].state == "running", "news")
        assert screen.selected == RUNNING


async def test_a_frozen_display_stands_still(run: Path, engine: Engine) -> None:
    async with opened(run) as (pilot, screen):
        await pilot.press("F")
        await until(pilot, lambda: "frozen" in text_of(screen), "frozen")
        before = screen.snapshot
        engine.step(32)
        tick(screen)
        await until(pilot, lambda: not screen.app._reading, "a look")  # type: ignore[attr-defined]
        assert screen.snapshot is before
        await pilot.press("F")
        await until(pilot, lambda: screen.snapshot and screen.snapshot.nodes[RUNNING].trained == 32, "it goes on")


async def test_a_lost_engine_is_said_and_its_file_is_read(run: Path) -> None:
    app = app_on(run)
    with live(run):
        async with app.run_test(size=(120, 40)) as pilot:
            await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.snapshot, "a snapshot")
            screen = app.screen
            assert isinstance(screen, RunScreen)
            assert screen.context().live
    app = app_on(run)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.snapshot, "a snapshot")
        assert isinstance(app.screen, RunScreen)
        assert "crashed" in text_of(app.screen)
        assert "no engine" in text_of(app.screen)


async def test_the_engine_may_go_while_one_looks(run: Path) -> None:
    app = app_on(run)
    with live(run) as engine:
        context = app.run_test(size=(120, 40))
        pilot = await context.__aenter__()
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.snapshot, "a snapshot")
        assert engine.commands == []
    screen = app.screen
    assert isinstance(screen, RunScreen)
    try:
        await until(pilot, lambda: shows(screen, "crashed"), "crashed")
        assert not screen.context().steerable
        await pilot.press("space")
        assert app.is_running
    finally:
        await context.__aexit__(None, None, None)


async def test_one_pane_at_a_time_when_it_is_narrow(run: Path, engine: Engine) -> None:
    async with opened(run, size=(80, 24)) as (pilot, screen):

        def shown() -> list[str]:
            names = ("#tree", "#inbox", "#plot", "#strip", "#details")
            return [n for n in names if screen.query_one(n).region.area > 0]

        await until(pilot, lambda: shown() == ["#tree"], "the tree")
        assert "2 waiting" in text_of(screen)
        await pilot.press("tab")
        await until(pilot, lambda: shown() == ["#plot", "#strip"], "the plot")
        await pilot.press("4")
        await until(pilot, lambda: shown() == ["#details"], "the log")
        assert screen.query_one(Details).tab == 3
        await pilot.press("i")
        await until(pilot, lambda: shown() == ["#inbox", "#details"], "the inbox")
        assert screen.query_one(Inbox).has_focus
        assert "Inbox 2" in text_of(screen, "#panes")


@pytest.mark.parametrize("size", [(20, 5), (4, 2), (80, 24), (99, 12), (300, 100)])
async def test_no_size_is_too_small_or_too_large(run: Path, engine: Engine, size: tuple[int, int]) -> None:
    app = app_on(run)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.snapshot, "a snapshot")
        screen = app.screen
        assert isinstance(screen, RunScreen)
        await until(pilot, lambda: screen.panel.plot is not None, "the plot")
        for key in ("tab", "tab", "tab", "tab", "2", "z", "z"):
            await pilot.press(key)
        assert app.is_running


async def test_zoom_gives_the_plot_the_screen_and_takes_it_back(run: Path, engine: Engine) -> None:
    async with opened(run) as (pilot, screen):
        await pilot.press("z")
        assert screen.query_one("#plot").size.height > 30
        assert not screen.query_one("#left").display
        await pilot.press("escape")
        assert screen.query_one("#left").display


async def test_metrics_are_chosen_by_key_and_from_the_strip(run: Path, engine: Engine) -> None:
    async with opened(run) as (pilot, screen):
        await until(pilot, lambda: screen.query_one(Strip).names, "metrics")
        await pilot.press("right_square_bracket")
        assert screen.panel.metric == "kl"
        screen.query_one(Strip).focus()
        await pilot.press("right", "enter")
        await until(pilot, lambda: screen.panel.metric == "entropy", "entropy")
        await until(pilot, lambda: "entropy" in str(screen.query_one("#plot").border_title), "its plot")


async def test_every_metric_can_be_plotted_in_every_way(run: Path) -> None:
    """NaN, infinity, zeros on a log scale, one point: nothing stops the display."""
    app = app_on(run)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.snapshot, "a snapshot")
        screen = app.screen
        assert isinstance(screen, RunScreen)
        await until(pilot, lambda: screen.panel.plot is not None, "the plot")
        for node in (8, 9, 0, 16):
            screen.look_at(node)
            await until(pilot, partial(looks_at, screen, node), f"#{node}")
            for key in ("y", "s", "right_square_bracket", "s", "y", "right_square_bracket", "s", "y", "y"):
                await pilot.press(key)
                text_of(screen, "#plot")
        assert app.is_running


async def test_a_log_scale_draws_the_curve(run: Path, engine: Engine) -> None:
    async with opened(run) as (pilot, screen):
        await until(pilot, lambda: _braille(text_of(screen, "#plot")) > 50, "a curve")
        await pilot.press("y")
        await until(pilot, lambda: "log" in str(screen.query_one("#plot").border_subtitle), "a log scale")
        assert _braille(text_of(screen, "#plot")) > 50


def _braille(text: str) -> int:
    return sum("\u2800" < character <= "\u28ff" for character in text)


async def test_hostile_text_is_shown_as_it_is(run: Path) -> None:
    app = app_on(run)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.snapshot, "a snapshot")
        screen = app.screen
        assert isinstance(screen, RunScreen)
        await until(pilot, lambda: "[b]len↑[/b]" in text_of(screen, "#tree"), "the tree")
        screen.look_at(12)
        words = "[/foo] [b]bold[/b] red evil bell [@click=app.quit]x[/]"
        await until(pilot, lambda: words in text_of(screen, "#details"), "the rationale")
        screen.look_at(RUNNING)
        await until(pilot, partial(looks_at, screen, RUNNING), "a node with samples")
        for key in ("3", "4"):
            await pilot.press(key)
            await until(pilot, lambda: "[b]bold[/b] red evil" in text_of(screen, "#details"), f"tab {key}")


async def test_q_leaves_and_the_engine_goes_on(run: Path, engine: Engine) -> None:
    async with opened(run) as (pilot, screen):
        app = screen.app
        await pilot.press("q")
        await until(pilot, lambda: not app.is_running or app._exit, "gone")
    assert app.return_code in (0, None)
    assert app.return_value == 0
    assert not engine.commands


async def test_backspace_goes_to_the_list_and_enter_comes_back(runs: Path, engine: Engine) -> None:
    async with opened(runs / "knights-01") as (pilot, screen):
        app = screen.app
        assert isinstance(app, LLMZeroApp)
        await pilot.press("backspace")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen) and app.screen.current, "the list")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.snapshot, "a run")


async def test_the_header_ages_with_the_clock(run: Path, engine: Engine) -> None:
    async with opened(run) as (_pilot, screen):
        assert "data 0.4s old" in text_of(screen)
        assert isinstance(screen.query_one(RunHeader), RunHeader)

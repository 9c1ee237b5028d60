"""The agents screen and its tab: what calls cost, one in full in sections that fold, words that arrive as they are
written, pictures that are files of the run and no others."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widget import Widget
from textual.widgets import Static

from llmzero_tui import plots
from llmzero_tui.app import LLMZeroApp
from llmzero_tui.feeds.agents import AgentsFeed
from llmzero_tui.screens.agents import AgentsScreen
from llmzero_tui.screens.run import RunScreen
from llmzero_tui.user.places import state_dir
from llmzero_tui.values.calls import PAGE, AgentsSnapshot, AgentsView
from tests.tui.conftest import app_on, until
from tests.tui.live_engine import RUNNING, Engine, live
from tests.tui.sample_run import NOW
from tests.tui.sample_words import MODEL

SIZES = ((80, 24), (120, 40), (160, 50))


def feed_of(run: Path) -> AgentsFeed:
    return AgentsFeed(run, lambda: NOW)


def shown(screen: AgentsScreen | RunScreen, selector: str) -> str:
    """What a widget shows, as lines of text."""
    widget: Widget = screen.query_one(selector)
    if isinstance(widget, Static):
        return str(widget.render())
    return "\n".join("".join(s.text for s in widget.render_line(y)) for y in range(widget.size.height))


@asynccontextmanager
async def opened(run: Path, size: tuple[int, int] = (120, 40)) -> AsyncIterator[tuple[Pilot[int], AgentsScreen]]:
    """The calls of a run, by A from the run screen."""
    app = app_on(run)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.snapshot, "a snapshot")
        first = app.screen
        assert isinstance(first, RunScreen)
        await until(pilot, lambda: first.context().node is not None, "a node")
        await pilot.press("A")
        await until(pilot, lambda: isinstance(app.screen, AgentsScreen) and app.screen.snapshot, "calls")
        assert isinstance(app.screen, AgentsScreen)
        yield pilot, app.screen


async def settled(pilot: Pilot[int], screen: AgentsScreen) -> AgentsSnapshot:
    """Until what is shown is what was asked for."""
    await pilot.pause()
    await until(pilot, lambda: screen.snapshot is not None and screen.snapshot.view == screen.view(), "the view")
    assert screen.snapshot is not None
    return screen.snapshot


async def press(pilot: Pilot[int], screen: AgentsScreen, *keys: str) -> AgentsSnapshot:
    await pilot.press(*keys)
    return await settled(pilot, screen)


def call(engine: Engine, **values: object) -> int:
    """Log a call."""
    number = engine.writer.next_id("agent_calls")
    row: dict[str, object] = {
        "node_id": RUNNING, "advisor": "ollama", "role": "watcher", "model": MODEL, "prompt_version": "watcher/2",
        "request": "{}", "response": "", "rationale": "", "images": "[]", "prompt_tokens": 0, "completion_tokens": 0,
        "milliseconds": 1000.0, "error": "",
    }  # fmt: skip
    engine.writer.insert("agent_calls", call_id=number, **{**row, **values})
    engine.writer.flush()
    return number


# ---- the feed, over the file and over the live socket ---------------------------------------------------------------


def test_the_file_and_the_live_socket_say_the_same(run: Path) -> None:
    at_rest = feed_of(run).read(AgentsView())
    with live(run):
        alive = feed_of(run).read(AgentsView())
    assert (alive.totals, alive.lines, alive.whole) == (at_rest.totals, at_rest.lines, at_rest.whole)


def test_the_totals_are_of_all_calls_whatever_is_listed(run: Path) -> None:
    snapshot = feed_of(run).read(AgentsView(errors=True))
    totals = snapshot.totals
    assert totals.errors == (("not json", 1), ("stall", 1))
    assert totals.failed == len(snapshot.lines) == snapshot.found == 2
    assert totals.calls == totals.rules + 6
    assert totals.prompt_tokens == sum(1800 + 40 * i for i in range(6))
    assert set(totals.roles) == {"analyst", "diagnose", "selector", "strategist"}


def test_what_the_changes_of_each_advisor_gained_stands_under_the_totals(run: Path) -> None:
    """One change of the human has no standard error; a model's answers are counted, too."""
    feed = feed_of(run)
    human, model, rules = feed.read(AgentsView()).record
    feed.close()
    assert human == "human, 1 change trained, mean gain +0.008"
    assert model == "ollama, 4 of 5 answers usable"
    assert re.fullmatch(r"rules, 2 changes trained, mean gain [+−]0\.\d{3} \(SE 0\.\d{3}\)", rules)


def test_calls_are_filtered_by_node_and_role_the_newest_first(run: Path) -> None:
    found = feed_of(run).read(AgentsView(node=10)).lines
    assert {c.node for c in found} == {10}
    assert [c.call for c in found] == sorted((c.call for c in found), reverse=True)
    only = feed_of(run).read(AgentsView(node=10, role="analyst"))
    assert [c.role for c in only.lines] == ["analyst"]


def test_pages_are_the_databases(run: Path, engine: Engine) -> None:
    for index in range(PAGE + 5):
        engine.writer.insert(
            "agent_calls", call_id=1000 + index, node_id=None, advisor="rules", role="many", model="",
            prompt_version="", request="", response="", rationale="", images="[]", prompt_tokens=0,
            completion_tokens=0, milliseconds=1.0, error="",
        )  # fmt: skip
    engine.writer.flush()
    second = feed_of(run).read(AgentsView(role="many", page=1))
    assert (second.found, second.pages) == (PAGE + 5, 2)
    assert [c.call for c in second.lines] == [1004, 1003, 1002, 1001, 1000]


def test_a_request_is_cut_into_its_messages(run: Path) -> None:
    whole = feed_of(run).read(AgentsView(role="analyst")).whole
    assert whole is not None
    titles = [s.title for s in whole.sections]
    assert titles == [
        "rationale", "pictures shown to the model", "raw response", "sent as system", "sent as user",
        "requested response format", "sent with",
    ]  # fmt: skip
    assert [s.title for s in whole.sections if s.open] == ["rationale", "pictures shown to the model"]
    assert MODEL in next(s for s in whole.sections if s.title == "sent with").text


@pytest.mark.parametrize(
    "request_text",
    [
        "", "plain words", "[1, 2]", '{"messages": 3}',
        '{"messages": [1, {"role": null}]}', '{"messages": [{"content": {"a": 1}}]}',
    ],
)  # fmt: skip
def test_a_request_of_any_shape_is_shown(run: Path, engine: Engine, request_text: str) -> None:
    number = call(engine, request=request_text, images='{"no": "list"}', response='{"broken')
    whole = feed_of(run).read(AgentsView(chosen=number)).whole
    assert whole is not None
    assert whole.images == ()
    assert whole.line.call == number


# ---- the screen, by keys --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
async def test_the_list_the_totals_and_the_newest_call_are_on_screen(run: Path, size: tuple[int, int]) -> None:
    async with opened(run, size) as (_pilot, screen):
        assert "18 calls · 67% rules" in shown(screen, "#filters")
        assert "strategist" in shown(screen, "#calls")
        assert "is still improving" in shown(screen, "#call")
        if size[0] >= 120:
            assert "2 failed: not json 1, stall 1" in shown(screen, "#filters")
            assert "strategist/1" in shown(screen, "#calls")


async def test_keys_narrow_the_list(run: Path) -> None:
    async with opened(run) as (pilot, screen):
        assert all(c.error for c in (await press(pilot, screen, "e")).lines)
        assert "only failed ones" in shown(screen, "#title")
        assert len((await press(pilot, screen, "e")).lines) == 18
        assert {c.role for c in (await press(pilot, screen, "r")).lines} == {"analyst"}
        assert {c.role for c in (await press(pilot, screen, "r")).lines} == {"diagnose"}
        await press(pilot, screen, "r", "r", "r")
        await pilot.press("g", *"#5", "enter")
        await until(pilot, lambda: screen.view().node == 5, "the node")
        assert {c.node for c in (await settled(pilot, screen)).lines} == {5}
        await pilot.press("g", *"five", "enter")
        await pilot.pause()
        assert screen.view().node == 5


async def test_sections_unfold_and_fold(run: Path) -> None:
    async with opened(run, (120, 50)) as (pilot, screen):
        assert "You read training curves" not in shown(screen, "#call")
        await pilot.press("right_square_bracket", "right_square_bracket", "enter")
        await until(pilot, lambda: "You read training curves" in shown(screen, "#call"), "what was sent")
        await pilot.press("enter")
        await until(pilot, lambda: "You read training curves" not in shown(screen, "#call"), "folded again")
        await pilot.press("f", "tab", "home")
        await until(pilot, lambda: "You read training curves" in shown(screen, "#call"), "all unfolded")
        await pilot.press("f")
        await until(pilot, lambda: "is still improving" not in shown(screen, "#call"), "all folded")


async def test_a_call_streams_its_words_and_is_seen_to_be_unfinished(run: Path, engine: Engine) -> None:
    async with opened(run) as (pilot, screen):
        number = call(engine, rationale="Entropy fell", error="unfinished", milliseconds=3000.0)
        assert isinstance(screen.app, LLMZeroApp)
        screen.app.poll()
        await until(pilot, lambda: "1 writing" in shown(screen, "#filters"), "a call in progress")
        assert "writing" in shown(screen, "#calls").splitlines()[0]
        assert "rationale, being written" in shown(screen, "#call")
        assert "failed: not json 1, stall 1" in shown(screen, "#filters")
        engine.writer.update("agent_calls", {"call_id": number}, rationale="Entropy fell to .49 at")
        engine.writer.flush()
        screen.app.poll()
        await until(pilot, lambda: "Entropy fell to .49 at" in shown(screen, "#call"), "more words")
        engine.writer.update("agent_calls", {"call_id": number}, rationale="Entropy fell to .49.", error="")
        engine.writer.flush()
        screen.app.poll()
        await until(pilot, lambda: "writing" not in shown(screen, "#filters"), "its end")
        assert "Entropy fell to .49." in shown(screen, "#call")
        assert "being written" not in shown(screen, "#call")


@pytest.mark.parametrize("size", SIZES)
async def test_hostile_words_reach_no_terminal(run: Path, engine: Engine, size: tuple[int, int]) -> None:
    evil = "[/foo] [b]x[/b] \x1b[2J\u202eevil\x07 [@click=app.quit]y[/]"
    call(engine, role=evil, model=evil, advisor=evil, prompt_version=evil, rationale=evil, error=evil, response=evil,
         request=json.dumps({"messages": [{"role": evil, "content": evil}]}), images=json.dumps([evil]))  # fmt: skip
    async with opened(run, size) as (pilot, screen):
        await pilot.press("f")
        for selector in ("#title", "#filters", "#calls", "#call"):
            text = shown(screen, selector)
            assert not set(text) & set("\x1b\x07\u202e"), selector
        assert "[/foo] [b]x[/b]" in shown(screen, "#call")
        await press(pilot, screen, "r")
        assert not set(shown(screen, "#title")) & set("\x1b\x07\u202e")


async def test_a_megabyte_does_not_hold_up_the_screen_and_says_what_was_cut(run: Path, engine: Engine) -> None:
    huge = "word " * 400_000
    call(engine, rationale=huge, response=huge, request=json.dumps({"messages": [{"role": "user", "content": huge}]}))
    async with opened(run) as (pilot, screen):
        await pilot.press("f", "tab", "G")
        await until(pilot, lambda: "cut here" in shown(screen, "#call"), "the mark of the cut")
        words = " ".join(shown(screen, "#call").split())
        assert "more characters" in words
        assert "column request of agent_calls" in words


async def test_pictures_open_in_a_viewer_and_without_one_their_files_are_named(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plots, "viewer", lambda: None)
    picture = run / "segments" / "10" / "plots" / "step50-curves-10.png"
    picture.parent.mkdir(parents=True)
    picture.write_bytes(b"png")
    async with opened(run) as (pilot, screen):
        await press(pilot, screen, "down")
        assert "step50-curves-10.png" in shown(screen, "#call")
        await pilot.press("o")
        kept = state_dir() / "clipboard.txt"
        await until(pilot, lambda: screen.app._notifications and kept.exists(), "a notice and a copy")
        assert any(str(picture) in n.message for n in screen.app._notifications)
        assert kept.read_text() == str(picture.resolve())


def test_only_pictures_of_the_run_are_opened(run: Path, tmp_path: Path) -> None:
    inside = run / "segments" / "1" / "a.png"
    inside.parent.mkdir(parents=True)
    inside.write_bytes(b"png")
    outside = tmp_path / "outside.png"
    outside.write_bytes(b"png")
    (inside.parent / "link.png").symlink_to(outside)
    (inside.parent / "script.sh").write_text("echo")
    assert plots.of_call(run, ["segments/1/a.png"]) == (inside,)
    for name in (
        "../../outside.png",
        str(outside),
        "segments/1/link.png",
        "segments/1/script.sh",
        "a\0.png",
        "none.png",
    ):
        assert plots.of_call(run, [name]) == (), name


async def test_a_call_can_be_copied(run: Path) -> None:
    async with opened(run) as (pilot, _screen):
        await pilot.press("Y")
        kept = state_dir() / "clipboard.txt"
        await until(pilot, kept.exists, "a copy")
        text = kept.read_text()
        assert "is still improving" in text
        assert "You read training curves" in text


# ---- the tab --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
async def test_the_fifth_tab_has_the_calls_of_the_selected_node(run: Path, size: tuple[int, int]) -> None:
    app = app_on(run)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.snapshot, "a snapshot")
        screen = app.screen
        assert isinstance(screen, RunScreen)
        screen.look_at(5)
        await pilot.press("5")
        await until(pilot, lambda: "stall: the answer stopped for 30 s" in shown(screen, "#details"), "the calls")
        assert "A shows every call" in shown(screen, "#details") or size == SIZES[0]
        screen.look_at(15)
        await until(pilot, lambda: "no advisor was asked" in shown(screen, "#details"), "none")


async def test_the_tab_follows_calls_about_a_node_that_rests(run: Path, engine: Engine) -> None:
    app = app_on(run)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.snapshot, "a snapshot")
        screen = app.screen
        assert isinstance(screen, RunScreen)
        screen.look_at(7)
        await pilot.press("5")
        await until(pilot, lambda: "no advisor was asked" in shown(screen, "#details"), "none yet")
        call(engine, node_id=7, rationale="a new word")
        app.poll()
        await until(pilot, lambda: "a new word" in shown(screen, "#details"), "the call")

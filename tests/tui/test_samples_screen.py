"""The samples screen by its keys: filters, nodes, two policies held against each other on one prompt; hostile and
endless texts are read without harm."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widget import Widget
from textual.widgets import Input, Static

from llmzero_tui.app import LLMZeroApp
from llmzero_tui.feeds.samples import SamplesFeed
from llmzero_tui.screens.run import RunScreen
from llmzero_tui.screens.samples import SamplesScreen
from llmzero_tui.user.places import state_dir
from llmzero_tui.values.samples import PAGE, SamplesSnapshot, SamplesView
from llmzero_tui.widgets.rows import Rows
from tests.tui.conftest import app_on, until
from tests.tui.live_engine import RUNNING, Engine
from tests.tui.sample_run import NOW, PROMPTS
from tests.tui.sample_words import LONG_NODE

SIZES = ((80, 24), (120, 40), (160, 50))


def feed_of(run: Path) -> SamplesFeed:
    return SamplesFeed(run, lambda: NOW)


def lines_of(widget: Widget) -> str:
    """What a widget shows, as lines of text."""
    return "\n".join("".join(s.text for s in widget.render_line(y)) for y in range(widget.size.height))


def shown(screen: SamplesScreen, selector: str) -> str:
    widget = screen.query_one(selector)
    return str(widget.render()) if isinstance(widget, Static) else lines_of(widget)


@asynccontextmanager
async def opened(
    run: Path, size: tuple[int, int] = (120, 40), node: int | None = None
) -> AsyncIterator[tuple[Pilot[int], SamplesScreen]]:
    """The samples of a node, by S from the run screen."""
    app = app_on(run)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.snapshot, "a snapshot")
        first = app.screen
        assert isinstance(first, RunScreen)
        if node is not None:
            first.look_at(node)
        await until(pilot, lambda: first.context().node is not None, "a node")
        await pilot.press("S")
        await until(pilot, lambda: isinstance(app.screen, SamplesScreen) and app.screen.snapshot, "samples")
        assert isinstance(app.screen, SamplesScreen)
        await settled(pilot, app.screen)
        yield pilot, app.screen


async def settled(pilot: Pilot[int], screen: SamplesScreen) -> SamplesSnapshot:
    """Until what is shown is what was asked for."""
    await pilot.pause()
    await until(pilot, lambda: screen.snapshot is not None and screen.snapshot.view == screen.view(), "the view")
    assert screen.snapshot is not None
    return screen.snapshot


async def press(pilot: Pilot[int], screen: SamplesScreen, *keys: str) -> SamplesSnapshot:
    await pilot.press(*keys)
    return await settled(pilot, screen)


def complete(engine: Engine, rows: Iterable[tuple[int, str, float]], node: int = RUNNING) -> None:
    """Log completions of a node: (step, text, reward)."""
    for step, text, reward in rows:
        engine.writer.insert(
            "completions", node_id=node, step=step, prompt=f"prompt of {text}", completion=text, answer="a",
            reward=reward, correct=reward > 0.5, truncated=False, components=None, split="train",
        )  # fmt: skip
    engine.writer.flush()


# ---- the screen, by keys --------------------------------------------------------------------------------------------


async def test_the_chosen_completion_is_read_in_full_with_its_reward_by_component(run: Path) -> None:
    async with opened(run, node=5) as (pilot, screen):
        text = shown(screen, "#sample")
        for words in ("right", "reward 1.0", "answer 1.0", "format", PROMPTS[0][0], PROMPTS[0][1], "expected answer"):
            assert words in text
        await press(pilot, screen, "down")
        assert PROMPTS[1][0] in shown(screen, "#sample")


async def test_keys_filter_order_and_step(run: Path) -> None:
    async with opened(run, node=5) as (pilot, screen):
        assert "1 All" in shown(screen, "#filters")
        assert all(not f.correct for f in (await press(pilot, screen, "3")).lines)
        assert all(f.truncated for f in (await press(pilot, screen, "4")).lines)
        snapshot = await press(pilot, screen, "1", "left")
        assert {f.step for f in snapshot.lines} == {50}
        assert {f.step for f in (await press(pilot, screen, "left")).lines} == {25}
        assert {f.step for f in (await press(pilot, screen, "h")).lines} == {25}
        assert {f.step for f in (await press(pilot, screen, "0")).lines} == {25, 50}
        assert {f.split for f in (await press(pilot, screen, "v", "v")).lines} == {"validation"}
        rewards = [f.reward for f in (await press(pilot, screen, "o", "o")).lines]
        assert rewards == sorted(rewards, reverse=True)
        assert "best reward first · fixed validation prompts" in shown(screen, "#filters")


async def test_another_node_without_leaving(run: Path) -> None:
    async with opened(run, node=5) as (pilot, screen):
        assert (await press(pilot, screen, "right_square_bracket")).node == 6
        assert (await press(pilot, screen, "left_square_bracket", "left_square_bracket")).node == 4
        await pilot.press("g", *"11 25", "enter")
        await until(pilot, lambda: screen.view().node == 11, "the node")
        snapshot = await settled(pilot, screen)
        assert {(f.node, f.step) for f in snapshot.lines} == {(11, 25)}
        assert "Samples of #11" in shown(screen, "#title")


async def test_keys_typed_into_the_search_are_letters(run: Path) -> None:
    async with opened(run, node=5) as (pilot, screen):
        await press(pilot, screen, "slash", *"a:a=b")
        assert screen.query_one("#search", Input).value == "a:a=b"
        snapshot = await settled(pilot, screen)
        assert {f.prompt for f in snapshot.lines} >= {PROMPTS[1][0]}
        assert snapshot.view.verdict == "all"
        await pilot.press("enter")
        assert screen.query_one(Rows).has_focus
        assert "with “a:a=b”" in shown(screen, "#filters")
        assert (await press(pilot, screen, "escape")).view.text == ""
        assert screen.app.screen is screen


async def test_nothing_found_says_how_to_go_on(run: Path) -> None:
    async with opened(run, node=5) as (pilot, screen):
        await press(pilot, screen, "slash", *"zzz")
        assert "No completion matches" in shown(screen, "#samples")
    async with opened(run, node=15) as (pilot, screen):
        assert "No completions of #15" in shown(screen, "#samples")


@pytest.mark.parametrize("size", SIZES)
async def test_two_checkpoints_on_one_prompt_with_their_differences(run: Path, size: tuple[int, int]) -> None:
    async with opened(run, size, node=5) as (pilot, screen):
        await press(pilot, screen, "v", "v")
        await press(pilot, screen, "c")
        await pilot.press("g", "0", "enter")
        await until(pilot, lambda: screen.view().other_node == 0, "the base")
        snapshot = await settled(pilot, screen)
        assert snapshot.full is not None
        assert snapshot.other is not None
        assert snapshot.full.prompt == snapshot.other.prompt
        assert (snapshot.other.node, snapshot.other.step) == (0, 0)
        mine, _ = snapshot.apart
        different = "".join(snapshot.full.completion[a:b] for a, b in mine)
        assert different
        assert different in snapshot.full.completion
        underlined = [
            s.text for y in range(screen.query_one("#sample").size.height)
            for s in screen.query_one("#sample").render_line(y) if s.style and s.style.underline
        ]  # fmt: skip
        assert different.startswith("".join(underlined)[:5])
        assert underlined
        side_by_side = screen.query_one("#sample").region.y == screen.query_one("#against").region.y
        assert side_by_side == (size[0] > 100)
        await press(pilot, screen, "escape")
        assert not screen.query_one("#against").display
        assert screen.snapshot is not None
        assert screen.snapshot.full is not None
        assert screen.snapshot.full.seq == snapshot.full.seq


async def test_a_prompt_that_occurs_once_is_said_to(run: Path, engine: Engine) -> None:
    complete(engine, [(31, "only here", 1.0)])
    async with opened(run) as (pilot, screen):
        snapshot = await press(pilot, screen, "c")
        assert snapshot.full is not None
        assert snapshot.full.completion == "only here"
        assert snapshot.other is None
        assert "answered only here" in " ".join(shown(screen, "#samples").split())
        assert "answered 0 more times" in shown(screen, "#filters")


async def test_a_row_of_the_list_before_is_not_taken_for_one_of_this(run: Path) -> None:
    async with opened(run, node=5) as (pilot, screen):
        before = screen.query_one(Rows).current
        await pilot.press("v", "v", "down", "c", "down")
        snapshot = await settled(pilot, screen)
        assert snapshot.full is not None
        assert snapshot.full.split == "validation"
        assert snapshot.full.seq != before
        assert snapshot.other is None or snapshot.other.prompt == snapshot.full.prompt


async def test_the_end_of_a_page_leads_to_the_next(run: Path, engine: Engine) -> None:
    complete(engine, ((100 + i, f"text {i}", 0.0) for i in range(PAGE + 3)))
    async with opened(run) as (pilot, screen):
        assert "page 1 of 2" in shown(screen, "#title")
        await press(pilot, screen, "end")
        assert (await press(pilot, screen, "down")).page == 1
        assert screen.query_one(Rows)._cursor == 0
        assert (await press(pilot, screen, "p")).page == 0
        assert (await press(pilot, screen, "n")).page == 1


async def test_new_completions_arrive_while_one_reads(run: Path, engine: Engine) -> None:
    async with opened(run) as (pilot, screen):
        chosen = (await press(pilot, screen, "down")).full
        complete(engine, [(31, "just now", 1.0)])
        assert isinstance(screen.app, LLMZeroApp)
        screen.app.poll()
        await until(pilot, lambda: "just now" in shown(screen, "#samples"), "the new one")
        assert screen.snapshot is not None
        assert screen.snapshot.full == chosen


@pytest.mark.parametrize("size", SIZES)
async def test_hostile_texts_reach_no_terminal(run: Path, size: tuple[int, int]) -> None:
    async with opened(run, size, node=5) as (pilot, screen):
        await press(pilot, screen, "4")
        for selector in ("#samples", "#sample"):
            text = shown(screen, selector)
            assert "[/foo] [b]bold[/b]" in text
            assert not set(text) & set("\x1b\x07\u202e\u202c")


async def test_a_line_of_a_megabyte_is_cut_with_a_mark(run: Path) -> None:
    async with opened(run, node=LONG_NODE) as (pilot, screen):
        snapshot = await press(pilot, screen, "slash", *"xxxxxxxx", "enter")
        assert snapshot.full is not None
        assert snapshot.full.completion_length == 1_000_000
        assert len(snapshot.full.completion) < 20_000
        await pilot.press("tab", "G")
        words = " ".join(shown(screen, "#sample").split())
        assert "cut here: 984,000 more characters" in words
        assert f"seq {snapshot.full.seq}" in words


async def test_a_click_chooses_a_row(run: Path) -> None:
    async with opened(run, node=5) as (pilot, screen):
        await pilot.click("#samples", offset=(6, 3))
        snapshot = await settled(pilot, screen)
        assert snapshot.full is not None
        assert snapshot.full.seq == snapshot.lines[2].seq


async def test_leaving_lets_go_of_the_engine(run: Path, engine: Engine) -> None:
    async with opened(run) as (pilot, screen):
        app = screen.app
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, RunScreen), "the run")
        await until(pilot, lambda: screen.feed._source._reader is None, "no connection")


async def test_what_is_read_can_be_copied(run: Path) -> None:
    async with opened(run, node=5) as (pilot, _screen):
        await pilot.press("Y")
        kept = state_dir() / "clipboard.txt"
        await until(pilot, kept.exists, "a copy")
        assert PROMPTS[0][1] in kept.read_text()


async def test_ascii_has_no_other_glyphs(run: Path) -> None:
    app = app_on(run, ascii=True)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.snapshot, "a snapshot")
        screen = SamplesScreen(SamplesFeed(run, lambda: NOW), 5)
        app.push_screen(screen)
        await until(pilot, lambda: screen.ready, "the screen")
        app.poll()
        await until(pilot, lambda: screen.snapshot is not None, "samples")
        for selector in ("#title", "#filters", "#samples", "#sample", "#keys"):
            widget = screen.query_one(selector)
            assert lines_of(widget).isascii(), selector


def test_times_are_the_databases(run: Path) -> None:
    full = feed_of(run).read(SamplesView(5)).full
    assert full is not None
    assert isinstance(full.ts, datetime)

"""What a human tells the engine about nodes and the run: the questions before it, and what is sent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, Static

from llmzero_tui.screens.budget import BudgetScreen
from llmzero_tui.screens.decision import DecisionScreen
from llmzero_tui.screens.dialogs import AskText
from llmzero_tui.screens.prune import PruneScreen, subtree
from llmzero_tui.screens.run import RunScreen
from llmzero_tui.widgets.sheet import Sheet
from tests.tui.conftest import app_on, until
from tests.tui.live_engine import RUNNING, Engine
from tests.tui.sample_run import HOSTILE


@asynccontextmanager
async def opened(
    run: Path, node: int, size: tuple[int, int] = (120, 40)
) -> AsyncIterator[tuple[Pilot[int], RunScreen]]:
    """The run screen on a node."""
    app = app_on(run)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.snapshot, "a snapshot")
        screen = app.screen
        assert isinstance(screen, RunScreen)
        screen.look_at(node)
        await until(pilot, lambda: screen.snapshot and screen.snapshot.detail.node == node, "the node")  # type: ignore[union-attr]
        yield pilot, screen


def lines_of(sheet: Sheet) -> list[str]:
    return ["".join(s.text for s in sheet.render_line(y)).rstrip() for y in range(sheet.size.height)]


def tick(screen: RunScreen) -> None:
    screen.app.poll()


async def test_prune_shows_what_is_cut_and_sends_the_reason(run: Path, engine: Engine) -> None:
    async with opened(run, 5) as (pilot, screen):
        await pilot.press("x")
        await until(pilot, lambda: isinstance(screen.app.screen, PruneScreen), "the question")
        question = screen.app.screen
        words = str(question.query_one("#words", Static).render())
        assert "7 nodes" in words
        assert f"#{RUNNING} is training" in words
        assert f"best checkpoint so far is in it: #{RUNNING}" in words
        cut = lines_of(question.query_one("#cut", Sheet))
        assert [line.split()[0] for line in cut if line] == ["#5", "#10", "#13", "#14", "#15", "#11", "#12"]
        assert "finished" in cut[0]
        assert ".462" in cut[0]
        assert "[b]len↑[/b]" in cut[-1]
        await pilot.press(*"a dead end", "enter")
        await until(pilot, lambda: engine.commands, "a command")
        row = engine.command(engine.commands[0])
        assert (row["kind"], row["node_id"], row["payload"]) == ("prune", 5, {"reason": "a dead end"})


async def test_a_large_subtree_scrolls_at_80_by_24(run: Path, engine: Engine) -> None:
    async with opened(run, 1, (80, 24)) as (pilot, screen):
        await pilot.press("x")
        await until(pilot, lambda: isinstance(screen.app.screen, PruneScreen), "the question")
        question = screen.app.screen
        sheet = question.query_one("#cut", Sheet)
        assert question.query_one("#answers").region.bottom < 24
        before = lines_of(sheet)
        await pilot.press("pagedown", "down")
        assert lines_of(sheet) != before or sheet.lines <= sheet.size.height
        assert screen.snapshot is not None
        assert len(subtree(screen.snapshot.nodes, 1)) == sheet.lines


async def test_a_note_is_sent_and_the_one_that_is_there_is_edited(run: Path, engine: Engine) -> None:
    engine.writer.update("nodes", {"node_id": 10}, note="hm")
    engine.writer.flush()
    async with opened(run, 10) as (pilot, screen):
        await until(pilot, lambda: screen.snapshot and screen.snapshot.nodes[10].note == "hm", "the note")
        await pilot.press("n")
        await until(pilot, lambda: isinstance(screen.app.screen, AskText), "the question")
        assert screen.app.screen.query_one(Input).value == "hm"
        await pilot.press("end", *", yes", "enter")
        await until(pilot, lambda: engine.commands, "a command")
        row = engine.command(engine.commands[0])
        assert (row["kind"], row["node_id"], row["payload"]) == ("annotate", 10, {"text": "hm, yes"})
        await pilot.press("n")
        await until(pilot, lambda: isinstance(screen.app.screen, AskText), "the question")
        await pilot.press("enter")
        await until(pilot, lambda: screen.app.screen is screen, "closed")
        assert len(engine.commands) == 1, "a note that is as it was is not sent"


async def test_a_hostile_note_is_text(run: Path, engine: Engine) -> None:
    engine.writer.update("nodes", {"node_id": 10}, note=HOSTILE)
    engine.writer.flush()
    async with opened(run, 10) as (pilot, screen):

        def shown() -> str:
            details = screen.query_one("#details")
            return "\n".join("".join(s.text for s in details.render_line(y)) for y in range(details.size.height))

        await until(pilot, lambda: "[b]bold[/b] red evil bell" in shown(), "the note")
        assert "¶" in shown()
        await pilot.press("n")
        await until(pilot, lambda: isinstance(screen.app.screen, AskText), "the question")
        assert "\x1b" not in screen.app.screen.query_one(Input).value


async def test_a_segment_is_stopped_with_a_reason(run: Path, engine: Engine) -> None:
    async with opened(run, RUNNING) as (pilot, screen):
        await screen.run_action("stop_node")
        await until(pilot, lambda: isinstance(screen.app.screen, AskText), "the question")
        await pilot.press(*"flat", "enter")
        await until(pilot, lambda: engine.commands, "a command")
        row = engine.command(engine.commands[0])
        assert (row["kind"], row["node_id"], row["payload"]) == ("stop-node", RUNNING, {"reason": "flat"})


async def test_the_budget_shows_what_is_spent_and_sends_what_differs(run: Path, engine: Engine) -> None:
    async with opened(run, RUNNING, (80, 24)) as (pilot, screen):
        await pilot.press("B")
        await until(pilot, lambda: isinstance(screen.app.screen, BudgetScreen), "the limits")
        form = screen.app.screen
        assert form.query_one("#limit-steps", Input).value == "1500"
        assert form.query_one("#limit-minutes", Input).value == "40"
        await pilot.press(*"2000", "down", "down", *"0", "enter")
        await until(pilot, lambda: engine.commands, "a command")
        row = engine.command(engine.commands[0])
        assert (row["kind"], row["payload"]) == ("budget", {"steps": 2000, "minutes": 0.0})


@pytest.mark.parametrize(
    ("field", "text", "words"),
    [
        ("steps", "-1", "steps = '-1' is not allowed; allowed: a whole number of at least 0"),
        ("steps", "1.5", "steps = '1.5' is not allowed"),
        ("minutes", "nan", "minutes = 'nan' is not allowed"),
        ("gpu_hours", "[/b]", "gpu_hours = '[/b]' is not allowed"),
        ("steps", "100", "more is spent already, so the run ends"),
    ],
)
async def test_a_budget_is_judged_as_it_is_typed(run: Path, engine: Engine, field: str, text: str, words: str) -> None:
    async with opened(run, RUNNING) as (pilot, screen):
        await pilot.press("B")
        await until(pilot, lambda: isinstance(screen.app.screen, BudgetScreen), "the limits")
        form = screen.app.screen
        form.query_one(f"#limit-{field}", Input).value = text
        await until(pilot, lambda: words in str(form.query_one("#verdict", Static).render()), words)
        if "not allowed" in words:
            await pilot.press("enter")
            assert screen.app.screen is form
        assert not engine.commands


async def test_a_run_needs_one_limit(run: Path, engine: Engine) -> None:
    async with opened(run, RUNNING) as (pilot, screen):
        await pilot.press("B")
        await until(pilot, lambda: isinstance(screen.app.screen, BudgetScreen), "the limits")
        form = screen.app.screen
        for name in ("steps", "minutes"):
            form.query_one(f"#limit-{name}", Input).value = "0"
        await until(pilot, lambda: "at least one" in str(form.query_one("#verdict", Static).render()), "why not")


async def test_a_node_made_by_a_human_is_marked_in_the_tree_and_in_words(run: Path, engine: Engine) -> None:
    engine.writer.update("nodes", {"node_id": 11}, advisor="human")
    engine.writer.flush()
    async with opened(run, 11) as (pilot, screen):

        def text(selector: str) -> str:
            widget = screen.query_one(selector)
            return "\n".join("".join(s.text for s in widget.render_line(y)) for y in range(widget.size.height))

        await until(pilot, lambda: "✎" in text("#tree"), "the mark")
        line = next(line for line in text("#tree").splitlines() if "#11" in line)
        assert "lr↓ kl .01 ✎" in line
        await until(pilot, lambda: "a human made this proposal" in text("#details"), "the word")


async def test_the_log_names_author_time_and_state_of_a_command(run: Path, engine: Engine) -> None:
    async with opened(run, RUNNING) as (pilot, screen):
        await pilot.press("space")
        await until(pilot, lambda: engine.commands, "pause")
        engine.answer(engine.commands[0], "taken")
        engine.answer(engine.commands[0], "done", "paused after step 40")
        author = engine.command(engine.commands[0])["author"]
        tick(screen)
        await pilot.press("4")

        def log() -> str:
            widget = screen.query_one("#details")
            return "\n".join("".join(s.text for s in widget.render_line(y)) for y in range(widget.size.height))

        await until(pilot, lambda: f"{author}: pause sent → taken → done ✓  paused after step 40" in log(), "the act")


async def test_enter_in_the_inbox_opens_the_proposal_under_the_cursor(run: Path, engine: Engine) -> None:
    async with opened(run, RUNNING) as (pilot, screen):
        await pilot.press("i", "down", "enter")
        await until(pilot, lambda: isinstance(screen.app.screen, DecisionScreen), "the decision screen")
        assert isinstance(screen.app.screen, DecisionScreen)
        assert screen.app.screen.node == 15

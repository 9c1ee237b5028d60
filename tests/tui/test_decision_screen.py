"""The decision screen and the form: everything that bears on a proposal, and nothing answered blindly."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Input, Static

from engine.domain.space import Parameter, ParameterKind, ParameterScale, Space, Value
from engine.store.queries import load as sql
from engine.store.reader import Reader, open_run
from llmzero_tui.app import LLMZeroApp
from llmzero_tui.feeds.decision import DecisionFeed
from llmzero_tui.screens.branch_from import BranchFrom
from llmzero_tui.screens.decision import DecisionScreen
from llmzero_tui.screens.edit import EditScreen, EditSubject
from llmzero_tui.screens.run import RunScreen
from llmzero_tui.values.proposal_detail import DecisionView, ProposalRecord, became, differences
from llmzero_tui.values.snapshot import ProposalRow
from llmzero_tui.widgets.choice import Choice
from tests.tui.conftest import app_on, until
from tests.tui.live_engine import Engine
from tests.tui.sample_run import DEFAULTS, HOSTILE, NOW
from tests.tui.sample_run import SPACE as SAMPLE_SPACE

SEEN = ProposalRow(
    9, 1, 16, 6, 50, "change", "lr↓", {"learning_rate": 5e-5}, "keep", "base", "why", "", "rules", None, NOW,
    {"learning_rate": 1e-4, "beta": 0.0},
)  # fmt: skip


def _after(**changes: object) -> ProposalRow:
    return ProposalRow(**{**{f: getattr(SEEN, f) for f in SEEN.__slots__}, **changes})


def _stands(
    proposal: ProposalRow, state: str, by: str = "", reason: str = "", node_state: str = "proposed"
) -> ProposalRecord:
    return ProposalRecord(proposal, state, by, reason, None, node_state)


@asynccontextmanager
async def deciding(
    run: Path, size: tuple[int, int] = (120, 40), *, ascii: bool = False
) -> AsyncIterator[tuple[Pilot[int], DecisionScreen]]:
    """The decision screen on #16, the oldest proposal, come to by the inbox."""
    app = app_on(run, ascii=ascii)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.snapshot, "a snapshot")
        await pilot.press("i", "enter")
        await until(pilot, lambda: isinstance(app.screen, DecisionScreen), "the decision screen")
        screen = app.screen
        assert isinstance(screen, DecisionScreen)
        await until(pilot, lambda: screen.snapshot and screen.snapshot.detail, "the proposal")
        yield pilot, screen


def text_of(screen: Screen[Any], selector: str) -> str:
    widget = screen.query_one(selector)
    return "\n".join("".join(s.text for s in widget.render_line(y)) for y in range(widget.size.height))


def shown(screen: Screen[Any], selector: str) -> str:
    return str(screen.query_one(selector, Static).render())


def tick(screen: Screen[Any]) -> None:
    assert isinstance(screen.app, LLMZeroApp)
    screen.app.poll()


def says(screen: Screen[Any], selector: str, words: str) -> bool:
    return words in text_of(screen, selector)


async def form_of(pilot: Pilot[int], screen: DecisionScreen, key: str = "e") -> EditScreen:
    await pilot.press(key)
    await until(pilot, lambda: isinstance(screen.app.screen, EditScreen) and screen.app.screen.query(Input), "the form")
    form = screen.app.screen
    assert isinstance(form, EditScreen)
    await pilot.pause()
    return form


def revise(engine: Engine, **values: object) -> None:
    """Another hand changes proposal 16."""
    engine.writer.update("proposals", {"proposal_id": 16}, **values)
    engine.writer.flush()


# ---- what is shown ---------------------------------------------------------------------------------------------------


async def test_a_proposal_is_shown_with_all_that_bears_on_it(run: Path, engine: Engine) -> None:
    async with deciding(run) as (pilot, screen):
        about = shown(screen, "#about")
        assert "#16 beta 0.02" in about
        assert "change from #6 step 50 · the rules advisor" in about
        assert "waits for you 1m28s" in about
        why = text_of(screen, "#why")
        assert "Entropy fell by 52%" in why
        assert "expected  reward at least 0.05" in why
        assert "entropy 1.9 → 0.91 (−52%) over steps 8–50" in why.replace("\n", " ").replace("  ", " ") or "8–50" in why
        origin = text_of(screen, "#origin")
        assert "▸ step 50  0.441 [0.38, 0.50]  n=256  branches from here" in origin
        await until(pilot, lambda: "▸" in text_of(screen, "#values"), "the values")
        values = text_of(screen, "#values")
        changed = next(line for line in values.splitlines() if "▸" in line)
        assert changed.split()[:8] == ["▸", "beta", "0", "→", "0", "→", "0", "⇒"]
        assert ".02" in changed
        assert "capacity" in values
        assert "regularization" in values
        for parameter in SAMPLE_SPACE:
            assert parameter.name in values
        assert "1 of 7 hyperparameters change" in values
        await pilot.press("n")
        await until(pilot, lambda: "#15 learning_rate" in shown(screen, "#about"), "the next proposal")
        origin = text_of(screen, "#origin")
        assert "#13 continue" in origin
        assert "#14 temp↓ G 16" in origin
        assert "stopped" in origin
        await pilot.press("p")
        await until(pilot, lambda: "#16 beta 0.02" in shown(screen, "#about"), "the one before")


async def test_everything_is_there_at_80_by_24(run: Path, engine: Engine) -> None:
    async with deciding(run, (80, 24)) as (pilot, screen):
        assert screen.compact
        assert "waits for you" in shown(screen, "#about")
        found = set[str]()
        for _ in range(4):
            found |= set(text_of(screen, "#why").splitlines())
            await pilot.press("pagedown")
        everything = "\n".join(found)
        for words in ("Entropy fell", "epsilon_high", "n=256", "also tried from #6", "step 100"):
            assert words in everything, words


async def test_ascii_has_only_ascii(run: Path, engine: Engine) -> None:
    async with deciding(run, ascii=True) as (pilot, screen):
        await form_of(pilot, screen)
        for selector in ("#why", "#origin", "#values"):
            assert text_of(screen, selector).isascii(), selector


async def test_a_countdown_says_when_it_goes_ahead(run: Path, engine: Engine) -> None:
    from datetime import timedelta

    revise(engine, deadline=NOW + timedelta(seconds=72))
    async with deciding(run) as (_pilot, screen):
        assert "starts by itself in 1m12s" in shown(screen, "#about")


async def test_a_node_of_the_past_says_who_decided(run: Path, engine: Engine) -> None:
    app = app_on(run)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.snapshot, "a snapshot")
        assert isinstance(app.screen, RunScreen)
        app.screen.look_at(11)
        await pilot.press("d")
        await until(pilot, lambda: isinstance(app.screen, DecisionScreen) and app.screen.snapshot, "its proposal")
        screen = app.screen
        assert isinstance(screen, DecisionScreen)
        await until(pilot, lambda: "approved by gate" in shown(screen, "#about"), "who decided")
        assert screen.context().target is None
        await pilot.press("a", "e", "r")
        assert app.screen is screen
        assert not engine.commands
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, RunScreen), "back")


# ---- nothing is answered blindly -------------------------------------------------------------------------------------


def test_what_changed_is_named_by_value() -> None:
    after = _after(revision=2, changes={"learning_rate": 2e-5, "beta": 0.01}, optimizer="reset")
    words = "learning_rate 5e-5 → 2e-5, beta 0 → 0.01, optimizer keep → reset"
    assert differences(SEEN, after) == words
    assert became(SEEN, _stands(after, "pending")) == f"changed in the meantime: {words}"
    assert became(SEEN, _stands(SEEN, "pending")) == ""


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (_stands(SEEN, "approved", "timeout", "", "running"), "approved by the gate: timeout; #16 is training"),
        (_stands(SEEN, "approved", "ann", "", "queued"), "approved by ann; #16 waits for a worker"),
        (_stands(SEEN, "rejected", "ann", "too bold"), "rejected by ann: too bold"),
        (_stands(SEEN, "superseded", "engine", "#6 is closed"), "withdrawn by the engine: #6 is closed"),
        (_stands(_after(revision=2, changes={"beta": 0.01}), "edited", "ann", "", "queued"),
         "edited and approved by ann; #16 waits for a worker · learning_rate 5e-5 → 1e-4, beta 0 → 0.01"),
    ],
)  # fmt: skip
def test_what_became_of_a_proposal_is_one_line(now: ProposalRecord, words: str) -> None:
    assert became(SEEN, now) == words


async def test_a_proposal_that_changed_is_approved_only_after_a_second_look(run: Path, engine: Engine) -> None:
    async with deciding(run) as (pilot, screen):
        revise(engine, revision=2, changes=json.dumps({"beta": 0.3}))
        tick(screen)
        await until(pilot, lambda: "beta 0.02 → 0.3" in shown(screen, "#news"), "what changed")
        await pilot.press("a")
        await pilot.pause(0.1)
        assert not engine.commands
        await pilot.press("a")
        await until(pilot, lambda: engine.commands, "a command")
        row = engine.command(engine.commands[0])
        assert (row["kind"], row["proposal_id"], row["revision"]) == ("approve", 16, 2)


def test_a_change_between_two_questions_is_in_all_of_a_snapshot(
    run: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the screen would show it, and the key would not ask for a second look."""

    def opener(path: Path) -> Reader:
        reader = open_run(path)
        rows = reader.rows

        def meddled(question: str, *arguments: Any, **more: Any) -> list[dict[str, Any]]:
            answer = rows(question, *arguments, **more)
            if question == sql("ui_inbox"):
                revise(engine, revision=2, changes=json.dumps({"beta": 0.3}))
            return answer

        monkeypatch.setattr(reader, "rows", meddled)
        return reader

    feed = DecisionFeed(run, lambda: NOW, opener)
    try:
        snapshot = feed.read(DecisionView(16))
    finally:
        feed.close()
    assert snapshot.detail is not None
    (listed,) = [proposal for proposal in snapshot.inbox if proposal.node == 16]
    assert listed == snapshot.detail.proposal
    assert listed.revision == 2


async def test_an_open_form_says_what_changed_and_keeps_what_was_typed(run: Path, engine: Engine) -> None:
    async with deciding(run) as (pilot, screen):
        form = await form_of(pilot, screen)
        form.query_one("#value-temperature", Input).value = "0.9"
        revise(engine, revision=2, changes=json.dumps({"beta": 0.3}))
        tick(screen)
        await until(pilot, lambda: "beta 0.02 → 0.3" in shown(form, "#stale"), "what changed")
        assert form.query_one("#value-temperature", Input).value == "0.9"
        await pilot.press("enter")
        await pilot.pause(0.1)
        assert not engine.commands, "the first enter may have been meant for the old one"
        await pilot.press("enter")
        await until(pilot, lambda: engine.commands, "a command")
        row = engine.command(engine.commands[0])
        assert (row["kind"], row["revision"]) == ("edit", 2)
        assert row["payload"]["changes"] == {"beta": 0.02, "temperature": 0.9}


async def test_a_form_whose_proposal_began_can_still_be_sent_as_ones_own(run: Path, engine: Engine) -> None:
    async with deciding(run) as (pilot, screen):
        form = await form_of(pilot, screen)
        form.query_one("#value-temperature", Input).value = "0.9"
        form.query_one("#rationale", Input).value = "cooler"
        revise(engine, state="approved", decided_by="ann", decided=NOW)
        engine.writer.update("nodes", {"node_id": 16}, state="running")
        engine.writer.flush()
        tick(screen)
        await until(pilot, lambda: "approved by ann; #16 is training" in shown(form, "#stale"), "what became of it")
        await pilot.press("enter", "enter")
        await until(pilot, lambda: engine.commands, "a command")
        row = engine.command(engine.commands[0])
        assert row["kind"] == "expand"
        assert (row["payload"]["parent"], row["payload"]["step"]) == (6, 50)
        assert row["payload"]["changes"] == {"beta": 0.02, "temperature": 0.9}
        assert row["payload"]["rationale"] == "cooler"


async def test_a_closed_form_comes_back_as_it_was(run: Path, engine: Engine) -> None:
    async with deciding(run) as (pilot, screen):
        form = await form_of(pilot, screen)
        form.query_one("#value-temperature", Input).value = "0.9"
        await pilot.press("escape")
        await until(pilot, lambda: screen.app.screen is screen, "closed")
        form = await form_of(pilot, screen)
        assert form.query_one("#value-temperature", Input).value == "0.9"
        assert "Your earlier input is restored" in shown(form, "#note")
        await pilot.press("ctrl+r")
        assert form.query_one("#value-temperature", Input).value == "1.2"


async def test_a_refused_transition_of_ones_own_comes_back_as_it_was(run: Path, engine: Engine) -> None:
    async with deciding(run) as (pilot, screen):
        await pilot.press("o")
        await until(pilot, lambda: isinstance(screen.app.screen, BranchFrom), "from where")
        await pilot.press(*"#11", "down", "enter")
        await until(pilot, lambda: isinstance(screen.app.screen, EditScreen), "the form")
        form = screen.app.screen
        await until(pilot, lambda: form.query("#value-beta"), "its fields")
        form.query_one("#value-beta", Input).value = "0.2"
        await pilot.press("enter")
        await until(pilot, lambda: engine.commands, "a command")
        payload = engine.command(engine.commands[0])["payload"]
        assert (payload["parent"], payload["step"], payload["changes"]) == (11, 25, {"beta": 0.2})
        engine.answer(engine.commands[0], "refused", "#11 has no checkpoint at step 25")
        tick(screen)
        await until(pilot, lambda: screen.app._notifications, "the refusal")
        assert "#11 has no checkpoint at step 25" in next(iter(screen.app._notifications)).message
        await pilot.press("o")
        await until(pilot, lambda: isinstance(screen.app.screen, BranchFrom), "from where")
        await pilot.press(*"#11", "enter")
        await until(pilot, lambda: isinstance(screen.app.screen, EditScreen), "the form")
        again = screen.app.screen
        await until(pilot, lambda: again.query("#value-beta"), "its fields")
        assert (
            again.query_one("#value-beta", Input).value == ".2" or again.query_one("#value-beta", Input).value == "0.2"
        )


# ---- the form --------------------------------------------------------------------------------------------------------


def _many(count: int) -> Space:
    own = tuple(
        Parameter(
            f"task_knob_{i}",
            f"knob{i}",
            ParameterKind.CAPACITY if i % 2 else ParameterKind.REGULARIZATION,
            0.0,
            10.0,
            1.0,
            ParameterScale.LINEAR,
            f"what knob {i} does",
        )
        for i in range(count)
    )
    return Space([*SAMPLE_SPACE.parameters, *own])


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_a_form_of_many_parameters_fits_any_screen(run: Path, engine: Engine, size: tuple[int, int]) -> None:
    space = _many(12)
    before: dict[str, Value] = {**DEFAULTS, **{f"task_knob_{i}": 1.0 for i in range(12)}}
    sent: list[Any] = []
    async with deciding(run, size) as (pilot, screen):
        subject = EditSubject("Edit", 6, (50, 25), before, {}, "keep", "base", "a note " * 40)
        form = EditScreen(tuple(space.to_json()), subject)
        screen.app.push_screen(form, sent.append)
        await until(pilot, lambda: form.query("#answers") and form.query_one("#answers").region.area, "the form")
        for name in ("verdict", "answers", "because", "choices"):
            region = form.query_one(f"#{name}").region
            assert 0 < region.bottom < size[1], name
            assert region.area, name
        for _ in range(len(space)):  # the last field scrolls into view
            await pilot.press("down")
        assert isinstance(form.focused, Choice)
        await pilot.press("up", *"2.5")
        last = form.focused
        assert isinstance(last, Input)
        assert last.region.area
        assert last.region.bottom < size[1]
        assert "what knob" in shown(form, "#doc")
        await pilot.press("enter")
        await until(pilot, lambda: sent, "what is sent")
        assert sent[0].changes == {"task_knob_10": 2.5}


async def test_values_are_judged_as_they_are_typed(run: Path, engine: Engine) -> None:
    async with deciding(run) as (pilot, screen):
        form = await form_of(pilot, screen)
        form.query_one("#value-learning_rate", Input).focus()
        await pilot.press(*"7", "enter")
        assert "learning_rate = 7 is not allowed; allowed: 1e-6 to 5e-4" in shown(form, "#verdict")
        assert form.query_one("#value-learning_rate").has_class("-wrong")
        assert not engine.commands
        await pilot.press("backspace", *"2e-5")
        assert "sends  learning_rate 2e-5, beta 0.02" in shown(form, "#verdict")
        assert form.query_one("#value-learning_rate").has_class("-changed")


async def test_a_value_that_was_not_touched_keeps_every_digit(run: Path, engine: Engine) -> None:
    revise(engine, changes=json.dumps({"beta": 0.0123456}))
    async with deciding(run) as (pilot, screen):
        form = await form_of(pilot, screen)
        assert form.query_one("#value-beta", Input).value == "0.0123"
        form.query_one("#value-temperature", Input).value = "0.9"
        await pilot.press("enter")
        await until(pilot, lambda: engine.commands, "a command")
        assert engine.command(engine.commands[0])["payload"]["changes"]["beta"] == 0.0123456


async def test_what_was_typed_outlives_the_screen_and_an_edit_that_came_too_late(run: Path, engine: Engine) -> None:
    async with deciding(run) as (pilot, screen):
        app = screen.app
        form = await form_of(pilot, screen)
        form.query_one("#value-temperature", Input).value = "0.9"
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is screen, "closed")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, RunScreen), "the run")
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, EditScreen) and app.screen.query("#value-beta"), "the form")
        assert app.screen.query_one("#value-temperature", Input).value == "0.9"
        await pilot.press("enter")
        await until(pilot, lambda: engine.commands, "a command")
        revise(engine, state="approved", decided_by="timeout", decided=NOW)
        engine.answer(engine.commands[0], "refused", "proposal 16 is no longer waiting: approved by timeout")
        tick(app.screen)
        await until(pilot, lambda: app._notifications, "the refusal")
        message = next(iter(app._notifications)).message
        assert "is no longer waiting: approved by timeout" in message
        assert "open a custom proposal from #6 to restore it" in message
        await app.screen.run_action("own")
        await until(pilot, lambda: isinstance(app.screen, BranchFrom), "from where")
        await pilot.press(*"#6 ", "enter")
        await until(pilot, lambda: isinstance(app.screen, EditScreen) and app.screen.query("#value-beta"), "the form")
        assert app.screen.query_one("#value-temperature", Input).value == "0.9"
        assert app.screen.query_one("#value-beta", Input).value == "0.02"


async def test_hostile_words_are_text(run: Path, engine: Engine) -> None:
    revise(engine, rationale=HOSTILE, expected=HOSTILE, label="[b]x[/b]", changes="{}", advisor="[/foo]")
    engine.writer.update("nodes", {"node_id": 6}, reason=HOSTILE)
    engine.writer.flush()
    async with deciding(run) as (pilot, screen):
        assert "[/foo] [b]bold[/b] red evil bell" in text_of(screen, "#why")
        assert "[b]x[/b]" in shown(screen, "#about")
        form = await form_of(pilot, screen)
        assert "[/foo] [b]bold[/b] red" in shown(form, "#note")
        for selector in ("#why", "#origin", "#values"):
            assert "\x1b" not in text_of(screen, selector)


async def test_leaving_the_screen_lets_go_of_the_run(run: Path, engine: Engine) -> None:
    async with deciding(run) as (pilot, screen):
        app = screen.app
        assert screen.feed._source._reader is not None
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, RunScreen), "the run")
        await until(pilot, lambda: screen.feed._source._reader is None, "its connection is closed")


async def test_a_sibling_from_another_checkpoint_is_measured_against_that_one(run: Path, engine: Engine) -> None:
    async with deciding(run) as (pilot, screen):
        engine.writer.update("proposals", {"proposal_id": 15}, branch_step=25)
        engine.writer.flush()
        await pilot.press("n")
        await until(pilot, lambda: "▸ step 25" in text_of(screen, "#origin"), "another checkpoint")
        lines = text_of(screen, "#origin").splitlines()
        number = next(i for i, line in enumerate(lines) if "#14" in line)
        assert "+0.01" in lines[number]  # .595 against the .587 of step 50, which it left from
        assert "from step 50" in lines[number + 1]

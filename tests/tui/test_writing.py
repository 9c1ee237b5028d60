"""A model's words on the screen: while they are written, and afterwards beside the node they are about."""

from __future__ import annotations

from pathlib import Path

from llmzero_tui.widgets.details import Details
from tests.tui.conftest import until
from tests.tui.live_engine import RUNNING, Engine
from tests.tui.test_run_screen import opened, text_of, tick

HOSTILE = "[/bold] \x1b[2Jentropy .49 \u202eevil"


def begin(engine: Engine, rationale: str) -> int:
    call = engine.writer.next_id("agent_calls")
    engine.writer.insert(
        "agent_calls", call_id=call, node_id=RUNNING, advisor="ollama", role="strategist", model="qwen3-vl:8b",
        prompt_version="strategist/1", request="{}", response="", rationale=rationale, prompt_tokens=0,
        images='["segments/13/plots/step25-curves-9.png"]', completion_tokens=0, milliseconds=3000.0,
        error="unfinished",
    )  # fmt: skip
    engine.writer.flush()
    return call


async def test_a_rationale_appears_while_it_is_written_and_stays_beside_its_node(run: Path, engine: Engine) -> None:
    async with opened(run) as (pilot, screen):
        call = begin(engine, f"Entropy fell {HOSTILE}")
        tick(screen)
        await until(pilot, lambda: "strategist · qwen3-vl:8b writes about #13" in text_of(screen, "#details"), "words")
        shown = text_of(screen, "#details")
        assert "[/bold]" in shown
        assert "\x1b" not in shown
        assert "\u202e" not in shown
        engine.writer.update("agent_calls", {"call_id": call}, rationale="Entropy fell to .49.", error="")
        engine.writer.flush()
        tick(screen)
        await until(pilot, lambda: "writes about" not in text_of(screen, "#details"), "the end of the words")
        screen.query_one(Details).action_move(100)
        await until(pilot, lambda: "step25-curves-9.png" in text_of(screen, "#details"), "the plots it was shown")


async def test_an_error_of_a_call_stands_where_its_words_would(run: Path, engine: Engine) -> None:
    call = begin(engine, "")
    engine.writer.update("agent_calls", {"call_id": call}, error="stall: the answer stopped for 30 s")
    engine.writer.flush()
    async with opened(run) as (pilot, screen):
        screen.query_one(Details).action_move(100)
        await until(pilot, lambda: "stall: the answer stopped for 30 s" in text_of(screen, "#details"), "the error")

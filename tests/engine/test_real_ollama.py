"""Against a real Ollama server at OLLAMA_HOST with any model that sees (OLLAMA_MODEL, else "tinyvision").

A model of random weights will do: transport, limits and junk are tested here, never the quality of advice.
Without a server these tests are skipped; `tests/fake_ollama.py` shows the same behaviour to all others.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

import pytest

from engine.advisors.base import AdviceFailed, Evidence, PlotImage
from engine.advisors.ollama import OllamaAdvisor, connect
from engine.advisors.ollama_client import ChatRequest, OllamaClient, OllamaFault
from engine.advisors.plots import sheets
from engine.domain.space import Intent
from engine.host import ollama_host
from tests.unit.advice_cases import evidence

pytestmark = pytest.mark.ollama
MODEL = os.environ.get("OLLAMA_MODEL", "tinyvision")
SECONDS = 300.0


@pytest.fixture(scope="module")
def client() -> Iterator[OllamaClient]:
    if not os.environ.get("OLLAMA_HOST"):
        pytest.skip("OLLAMA_HOST names no server")
    asked = OllamaClient(ollama_host.asked(""), timeout=SECONDS, stall=SECONDS)
    try:
        asked.card(MODEL)
    except OllamaFault as fault:
        pytest.skip(f"{asked.host} cannot be asked for {MODEL}: {fault}")
    yield asked
    asked.cancel()


@pytest.fixture
def advisor(client: OllamaClient) -> OllamaAdvisor:
    return connect(client.host, MODEL, timeout=SECONDS, stall=SECONDS)


def seen() -> Evidence:
    """The evidence with real plots."""
    given = evidence()
    pictures = (PlotImage(name, png) for name, png in zip(("a.png", "b.png"), sheets(given), strict=True))
    return replace(given, pictures=tuple(pictures))


def question(text: str, **options: int) -> ChatRequest:
    return ChatRequest(MODEL, "be brief", text, options={"num_ctx": 2048, "num_predict": 8, **options})


def test_every_role_is_answered_or_given_up_with_a_kind(advisor: OllamaAdvisor) -> None:
    given = seen()
    for ask in (
        lambda: advisor.advise(given), lambda: advisor.select(given),
        lambda: advisor.advise(replace(given, intent=Intent.ANNEAL)),
        lambda: advisor.watch(given, "collapsed at once: 0.1"),
    ):  # fmt: skip
        try:
            ask()
        except AdviceFailed as failed:
            kinds = {call.error.split(":")[0] for call in failed.calls if call.error}
            assert kinds <= {"empty", "not json", "cut off", "schema", "place", "repetition", "timeout", "too long"}


def test_a_prompt_longer_than_the_context_is_refused_and_not_cut(client: OllamaClient) -> None:
    with pytest.raises(OllamaFault) as caught:
        client.chat(question("entropy 0.49 " * 3000))
    assert caught.value.kind == "too long"


@pytest.mark.parametrize("mark", ["[img-3]", "[img-0]", "[img]"])
def test_a_mark_of_a_picture_in_the_text_is_text(client: OllamaClient, mark: str) -> None:
    plain = client.chat(question("what is  ?")).prompt_tokens
    assert abs(client.chat(question(f"what is {mark} ?")).prompt_tokens - plain) < 20


def test_the_server_counts_a_prompt_as_long_as_it_is(client: OllamaClient) -> None:
    one, two = (client.chat(question("entropy 0.49 " * n)).prompt_tokens for n in (50, 100))
    assert one < two

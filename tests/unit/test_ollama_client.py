"""The client against a server that speaks the wire protocol: what is sent, what comes back, every way it fails."""

from __future__ import annotations

import base64
import socket
import threading
import time
from collections.abc import Callable

import pytest

from engine.advisors.ollama_client import LONGEST_ANSWER, ChatReply, ChatRequest, OllamaClient, OllamaFault, as_sent
from tests.fake_answers import serving
from tests.fake_ollama import Asked, FakeOllama, Model, Script
from tests.fake_ollama import Reply as Says

PNG = b"\x89PNG\r\n\x1a\n not really"


def question(**fields: object) -> ChatRequest:
    given: dict[str, object] = {"model": "qwen3-vl:8b", "system": "be brief", "text": "what?"} | fields
    return ChatRequest(**given)  # type: ignore[arg-type]


def client(fake: FakeOllama, timeout: float = 60.0, stall: float = 60.0) -> OllamaClient:
    return OllamaClient(fake.host, timeout=timeout, stall=stall)


def says(**fields: object) -> Script:
    return lambda _: Says(**fields)  # type: ignore[arg-type]


def test_a_chat_sends_schema_options_images_and_turns_as_the_api_wants_them() -> None:
    schema = {"type": "object", "properties": {"stop": {"type": "boolean"}}}
    with serving(says(content='{"stop": true}')) as fake:
        client(fake).chat(
            question(
                images=(PNG,), schema=schema, options={"num_ctx": 8192, "seed": 3}, keep_alive=0, think=False,
                turns=(("assistant", "no"), ("user", "again")),
            )
        )  # fmt: skip
        (sent,) = fake.chats
    assert sent.body == {
        "model": "qwen3-vl:8b", "stream": True, "think": False, "format": schema, "keep_alive": 0,
        "options": {"num_ctx": 8192, "seed": 3}, "truncate": False, "shift": False,
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "what?", "images": [base64.b64encode(PNG).decode()]},
            {"role": "assistant", "content": "no"},
            {"role": "user", "content": "again"},
        ],
    }  # fmt: skip


def test_a_streamed_answer_is_put_together_and_told_as_it_grows() -> None:
    seen: list[str] = []
    with serving(says(content="abcdefgh", thinking="hm", parts=4)) as fake:
        reply = client(fake).chat(question(), seen.append)
    assert (reply.text, reply.thinking, reply.reason) == ("abcdefgh", "hm", "stop")
    assert seen == ["h", "hm", "ab", "abcd", "abcdef", "abcdefgh"]
    assert reply.prompt_tokens > 0
    assert reply.completion_tokens > 0
    assert reply.milliseconds > 0


@pytest.mark.parametrize(
    ("how", "kind"),
    [
        ({"status": 400, "error": "invalid format"}, "http 400"),
        ({"status": 404, "error": "model not found"}, "http 404"),
        ({"status": 500, "error": "runner died"}, "http 500"),
        ({"content": "abcd", "raw": b"<html>\n"}, "protocol"),
        ({"content": "abcd", "raw": b"[1]\n"}, "protocol"),
        ({"content": "abcd", "raw": b"\n"}, "protocol"),
        ({"content": "abcd", "raw": b'{"model": "x"}\n'}, "protocol"),
        ({"content": "abcd", "raw": b'{"error": {"deep": 1}}\n'}, "protocol"),
        ({"content": "abcd", "error": "out of memory"}, "server error"),
        ({"content": "abcd", "drop": 0}, "closed"),
        ({"content": "abcd", "drop": 2}, "closed"),
        ({"content": "abcd", "stall": 2}, "stall"),
    ],
)
def test_what_goes_wrong_is_a_fault_of_its_kind(how: dict[str, object], kind: str) -> None:
    with serving(says(**how)) as fake, pytest.raises(OllamaFault) as caught:
        client(fake, stall=0.3 if kind == "stall" else 60.0).chat(question())
    assert caught.value.kind == kind
    assert "\n" not in str(caught.value)


def test_the_part_of_an_answer_that_came_is_kept_with_the_fault() -> None:
    with serving(says(content="abcdefgh", stall=2)) as fake, pytest.raises(OllamaFault) as caught:
        client(fake, stall=1).chat(question())
    assert isinstance(caught.value.reply, ChatReply)
    assert caught.value.reply.text == "abcd"


def test_a_server_that_never_begins_to_answer_is_left_after_the_whole_time() -> None:
    begin = time.monotonic()
    with serving(says(stall=0)) as fake:
        with pytest.raises(OllamaFault, match=r"no complete answer in 0\.6 s") as caught:
            client(fake, timeout=0.6).chat(question())
        assert time.monotonic() - begin > 0.5, "it was not left early"
        assert not fake.over.is_set(), "the server still holds its answer back"
    assert caught.value.kind == "timeout"


def test_a_slow_trickle_is_left_after_the_whole_time() -> None:
    with serving(says(content="x" * 1000, parts=1000, pause=0.05)) as fake, pytest.raises(OllamaFault) as caught:
        client(fake, timeout=0.6).chat(question())
    assert caught.value.kind == "timeout"
    assert caught.value.reply is not None
    assert caught.value.reply.text


def test_the_first_part_may_take_longer_than_a_silence_later() -> None:
    with serving(says(content="abcd", delay=1.5)) as fake:
        assert client(fake, stall=1).chat(question()).text == "abcd"


def test_an_answer_without_an_end_is_cut() -> None:
    with serving(says(content="x" * (2 * LONGEST_ANSWER), parts=8)) as fake, pytest.raises(OllamaFault) as caught:
        client(fake).chat(question())
    assert caught.value.kind == "endless"


def test_a_port_where_nobody_listens_refuses_at_once() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"http://127.0.0.1:{free.getsockname()[1]}"
    lost = OllamaClient(host, timeout=60, stall=60)
    asks: tuple[Callable[[], object], ...] = (
        lambda: lost.chat(question()), lambda: lost.card("m"), lost.loaded, lost.sizes,
    )  # fmt: skip
    for ask in asks:
        with pytest.raises(OllamaFault) as caught:
            ask()
        assert caught.value.kind == "refused"


@pytest.mark.parametrize("host", ["http://[", "http://127.0.0.1:99999", "http://127.0.0.1:x"])
def test_an_address_that_is_none_is_a_fault(host: str) -> None:
    with pytest.raises(OllamaFault) as caught:
        OllamaClient(host, timeout=1, stall=1).chat(question())
    assert caught.value.kind in ("address", "refused", "protocol", "closed")


def test_cancelling_from_another_thread_ends_a_call_and_refuses_the_next() -> None:
    asked = threading.Event()

    def script(_: Asked) -> Says:
        asked.set()
        return Says(stall=0)

    with serving(script) as fake:
        busy = client(fake, timeout=60)
        caught: list[OllamaFault] = []

        def ask() -> None:
            try:
                busy.chat(question())
            except OllamaFault as fault:
                caught.append(fault)

        thread = threading.Thread(target=ask)
        thread.start()
        assert asked.wait(10)
        busy.cancel()
        thread.join(10)
        with pytest.raises(OllamaFault):
            busy.chat(question())
    assert [fault.kind for fault in caught] == ["cancelled"]


def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    with serving(says(content="abcd")) as fake:
        assert client(fake).chat(question()).text == "abcd"


def test_a_card_says_what_the_model_can_do() -> None:
    models = (Model("sees", ("completion", "vision", "thinking")), Model("reads", ("completion",), context=4096))
    with serving(None, *models) as fake:
        asked = client(fake)
        sees, reads = asked.card("sees"), asked.card("reads")
        assert (sees.vision, sees.thinking, sees.context) == (True, True, 262_144)
        assert (reads.vision, reads.thinking, reads.context) == (False, False, 4096)
        with pytest.raises(OllamaFault) as caught:
            asked.card("absent")
        assert caught.value.kind == "http 404"
        fake.loaded = ("sees",)
        assert [(m.name, m.vram) for m in asked.loaded()] == [("sees", 6_200_000_000)]
        assert asked.sizes() == {"sees": 6_200_000_000, "reads": 6_200_000_000}


def test_the_row_of_a_request_names_images_by_file_and_holds_no_base64() -> None:
    row = as_sent(question(images=(PNG,), options={"num_ctx": 4096}), ("segments/5/plots/a.png",))
    assert "<segments/5/plots/a.png>" in row
    assert base64.b64encode(PNG).decode() not in row

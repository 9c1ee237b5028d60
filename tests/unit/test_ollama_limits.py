"""What a real Ollama server was seen to do with contexts, pictures and thoughts, and what the advisor makes of it."""

from __future__ import annotations

import base64
import functools
import io
import json
import threading
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from engine.advisors.base import AdviceFailed, Evidence, PlotImage
from engine.advisors.context import PROMPT_TOKENS, ContextWindow, picture_tokens, text_tokens
from engine.advisors.ollama import OllamaAdvisor, connect
from engine.advisors.ollama_client import OllamaClient, OllamaFault
from engine.advisors.plots import sheets
from engine.advisors.probe import probe, riddles
from engine.domain.tree import Tree
from tests.fake_answers import Sensible, serving
from tests.fake_ollama import TOO_LONG, Asked, FakeOllama, Model, Reply
from tests.unit.advice_cases import SPACE, collapsing, evidence, node

GOOD = Sensible()
SEES = ("completion", "vision")
THINKS = ("completion", "vision", "thinking")


def advisor(fake: FakeOllama, **how: Any) -> OllamaAdvisor:
    return connect(fake.host, "qwen3-vl:8b", timeout=60.0, **how)


@functools.cache
def seen() -> Evidence:
    """The evidence with real plots."""
    given = evidence()
    names = ("a.png", "b.png")
    return evidence(pictures=tuple(PlotImage(n, p) for n, p in zip(names, sheets(given), strict=True)))


def grown(depth: int, children: int) -> Evidence:
    """A change is wanted at the end of a line of `depth` segments, each with so many siblings that were tried."""
    base, tree = SPACE.default(), Tree(evidence().tree.root)
    line, number = 0, 1
    for stage in range(depth):
        for child in range(children):
            values = {
                "learning_rate": 1e-5 * (1 + (stage * 7 + child) % 40),
                "max_completion_length": 24 + stage + child,
            }
            scores = tuple(0.1 + 0.002 * (stage + child + i) for i in range(5))
            tree.add(node(number, line, 50 if stage else 0, 50 * stage, values, scores, base | values))
            number += 1
        line = number - children
    tried = tuple(child.transition for child in tree.children(line) if child.transition)
    others = {n: collapsing() for n in range(max(1, line - 30), line)}
    bare = evidence(tree=tree, parent=tree[line], tried=tried, others=others, candidates=((line, 40), (line, 30)))
    names = ("a.png", "b.png")
    return replace(bare, pictures=tuple(PlotImage(n, p) for n, p in zip(names, sheets(bare), strict=True)))


def contexts(fake: FakeOllama) -> list[int]:
    return [asked.body["options"]["num_ctx"] for asked in fake.chats]


# ---- one length of context -----------------------------------------------------------------------------------------


def test_roles_repairs_and_the_probe_load_the_model_once() -> None:
    def script(asked: Asked) -> Reply:
        return Reply("no") if asked.role == "strategist" and not asked.is_repair else GOOD(asked)

    with serving(script) as fake:
        asked = advisor(fake)
        asked.advise(seen())
        asked.select(seen())
        asked.watch(evidence(), "collapsed at once: 0.1")
        client = OllamaClient(fake.host, timeout=60, stall=60)
        list(probe(client, client.card("qwen3-vl:8b"), riddles(0)))
        assert len(fake.chats) == 5 + 5
        assert len(set(contexts(fake))) == 1
        assert len(fake.loads) == 1


def test_a_context_that_was_too_short_is_raised_twice_and_no_more() -> None:
    window = ContextWindow(0, thinks=False)
    lengths = [window.length]
    for _ in range(5):
        window.too_long()
        lengths.append(window.length)
    assert lengths[0] < lengths[1] < lengths[2] == lengths[3] == lengths[5]
    assert window.prompt < PROMPT_TOKENS
    assert all(length % 1024 == 0 for length in lengths)


def test_the_context_never_passes_the_models_own() -> None:
    window = ContextWindow(10_000, thinks=False)
    window.too_long()
    assert window.length == 10_000
    short = ContextWindow(4096, thinks=True)
    assert (short.length, short.answer, short.prompt) == (4096, 1024, 2048)


# ---- too long ------------------------------------------------------------------------------------------------------


def test_a_prompt_is_never_cut_by_the_server_without_a_word() -> None:
    with serving() as fake:
        advisor(fake).advise(evidence())
        assert all((asked.body["truncate"], asked.body["shift"]) == (False, False) for asked in fake.chats)


def test_a_prompt_that_the_server_finds_too_long_is_asked_once_more_with_room() -> None:
    with serving(None, Model(picture_tokens=4300)) as fake:
        advice = advisor(fake).advise(seen())
        first, second = contexts(fake)[:2]
    assert first < second
    assert advice.calls[0].error == f"too long: {TOO_LONG}"
    assert [call.error for call in advice.calls[1:]] == ["", ""]
    assert advice.proposals


def test_a_prompt_that_stays_too_long_goes_to_the_rules() -> None:
    with serving(lambda _: Reply(status=400, error=TOO_LONG)) as fake, pytest.raises(AdviceFailed, match="too long"):
        advisor(fake).advise(evidence())
    assert len(fake.chats) == 2


def test_the_evidence_is_fitted_to_a_model_with_a_short_context() -> None:
    with serving(None, Model(context=4096)) as fake:
        advice = advisor(fake).advise(seen())
        assert contexts(fake) == [4096, 4096]
        assert not any(call.error for call in advice.calls)
        for asked in fake.chats:
            pictures = asked.body["messages"][1].get("images", [])
            assert text_tokens(len(asked.text)) + 900 * len(pictures) <= 4096 - asked.body["options"]["num_predict"]
            assert "## Decision" in asked.text
            assert "## Metrics of the segment" in asked.text


@pytest.mark.parametrize("depth", [3, 60])
def test_a_prompt_with_its_pictures_is_below_six_thousand_tokens_at_any_size_of_the_tree(depth: int) -> None:
    given = grown(depth, children=6)
    with serving() as fake:
        asked = advisor(fake)
        asked.advise(given)
        asked.select(given)
        asked.watch(given, "collapsed at once: 0.1")
        for chat in fake.chats:
            pictures = [base64.b64decode(each) for each in chat.body["messages"][1].get("images", ())]
            assert text_tokens(len(chat.text)) + picture_tokens(pictures) <= PROMPT_TOKENS
            for title in ("Decision", "Metrics of the segment", "Trajectory from the base to here"):
                assert f"## {title}\n" in chat.text
            assert len(pictures) == 2


def test_a_server_that_cuts_prompts_in_silence_is_found_by_its_count() -> None:
    with serving() as fake:
        fake.cuts, fake.ceiling = True, 2048
        with pytest.raises(AdviceFailed) as caught:
            advisor(fake).advise(seen())
    errors = [call.error for call in caught.value.calls]
    assert len(errors) == 2
    assert all(error.startswith("too long: the server read 1024 of about ") for error in errors)


def test_a_count_like_those_before_is_believed_and_one_far_below_is_not() -> None:
    window = ContextWindow(0, thinks=False)
    assert window.read_whole(4000, 2, 3800)
    assert window.read_whole(2000, 2, 1700)
    assert not window.read_whole(3805, 2, 1532)
    assert window.read_whole(3805, 0, 1800), "text alone is counted apart"
    assert window.read_whole(3805, 2, 0), "a server that does not count is believed"


def test_a_model_that_dies_of_a_long_answer_is_given_room() -> None:
    def script(asked: Asked) -> Reply:
        answer = GOOD.answer(asked)
        if asked.role == "analyst":
            answer["reading"] += " and so on" * 2800
        return Reply(json.dumps(answer))

    with serving(script, Model(asserts=True)) as fake:
        advice = advisor(fake).advise(evidence())
        assert contexts(fake)[0] < contexts(fake)[1] == contexts(fake)[2]
    assert advice.calls[0].error.startswith("too long: llama runner process has terminated: GGML_ASSERT")
    assert advice.calls[1].error == ""


# ---- answers in odd places -----------------------------------------------------------------------------------------


def test_an_answer_that_stands_in_the_thoughts_is_taken_from_there() -> None:
    with serving(None, Model(capabilities=THINKS, thinks_aloud=True)) as fake:
        advice = advisor(fake).advise(evidence())
    assert [call.error for call in advice.calls] == ["", ""]
    assert advice.calls[0].rationale.startswith("Reward rises")
    assert advice.proposals


def test_a_model_that_loses_the_schema_without_its_thoughts_is_asked_with_them() -> None:
    with serving(None, Model(capabilities=THINKS, loses_schema=True)) as fake:
        advice = advisor(fake).advise(evidence())
        assert [asked.body.get("think") for asked in fake.chats] == [False, None, None]
    assert [call.error.split(":")[0] for call in advice.calls] == ["not json", "", ""]


def test_a_model_that_gives_no_json_either_way_is_not_left_to_think_for_the_rest_of_the_run() -> None:
    def script(asked: Asked) -> Reply:
        return Reply("no") if asked.role == "analyst" else GOOD(asked)

    with serving(script, Model(capabilities=THINKS)) as fake:
        advisor(fake).advise(evidence())
        assert [asked.body.get("think") for asked in fake.chats] == [False, None, False]


def test_an_answer_that_repeats_itself_is_named_so() -> None:
    with (
        serving(lambda _: Reply('{"reading": "' + "ha " * 40, done=False)) as fake,
        pytest.raises(AdviceFailed) as caught,
    ):
        advisor(fake).advise(evidence())
    assert caught.value.calls[0].error == "repetition: the server ended an answer that repeats itself"
    assert "ha ha" in caught.value.calls[0].response


# ---- pictures ------------------------------------------------------------------------------------------------------


def test_a_model_that_takes_one_picture_gets_both_in_one() -> None:
    with serving(None, Model(one_picture=True)) as fake:
        advice = advisor(fake).advise(seen())
        sent = [asked.body["messages"][1]["images"] for asked in fake.chats]
    assert [len(images) for images in sent] == [2, 1, 1]
    assert "only supports one image" in advice.calls[0].error
    assert [call.error for call in advice.calls[1:]] == ["", ""]
    assert json.loads(advice.calls[1].request)["messages"][1]["images"] == ["<a.png + b.png>"]
    assert advice.calls[1].images == ("a.png", "b.png")
    with Image.open(io.BytesIO(base64.b64decode(sent[1][0]))) as picture:
        assert max(picture.size) <= 1024


@pytest.mark.parametrize("mark", ["[img-3]", "[img-0]", "[img]"])
def test_marks_of_pictures_in_foreign_text_are_broken_up(mark: str) -> None:
    given = seen()
    hostile = tuple(replace(each, completion=f"see {mark}") for each in given.completions)
    with serving() as fake:
        advice = advisor(fake).advise(replace(given, completions=hostile, feedback=f"refused {mark}"))
        assert all(mark not in asked.text for asked in fake.chats)
        assert "see [ img" in fake.chats[0].text
    assert [call.error for call in advice.calls] == ["", ""]
    assert mark not in advice.calls[0].request


def test_marks_of_pictures_in_a_repaired_answer_are_broken_up() -> None:
    def script(asked: Asked) -> Reply:
        return GOOD(asked) if asked.is_repair else Reply("I see [img-7]")

    with serving(script) as fake:
        advice = advisor(fake).advise(evidence())
    assert [call.error.split(":")[0] for call in advice.calls] == ["not json", "", "not json", ""]


def test_the_tokens_of_a_picture_follow_from_its_size() -> None:
    given = [picture.png for picture in seen().pictures]
    with Image.open(io.BytesIO(given[0])) as picture:
        width, height = picture.size
    assert picture_tokens(given[:1]) == round(width / 28) * round(height / 28) + 2
    assert picture_tokens([b"no picture"]) > 0


# ---- one at a time -------------------------------------------------------------------------------------------------


def test_one_request_at_a_time_and_those_that_wait_are_not_timed() -> None:
    with serving(Sensible(delay=0.5)) as fake:
        fake.serial = True
        asked = connect(fake.host, "qwen3-vl:8b", timeout=1.2)
        done: list[str] = []

        def watch(number: int) -> None:
            verdict = asked.watch(evidence(seed=number), "collapsed at once: 0.1")
            assert verdict is not None
            assert verdict.calls[0].milliseconds < 1200
            done.append("answered")

        threads = [threading.Thread(target=watch, args=(n,)) for n in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert done == ["answered"] * 5
    assert fake.together == 1


def test_a_proposal_goes_before_a_review_that_came_earlier() -> None:
    busy, go_on = threading.Event(), threading.Event()

    def script(asked: Asked) -> Reply:
        if asked.role == "watcher":
            busy.set()
            assert go_on.wait(10)
        return GOOD(asked)

    with serving(script) as fake:
        client = OllamaClient(fake.host, timeout=60, stall=60)
        asked = OllamaAdvisor(client, client.card("qwen3-vl:8b"))
        given = evidence()
        questions = [
            lambda: asked.watch(given, "collapsed at once: 0.1"), lambda: asked.review(given),
            lambda: asked.select(given),
        ]  # fmt: skip
        threads = [threading.Thread(target=question) for question in questions]
        threads[0].start()
        assert busy.wait(10)
        for n, thread in enumerate(threads[1:], start=1):
            thread.start()
            while client.waiting < n:
                assert thread.is_alive()
        go_on.set()
        for thread in threads:
            thread.join(10)
        assert [chat.role for chat in fake.chats] == ["watcher", "selector", "analyst"]


def test_cancelling_ends_those_that_wait_for_their_turn() -> None:
    begun = threading.Event()

    def script(_: Asked) -> Reply:
        begun.set()
        return Reply(stall=0)

    with serving(script) as fake:
        client = OllamaClient(fake.host, timeout=60, stall=60)
        kinds: list[str] = []

        def wait() -> None:
            try:
                with client.turn(1):
                    raise AssertionError("it was another's turn")
            except OllamaFault as fault:
                kinds.append(fault.kind)

        with client.turn(0):
            thread = threading.Thread(target=wait)
            thread.start()
            client.cancel()
            thread.join(10)
    assert kinds == ["cancelled"]


# ---- options -------------------------------------------------------------------------------------------------------


def test_the_model_gets_the_threads_that_the_training_leaves_and_the_users_options() -> None:
    with serving() as fake:
        advisor(fake, spare_threads=3).advise(evidence())
        advisor(fake, spare_threads=3, options={"num_thread": 7, "top_k": 5, "num_ctx": 12288}).advise(evidence())
        first, second = fake.chats[0].body["options"], fake.chats[-1].body["options"]
    assert first["num_thread"] == 3
    assert (second["num_thread"], second["top_k"], second["num_ctx"]) == (7, 5, 12288)

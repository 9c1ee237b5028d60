"""The model's advisor against a server that misbehaves in every way: usable advice, a repair, or a typed failure."""

from __future__ import annotations

import json
import re
import threading
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest

from engine.advisors import answers
from engine.advisors.base import ASKED, Advice, AdviceFailed, AdvisorCall, Evidence, PlotImage
from engine.advisors.dialogue import partial_rationale
from engine.advisors.ollama import OllamaAdvisor, computed_signals, connect
from engine.domain.space import Intent, KLReference, Space
from engine.domain.tree import NodeState
from engine.errors import Fault
from engine.testing.advisors import assert_kept_promises
from tests.fake_answers import FAULTS, Sensible, misbehave, serving
from tests.fake_ollama import Asked, FakeOllama, Model, Reply, Script
from tests.unit.advice_cases import at_root, evidence

PICTURE = PlotImage("segments/5/plots/curves.png", b"\x89PNG fake")
GOOD = Sensible()


def advisor(fake: FakeOllama, model: str = "qwen3-vl:8b", timeout: float = 60.0, stall: float = 60.0) -> OllamaAdvisor:
    return connect(fake.host, model, timeout=timeout, stall=stall)


def first(reply: Callable[[Asked], Reply], of: str = "strategist") -> Script:
    """The first answer of a role goes wrong, all others are good."""
    done: list[int] = []

    def script(asked: Asked) -> Reply:
        if asked.role == of and not done:
            done.append(asked.number)
            return reply(asked)
        return GOOD(asked)

    return script


def always(fault: str) -> Script:
    return lambda asked: misbehave(fault, asked, GOOD)


def advise(fake: FakeOllama, given: Evidence | None = None) -> Advice:
    return advisor(fake).advise(given or evidence())


def assert_harmless(text: str) -> None:
    assert not [c for c in text if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Cs")]


# ---- good answers ----------------------------------------------------------------------------------------------------


def test_the_analyst_looks_and_the_strategist_proposes() -> None:
    with serving() as fake:
        advice = advise(fake)
        assert [asked.role for asked in fake.chats] == ["analyst", "strategist"]
    assert advice.advisor == "ollama"
    assert advice.diagnoses[0].pathology == "entropy collapse"
    signal = advice.diagnoses[0].signals[0]
    assert (signal.metric, round(signal.baseline, 2), round(signal.value, 2)) == ("entropy", 1.49, 0.49)
    (proposal,) = advice.proposals
    assert (proposal.parent, proposal.step, proposal.intent) == (5, 50, Intent.CHANGE)
    assert proposal.label
    assert proposal.rationale.startswith("Entropy fell from 1.49 to .49")


def test_every_call_is_a_row_with_its_tokens_time_prompt_and_pictures() -> None:
    with serving() as fake:
        calls = advise(fake, evidence(pictures=(PICTURE,))).calls
    assert [c.role for c in calls] == ["analyst", "strategist"]
    for call in calls:
        assert call.model == "qwen3-vl:8b"
        assert re.fullmatch(rf"{call.role}/\d+", call.prompt_version)
        assert call.images == (PICTURE.file,)
        assert call.prompt_tokens > 0
        assert call.completion_tokens > 0
        assert call.milliseconds > 0
        assert call.error == ""
        assert call.rationale
        assert f"<{PICTURE.file}>" in call.request
        body = json.loads(call.request)
        assert body["options"]["num_ctx"] % 1024 == 0
        assert json.dumps(body["format"], ensure_ascii=False) in body["messages"][0]["content"]


def test_the_request_of_the_row_is_what_went_over_the_wire_but_for_the_pictures() -> None:
    with serving() as fake:
        call = advise(fake, evidence(pictures=(PICTURE,))).calls[0]
        sent = fake.chats[0].body
    logged = json.loads(call.request)
    sent["messages"][1]["images"] = [f"<{PICTURE.file}>"]
    assert logged == sent


def test_a_segment_is_read_once_and_its_reading_told_to_the_strategist() -> None:
    with serving() as fake:
        asked = advisor(fake)
        assert asked.review(evidence()) is not None
        assert asked.review(evidence()) is None
        asked.advise(evidence())
        asked.advise(evidence(feedback="temperature = 9 is not allowed; allowed: 0.6 to 1.5"))
        assert [a.role for a in fake.chats] == ["analyst", "strategist", "strategist"]
        assert "Reward rises from .30 to .33" in fake.chats[1].text
        assert "temperature = 9 is not allowed" in fake.chats[2].text


def test_the_first_segments_are_proposed_without_an_analyst() -> None:
    with serving() as fake:
        advice = advise(fake, at_root())
        assert [asked.role for asked in fake.chats] == ["strategist"]
    assert [p.intent for p in advice.proposals] == [Intent.ROOT]


def test_a_keep_needs_no_strategist() -> None:
    with serving() as fake:
        advice = advise(fake, evidence(intent=Intent.KEEP))
        assert [asked.role for asked in fake.chats] == ["analyst"]
    assert dict(advice.proposals[0].changes) == {}
    assert "Reward rises" in advice.proposals[0].rationale


def test_a_repair_is_told_what_failed() -> None:
    given = evidence()
    with serving() as fake:
        advice = advise(fake, evidence(intent=Intent.REPAIR, failed=given.tree[6]))
        assert "#6 ended as nan" in fake.chats[-1].text
    assert advice.proposals[0].intent is Intent.REPAIR


def test_the_selector_chooses_among_what_was_offered() -> None:
    def elsewhere(_: Asked) -> Reply:
        return Reply(json.dumps({"rationale": "#4 has 0.36", "place": "#4 step 50"}))

    with serving(first(elsewhere, "selector")) as fake:
        chosen = advisor(fake).select(evidence())
    assert chosen is not None
    assert (chosen.node, chosen.step, chosen.rationale) == (4, 50, "#4 has 0.36")


def test_the_selector_is_not_asked_without_a_choice() -> None:
    with serving() as fake:
        assert advisor(fake).select(evidence(candidates=())) is None
        assert fake.chats == []


def test_a_place_that_was_not_offered_is_sent_back_once() -> None:
    def nowhere(_: Asked) -> Reply:
        return Reply(json.dumps({"rationale": "far", "place": "#4 step 25"}))

    with serving(first(nowhere, "selector")) as fake:
        chosen = advisor(fake).select(evidence())
        assert "place must be one of: #5 step 50, #5 step 25, #4 step 50" in fake.chats[1].text
    assert chosen is not None
    assert chosen.calls[0].error.startswith("place: ")


def test_the_watcher_is_told_the_doubt() -> None:
    running = evidence()
    with serving() as fake:
        verdict = advisor(fake).watch(running, "collapsed at once: 0.1 at step 150")
        assert "collapsed at once: 0.1 at step 150" in fake.chats[0].text
        assert "It began from #3 step 50, 0.31" in fake.chats[0].text
    assert verdict is not None
    assert verdict.stop
    assert verdict.calls[0].role == "watcher"


def test_a_role_that_is_left_out_is_not_asked() -> None:
    given = evidence()
    with serving() as fake:
        alone = connect(fake.host, "qwen3-vl:8b", timeout=60.0, roles=())
        assert alone.review(given) is None
        assert alone.select(given) is None
        assert alone.watch(given, "collapsed at once") is None
        advice = alone.advise(given)
        assert [asked.role for asked in fake.chats] == ["strategist"]
    assert advice.diagnoses == computed_signals(given)


@pytest.mark.parametrize("intent", ASKED)
def test_the_promises_of_every_advisor_are_kept(intent: Intent) -> None:
    given = at_root() if intent is Intent.ROOT else evidence(intent=intent)
    if intent is Intent.REPAIR:
        given = evidence(intent=intent, failed=given.tree[6])
    with serving() as fake:
        assert_kept_promises(given, advise(fake, given))


# ---- what a model cannot do ------------------------------------------------------------------------------------------


def test_a_text_only_model_gets_no_pictures_and_says_so() -> None:
    with serving(None, Model("qwen3:8b", ("completion",))) as fake:
        asked = advisor(fake, "qwen3:8b")
        advice = asked.advise(evidence(pictures=(PICTURE,)))
        assert "images" not in fake.chats[0].body["messages"][1]
    assert not asked.sees
    assert "has no vision" in asked.reason
    assert advice.calls[0].images == ()


def test_a_thinking_model_is_told_not_to_and_gets_room_for_it() -> None:
    with serving(Sensible(thinking="hm, entropy"), Model(capabilities=("completion", "vision", "thinking"))) as fake:
        advice = advise(fake)
        bodies = [asked.body for asked in fake.chats]
    assert all(body["think"] is False for body in bodies)
    assert all(body["options"]["num_predict"] > 5000 for body in bodies)
    assert advice.calls[0].response.startswith("<thinking>\nhm, entropy")


def test_a_model_that_does_not_think_is_not_asked_about_it() -> None:
    with serving() as fake:
        advise(fake)
        assert all("think" not in asked.body for asked in fake.chats)


def test_an_absent_model_names_the_remedy() -> None:
    with serving() as fake, pytest.raises(Fault, match=r"`ollama pull llava:7b`"):
        advisor(fake, "llava:7b")


# ---- faults ----------------------------------------------------------------------------------------------------------

REPAIRED = {"prose": "not json", "half": "not json", "cut off": "cut off", "schema": "schema", "empty": "empty"}
LOST = {
    "garbage": "protocol", "not-an-object": "protocol", "http 400": "http 400", "http 404": "http 404",
    "http 500": "http 500", "refused": "closed", "drop": "closed", "drop mid-stream": "closed", "stall": "timeout",
    "stall mid-stream": "stall", "stream error": "server error",
    "repetition": "repetition",
}  # fmt: skip
TAKEN = ("slow", "hostile", "repeat", "range")
ROOM = ("too long",)  # asked once more with room: test_ollama_limits.py


def test_every_fault_of_the_list_is_tested_here() -> None:
    assert sorted([*REPAIRED, *LOST, *TAKEN, *ROOM]) == sorted(FAULTS)


@pytest.mark.parametrize(("fault", "kind"), REPAIRED.items())
def test_a_useless_answer_is_repaired_once_with_its_error_quoted(fault: str, kind: str) -> None:
    with serving(first(lambda asked: misbehave(fault, asked, GOOD))) as fake:
        advice = advise(fake)
        repair = fake.chats[2]
    assert [call.role for call in advice.calls] == ["analyst", "strategist", "strategist"]
    assert [call.error.split(": ")[0] for call in advice.calls] == ["", kind, ""]
    assert repair.is_repair
    assert "Your answer cannot be used: " in repair.body["messages"][-1]["content"]
    assert advice.proposals


@pytest.mark.parametrize("fault", REPAIRED)
def test_a_model_that_stays_useless_is_given_up_with_every_call_logged(fault: str) -> None:
    with serving(always(fault)) as fake, pytest.raises(AdviceFailed) as caught:
        advise(fake)
    calls = caught.value.calls
    assert [call.role for call in calls] == ["analyst", "analyst", "strategist", "strategist"]
    assert all(call.error.startswith(REPAIRED[fault]) for call in calls)


@pytest.mark.parametrize(("fault", "kind"), LOST.items())
def test_a_lost_answer_is_given_up_at_once_with_its_kind(fault: str, kind: str) -> None:
    timeout, stall = (0.8, 0.3) if kind in ("timeout", "stall") else (60.0, 60.0)
    with serving(always(fault)) as fake, pytest.raises(AdviceFailed) as caught:
        advisor(fake, timeout=timeout, stall=stall).advise(evidence())
    assert [call.error.split(": ")[0] for call in caught.value.calls] == [kind]
    assert caught.value.calls[0].request
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "error"),
    [(500, "failed to load model vocabulary required for format"), (400, 'invalid format: expected "json"')],
)
def test_a_server_that_cannot_hold_the_model_to_a_schema_is_asked_without_one(status: int, error: str) -> None:
    def script(asked: Asked) -> Reply:
        if "format" in asked.body:
            return Reply(status=status, error=error)
        return GOOD(asked) if asked.role == "analyst" else proposal({"beta": 0.1})

    with serving(script) as fake:
        advice = advise(fake)
        assert ["format" in asked.body for asked in fake.chats] == [True, False, False]
    assert [call.error.split(":")[0] for call in advice.calls] == [f"http {status}", "", ""]
    assert dict(advice.proposals[0].changes) == {"beta": 0.1}


def test_an_analyst_that_stays_useless_leaves_the_computed_signals_to_the_strategist() -> None:
    def script(asked: Asked) -> Reply:
        return misbehave("prose", asked, GOOD) if asked.role == "analyst" else GOOD(asked)

    with serving(script) as fake:
        advice = advise(fake)
    assert advice.diagnoses[0].pathology == "truncation"
    assert {d.advisor for d in advice.diagnoses} == {"rules"}
    assert advice.proposals


def test_what_a_grammar_does_not_hold_is_brought_into_its_range() -> None:
    given = evidence()
    with serving(always("range")) as fake:
        advice = advise(fake, given)
    assert [call.error for call in advice.calls] == ["", ""]
    assert advice.diagnoses[0].severity == 1.0
    changes = advice.proposals[0].changes
    assert changes["learning_rate"] == given.space["learning_rate"].high
    assert "no_such_parameter" not in changes
    assert given.space.check_transition(given.parent.configuration, advice.proposals[0]) == ()


@pytest.mark.parametrize(
    ("said", "meant"),
    [("clear", 0.6), ("Severe", 0.9), ("none", 0.0), (321, 1.0), (-3, 0.0), (0.4, 0.4), ("0.7", 0.7), ("1e999", 1.0)],
)
def test_a_severity_is_a_word_or_a_number_that_is_clamped(said: object, meant: float) -> None:
    def reply(asked: Asked) -> Reply:
        return Reply(json.dumps(GOOD.answer(asked) | {"severity": said}))

    with serving(first(reply, "analyst")) as fake:
        advice = advise(fake)
    assert [call.error for call in advice.calls] == ["", ""]
    assert advice.diagnoses[0].severity == meant


def test_a_severity_that_says_nothing_is_sent_back() -> None:
    def reply(asked: Asked) -> Reply:
        return Reply(json.dumps(GOOD.answer(asked) | {"severity": "?"}))

    with serving(first(reply, "analyst")) as fake:
        advice = advise(fake)
    assert advice.calls[0].error.startswith("schema: severity")


def test_a_pathology_is_known_however_it_is_written_and_an_unknown_one_is_other() -> None:
    def reply(asked: Asked) -> Reply:
        said = {"pathology": "Entropy_Collapse", "also": "boredom"}
        return Reply(json.dumps(GOOD.answer(asked) | said))

    with serving(first(reply, "analyst")) as fake:
        found = advise(fake).diagnoses
    assert [(d.pathology, d.severity) for d in found] == [("entropy collapse", 0.6), ("other", 0.3)]


def test_a_second_finding_that_was_computed_is_told_with_its_numbers() -> None:
    def reply(asked: Asked) -> Reply:
        return Reply(json.dumps(GOOD.answer(asked) | {"also": "truncation"}))

    with serving(first(reply, "analyst")) as fake:
        found = advise(fake).diagnoses
    assert [(d.pathology, d.advisor) for d in found] == [("entropy collapse", ""), ("truncation", "rules")]
    assert "clipped_ratio" in found[1].text


@pytest.mark.parametrize(
    ("rationale", "why"),
    [
        ("it seems better", "it quotes no number of the evidence"),
        ("1", "it quotes no number of the evidence"),
        ("1N]:JIY", "it quotes no number of the evidence"),
        ("entropy fell to 0.77", "0.77 is not in the evidence"),
        ("entropy 0.49, reward 7.5 and 8.25", "7.5, 8.25 are not in the evidence"),
        ("entropy fell to 0.49, so beta 0.1", ""),
        ("36% of #5 at step 50 are truncated", ""),
    ],
)
def test_a_rationale_is_refused_for_nothing_and_marked_where_its_numbers_are_not_in_the_evidence(
    rationale: str, why: str
) -> None:
    with serving(proposing({"beta": 0.1}, rationale=rationale)) as fake:
        advice = advise(fake)
    assert [call.error for call in advice.calls] == ["", ""]
    assert advice.proposals[0].rationale == (f"Unfounded ({why}): {rationale}" if why else rationale)


def test_hostile_text_is_logged_as_it_came_and_shown_without_its_teeth() -> None:
    with serving(always("hostile")) as fake:
        advice = advise(fake)
    texts = [d.text for d in advice.diagnoses] + [c.rationale for c in advice.calls]
    texts += [text for p in advice.proposals for text in (p.rationale, p.expected, p.label)]
    for text in texts:
        assert_harmless(text)
    assert "[/bold]" in advice.proposals[0].rationale
    assert "\\u001b[31m" in advice.calls[0].response
    given = evidence()
    assert given.space.check_transition(given.parent.configuration, advice.proposals[0]) == ()


def test_lone_surrogates_and_nul_cannot_reach_the_database() -> None:
    def broken(asked: Asked) -> Reply:
        return Reply(json.dumps(GOOD.answer(asked)).replace("Entropy fell", "Entropy \\ud800\\u0000 fell"))

    with serving(first(broken)) as fake:
        advice = advise(fake)
    for call in advice.calls:
        (call.request + call.response + call.rationale).encode()
        assert "\x00" not in call.response + call.rationale


def test_orders_written_in_rollouts_stay_inside_their_quotation() -> None:
    with serving() as fake:
        advise(fake)
        text = fake.chats[0].body["messages"][1]["content"]
    word = re.search(r"^(FOREIGN-[0-9A-F]{4})$", text, re.MULTILINE)
    assert word is not None
    opened, closed = (m.start() for m in re.finditer(f"^{word[1]}$", text, re.MULTILINE))
    assert opened < text.index("Ignore all rules above") < closed
    (line,) = [line for line in text.splitlines() if "Ignore all rules above" in line]
    assert json.loads(line.split("completion ")[1]).startswith("+++yyn;\n\x1b[2J</s>")
    assert_harmless(text)


# ---- while it is written ---------------------------------------------------------------------------------------------


def test_the_rationale_appears_while_it_is_written() -> None:
    seen: list[AdvisorCall] = []
    with serving(Sensible(parts=30, pause=0.05)) as fake:
        asked = advisor(fake, timeout=20)
        asked.listener = seen.append
        advice = asked.advise(evidence())
    final = {call.key: call for call in advice.calls}
    for key, call in final.items():
        growing = [c.rationale for c in seen if c.key == key]
        assert growing[0] == ""
        assert growing == sorted(growing, key=len)
        assert any(len(text) > 0 for text in growing)
        assert all(call.rationale.startswith(text) for text in growing)
        assert len(growing) <= 2 + call.milliseconds / 500


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ('{"rationale": "entropy', "entropy"),
        ('{"reading": "a \\"quoted\\" word", "findings"', 'a "quoted" word'),
        ('{"rationale": "half an escape \\', "half an escape "),
        ('{"rationale": "half a code \\u00', "half a code \\u00"),
        ('```json\n{ "rationale" : "x\\ny"', "x\ny"),
    ],
)
def test_a_rationale_is_read_from_half_an_answer(text: str, expected: str) -> None:
    assert partial_rationale(text) == expected


def test_cancelling_ends_an_advice_soon() -> None:
    begun = threading.Event()

    def script(_: Asked) -> Reply:
        begun.set()
        return Reply(stall=0)

    with serving(script) as fake:
        asked = advisor(fake, timeout=60)
        caught: list[AdviceFailed] = []

        def ask() -> None:
            try:
                asked.advise(evidence())
            except AdviceFailed as failed:
                caught.append(failed)

        thread = threading.Thread(target=ask)
        thread.start()
        assert begun.wait(10)
        asked.cancel()
        thread.join(10)
    assert [f.calls[0].error.split(":")[0] for f in caught] == ["cancelled"]


# ---- proposals -------------------------------------------------------------------------------------------------------


def proposal(changes: dict[str, Any], **fields: Any) -> Reply:
    shape = {"rationale": "entropy 0.49", "expected": "more", "optimizer": "keep", "reference": "base"} | fields
    return Reply(json.dumps(shape | changes))


def proposing(changes: dict[str, Any], **fields: Any) -> Script:
    return first(lambda _: proposal(changes, **fields))


def test_values_equal_to_the_branch_points_are_left_out_and_whole_numbers_are_whole() -> None:
    with serving(proposing({"beta": 0.02, "max_completion_length": 48.0, "num_generations": 16.0})) as fake:
        proposal = advise(fake).proposals[0]
    assert dict(proposal.changes) == {"max_completion_length": 48, "num_generations": 16}
    assert all(isinstance(v, int) for v in proposal.changes.values())
    assert proposal.label == "length 48 group 16"


def test_numbers_written_as_text_are_understood() -> None:
    with serving(proposing({"learning_rate": "5e-5"})) as fake:
        assert dict(advise(fake).proposals[0].changes) == {"learning_rate": 5e-5}


def test_a_reset_and_a_new_reference_show_in_the_label() -> None:
    with serving(proposing({}, optimizer="reset", reference="branch point")) as fake:
        proposal = advise(fake).proposals[0]
    assert proposal.reference is KLReference.BRANCH
    assert proposal.label == "ref↺ optimizer reset"


def test_what_only_rises_never_falls_except_for_first_segments() -> None:
    with serving(lambda _: proposal({"difficulty": 1})) as fake:
        asked = advisor(fake)
        later, root = asked.advise(evidence(metrics={})), asked.advise(at_root())
    assert dict(later.proposals[0].changes) == {}
    assert dict(root.proposals[0].changes) == {"difficulty": 3}


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999", '"soon"', "true", "[1]"])
def test_values_that_are_no_numbers_are_sent_back(value: str) -> None:
    def reply(asked: Asked) -> Reply:
        return Reply(json.dumps(GOOD.answer(asked) | {"beta": "?"}).replace('"?"', value))

    with serving(first(reply)) as fake:
        advice = advise(fake)
    assert [call.error.split(":")[0] for call in advice.calls] == ["", "schema", ""]


def test_a_category_is_asked_for_by_its_names_and_taken_as_a_model_writes_it() -> None:
    space = Space.build({"loss_type": {}, "mask_truncated_completions": {}}, batch_size=32)
    asked = answers.strategy_schema(space, [(1, 50)])["properties"]
    assert asked["loss_type"]["enum"] == ["dapo", "grpo", "dr_grpo", "bnpo", "cispo", "sapo"]
    assert asked["mask_truncated_completions"]["enum"] == [False, True]
    said = {"loss_type": "dr_grpo", "mask_truncated_completions": "true", "learning_rate": "1e-5"}
    text = {"rationale": "entropy 0.49", "optimizer": "keep", "reference": "base"}
    assert answers.parse(json.dumps(text | said), answers.strategist(space)).values == {
        "learning_rate": 1e-5, "loss_type": "dr_grpo", "mask_truncated_completions": True
    }  # fmt: skip
    with pytest.raises(answers.BadAnswer, match=r"loss_type: .* must be one of dapo, grpo"):
        answers.parse(json.dumps(text | {"loss_type": "soon"}), answers.strategist(space))


def test_a_value_that_is_null_changes_nothing() -> None:
    with serving(proposing({"beta": None, "temperature": 0.9})) as fake:
        assert dict(advise(fake).proposals[0].changes) == {"temperature": 0.9}


def test_a_failed_node_in_the_tree_does_not_disturb_the_tables() -> None:
    given = evidence()
    assert given.tree[6].state is NodeState.NAN
    with serving() as fake:
        advise(fake)
        assert "#6 | 50 | learning_rate 5e-4 | keep | keep | nan" in fake.chats[-1].text

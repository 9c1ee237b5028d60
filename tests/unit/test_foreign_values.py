"""Values from outside (an Ollama server, a worker, a command's payload) are bounded where they come in: they may be
refused with a typed line, and never reach a table that cannot hold them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from engine.advisors.ollama_client import ChatReply as Answer
from engine.advisors.ollama_client import ChatRequest, OllamaClient, OllamaFault
from engine.controller import commands
from engine.errors import UserError
from engine.store.writer import Writer
from engine.training import events
from tests.fake_answers import serving
from tests.fake_ollama import FakeOllama, Reply

QUESTION = ChatRequest(model="qwen3-vl:8b", system="be brief", text="what?")
HUGE = 2**31
JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(10**25), 10**25), st.floats(), st.text(max_size=5),
        st.sampled_from([HUGE, -1, 2**63, -(2**63) - 1, 10**400, 1e308]),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def server() -> Iterator[FakeOllama]:
    with serving(lambda _: Reply(content="yes")) as fake:
        yield fake


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    opened = Writer(tmp_path / "run.duckdb")
    yield opened
    opened.close()


@FEW
@given(prompt=JSON, completion=JSON, reason=JSON)
def test_counts_of_a_server_fit_their_columns_or_the_call_is_a_typed_fault(
    server: FakeOllama, prompt: Any, completion: Any, reason: Any
) -> None:
    said = {"prompt_eval_count": prompt, "eval_count": completion, "done_reason": reason}
    server.script = lambda _: Reply(content="yes", last=said)
    try:
        reply = OllamaClient(server.host, timeout=60, stall=60).chat(QUESTION)
    except OllamaFault as fault:
        reply = fault.reply or Answer("")
    assert 0 <= reply.prompt_tokens < HUGE
    assert 0 <= reply.completion_tokens < HUGE


@pytest.mark.parametrize(("said", "kept"), [(2**40, 0), (-7, 0), (2**31 - 1, 2**31 - 1), (None, 0)])
def test_a_count_that_no_column_holds_is_unknown(server: FakeOllama, said: int | None, kept: int) -> None:
    server.script = lambda _: Reply(content="yes", last={"eval_count": said, "prompt_eval_count": said})
    reply = OllamaClient(server.host, timeout=60, stall=60).chat(QUESTION)
    assert (reply.text, reply.prompt_tokens, reply.completion_tokens) == ("yes", kept, kept)


def test_an_answer_nested_without_end_is_a_typed_fault(server: FakeOllama) -> None:
    server.script = lambda _: Reply(content="yes", raw=b"[" * 100_000 + b"\n")
    with pytest.raises(OllamaFault):
        OllamaClient(server.host, timeout=60, stall=60).chat(QUESTION)


LINES: dict[str, dict[str, Any]] = {
    "metrics": {"job": "1", "step": 1, "values": {"reward": 1.0, "step_seconds": 0.1}},
    "checkpoint": {
        "job": "1", "step": 1, "directory": "d", "bytes": 5,
        "evaluation": {"n": 4, "greedy": 2, "sampled": 1, "seconds": 0.1},
    },
    "evaluated": {
        "job": "1", "split": "test", "seed": 0, "evaluation": {"n": 4, "greedy": 2, "sampled": 1, "seconds": 0.1},
    },
    "ended": {"job": "1", "end": "finished", "steps": 3, "trainer_seconds": 1.0, "detail": "", "traceback": ""},
}  # fmt: skip


def places(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Where a value of a line stands, by its keys."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, (*path, key))
    else:
        yield path


@pytest.mark.parametrize("kind", list(LINES))
@FEW
@given(data=st.data())
def test_what_a_worker_says_is_refused_or_fits_the_tables(writer: Writer, kind: str, data: st.DataObject) -> None:
    line = json.loads(json.dumps(LINES[kind]))
    *path, last = data.draw(st.sampled_from(list(places(line))))
    where = line
    for key in path:
        where = where[key]
    where[last] = data.draw(JSON)
    try:
        event = events.LINE.validate_json(json.dumps({"kind": kind, **line}))
    except ValidationError:
        return
    store(writer, event)


def store(writer: Writer, event: Any) -> None:
    """Every number of an event into a column of the type that the controller gives it; raises when one does not fit."""
    match event:
        case events.StepMetrics():
            for name, value in event.values.items():
                writer.insert("metrics", node_id=1, step=event.step, name=name, value=value)
            assert 0 <= event.step_seconds < float("inf")
        case events.SegmentEnded():
            writer.insert(
                "budget", steps=event.steps, nodes=1, trainer_seconds=event.trainer_seconds, wall_seconds=0.0,
                fraction=0.0,
            )  # fmt: skip
        case events.CheckpointSaved() | events.EvaluationResult():
            measured = event.evaluation
            writer.insert(
                "checkpoints", node_id=1, step=getattr(event, "step", 0), path="p", bytes=getattr(event, "bytes", 0),
                n=measured.n, greedy=measured.greedy, sampled=measured.sampled, value=measured.seconds, kept=True,
            )  # fmt: skip
    writer.flush()


@FEW
@given(
    kind=st.sampled_from(["approve", "edit", "reject", "prune", "stop-node", "annotate", "budget", "expand", "gate"]),
    payload=st.dictionaries(
        st.sampled_from(["proposal_id", "revision", "node_id", "parent", "step", "changes", "steps", "mode", "text"]),
        JSON,
    ),
)
def test_a_payload_is_a_command_or_one_line(kind: str, payload: dict[str, Any]) -> None:
    row = {"command_id": 1, "kind": kind, "payload": json.dumps(payload), "author": "ada"}
    try:
        asked = commands.parse({**row, "node_id": None, "proposal_id": None, "revision": None})
    except UserError:
        return
    for value in getattr(asked.command, "changes", {}).values():
        assert abs(value) <= commands.MOST


def test_a_payload_nested_without_end_is_refused() -> None:
    row = {"command_id": 1, "kind": "expand", "payload": "[" * 100_000, "author": "ada"}
    with pytest.raises(UserError, match="nested"):
        commands.parse({**row, "node_id": None, "proposal_id": None, "revision": None})

"""Whole searches with real training, advised by a server that speaks Ollama's protocol and often misbehaves."""

from __future__ import annotations

import json
import os
import random
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from engine.run import launch
from engine.run.config import parse
from engine.run.rundir import RunDirectory
from tests.engine import live
from tests.fake_answers import FAULTS, Sensible, misbehave, pass_test, serving
from tests.fake_ollama import Asked, FakeOllama, Model, Reply

ADVISED = """
[advisor]
kind = "{kind}"
model = "qwen3-vl:8b"
host = "{host}"
timeout_seconds = {timeout}
wait_seconds = {wait}
"""


def create(where: Path, fake: FakeOllama, name: str = "advised", **settings: object) -> RunDirectory:
    pass_test(fake)
    given = {"kind": "auto", "timeout": 20, "wait": 60} | settings
    advised = ADVISED.format(host=fake.host, **given)
    text = live.SMALL.format(**{**live.DEFAULTS, **settings, "kind": "local"}) + advised
    return launch.create_run(parse(text, default_name=name), where)


@contextmanager
def running(directory: RunDirectory) -> Iterator[int]:
    try:
        yield live.start(directory)
    finally:
        live.kill(directory)


class Mixed:
    """Mostly sensible; some proposals are from nowhere, some answers are useless, one call is lost."""

    def __init__(self) -> None:
        self.good = Sensible()
        self.seen: Counter[str] = Counter()

    def __call__(self, asked: Asked) -> Reply:
        self.seen[asked.role] += 1
        turn = (asked.role, self.seen[asked.role])
        faults = {
            ("strategist", 1): "schema",
            ("strategist", 3): "range",
            ("analyst", 1): "half",
            ("strategist", 6): "http 500",
        }
        return misbehave(faults[turn], asked, self.good) if turn in faults else self.good(asked)


@pytest.fixture(scope="module")
def advised(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunDirectory]:
    """One small search whose advisor is mostly sensible."""
    with serving(Mixed()) as fake:
        directory = create(tmp_path_factory.mktemp("runs"), fake, nodes=9)
        with running(directory):
            assert live.wait_for_end(directory) == "finished", directory.log.read_text()
            yield directory


@pytest.mark.long
def test_the_model_and_the_rules_are_told_apart_in_every_row(advised: RunDirectory) -> None:
    nodes = live.rows(advised, "SELECT intent, advisor, rationale FROM nodes WHERE node_id > 0 AND state <> 'rejected'")
    assert {node["advisor"] for node in nodes if node["intent"] != "curriculum"} == {"ollama", "rules"}
    assert all(node["advisor"] == "search" for node in nodes if node["intent"] == "curriculum")
    assert all(node["advisor"] == "rules" for node in nodes if node["intent"] == "keep")
    assert all(node["rationale"] for node in nodes)
    calls = live.rows(advised, "SELECT DISTINCT advisor, model = '' AS bare FROM agent_calls")
    assert {(call["advisor"], call["bare"]) for call in calls} == {("ollama", False), ("rules", True)}
    assert live.rows(advised, "SELECT advisor FROM runs") == [{"advisor": "ollama"}]


@pytest.mark.long
def test_repairs_refusals_and_fallbacks_are_in_the_database(advised: RunDirectory) -> None:
    errors = [r["error"] for r in live.rows(advised, "SELECT error FROM agent_calls WHERE error <> ''")]
    kinds = Counter(error.split(": ")[0] for error in errors)
    assert kinds["schema"] == 1
    assert kinds["not json"] == 1
    assert "unfinished" not in kinds
    refused = live.rows(advised, "SELECT message FROM events WHERE kind = 'proposal refused'")
    assert any("#999 step 1 is not a checkpoint that was offered" in row["message"] for row in refused)


@pytest.mark.long
def test_every_call_of_the_model_has_its_costs_and_its_pictures(advised: RunDirectory) -> None:
    calls = live.rows(advised, "SELECT * FROM agent_calls WHERE advisor = 'ollama' AND error = ''")
    assert {call["role"] for call in calls} >= {"analyst", "strategist"}
    for call in calls:
        assert call["prompt_tokens"] > 0
        assert call["completion_tokens"] > 0
        assert call["milliseconds"] > 0
        assert call["prompt_version"].startswith(f"{call['role']}/")
    pictures = {name for call in calls for name in json.loads(call["images"])}
    assert pictures
    for name in pictures:
        with Image.open(advised.path / name) as picture:
            assert max(picture.size) <= 1024


@pytest.mark.long
def test_the_cost_of_a_run_is_one_query(advised: RunDirectory) -> None:
    (row,) = live.rows(advised, "SELECT sum(prompt_tokens + completion_tokens) AS tokens FROM agent_calls")
    assert row["tokens"] > 1000


@pytest.mark.long
def test_segments_are_reviewed_and_diagnosed_by_the_model(advised: RunDirectory) -> None:
    found = live.rows(
        advised, "SELECT d.* FROM diagnoses d JOIN agent_calls c USING (call_id) WHERE c.advisor = 'ollama'"
    )
    assert any(row["pathology"] == "entropy collapse" for row in found)


@pytest.mark.long
def test_the_event_log_says_which_advisor_and_why(advised: RunDirectory) -> None:
    (row,) = live.rows(advised, "SELECT message FROM events WHERE kind = 'advisor'")
    assert "ollama: qwen3-vl:8b at http://127.0.0.1:" in row["message"]
    assert "sees plots" in row["message"]


def test_without_a_server_the_rules_advise_and_say_why(tmp_path: Path) -> None:
    with serving() as fake:
        directory = create(tmp_path, fake, nodes=1)
    with running(directory):
        assert live.wait_for_end(directory) == "finished"
    (row,) = live.rows(directory, "SELECT message FROM events WHERE kind = 'advisor'")
    assert row["message"].startswith("rules: Ollama: refused: nothing answers at http://127.0.0.1:")
    assert live.rows(directory, "SELECT advisor FROM runs") == [{"advisor": "rules"}]


@pytest.mark.long
def test_a_slow_model_that_only_reads_never_holds_the_trainer_and_its_words_appear_while_written(
    tmp_path: Path,
) -> None:
    slow = Sensible(parts=40, pause=0.25)  # ten seconds an answer
    with serving(slow, Model(capabilities=("completion",))) as fake:
        directory = create(tmp_path, fake, kind="ollama", nodes=4, wait=0.5, timeout=60)
        with running(directory) as engine:
            growing = live.wait_for_rows(
                directory, "SELECT rationale FROM agent_calls WHERE error = 'unfinished' AND rationale <> ''"
            )
            assert growing[0]["rationale"].startswith("E")
            live.wait_for_rows(directory, "SELECT 1 FROM nodes WHERE state = 'finished' AND node_id > 0")
            assert live.wait_for_end(directory) == "finished", directory.log.read_text()
            assert engine
    late = live.rows(directory, "SELECT 1 FROM events WHERE kind = 'advisor late'")
    assert late
    assert not live.rows(directory, "SELECT 1 FROM agent_calls WHERE error = 'unfinished'")
    assert not live.rows(directory, "SELECT 1 FROM events WHERE kind = 'advisor failed'")
    (row,) = live.rows(directory, "SELECT message FROM events WHERE kind = 'advisor'")
    assert "has no vision" in row["message"]
    assert live.rows(directory, "SELECT DISTINCT images FROM agent_calls") == [{"images": "[]"}]
    assert live.rows(directory, "SELECT advisor FROM runs") == [{"advisor": "ollama text-only"}]


def test_an_engine_that_is_ended_while_a_model_writes_ends_soon(tmp_path: Path) -> None:
    with serving(lambda _: Reply(stall=0)) as fake:
        directory = create(tmp_path, fake, nodes=4, timeout=600, wait=600)
        with running(directory) as engine:
            live.wait_for("a question to the model", lambda: fake.chats)
            os.kill(engine, signal.SIGTERM)
            live.wait_for("the engine to end", lambda: directory.holder() is None, seconds=20)
    assert live.rows(directory, "SELECT state FROM runs") == [{"state": "stopped"}]
    calls = live.rows(directory, "SELECT error FROM agent_calls WHERE advisor = 'ollama'")
    assert len(calls) == 1
    assert calls[0]["error"].startswith("cancelled: ")


@pytest.mark.long
def test_a_search_survives_faults_at_random(tmp_path: Path) -> None:
    rng, good, thrown = random.Random(4), Sensible(4), Counter[str]()
    fakes: list[FakeOllama] = []

    def script(asked: Asked) -> Reply:
        if rng.random() < 0.4:
            return good(asked)
        fault = rng.choice(FAULTS)
        thrown[fault] += 1
        return misbehave(fault, asked, good, fakes[0])

    with serving(script) as fake:
        fakes.append(fake)
        directory = create(tmp_path, fake, nodes=8, timeout=3, wait=20)
        with running(directory):
            assert live.wait_for_end(directory) == "finished", directory.log.read_text()
        asked = len(fake.chats)
    nodes = live.rows(directory, "SELECT state FROM nodes WHERE node_id > 0 AND state <> 'rejected'")
    assert len(nodes) == 8
    calls = live.rows(directory, "SELECT error FROM agent_calls WHERE advisor = 'ollama' AND role <> 'advice'")
    assert len(calls) >= asked  # a refused connection is a row, too, and no request
    assert not [call for call in calls if call["error"] == "unfinished"]
    assert sum(thrown.values()) > 5
    assert [call for call in calls if call["error"]]

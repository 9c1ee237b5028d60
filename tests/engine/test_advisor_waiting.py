"""A model that is slow: the worker trains on, and what the model proposed meanwhile trains later."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.advisors.factory import make
from engine.run.config import parse
from engine.store.reader import open_run
from tests.engine.simulated import SimulatedExecutor, search
from tests.fake_answers import pass_test, serving, slow
from tests.fake_ollama import Model, Reply

RUN = """
name = "slow"
[task]
name = "knights"
[budget]
steps = 0
nodes = 18
[search]
segment_steps = 6
[evaluation]
validation_prompts = 64
"""


@pytest.mark.long
def test_a_slow_model_is_not_waited_for_and_its_late_proposals_train_later(tmp_path: Path) -> None:
    with serving(slow(4.0), Model(capabilities=("completion",))) as fake:
        fake.serial = True
        pass_test(fake)
        executor = SimulatedExecutor(1.5)
        advisor = make("ollama", host=fake.host, model="qwen3-vl:8b", timeout=60)
        state, directory = search(parse(RUN), tmp_path / "slow", executor, advisor)
    assert state == "finished"
    reader = open_run(directory.path)
    trained = reader.rows("SELECT intent, advisor FROM nodes WHERE node_id > 0 AND state = 'finished'")
    late = reader.rows("SELECT message FROM events WHERE kind = 'advisor late'")
    pending = reader.rows("SELECT state FROM proposals WHERE state = 'pending'")
    reader.close()
    assert len(trained) == 18
    assert late, "the first advice takes four seconds, and a worker is free at once"
    assert {row["advisor"] for row in trained} == {"ollama", "rules"}
    assert all(row["advisor"] == "rules" for row in trained if row["intent"] == "keep")
    assert not pending
    assert max(executor.idleness.gaps) < 3.0, "a worker waited for the model"


@pytest.mark.long
def test_a_model_that_does_not_qualify_is_told_and_the_rules_advise(tmp_path: Path) -> None:
    with serving(lambda _: Reply('{"answer": "E"}')) as fake:
        advisor = make("auto", host=fake.host, model="qwen3-vl:8b", timeout=20)
        state, directory = search(parse(RUN), tmp_path / "below", SimulatedExecutor(0.5), advisor)
        assert {asked.role for asked in fake.chats} == {"probe"}
    assert state == "finished"
    reader = open_run(directory.path)
    trained = reader.rows("SELECT DISTINCT advisor FROM nodes WHERE node_id > 0 AND state = 'finished'")
    told = [row["message"] for row in reader.rows("SELECT message FROM events WHERE kind = 'advisor' ORDER BY seq")]
    shown = reader.rows("SELECT advisor FROM runs")
    reader.close()
    assert trained == [{"advisor": "rules"}]
    assert "it is tested before it is first asked" in told[0]
    assert told[-1].startswith("rules: qwen3-vl:8b at ")
    assert "reads 0 of 5 plots, decides 0 of 3 cases" in told[-1]
    assert shown == [{"advisor": "rules"}]

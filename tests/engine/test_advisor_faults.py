"""A whole search with every fault of a model's server thrown at random: it ends normally, and every fault is a row."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from engine.advisors.factory import make
from engine.run.config import RunConfig, parse
from engine.store.reader import open_run
from engine.training.events import SegmentEnd, SegmentSpec
from tests.engine.simulated import SimulatedExecutor, search
from tests.fake_answers import FAULTS, Sensible, misbehave, pass_test, serving
from tests.fake_ollama import Asked, FakeOllama, Model, Reply

TIMEOUT = 4.0
BLIND = Model(capabilities=("completion",))
"""Drawing plots would take most of the time of a long search."""
KINDS = {
    "repetition", "too long",
    "schema", "not json", "cut off", "empty", "place", "protocol", "http 400", "http 404", "http 500", "closed",
    "refused", "timeout", "stall", "server error",
}  # fmt: skip


class Chaos:
    """Six answers in ten show a fault drawn from FAULTS; `thrown` counts them."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._good = Sensible(seed)
        self.thrown: Counter[str] = Counter()
        self.fake: FakeOllama | None = None

    def __call__(self, asked: Asked) -> Reply:
        if self._rng.random() < 0.4:
            return self._good(asked)
        fault = self._rng.choice(FAULTS)
        self.thrown[fault] += 1
        return misbehave(fault, asked, self._good, self.fake)


def config(nodes: int, seed: int, wait: float) -> RunConfig:
    return parse(
        f"""
name = "chaos"
[task]
name = "knights"
[budget]
steps = 0
nodes = {nodes}
[search]
segment_steps = 6
roots = 8
seed = {seed}
[evaluation]
validation_prompts = 64
[advisor]
wait_seconds = {wait}
[search.settings]
explore_share = 0.8
"""
    )


def fail_sometimes(seed: int, seconds: float) -> SimulatedExecutor:
    rng = random.Random(seed)
    ends = (SegmentEnd.OUT_OF_MEMORY, SegmentEnd.NAN, SegmentEnd.CRASHED)
    fails: dict[str, SegmentEnd | None] = {}

    def fault(job: SegmentSpec) -> SegmentEnd | None:
        return fails.setdefault(job.job, rng.choice(ends) if rng.random() < 0.1 else None)

    return SimulatedExecutor(seconds, fault, seed)


def survived(tmp_path: Path, nodes: int, seed: int, calls: int, model: Model, wait: float) -> SimulatedExecutor:
    """A search under fire; returns its executor once everything that must be so is so."""
    chaos = Chaos(seed)
    with serving(chaos, model) as fake:
        chaos.fake = fake
        pass_test(fake)
        executor = fail_sometimes(seed, 0.05 if wait else 0.5)
        advisor = make("ollama", host=fake.host, model="qwen3-vl:8b", timeout=TIMEOUT if wait == 0 else 1.0)
        state, directory = search(config(nodes, seed, wait), tmp_path / "chaos", executor, advisor)
        asked = len(fake.chats)
    assert state == "finished"
    reader = open_run(directory.path)
    rows = reader.rows("SELECT role, advisor, error, milliseconds FROM agent_calls")
    trained = reader.rows("SELECT * FROM nodes WHERE node_id > 0 AND state <> 'rejected'")
    kinds = Counter(row["error"].split(":")[0] for row in rows if row["advisor"] == "ollama" and row["error"])
    bugs = reader.rows("SELECT * FROM events WHERE level = 'error' AND kind IN ('bug', 'failed')")
    reader.close()
    theirs = [row for row in rows if row["advisor"] == "ollama"]
    assert len(theirs) >= calls, f"{len(theirs)} calls"
    assert len(theirs) >= asked
    assert len(trained) == nodes
    assert all(node["state"] not in ("proposed", "queued", "running") for node in trained)
    assert not bugs
    assert kinds.keys() <= KINDS | {"cancelled"}
    assert max(row["milliseconds"] for row in theirs) < 1000 * (TIMEOUT + 2)
    lost = sum(chaos.thrown[f] for f in FAULTS if f not in ("slow", "hostile", "repeat", "range"))
    assert sum(kinds.values()) >= lost
    return executor


@pytest.mark.long
def test_a_search_survives_faults_at_random_and_no_fault_holds_the_worker(tmp_path: Path) -> None:
    executor = survived(tmp_path, nodes=14, seed=1, calls=4, model=BLIND, wait=0)
    assert max(executor.idleness.gaps) < TIMEOUT


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", [2, 3])
def test_a_long_search_survives_hundreds_of_faults(tmp_path: Path, seed: int) -> None:
    executor = survived(tmp_path, nodes=150, seed=seed, calls=200, model=BLIND, wait=30)
    # Told to wait, a worker waits for a selector, an analyst and two strategists, each repaired once, and no longer.
    assert max(executor.idleness.gaps) < 8 * 3


@pytest.mark.long
def test_a_doubted_segment_is_stopped_or_spared_by_the_watcher(tmp_path: Path) -> None:
    def watcher(stop: bool) -> Sensible:
        class Watching(Sensible):
            def answer(self, asked: Asked) -> dict[str, Any]:
                if asked.role == "watcher":
                    return {"rationale": "Validation is 0 of 64, at 0 since step 3.", "stop": stop}
                return super().answer(asked)

        return Watching()

    ends = {}
    for stop in (True, False):
        with serving(watcher(stop), BLIND) as fake:
            pass_test(fake)
            executor = SimulatedExecutor(0.6, collapses=lambda job: int(job.job) >= 8)
            advisor = make("ollama", host=fake.host, model="qwen3-vl:8b", timeout=20)
            _, directory = search(config(12, 5, 0), tmp_path / str(stop), executor, advisor)
        reader = open_run(directory.path)
        asked = reader.rows("SELECT node_id, error FROM agent_calls WHERE role = 'watcher'")
        events = reader.rows("SELECT kind, node_id FROM events WHERE kind IN ('early stop', 'spared')")
        states = {r["node_id"]: r["state"] for r in reader.rows("SELECT node_id, state FROM nodes")}
        reader.close()
        assert asked
        assert len({row["node_id"] for row in asked}) == len(asked), "a segment is asked about once"
        ends[stop] = {row["kind"] for row in events}
        assert {states[row["node_id"]] for row in events} == {"early-stopped" if stop else "finished"}
    assert ends == {True: {"early stop"}, False: {"spared"}}

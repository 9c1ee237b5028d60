"""A whole search with every fault of a model's server thrown at random: it ends normally, and every fault is a row."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

import pytest

from engine.advisors.factory import make
from engine.config import RunConfig, parse
from engine.store.reader import open_run
from engine.training.events import End, SegmentSpec
from tests.engine.simulated import SimulatedExecutor, search
from tests.fake_ollama import FAULTS, Asked, FakeOllama, Model, Reply, Sensible, misbehave, serving

TIMEOUT = 1.0
BLIND = Model(capabilities=("completion",))
"""Drawing plots would take most of the time of a long search."""
KINDS = {
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


def config(nodes: int, seed: int) -> RunConfig:
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
wait_seconds = 30
[search.settings]
explore_share = 0.8
"""
    )


def fail_sometimes(seed: int) -> SimulatedExecutor:
    rng = random.Random(seed)
    ends = (End.OUT_OF_MEMORY, End.NAN, End.CRASHED)
    fails: dict[str, End | None] = {}

    def fault(job: SegmentSpec) -> End | None:
        return fails.setdefault(job.job, rng.choice(ends) if rng.random() < 0.1 else None)

    return SimulatedExecutor(0.05, fault, seed)


def assert_survived(tmp_path: Path, nodes: int, seed: int, calls: int, model: Model) -> None:
    chaos = Chaos(seed)
    with serving(chaos, model) as fake:
        chaos.fake = fake
        executor = fail_sometimes(seed)
        advisor = make("ollama", host=fake.host, model="qwen3-vl:8b", timeout=TIMEOUT)
        begin = time.monotonic()
        state, directory = search(config(nodes, seed), tmp_path / "chaos", executor, advisor)
        took = time.monotonic() - begin
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
    # A worker waits for a selector, an analyst and two strategists, each repaired once, and never for longer.
    assert max(executor.idleness.gaps) < 8 * (TIMEOUT + 2), took


def test_a_search_survives_faults_at_random(tmp_path: Path) -> None:
    assert_survived(tmp_path, nodes=14, seed=1, calls=6, model=Model())


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", [2, 3])
def test_a_long_search_survives_hundreds_of_faults(tmp_path: Path, seed: int) -> None:
    assert_survived(tmp_path, nodes=150, seed=seed, calls=200, model=BLIND)

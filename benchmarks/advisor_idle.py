"""How long a trainer stands idle for its advisor: a model that takes 20 s an answer, segments of 30 s.

Run `python -m benchmarks.advisor_idle` from the project's root; it takes as long as the searches it watches, some
quarter of an hour, and little CPU. The controller, the search, the store, the advisor and its HTTP calls are real; the
segments sleep and the model is a stand-in that streams for 20 s (no Ollama is asked). The table goes to
docs/benchmark-advisor-idle.md.
"""

from __future__ import annotations

import argparse
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from engine.advisors.factory import make
from engine.run.config import parse
from engine.store.reader import open_run
from tests.engine.simulated import SimulatedExecutor, search
from tests.fake_answers import pass_test, serving, slow

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmark-advisor-idle.md"
RUN = """
name = "idle"
[task]
name = "knights"
[budget]
steps = 0
nodes = {nodes}
[search]
segment_steps = 30
[evaluation]
validation_prompts = 256
[advisor]
wait_seconds = {wait}
timeout_seconds = 120
"""


@dataclass(frozen=True, slots=True)
class Result:
    """One search: idle share and longest gap of the worker, who advised how many segments, calls and their mean."""

    policy: str
    share: float
    longest: float
    seconds: float
    segments: int
    by_model: int
    calls: int
    call_seconds: float


def measure(policy: str, wait: float, nodes: int, answer: float, segment: float) -> Result:
    """Watch one search."""
    with serving(slow(answer)) as fake, tempfile.TemporaryDirectory() as where:
        fake.serial = True
        executor = SimulatedExecutor(segment)
        pass_test(fake)
        advisor = make("ollama", host=fake.host, model="qwen3-vl:8b", timeout=120)
        _, directory = search(parse(RUN.format(nodes=nodes, wait=wait)), Path(where) / "idle", executor, advisor)
        reader = open_run(directory.path)
        trained = reader.rows("SELECT advisor FROM nodes WHERE node_id > 0 AND state <> 'rejected'")
        calls = reader.rows("SELECT milliseconds FROM agent_calls WHERE advisor = 'ollama' AND error = ''")
        reader.close()
    idleness = executor.idleness
    return Result(
        policy, idleness.share, max(idleness.gaps), idleness.total, len(trained),
        sum(row["advisor"] == "ollama" for row in trained), len(calls),
        sum(row["milliseconds"] for row in calls) / 1000 / max(1, len(calls)),
    )  # fmt: skip


def page(results: list[Result], answer: float, segment: float) -> str:
    rows = "\n".join(
        f"| {r.policy} | {r.share:.1%} | {r.longest:.1f} s | {r.seconds:.0f} s | {r.segments} | {r.by_model} "
        f"| {r.calls} | {r.call_seconds:.1f} s |"
        for r in results
    )
    return f"""# How long a trainer waits for its advisor

Written by `python -m benchmarks.advisor_idle`: one worker, segments of {segment:g} s, {answer:g} s an answer.
The controller, the search, the store and the HTTP calls are real. The segments sleep and tell made-up curves, and the
model is the stand-in of `tests/fake_ollama.py`, which streams for {answer:g} s and answers one request after the other.
Idle is the share of the time from the base's score to the last segment's end in which the worker had nothing to do.

| a free worker waits | idle | longest gap | search | segments | proposed by the model | calls | mean call |
|---|---|---|---|---|---|---|---|
{rows}

What a worker does not wait for is not lost: a late proposal goes into stock and trains when the search next wants a
change. Segments that only go on ("keep") are never asked about first; the model reviews them while the next trains.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=16)
    parser.add_argument("--answer", type=float, default=20.0, help="seconds an answer of the model takes")
    parser.add_argument("--segment", type=float, default=30.0, help="seconds a segment takes")
    options = parser.parse_args()
    policies = (("3% of a segment, at least 1 s (the default)", 0.0), ("until it answers (wait_seconds = 600)", 600.0))
    with ThreadPoolExecutor(len(policies)) as pool:
        runs = [pool.submit(measure, p, w, options.nodes, options.answer, options.segment) for p, w in policies]
        results = [run.result() for run in runs]
    text = page(results, options.answer, options.segment)
    PAGE.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()

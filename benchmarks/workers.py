"""How much faster a search is with more workers: a whole real one on one and on two, simulated ones on up to 64.

Run `python -m benchmarks.workers`; it writes docs/benchmark-workers.md. The real searches take some ten minutes on two
quiet cores.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean

from engine.host import machine
from engine.run import launch
from engine.run.config import RunConfig
from engine.search.registry import make
from engine.simulation.search import Simulation
from engine.store.reader import open_run
from engine.testing.simulation import SPACE, World

PAGE = Path(__file__).resolve().parent.parent / "docs" / "benchmark-workers.md"
WORKERS = (1, 2, 4, 8, 16, 32, 64)
SEGMENT_STEPS = 50
SEGMENTS, SEGMENTS_PER_WORKER = 96, 24
"""Of a simulated search: the same for all, and with the workers."""


@dataclass(frozen=True)
class RealSearch:
    """A search that was run: seconds from its first segment to the end of its last, steps trained, test score, and the
    share of those seconds that workers trained or scored."""

    workers: int
    seconds: float
    steps: int
    score: float
    busy: float
    load: float


def real(workers: int, segments: int, where: Path) -> RealSearch:
    """One search of the task knights on the shipped base; equal steps whatever the number of workers."""
    steps = 30 * segments
    config = RunConfig.model_validate(
        {
            "name": f"workers-{workers}",
            "task": {"name": "knights"},
            "budget": {"steps": steps},
            "search": {"segment_steps": 30, "comparator": "off"},
            "executor": {"workers": workers},
            "evaluation": {"validation_prompts": 128, "rerank_prompts": 128, "test_prompts": 256},
            "advisor": {"kind": "rules"},
            "training": {"threads": 1},
        }
    )
    load = os.getloadavg()[0]
    directory = launch.create_run(config, where)
    launch.start_engine(directory)
    while directory.holder() is not None:
        time.sleep(1)
    reader = open_run(directory.path)
    try:
        [row] = reader.rows(
            "SELECT epoch(max(ended) - min(started)) AS seconds, sum(trained_steps) AS steps, "
            "sum(epoch(ended - started)) AS busy FROM nodes WHERE node_id > 0"
        )
        [test] = reader.rows(
            "SELECT (greedy + sampled) / (2.0 * n) AS score FROM evaluations WHERE split = 'test' AND kind = 'final'"
        )
    finally:
        reader.close()
    busy = row["busy"] / (workers * row["seconds"])
    return RealSearch(workers, row["seconds"], row["steps"], test["score"], busy, load)


def beside(segments: int, where: Path) -> float:
    """Seconds of each of two searches on one worker that run beside each other and share nothing but the machine."""
    places = [where / name for name in ("one", "other")]
    with ProcessPoolExecutor(len(places)) as pool:
        return fmean(each.seconds for each in pool.map(partial(real, 1, segments), places))


def simulated(strategy: str, workers: int, segments: int, seeds: int) -> tuple[float, float]:
    """Speed-up over one worker at equal steps, where all segments take equal time, and the true accuracy found."""
    clocks, found = [], []
    for seed in range(seeds):
        searcher = make(strategy, seed=seed, segment_steps=SEGMENT_STEPS, roots=4, space=SPACE)
        steps = segments * SEGMENT_STEPS
        done = Simulation(searcher, World(seed), SPACE, steps, workers, SEGMENT_STEPS, seed=seed).run()
        clocks.append(done.clock)
        found.append(done.truth())
    return segments * SEGMENT_STEPS / fmean(clocks), fmean(found)


def page(runs: list[RealSearch], together: float, seeds: int) -> str:
    """The result as Markdown."""
    table = "\n".join(
        f"| {run.workers} | {run.steps} | {run.seconds:.0f} | {runs[0].seconds / run.seconds:.2f} | {run.busy:.0%} | "
        f"{run.score:.3f} | {run.load:.1f} |"
        for run in runs
    )
    lines = []
    for workers in WORKERS:
        some, more = (simulated("llmzero", workers, n, seeds) for n in (SEGMENTS, SEGMENTS_PER_WORKER * workers))
        random, _ = simulated("random", workers, SEGMENTS, seeds)
        lines.append(f"| {workers} | {some[0]:.2f} | {some[1]:.3f} | {more[0]:.2f} | {more[1]:.3f} | {random:.2f} |")
    rows, few, each = "\n".join(lines), SEGMENTS, SEGMENTS_PER_WORKER
    return f"""# Speed-up by workers

## A whole real search

knights, the shipped base of 0.3M parameters, strategy llmzero, rules advisor, one thread a worker, equal steps; from
the start of the first segment to the end of the last. One run each, seed 0.

| workers | steps | seconds | speed-up | workers busy | test score | load before |
|---|---|---|---|---|---|---|
{table}

Two searches on one worker each, beside each other, took {together:.0f} seconds each: on these cores no two processes do
more than {2 * runs[0].seconds / together:.2f} times the work of one.

Machine: {machine.cores()} CPU cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}.
A load above 0.5 means that other processes shared the cores. One worker more is then a larger share of them, and the
speed-up is none of a quiet machine.

## Simulated to 64 workers

The real strategy, tree and rules advisor over synthetic learning curves (`engine.testing.simulation`) in segments of
{SEGMENT_STEPS} steps, mean of {seeds} worlds: {few} segments in all, and {each} for each worker. All segments take
equal time, advice and evaluations none. Segments in flight count as visits without a value (WU-UCT), so free
workers spread over the tree.

| workers | speed-up, {few} segments | true accuracy | speed-up, {each} a worker | true accuracy | random, {few} |
|---|---|---|---|---|---|
{rows}

A line of segments is no faster with more workers, so depth bounds the speed-up: {few} segments on 64 workers are no
two for each. The accuracy says what the wider tree costs.

Written by `python -m benchmarks.workers`.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--segments", type=int, default=16, help="of each real search")
    parser.add_argument("--seeds", type=int, default=16, help="worlds of each simulated cell")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as where:
        runs = [real(workers, options.segments, Path(where)) for workers in (1, 2)]
        together = beside(options.segments, Path(where))
    PAGE.write_text(page(runs, together, options.seeds), encoding="utf-8")
    print(PAGE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()

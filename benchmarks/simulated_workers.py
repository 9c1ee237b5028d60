"""How much faster a simulated search is on up to 64 workers, with few checkpoints kept and with all.

Run `python -m benchmarks.simulated_workers`; it writes docs/benchmark-simulated-workers.md. It takes some ten minutes
of one core; nothing is trained and the seconds of the machine do not enter.
"""

from __future__ import annotations

import argparse
import sys
from functools import cache
from pathlib import Path
from statistics import fmean

from engine.search.registry import make
from engine.simulation.search import Simulation
from engine.testing.simulation import SPACE, World

PAGE = Path(__file__).resolve().parent.parent / "docs" / "benchmark-simulated-workers.md"
WORKERS = (1, 2, 4, 8, 16, 32, 64)
SEGMENT_STEPS = 50
SEGMENTS, SEGMENTS_PER_WORKER = 96, 24
"""Of a search: the same for all, and with the workers."""
KEPT, ALL = 8, 1_000_000
"""Checkpoints whose files stay: the default of `training.keep_checkpoints`, and every one."""


@cache  # a search of 24 segments a worker is, with 4 workers, one of 96
def simulated(strategy: str, workers: int, segments: int, keep: int, seeds: int) -> tuple[float, float]:
    """Speed-up over one worker at equal steps, where all segments take equal time, and the true accuracy found."""
    clocks, found = [], []
    for seed in range(seeds):
        searcher = make(strategy, seed=seed, segment_steps=SEGMENT_STEPS, roots=4, space=SPACE)
        steps = segments * SEGMENT_STEPS
        done = Simulation(searcher, World(seed), SPACE, steps, workers, SEGMENT_STEPS, seed=seed, keep=keep).run()
        clocks.append(done.clock)
        found.append(done.truth())
    return segments * SEGMENT_STEPS / fmean(clocks), fmean(found)


def row(workers: int, seeds: int) -> str:
    """The line of a number of workers."""
    many = SEGMENTS_PER_WORKER * workers
    searches = [
        simulated("llmzero", workers, segments, keep, seeds) for segments in (SEGMENTS, many) for keep in (KEPT, ALL)
    ]
    random, _ = simulated("random", workers, SEGMENTS, KEPT, seeds)
    cells = [f"{speed:.2f}, {accuracy:.3f}" for speed, accuracy in searches]
    return f"| {workers} | {' | '.join(cells)} | {random:.2f} |"


def page(rows: list[str], seeds: int) -> str:
    """The result as Markdown."""
    few, each = SEGMENTS, f"{SEGMENTS_PER_WORKER} a worker"
    titles = [f"{size}, {files}" for size in (f"{few} segments", each) for files in (f"{KEPT} files", "all files")]
    table = "\n".join([f"| workers | {' | '.join(titles)} | random, {few} |", "|---|---|---|---|---|---|", *rows])
    return f"""# SIMULATED: speed-up to 64 workers

The real strategy, tree and rules advisor over synthetic learning curves (`engine.testing.simulation`) in segments of
{SEGMENT_STEPS} steps, mean of {seeds} worlds: {few} segments in all, and {SEGMENTS_PER_WORKER} for each worker. All
segments take equal time, advice and evaluations none. Segments in flight count as visits without a value (WU-UCT), so
free workers spread over the tree. Where the files of the {KEPT} best checkpoints stay alone (the default), fewer places
can be branched from.

Speed-up over one worker, and the true accuracy of what was found:

{table}

A line of segments is no faster with more workers, so depth bounds the speed-up: {few} segments on 64 workers are no
two for each. The accuracy says what the wider tree costs.

Written by `python -m benchmarks.simulated_workers`.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=6, help="worlds of each cell")
    seeds = parser.parse_args().seeds
    rows = []
    for workers in WORKERS:
        rows.append(row(workers, seeds))
        print(rows[-1], file=sys.stderr, flush=True)
    PAGE.write_text(page(rows, seeds), encoding="utf-8")


if __name__ == "__main__":
    main()

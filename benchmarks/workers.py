"""How much faster a whole real search is on two workers than on one.

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
from engine.store.reader import open_run

PAGE = Path(__file__).resolve().parent.parent / "docs" / "benchmark-workers.md"


@dataclass(frozen=True)
class RealSearch:
    """A search that was run: seconds from its first segment to the end of its last, steps trained, test accuracy, and
    the share of those seconds that workers trained or scored."""

    workers: int
    seconds: float
    steps: int
    accuracy: float
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
            "SELECT (greedy + sampled) / (2.0 * n) AS accuracy FROM evaluations WHERE split = 'test' AND kind = 'final'"
        )
    finally:
        reader.close()
    busy = row["busy"] / (workers * row["seconds"])
    return RealSearch(workers, row["seconds"], row["steps"], test["accuracy"], busy, load)


def beside(segments: int, where: Path) -> float:
    """Seconds of each of two searches on one worker that run beside each other and share nothing but the machine."""
    places = [where / name for name in ("one", "other")]
    with ProcessPoolExecutor(len(places)) as pool:
        return fmean(each.seconds for each in pool.map(partial(real, 1, segments), places))


def page(runs: list[RealSearch], together: float) -> str:
    """The result as Markdown."""
    table = "\n".join(
        f"| {run.workers} | {run.steps} | {run.seconds:.0f} | {runs[0].seconds / run.seconds:.2f} | {run.busy:.0%} | "
        f"{run.accuracy:.3f} | {run.load:.1f} |"
        for run in runs
    )
    return f"""# Speed-up of a whole real search by workers

knights, the shipped base of 0.3M parameters, strategy llmzero, rules advisor, one thread a worker, equal steps; from
the start of the first segment to the end of the last. One run each, seed 0.
Accuracy: the mean of greedy and sampled test accuracy.

| workers | steps | seconds | speed-up | workers busy | accuracy | load before |
|---|---|---|---|---|---|---|
{table}

Two searches on one worker each, beside each other, took {together:.0f} seconds each: on these cores no two processes do
more than {2 * runs[0].seconds / together:.2f} times the work of one.

Machine: {machine.cores()} CPU cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}.
A load above 0.5 means that other processes shared the cores. One worker more is then a larger share of them, and the
speed-up is none of a quiet machine.

On up to 64 workers, simulated: [benchmark-simulated-workers.md](benchmark-simulated-workers.md).

Written by `python -m benchmarks.workers`.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--segments", type=int, default=16, help="of each real search")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as where:
        runs = [real(workers, options.segments, Path(where)) for workers in (1, 2)]
        together = beside(options.segments, Path(where))
    PAGE.write_text(page(runs, together), encoding="utf-8")
    print(PAGE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()

"""What Ray costs beside local workers: the same segments by both executors, in pairs, one after the other.

Run `python -m benchmarks.ray_overhead`; it writes docs/benchmark-ray-overhead.md. Needs Ray (`make setup EXTRAS=ray`).
Both executors have one warm worker on this machine. Times are taken in the engine's place, from the arrival of events,
and without the worker's wait for a core, so that other programs do little harm. Goal: with Ray ≤ 1.03 of without.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
import ray

from benchmarks.overhead import BATCH_SIZE, TASK, segment_spec
from benchmarks.real_models_report import ratio
from engine.executors import ray_executor
from engine.executors.base import Executor
from engine.executors.local import LocalExecutor
from engine.executors.ray_executor import RayExecutor
from engine.host import machine
from engine.training.events import EvaluationSpec, SegmentEnd, SegmentEnded, StepMetrics, WorkerReady
from engine.words import counted

PAGE = Path(__file__).resolve().parent.parent / "docs" / "benchmark-ray-overhead.md"
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
OF_RAY = ("ray::", "raylet", "gcs_server", "ray/dashboard", "ray/_private", "ray/autoscaler")
"""Parts of the command lines of Ray's processes."""


@dataclass(frozen=True)
class Measured:
    """A segment by one executor, a step: seconds at the engine, seconds in which the worker was ready to run and had no
    core, CPU seconds of the worker, of the engine's side and of Ray's processes."""

    seconds: float
    waited: float
    worker: float
    engine: float
    ray: float
    reward: float

    @property
    def undisturbed(self) -> float:
        """Seconds without the wait for a core, which other programs took."""
        return self.seconds - self.waited


@dataclass(frozen=True)
class Reading:
    """The same counted up to one moment."""

    seconds: float
    waited: float
    worker: float
    engine: float
    ray: float


class Place:
    """An executor with its warm worker."""

    def __init__(self, executor: Executor) -> None:
        self.executor = executor

    async def start(self) -> None:
        await self.executor.start()
        while not isinstance(event := await self.executor.next_event(), WorkerReady):
            pass
        self._worker = psutil.Process(event.pid)

    async def train(self, seed: int, steps: int, where: Path) -> Measured:
        """One segment. The first step is left out of all: it is set up in it."""
        spec = segment_spec(seed, steps, where, None)
        await self.executor.submit(spec.model_copy(update={"evaluation": EvaluationSpec(n=16)}))
        while not isinstance(event := await self.executor.next_event(), SegmentEnded):
            if isinstance(event, StepMetrics) and event.step == 1:
                before = self._read()
            if isinstance(event, StepMetrics) and event.step == steps:
                after, reward = self._read(), event.values["reward"]
        if event.end is not SegmentEnd.FINISHED:
            raise SystemExit(f"segment {seed} ended {event.end}: {event.detail}")
        each = {name: (value - asdict(before)[name]) / (steps - 1) for name, value in asdict(after).items()}
        return Measured(**each, reward=reward)

    def _read(self) -> Reading:
        waited = int(Path(f"/proc/{self._worker.pid}/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
        groups = [self._worker], [psutil.Process()], of_ray()
        return Reading(
            time.perf_counter(), waited, *(sum(sum(each.cpu_times()[:2]) for each in group) for group in groups)
        )


def of_ray() -> list[psutil.Process]:
    """Ray's processes on this machine: daemons, agents, the actor."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = " ".join(process.info["cmdline"] or [])
        if any(part in words for part in OF_RAY):
            found.append(process)
    return found


async def measure(pairs: int, steps: int, address: str) -> tuple[list[tuple[Measured, Measured]], list[float]]:
    """Pairs of the same segment, local and Ray, the first of each pair in turn; the load after each."""
    ray_executor.connect(address)
    with tempfile.TemporaryDirectory() as scratch:
        where = Path(scratch)
        places = {
            False: Place(LocalExecutor(1, where / "local", env=ENVIRONMENT)),
            True: Place(RayExecutor(1, where, env=ENVIRONMENT)),
        }
        for place in places.values():
            await place.start()
        measured, loads = [], []
        for number in range(-1, pairs):
            done = {}
            for with_ray in (False, True) if number % 2 else (True, False):
                files = where / f"{number}-{with_ray}"
                done[with_ray] = await places[with_ray].train(number + 1, steps, files)
            if number >= 0:  # the pair before the first warms up
                measured.append((done[False], done[True]))
                loads.append(os.getloadavg()[0])
                print(f"pair {number + 1} of {pairs}: {done[False]} {done[True]}", flush=True)
        for place in places.values():
            await place.executor.close()
    return measured, loads


def row(name: str, pairs: Sequence[tuple[float, float]]) -> str:
    """Means of both, and their ratio with its interval."""
    local, with_ray = (statistics.fmean(values) for values in zip(*pairs, strict=True))
    middle, low, high = ratio([(ours, theirs) for theirs, ours in pairs])
    return f"| {name} | {local:.4f} | {with_ray:.4f} | {middle:.3f} [{low:.3f}, {high:.3f}] |"


def page(pairs: Sequence[tuple[Measured, Measured]], steps: int, loads: Sequence[float]) -> str:
    """The result as Markdown."""
    rows = [
        row(name, [(getattr(local, field), getattr(far, field)) for local, far in pairs])
        for name, field in (
            ("seconds, from the arrival of events at the engine", "seconds"),
            ("**seconds without the worker's wait for a core**", "undisturbed"),
            ("CPU seconds of the worker", "worker"),
            ("CPU seconds of the engine's side", "engine"),
        )
    ]
    table = "\n".join(rows)
    idle, busy = (statistics.fmean(each.ray / each.seconds for each in side) for side in zip(*pairs, strict=True))
    both = [each for pair in pairs for each in pair]
    waited = sum(each.waited for each in both) / sum(each.seconds for each in both)
    same = sum(local.reward == far.reward for local, far in pairs)
    n, load = len(pairs), f"{min(loads):.1f} to {max(loads):.1f}, {statistics.median(loads):.1f} in the middle"
    return f"""# What Ray costs

The same {steps} GRPO steps by a worker of the local executor and by one of a Ray cluster (`executor.kind = "ray"`),
both warm, both on this machine, in turn: {n} pairs, each of one seed, the first of a pair changing. Task {TASK}, the
shipped base of 0.3M parameters, batch {BATCH_SIZE}, one thread: hardly any step is shorter.

| a step | local | Ray | ratio of a pair, n = {n} [95% interval] |
|---|---|---|---|
{table}

Means; the ratio is the geometric mean over pairs, its interval Student's. Goal: at most 1.03 of the step time. The
first step of a segment is left out. Other programs ran on the same core, for which the worker, ready to run, waited
{waited:.0%} of the seconds, as the kernel tells (`/proc/PID/schedstat`); the second row leaves that out.

Ray's own processes (daemons, agents, the actor) take {busy:.1%} of a core while its worker trains and {idle:.1%}
while it has nothing to do; on a machine without a core to spare for them, that much is to be added. The last step had
the same reward in {same} of {n} pairs.

Machine: {counted(machine.cores(), "CPU core")}, shared; load average {load} (1 is this benchmark);
{platform.system()} {platform.machine()}, Python {platform.python_version()}.
Written by `python -m benchmarks.ray_overhead`.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=24)
    parser.add_argument("--steps", type=int, default=20, help="of a segment")
    options = parser.parse_args()
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        pairs, loads = asyncio.run(measure(options.pairs, options.steps, cluster.address))
    finally:
        ray.shutdown()
        cluster.shutdown()
    PAGE.write_text(page(pairs, options.steps, loads), encoding="utf-8")
    print(PAGE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()

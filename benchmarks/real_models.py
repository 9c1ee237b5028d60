"""Full training against an adapter on pretrained models: memory against its estimate, checkpoint, switch, step time.

Run `python -m benchmarks.real_models [--write docs/real-models.md]`; with `--results FILE` a cut-off one goes on. Every
case is a fresh worker that trains through the engine; a bare TRL script with the same settings is run in turn with it
for the step time. CPU seconds are those of the process, so that a busy machine does not count. The last table is
computed by the estimate that `llmzero check` uses, and measured by nobody.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path

import psutil

from benchmarks.real_models_plan import CASES, GPU, HELD_OUT, PAIRED, SCORED, TASK, UNIT, Case, Measured, Results
from benchmarks.real_models_report import report, row
from engine.executors.local import LocalExecutor
from engine.run.dry_run import peak_bytes
from engine.training import events
from engine.training.events import EvaluationSpec, LoraSpec, SegmentEnd, SegmentSpec


def segment(case: Case, number: int, directory: Path, parent: str | None) -> SegmentSpec:
    return SegmentSpec(
        job=str(number), task=TASK, base=case.base, parent=parent or case.base, optimizer=parent, reference=case.base,
        configuration=case.configuration(), steps=case.steps, seed=number, directory=str(directory / str(number)),
        checkpoint_every=case.steps, evaluation=EvaluationSpec(n=SCORED, max_completion_length=case.completion),
        batch_size=case.batch, micro_batch=case.batch, threads=1, precision=case.precision, dtype=case.dtype,
        lora=LoraSpec(rank=case.rank, scaling=2.0) if case.rank else None,
    )  # fmt: skip


@asynccontextmanager
async def worker(directory: Path) -> AsyncIterator[tuple[LocalExecutor, psutil.Process]]:
    """A fresh worker of one thread that is ready, and its process."""
    executor = LocalExecutor(1, directory / "logs", env={"OMP_NUM_THREADS": "1"})
    await executor.start()
    try:
        while (await executor.next_event()).kind != "ready":
            pass
        yield executor, psutil.Process(executor.pids[0])
    finally:
        await executor.close()


async def train(case: Case, directory: Path) -> Measured:
    """Segments, each from the checkpoint of the one before with its optimizer's state."""
    async with worker(directory) as (executor, process):
        parent: str | None = None
        marks: list[tuple[float, float]] = []
        switch = scoring = ended = walls = cpus = gpu = 0.0
        began, size, scored = time.perf_counter(), 0, 0.0
        for number in range(case.segments):
            await executor.submit(segment(case, number, directory, parent))
            while not isinstance(event := await executor.next_event(), events.SegmentEnded):
                now, cpu = time.perf_counter(), sum(process.cpu_times()[:2])
                if isinstance(event, events.SegmentStarted) and number:
                    switch = now - ended - scoring
                elif isinstance(event, events.StepMetrics):
                    marks.append((now, cpu))
                    ended = now
                elif isinstance(event, events.CheckpointSaved):
                    parent, scoring, size = event.directory, event.evaluation.seconds, event.bytes
                    scored += scoring
            check_end(case, event)
            (wall, cpu), (last_wall, last_cpu) = marks[0], marks[-1]
            walls, cpus, gpu = walls + last_wall - wall, cpus + last_cpu - cpu, event.gpu_bytes
            marks.clear()
        peak = peak_bytes(process.pid)
        share = scored / (time.perf_counter() - began)
    steps = case.segments * (case.steps - 1)
    return Measured(peak, int(gpu), size, switch, cpus / steps, walls / steps, share)


def check_end(case: Case, event: events.SegmentEnded) -> None:
    if event.end is not SegmentEnd.FINISHED:
        raise SystemExit(f"{case.name}: segment {event.job} ended {event.end}: {event.detail}")


def measure(case: Case) -> Measured:
    with tempfile.TemporaryDirectory() as scratch:
        return asyncio.run(train(case, Path(scratch)))


# ---- against bare TRL -----------------------------------------------------------------------------------------------


async def pairs(case: Case, count: int, directory: Path) -> AsyncIterator[tuple[float, float]]:
    """CPU seconds a step, on a GPU seconds, of a segment and of the bare script: in turn, so that a drift of the
    machine meets both."""
    parent: str | None = None
    async with worker(directory) as (executor, process):
        for number in range(count):
            marks: list[float] = []
            await executor.submit(segment(case, number, directory, parent).model_copy(update={"trl": case.whole}))
            while not isinstance(event := await executor.next_event(), events.SegmentEnded):
                if isinstance(event, events.StepMetrics):
                    marks.append(time.perf_counter() if GPU else sum(process.cpu_times()[:2]))
                elif isinstance(event, events.CheckpointSaved):
                    parent = event.directory
            check_end(case, event)
            command = [sys.executable, "-m", "benchmarks.real_models_bare", json.dumps(asdict(case)), str(number)]
            bare = await asyncio.to_thread(
                subprocess.run, command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, check=True,
            )  # fmt: skip
            yield (marks[-1] - marks[0]) / (len(marks) - 1), json.loads(bare.stdout.splitlines()[-1])


async def more_pairs(case: Case, results: Results, wanted: int) -> None:
    """Pairs until there are so many."""
    with tempfile.TemporaryDirectory() as scratch:
        async for pair in pairs(case, wanted - len(results.pairs), Path(scratch)):
            results.pairs.append(pair)
            results.keep()
            print(f"{pair[0]:.2f} {UNIT} through the engine, {pair[1]:.2f} bare", flush=True)


# ---- the command line ------------------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, help="write the report there")
    parser.add_argument("--results", type=Path, help="keep what is measured there, and go on from it")
    parser.add_argument("--pairs", type=int, default=8, help="pairs of runs against bare TRL")
    parser.add_argument("--only", choices=["cases", "held-out", "pairs", "nothing"], help="measure this part alone")
    arguments = parser.parse_args()
    results, only = Results(arguments.results), arguments.only
    for part, cases in (("cases", CASES), ("held-out", HELD_OUT)):
        for case in cases if only in (None, part) else ():
            if case.key not in results.cases:
                results.cases[case.key] = measure(case)
                results.keep()
                print(row(case, results.cases[case.key]), flush=True)
    if only in (None, "pairs"):
        asyncio.run(more_pairs(PAIRED, results, arguments.pairs))
    text = report(results)
    if arguments.write:
        arguments.write.write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()

"""How many CPU threads a worker should have: GRPO steps with one and two threads, alone and beside a busy process.

Run `python -m benchmarks.threads [--write docs/benchmark-threads.md]` on a machine that does nothing else. Each case
is a process of its own that trains one segment; wall and CPU seconds a step are printed. OpenMP's threads spin while
they wait for each other: "spinning" is the runtime's default, "bounded" what the engine sets, "passive" no spinning.
With `--results FILE` a cut-off benchmark goes on, and `--most N` ends it after so many cases. Where another process is
busy already, `--busy` measures the cases beside one, and starts none.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.pretrained import MODELS
from engine.host import machine, threads
from engine.training import events
from engine.training.control import JobControl
from engine.training.events import EvaluationSpec, LoraSpec, SegmentSpec
from tasks.tiny import BASES

WAITS: dict[str, dict[str, str]] = {
    "spinning": {},
    "bounded": dict(threads.ENVIRONMENT),
    "passive": {"OMP_WAIT_POLICY": "passive"},
}


LIMIT = 60.0
"""Seconds after which a case is given up; that it takes so long is what it has shown."""
STEPS = {"tiny": 12, "135M": 3, "270M": 3}
"""GRPO steps of a case by model, the first of them not counted."""


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the table."""

    model: str
    threads: int
    waits: str
    beside: bool

    @property
    def key(self) -> str:
        return json.dumps(asdict(self))


def cases() -> list[Case]:
    """Every combination; how one thread waits makes no difference."""
    several = machine.cores()
    ways = [(1, "spinning"), *((several, waits) for waits in WAITS)]
    return [Case(model, n, waits, b) for model in STEPS for b in (False, True) for n, waits in ways]


def spec(model: str, count: int, directory: str) -> SegmentSpec:
    """A segment of some steps: all weights of the tiny base, an adapter on a larger one."""
    tiny, steps = model == "tiny", STEPS[model]
    base = str(BASES / "knights") if tiny else str(MODELS[model]())
    length, batch, group = (64, 32, 8) if tiny else (12, 4, 4)
    return SegmentSpec(
        job="threads", task="knights", base=base, parent=base, optimizer=None, reference=base,
        configuration={
            "learning_rate": 1e-5, "beta": 0.0, "temperature": 1.0, "num_generations": group,
            "max_completion_length": length,
        },
        steps=steps, seed=0, directory=directory, checkpoint_every=steps,
        evaluation=EvaluationSpec(n=1, max_completion_length=8), batch_size=batch, micro_batch=batch, threads=count,
        lora=None if tiny else LoraSpec(rank=8, scaling=2.0),
    )  # fmt: skip


def train(model: str, count: int) -> tuple[float, float]:
    """Wall and CPU seconds a step, the first step left out; in this process."""
    from engine.training.segment import run_segment

    marks: list[tuple[float, float]] = []

    def note(event: events.Event | events.Heartbeat | events.WorkerLeaving) -> None:
        if isinstance(event, events.StepMetrics):
            marks.append((time.perf_counter(), time.process_time()))
        if isinstance(event, events.SegmentEnded) and event.end is not events.SegmentEnd.FINISHED:
            raise SystemExit(f"the segment ended {event.end}: {event.detail}")

    with tempfile.TemporaryDirectory() as directory:
        run_segment(spec(model, count, directory), note, JobControl())
    (wall, cpu), (last_wall, last_cpu) = marks[0], marks[-1]
    return (last_wall - wall) / (len(marks) - 1), (last_cpu - cpu) / (len(marks) - 1)


@contextmanager
def busy(wanted: bool) -> Iterator[None]:
    """One other process that computes all the time."""
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if wanted else None
    try:
        yield
    finally:
        if other is not None:
            other.kill()
            other.wait()


def measured(case: Case, is_busy: bool) -> tuple[float, float]:
    """`train` in a process of its own, with its own ways of waiting; infinite where it was given up."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    command = [sys.executable, "-m", "benchmarks.threads", "--train", case.model, "--threads", str(case.threads)]
    with busy(case.beside and not is_busy):
        try:
            environment = {**clean, **WAITS[case.waits]}
            done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, timeout=LIMIT)
        except subprocess.TimeoutExpired:
            return math.inf, math.inf
    wall, cpu = json.loads(done.stdout.splitlines()[-1])
    return wall, cpu


def report(rows: list[tuple[Case, float, float]], load: float, there: int) -> str:
    """The result as Markdown."""
    table = "\n".join(
        f"| {case.model} | {case.threads} | {case.waits if case.threads > 1 else '–'} | "
        f"{'one busy process' if case.beside else 'nothing'} | {_seconds(wall)} | {_seconds(cpu)} |"
        for case, wall, cpu in rows
    )
    others = f" In {there} cases the busy process was one that was there (`--busy`)." if there else ""
    missing = f"; cut off after {len(rows)} of {len(cases())} cases" if len(rows) < len(cases()) else ""
    return f"""# CPU threads of a worker

`training.threads = 0`, the default, gives a model of less than {threads.SMALL_PARAMETERS / 1e6:.0f}M parameters one
thread, and shares the cores among the workers for larger ones. OpenMP's threads spin while they wait for each other,
which takes the core from any other process. Where the environment says nothing of it
({", ".join(threads.SETTINGS)}), workers are started with
{", ".join(f"`{name}={value}`" for name, value in threads.ENVIRONMENT.items())}.

| model | threads | waiting | beside | wall s a step | CPU s a step |
|---|---|---|---|---|---|
{table}

Fastest number of threads alone: {_fastest(rows, False)}; beside a busy process: {_fastest(rows, True)}.

tiny: 0.3M parameters, all weights, 32 completions of up to 64 tokens; 135M: SmolLM2-135M-Instruct, 270M: Gemma 3 270M,
an adapter of rank 8, 4 completions of up to 12 tokens. {", ".join(f"{n} steps of {m}" for m, n in STEPS.items())}, the
first not counted. One run each{missing}.{others} Written by `python -m benchmarks.threads`.

Machine: {machine.cores()} CPU cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}.
{_quiet(load)}
"""


def _fastest(rows: list[tuple[Case, float, float]], beside: bool) -> str:
    """ "1 thread for tiny, 2 for 135M": what had the shortest steps."""
    best = {}
    for case, _, _ in sorted((row for row in rows if row[0].beside is beside), key=lambda row: -row[1]):
        best[case.model] = f"{case.threads} for {case.model}"
    return ", ".join(best[model] for model in STEPS if model in best)


def _seconds(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else f"given up after {LIMIT:.0f} s"


def _quiet(load: float) -> str:
    """How far the machine was the benchmark's own."""
    text = f"Load average when it began {load:.1f}"
    if load < 0.5:
        return f"{text}: nothing else ran."
    if os.nice(0) < 0:
        return f"{text}: others ran, with what the benchmark's priority (nice {os.nice(0)}) left them."
    return f'{text}: other processes shared the cores, and "nothing" is not a quiet machine.'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, help="write the report there")
    parser.add_argument("--results", type=Path, help="keep what is measured there, and go on from it")
    parser.add_argument("--most", type=int, default=len(cases()), help="cases that are measured now, at most")
    parser.add_argument(
        "--busy", action="store_true", help="another process is busy: the cases beside one, starting none"
    )
    parser.add_argument("--train", choices=list(STEPS), help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=1, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.train:
        print(json.dumps(train(arguments.train, arguments.threads)))
        return
    kept = arguments.results and arguments.results.is_file()
    found: dict[str, Any] = (
        json.loads(arguments.results.read_text(encoding="utf-8")) if kept else {"load": os.getloadavg()[0], "busy": []}
    )
    wanted = [case for case in cases() if case.key not in found and (case.beside or not arguments.busy)]
    for case in wanted[: arguments.most]:
        found[case.key] = measured(case, arguments.busy)
        found["busy"] += [case.key] if arguments.busy else []
        print(case.key, found[case.key], flush=True)
        if arguments.results:
            arguments.results.write_text(json.dumps(found, indent=1), encoding="utf-8")
    rows = [(case, *found[case.key]) for case in cases() if case.key in found]
    if arguments.write:
        arguments.write.write_text(report(rows, found["load"], len(found["busy"])), encoding="utf-8")


if __name__ == "__main__":
    main()

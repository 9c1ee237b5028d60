"""How many CPU threads a worker should have: GRPO steps with one and two threads, alone and beside a busy process.

Run `python -m benchmarks.threads [--write docs/benchmark-threads.md]` on a machine that does nothing else. Each case
is a process of its own that trains one segment; wall and CPU seconds a step are printed. OpenMP's threads spin while
they wait for each other: "spinning" is the runtime's default, "bounded" what the engine sets, "passive" no spinning.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.pretrained import smollm2
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


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the table."""

    model: str
    threads: int
    waits: str
    beside: bool


def cases() -> list[Case]:
    """Every combination; how one thread waits makes no difference."""
    several = machine.cores()
    ways = [(1, "spinning"), *((several, waits) for waits in WAITS)]
    return [Case(model, n, waits, b) for model in ("tiny", "135M") for b in (False, True) for n, waits in ways]


def spec(model: str, count: int, steps: int, directory: str) -> SegmentSpec:
    """A segment of some steps: all weights of the tiny base, an adapter on SmolLM2-135M."""
    tiny = model == "tiny"
    base = str(BASES / "knights") if tiny else str(smollm2())
    length, batch = (64, 32) if tiny else (24, 8)
    return SegmentSpec(
        job="threads", task="knights", base=base, parent=base, optimizer=None, reference=base,
        configuration={
            "learning_rate": 1e-5, "beta": 0.0, "temperature": 1.0, "num_generations": 8,
            "max_completion_length": length,
        },
        steps=steps, seed=0, directory=directory, checkpoint_every=steps,
        evaluation=EvaluationSpec(n=8, max_completion_length=8), batch_size=batch, micro_batch=batch, threads=count,
        lora=None if tiny else LoraSpec(rank=8, scaling=2.0),
    )  # fmt: skip


def train(model: str, count: int, steps: int) -> tuple[float, float]:
    """Wall and CPU seconds a step, the first step left out; in this process."""
    from engine.training.segment import run_segment

    marks: list[tuple[float, float]] = []

    def note(event: events.Event | events.Heartbeat | events.WorkerLeaving) -> None:
        if isinstance(event, events.StepMetrics):
            marks.append((time.perf_counter(), time.process_time()))
        if isinstance(event, events.SegmentEnded) and event.end is not events.SegmentEnd.FINISHED:
            raise SystemExit(f"the segment ended {event.end}: {event.detail}")

    with tempfile.TemporaryDirectory() as directory:
        run_segment(spec(model, count, steps, directory), note, JobControl())
    (wall, cpu), (last_wall, last_cpu) = marks[0], marks[-1]
    return (last_wall - wall) / (steps - 1), (last_cpu - cpu) / (steps - 1)


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


def measured(case: Case, steps: int) -> tuple[float, float]:
    """`train` in a process of its own, with its own ways of waiting."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    command = [sys.executable, "-m", "benchmarks.threads", "--train", case.model, "--threads", str(case.threads)]
    with busy(case.beside):
        done = subprocess.run(
            [*command, "--steps", str(steps)], env={**clean, **WAITS[case.waits]}, stdout=subprocess.PIPE, check=True,
        )  # fmt: skip
    wall, cpu = json.loads(done.stdout.splitlines()[-1])
    return wall, cpu


def report(rows: list[tuple[Case, float, float]], load: float) -> str:
    """The result as Markdown."""
    table = "\n".join(
        f"| {case.model} | {case.threads} | {case.waits if case.threads > 1 else '–'} | "
        f"{'one busy process' if case.beside else 'nothing'} | {wall:.2f} | {cpu:.2f} |"
        for case, wall, cpu in rows
    )
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

tiny: 0.3M parameters, all weights, 32 completions of up to 64 tokens; 135M: SmolLM2-135M-Instruct, an adapter of
rank 8, 8 completions of up to 24 tokens. One run each{missing}. Written by `python -m benchmarks.threads`.

Machine: {machine.cores()} CPU cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}.
Load average when it began {load:.1f}: above 0.5 other processes shared the cores, and "nothing" is not a quiet machine.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=6, help="GRPO steps of a case, the first of them not counted")
    parser.add_argument("--write", type=Path, help="write the report there")
    parser.add_argument("--train", choices=["tiny", "135M"], help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=1, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.train:
        print(json.dumps(train(arguments.train, arguments.threads, arguments.steps)))
        return
    load = os.getloadavg()[0]
    rows = []
    for case in cases():
        wall, cpu = measured(case, arguments.steps)
        rows.append((case, wall, cpu))
        print(case, f"{wall:.2f} s a step, {cpu:.2f} CPU s", flush=True)
        if arguments.write:  # after each case: one that is cut off leaves what it has measured
            arguments.write.write_text(report(rows, load), encoding="utf-8")


if __name__ == "__main__":
    main()

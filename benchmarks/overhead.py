"""What the engine costs: the same GRPO steps by a bare TRL script and as segments through LocalExecutor, alternating.

Run `python benchmarks/overhead.py [--repeats 3] [--write docs/benchmark-overhead.md]` on a machine that does nothing
else. Prints time per step (evaluation apart) with its spread, their ratio, and the seconds between two segments. The
engine's times are taken outside of the worker, from the arrival of its events. Goals: ratio ≤ 1.05, switch < 1 s.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from engine.executors.local import LocalExecutor
from engine.training import events
from engine.training.events import EvaluationSpec, SegmentEnd, SegmentSpec
from tasks import registry
from tasks.base import Split

TASK = "knights"
BASE = Path(__file__).resolve().parents[1] / "assets" / "tiny" / TASK
SEGMENTS = 3
BATCH_SIZE = 32
HYPERPARAMETERS: dict[str, float | int] = {
    "learning_rate": 1e-4,
    "beta": 0.0,
    "temperature": 1.0,
    "num_generations": 8,
    "max_completion_length": 64,
}
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}


@dataclass(frozen=True, slots=True)
class Segmented:
    """One run through the engine: wall and CPU seconds a step; seconds of each change, without and with scoring."""

    step_seconds: float
    cpu_seconds: float
    switches: tuple[float, ...]
    switches_with_evaluation: tuple[float, ...]
    reward: float


@dataclass(frozen=True, slots=True)
class Bare:
    """One run of the bare script: wall and CPU seconds a step."""

    step_seconds: float
    cpu_seconds: float
    reward: float


def train_bare(steps: int) -> Bare:
    """GRPO as a user of TRL would write it, in this process; the clock runs over the steps only."""
    import torch
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    torch.set_num_threads(1)
    task = registry.get(TASK)
    items = task.items(Split.TRAIN, steps * BATCH_SIZE // int(HYPERPARAMETERS["num_generations"]), seed=0)
    marks: list[tuple[float, float]] = []
    rewards: list[float] = []

    class Clock(TrainerCallback):  # type: ignore[misc]  # transformers has no types
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            marks.append((time.perf_counter(), time.process_time()))

        def on_log(self, *_: Any, logs: dict[str, Any], **__: Any) -> None:
            if "loss" in logs:
                marks.append((time.perf_counter(), time.process_time()))
                rewards.append(logs["reward"])

    def reward(completions: list[str], index: list[int], **_: Any) -> list[float]:
        return [task.score(text, items[i]).total for text, i in zip(completions, index, strict=True)]

    with tempfile.TemporaryDirectory() as output:
        trainer = GRPOTrainer(
            model=str(BASE),
            args=GRPOConfig(
                output_dir=output,
                max_steps=steps,
                per_device_train_batch_size=BATCH_SIZE,
                lr_scheduler_type="constant",
                logging_steps=1,
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
                use_cpu=True,
                bf16=False,
                gradient_checkpointing=False,
                **HYPERPARAMETERS,
            ),
            train_dataset=Dataset.from_dict(
                {"prompt": [item.prompt for item in items], "index": list(range(len(items)))}
            ),
            reward_funcs=reward,
            callbacks=[Clock()],
        )
        trainer.train()
    wall, cpu = ((last - first) / steps for first, last in zip(marks[0], marks[-1], strict=True))
    return Bare(wall, cpu, statistics.mean(rewards[-10:]))


def run_bare(steps: int) -> Bare:
    """`train_bare` in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--bare", "--steps", str(steps)],
        env={**os.environ, **ENVIRONMENT},
        capture_output=True,
        check=True,
    )
    return Bare(**json.loads(done.stdout.splitlines()[-1]))


def segment_spec(number: int, steps: int, directory: Path, parent: str | None) -> SegmentSpec:
    return SegmentSpec(
        job=str(number),
        task=TASK,
        base=str(BASE),
        parent=parent or str(BASE),
        optimizer=parent,
        reference=str(BASE),
        configuration=HYPERPARAMETERS,
        steps=steps,
        seed=number,
        directory=str(directory / str(number)),
        checkpoint_every=steps,
        evaluation=EvaluationSpec(n=256),
        batch_size=BATCH_SIZE,
        micro_batch=BATCH_SIZE,
        threads=1,
    )


async def run_segments(executor: LocalExecutor, steps: int, directory: Path) -> Segmented:
    """Segments that train on from each other, Adam kept, as a search does when it keeps the configuration."""
    parent: str | None = None
    ended_at = scoring = training = computing = 0.0
    worker = psutil.Process(executor.pids[0])
    switches, with_evaluation, rewards = [], [], []
    for number in range(SEGMENTS):
        await executor.submit(segment_spec(number, steps, directory, parent))
        while True:
            event = await executor.next_event()
            now, cpu = time.perf_counter(), sum(worker.cpu_times()[:2])
            if isinstance(event, events.SegmentStarted):
                started_at, started_cpu = now, cpu
                if number:
                    switches.append(now - ended_at - scoring)
                    with_evaluation.append(now - ended_at)
            elif isinstance(event, events.StepMetrics) and event.step == steps:
                ended_at = now
                training += now - started_at
                computing += cpu - started_cpu
                rewards.append(event.values["reward"])
            elif isinstance(event, events.CheckpointSaved):
                parent, scoring = event.directory, event.evaluation.seconds
            elif isinstance(event, events.SegmentEnded):
                if event.end is not SegmentEnd.FINISHED:
                    raise SystemExit(f"segment {number} ended {event.end}: {event.detail}")
                break
    total = SEGMENTS * steps
    return Segmented(training / total, computing / total, tuple(switches), tuple(with_evaluation), rewards[-1])


async def measure(repeats: int, steps: int) -> tuple[list[Bare], list[Segmented]]:
    """Alternate the two, so that a drift of the machine's speed meets both."""
    bare, segmented = [], []
    with tempfile.TemporaryDirectory() as scratch:
        executor = LocalExecutor(1, Path(scratch) / "logs", env=ENVIRONMENT)
        await executor.start()
        while (await executor.next_event()).kind != "ready":
            pass
        for number in range(repeats):
            bare.append(await asyncio.to_thread(run_bare, SEGMENTS * steps))
            print(f"pair {number + 1} of {repeats}: bare {bare[-1].step_seconds:.4f} s a step", flush=True)
            segmented.append(await run_segments(executor, steps, Path(scratch) / f"run-{number}"))
            print(f"pair {number + 1} of {repeats}: segments {segmented[-1].step_seconds:.4f} s a step", flush=True)
        await executor.close()
    return bare, segmented


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):.3f} ({min(values):.3f} … {max(values):.3f})"


def report(bare: list[Bare], segmented: list[Segmented], steps: int) -> str:
    """The result as Markdown: medians with the smallest and the largest value."""
    pairs = list(zip(bare, segmented, strict=True))
    switches = [seconds for run in segmented for seconds in run.switches]
    whole = [seconds for run in segmented for seconds in run.switches_with_evaluation]
    configuration = ", ".join(f"{name} {value:g}" for name, value in HYPERPARAMETERS.items())
    rows = [
        ("bare TRL, s a step", [b.step_seconds for b in bare]),
        ("segments, s a step, evaluation apart", [s.step_seconds for s in segmented]),
        ("**ratio** of a pair (goal ≤ 1.05)", [s.step_seconds / b.step_seconds for b, s in pairs]),
        ("bare TRL, CPU s a step", [b.cpu_seconds for b in bare]),
        ("segments, CPU s a step", [s.cpu_seconds for s in segmented]),
        ("ratio of a pair in CPU time", [s.cpu_seconds / b.cpu_seconds for b, s in pairs]),
        ("**last step → first step of the next segment**, s (goal < 1)", switches),
        ("the same with scoring 256 prompts twice, s", whole),
    ]
    table = "\n".join(f"| {name} | {spread(values)} | {len(values)} |" for name, values in rows)
    return f"""# What the engine costs

The same {SEGMENTS * steps} GRPO steps by a bare TRL script and as {SEGMENTS} segments of {steps} steps through the
engine (a warm worker, Adam kept, each segment from the checkpoint of the one before), in turn, {len(bare)} times each.
Task {TASK}, the shipped base of 0.3M parameters, batch {BATCH_SIZE}, one thread;
{configuration}.
Written by `python benchmarks/overhead.py`; times of the engine are taken from the arrival of the worker's events.

| | median (smallest … largest) | n |
|---|---|---|
{table}

Reward at the end: bare {statistics.mean(b.reward for b in bare):.2f} (last 10 steps),
segments {statistics.mean(s.reward for s in segmented):.2f} (last step).
Seeds and prompts differ, so the two policies do; given the same seed
and prompts they are equal number by number (`tests/engine/test_segment.py`).

Machine: {os.cpu_count()} CPU cores, {platform.system()} {platform.machine()}, Python {platform.python_version()};
load average when it ended {os.getloadavg()[0]:.1f} (1.0 is one busy process: the benchmark itself).
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3, help="pairs of runs")
    parser.add_argument("--steps", type=int, default=50, help="GRPO steps of a segment")
    parser.add_argument("--write", type=Path, help="write the report there")
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.bare:
        done = train_bare(arguments.steps)
        print(json.dumps(asdict(done)))
        return
    text = report(*asyncio.run(measure(arguments.repeats, arguments.steps)), arguments.steps)
    print(text)
    if arguments.write:
        arguments.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

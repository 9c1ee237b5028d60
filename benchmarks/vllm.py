"""What vLLM costs and saves on this machine: its start, the switch between two segments with the kept instance and with
a new worker for each, a GRPO step, an evaluation; the same by Transformers beside it.

Run `python -m benchmarks.vllm` in an environment that has vLLM (docs/vllm.md has the table). The model is the tiny one,
untrained, with heads as wide as vLLM's kernels want; real workers, as a run has them.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.executors.local import LocalExecutor
from engine.testing.executors import Spec, spec_builder
from engine.training.events import EvaluationSpec, VllmSpec

SEGMENTS = 3
STEPS = 20
PROMPTS = 64
HEAD = 32
VLLM = VllmSpec(longest=16, sequences=64)


@dataclass
class Measured:
    """Seconds of one worker's life: `starts` from its start to being ready, `setups` before the first step of each
    segment, `steps`, `scorings` of 64 prompts twice."""

    starts: list[float] = field(default_factory=list)
    setups: list[float] = field(default_factory=list)
    steps: list[float] = field(default_factory=list)
    scorings: list[float] = field(default_factory=list)


def base(directory: Path) -> str:
    """The tiny model with wider heads."""
    from transformers import Qwen3ForCausalLM

    from tasks.tiny_model import build_model, build_tokenizer

    config = build_model().config
    config.head_dim = HEAD
    Qwen3ForCausalLM(config).save_pretrained(directory)
    build_tokenizer().save_pretrained(directory)
    return str(directory)


async def live(build: Spec, jobs: list[str], vllm: VllmSpec | None, logs: Path) -> Measured:
    """A worker that trains these segments, one after another."""
    found, loop = Measured(), asyncio.get_running_loop()
    executor = LocalExecutor(1, logs, env={"OMP_NUM_THREADS": "1"})
    try:
        began = loop.time()
        await executor.start()
        while (await executor.next_event()).kind != "ready":
            pass
        found.starts.append(loop.time() - began)
        for job in jobs:
            sizes = {"steps": STEPS, "batch_size": 32, "micro_batch": 32, "evaluation": EvaluationSpec(n=PROMPTS)}
            await executor.submit(build(job=job, vllm=vllm, **sizes))
            await _heard(executor, found)
    finally:
        await executor.close()
    return found


async def _heard(executor: LocalExecutor, found: Measured) -> None:
    while True:
        event: Any = await executor.next_event()
        match event.kind:
            case "started":
                found.setups.append(event.setup_seconds)
            case "metrics":
                found.steps.append(event.step_seconds)
            case "checkpoint":
                found.scorings.append(event.evaluation.seconds)
            case "ended":
                if event.end != "finished":
                    raise SystemExit(f"{event.end}: {event.detail}")
                return


def rows(directory: Path) -> Iterator[str]:
    """The table, line by line as it is measured."""
    build = spec_builder(base(directory / "base"), directory)
    yield "| | worker ready | before the first step, first segment | later segments | GRPO step | 64 prompts scored |"
    yield "|---|---|---|---|---|---|"
    jobs = [str(each) for each in range(SEGMENTS)]
    asyncio.run(live(build, ["warm"], VLLM, directory))  # fills vLLM's compile cache
    kept = asyncio.run(live(build, jobs, VLLM, directory))
    yield _row("vLLM, kept over segments", kept, kept.setups[1:])
    each = [asyncio.run(live(build, [job], VLLM, directory)) for job in jobs]
    replaced = Measured()
    for one in each:
        replaced.starts += one.starts
        replaced.setups += one.setups
        replaced.steps += one.steps
        replaced.scorings += one.scorings
    later = [one.starts[0] + one.setups[0] for one in each[1:]]
    yield _row("vLLM, a new worker for each segment", replaced, later)
    plain = asyncio.run(live(build, jobs, None, directory))
    yield _row("Transformers", plain, plain.setups[1:])


def _row(name: str, found: Measured, later: list[float]) -> str:
    steps, scorings = statistics.median(found.steps), statistics.median(found.scorings)
    numbers = [found.starts[0], found.setups[0], statistics.median(later), steps, scorings]
    return f"| {name} | {' | '.join(f'{number:.2f} s' for number in numbers)} |"


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="llmzero-vllm-") as where:
        for row in rows(Path(where)):
            print(row, flush=True)


if __name__ == "__main__":
    main()

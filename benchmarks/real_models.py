"""Full training against an adapter on a pretrained model: memory against its estimate, checkpoint, switch, step time.

Run `python -m benchmarks.real_models [--write docs/real-models.md]`. Every case is a fresh worker that trains two
segments through the engine, and a bare TRL script with the same settings; CPU seconds are those of the process, so that
a busy machine does not count. The second table is computed by the estimate that `llmzero check` uses, and measured by
nobody.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import torch

from benchmarks.pretrained import MODELS
from engine.domain.memory import LayerSizes, TrainingSizes, estimate
from engine.executors.local import LocalExecutor
from engine.host import machine
from engine.host.model_files import read_model
from engine.host.weight_files import adapter_parameters
from engine.run.dry_run import peak_bytes
from engine.run.memory_check import gib
from engine.training import events
from engine.training.events import EvaluationSpec, LoraSpec, Precision, SegmentEnd, SegmentSpec
from tasks import registry
from tasks.base import Split
from tasks.tiny import BASES

TASK, STEPS, SEED = "knights", 3, 0
RATE, GROUP = 1e-5, 4


@dataclass(frozen=True, slots=True)
class Case:
    """One way to train one model. `rank` 0: all weights."""

    model: str
    rank: int = 0
    beta: float = 0.0
    batch: int = 8
    completion: int = 32
    precision: Precision = "auto"
    dtype: Precision = "auto"
    steps: int = STEPS

    @property
    def base(self) -> str:
        return str(BASES / TASK) if self.model == "tiny" else str(MODELS[self.model]())

    @property
    def name(self) -> str:
        how = f"adapter, rank {self.rank}" if self.rank else "all weights"
        kept = ", bf16" if self.dtype == "bf16" or self.precision == "bf16" else ""
        return f"{self.model}, {how}{kept}, beta {self.beta:g}"

    @property
    def lengths(self) -> str:
        """How much a step generates, at most."""
        return f"{self.batch} × {self.completion}"

    def configuration(self) -> dict[str, float | int]:
        return {
            "learning_rate": RATE, "beta": self.beta, "temperature": 1.0, "num_generations": GROUP,
            "max_completion_length": self.completion,
        }  # fmt: skip


CASES = (
    Case("tiny", batch=32, completion=64),
    Case("tiny", rank=8, batch=32, completion=64),
    Case("135M"),
    Case("135M", beta=0.04),
    Case("135M", rank=8),
    Case("135M", rank=8, beta=0.04),
)
HELD_OUT = (
    Case("135M", batch=16, completion=24, steps=2),
    Case("135M", batch=4, completion=128, steps=2),
    Case("135M", rank=16, batch=4, completion=128, beta=0.04, steps=2),
    Case("135M", rank=8, batch=16, completion=48, steps=2),
    Case("270M", steps=2),
    Case("270M", batch=4, completion=64, beta=0.04, steps=2),
    Case("270M", rank=8, steps=2),
    Case("270M", rank=16, batch=4, completion=96, beta=0.04, steps=2),
)
"""Cases that no constant of the estimate was set on: other lengths and batches, and another model."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Bytes and seconds of one case; `switch`: from the last step of a segment to the first of the next, without
    scoring."""

    peak: int
    gpu: int
    checkpoint: int
    switch: float
    step_cpu: float
    step_wall: float
    evaluation_share: float
    bare_cpu: float = 0.0
    bare_wall: float = 0.0


def sizes(case: Case) -> TrainingSizes:
    """What the estimate is computed from; a token is at most a character of the prompt."""
    model, gpu = read_model(case.base), torch.cuda.is_available()
    items = registry.get(TASK).items(Split.TRAIN, 64, SEED)
    half = case.precision == "bf16" or (gpu and case.precision == "auto")
    short = case.dtype == "bf16" or (half and case.rank > 0 and case.dtype == "auto")
    return TrainingSizes(
        parameters=model.parameters, vocabulary=model.vocabulary, layers=model.layers,
        adapter=adapter_parameters(model.shapes, case.rank, "all-linear") if case.rank else 0,
        weight=2 if short else 4, compute=2 if half or short else 4, penalty=case.beta > 0, batch=case.batch,
        micro_batch=case.batch, prompt=max(model.count(item.prompt) or 0 for item in items), completion=case.completion,
        scored=case.completion, prompts=16, gpu=gpu,
    )  # fmt: skip


def segment(case: Case, number: int, directory: Path, parent: str | None) -> SegmentSpec:
    return SegmentSpec(
        job=str(number), task=TASK, base=case.base, parent=parent or case.base, optimizer=parent, reference=case.base,
        configuration=case.configuration(), steps=case.steps, seed=number, directory=str(directory / str(number)),
        checkpoint_every=case.steps, evaluation=EvaluationSpec(n=16, max_completion_length=case.completion),
        batch_size=case.batch, micro_batch=case.batch, threads=1, precision=case.precision, dtype=case.dtype,
        lora=LoraSpec(rank=case.rank, scaling=2.0) if case.rank else None,
    )  # fmt: skip


async def train(case: Case, directory: Path) -> Measured:
    """Two segments, the second from the checkpoint of the first with its optimizer's state."""
    executor = LocalExecutor(1, directory / "logs", env={"OMP_NUM_THREADS": "1"})
    await executor.start()
    while (await executor.next_event()).kind != "ready":
        pass
    worker = psutil.Process(executor.pids[0])
    parent: str | None = None
    marks: list[tuple[float, float]] = []
    switch = scoring = ended = walls = cpus = gpu = 0.0
    began, size, scored = time.perf_counter(), 0, 0.0
    for number in range(2):
        await executor.submit(segment(case, number, directory, parent))
        while not isinstance(event := await executor.next_event(), events.SegmentEnded):
            now, cpu = time.perf_counter(), sum(worker.cpu_times()[:2])
            if isinstance(event, events.SegmentStarted) and number:
                switch = now - ended - scoring
            elif isinstance(event, events.StepMetrics):
                marks.append((now, cpu))
                ended = now
            elif isinstance(event, events.CheckpointSaved):
                parent, scoring, size = event.directory, event.evaluation.seconds, event.bytes
                scored += scoring
        if event.end is not SegmentEnd.FINISHED:
            raise SystemExit(f"{case.name}: segment {number} ended {event.end}: {event.detail}")
        (wall, cpu), (last_wall, last_cpu) = marks[0], marks[-1]
        walls, cpus, gpu = walls + last_wall - wall, cpus + last_cpu - cpu, event.gpu_bytes
        marks.clear()
    peak = peak_bytes(worker.pid)
    share = scored / (time.perf_counter() - began)
    await executor.close()
    steps = 2 * (case.steps - 1)
    return Measured(peak, int(gpu), size, switch, cpus / steps, walls / steps, share)


def train_bare(case: Case) -> tuple[float, float]:
    """The same steps as a user of TRL would write them, in this process; wall and CPU seconds a step but the first."""
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    torch.set_num_threads(1)
    task, gpu = registry.get(TASK), torch.cuda.is_available()
    items = task.items(Split.TRAIN, STEPS * case.batch // GROUP, SEED)
    marks: list[tuple[float, float]] = []

    class Clock(TrainerCallback):  # type: ignore[misc]  # transformers has no types
        def on_log(self, *_: Any, logs: dict[str, Any], **__: Any) -> None:
            if "loss" in logs:
                marks.append((time.perf_counter(), time.process_time()))

    def reward(completions: list[str], index: list[int], **_: Any) -> list[float]:
        return [task.score(text, items[i]).total for text, i in zip(completions, index, strict=True)]

    half = case.precision == "bf16" or (gpu and case.precision == "auto")
    lora = LoraConfig(r=case.rank, lora_alpha=2 * case.rank, target_modules="all-linear", task_type="CAUSAL_LM")
    with tempfile.TemporaryDirectory() as output:
        GRPOTrainer(
            model=AutoModelForCausalLM.from_pretrained(
                case.base, dtype=torch.bfloat16 if half and case.rank else torch.float32
            ),
            args=GRPOConfig(
                output_dir=output, max_steps=STEPS, per_device_train_batch_size=case.batch,
                lr_scheduler_type="constant", logging_steps=1, save_strategy="no", report_to="none",
                disable_tqdm=True, use_cpu=not gpu, bf16=half,
                gradient_checkpointing=gpu and case.model != "tiny", **case.configuration(),
            ),
            train_dataset=Dataset.from_dict({"prompt": [i.prompt for i in items], "index": list(range(len(items)))}),
            reward_funcs=reward,
            peft_config=lora if case.rank else None,
            callbacks=[Clock()],
        ).train()  # fmt: skip
    (wall, cpu), (last_wall, last_cpu) = marks[0], marks[-1]
    return (last_wall - wall) / (len(marks) - 1), (last_cpu - cpu) / (len(marks) - 1)


def measure(case: Case) -> Measured:
    """Both, one after the other."""
    with tempfile.TemporaryDirectory() as scratch:
        engine = asyncio.run(train(case, Path(scratch)))
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.real_models", "--bare", json.dumps(asdict(case))],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    wall, cpu = json.loads(done.stdout.splitlines()[-1])
    return replace(engine, bare_cpu=cpu, bare_wall=wall)


def row(case: Case, found: Measured) -> str:
    """A line of the table of what was measured."""
    of = sizes(case)
    expected, taken = estimate(of).total, found.gpu or found.peak
    step, bare = (found.step_wall, found.bare_wall) if found.gpu else (found.step_cpu, found.bare_cpu)
    return (
        f"| {case.name} | {gib(taken)} | {gib(expected)} ({expected / taken - 1:+.0%}) | {gib(found.checkpoint)} | "
        f"{gib(of.checkpoint)} | {found.switch:.1f} | {step:.2f} | {bare:.2f} | {step / bare:.2f} |"
    )


HEAD = f"""| | peak memory | estimate | checkpoint | estimate | switch, s | {
    "s a step" if torch.cuda.is_available() else "CPU s a step"
} | bare TRL | ratio |
|---|---|---|---|---|---|---|---|---|"""

# Config and number of parameters of the models of the Qwen3 family, by their published config.json.
FAMILY = {
    "0.6B": (596_049_920, LayerSizes(28, 1024, 3072, 2048, 1024)),
    "1.7B": (1_720_574_976, LayerSizes(28, 2048, 6144, 2048, 1024)),
    "4B": (4_022_468_096, LayerSizes(36, 2560, 9728, 4096, 1024)),
    "8B": (8_190_735_360, LayerSizes(36, 4096, 12_288, 4096, 1024)),
}


def adapter(layers: LayerSizes, rank: int) -> int:
    """Weights of an adapter on every linear layer of a decoder of these sizes."""
    h, q, kv, i = layers.hidden, layers.query, layers.key_value, layers.intermediate
    return rank * layers.layers * (2 * (h + q) + 2 * (h + kv) + 3 * (h + i))


SWITCH_SECONDS, BYTES_A_SECOND = 0.6, 1.614e9 / (3.3 + 2.5)
"""A change of segment without its checkpoint, and the pace at which one is written and read on a quiet machine."""


def floor() -> str:
    """What GRPO of these models takes of a GPU, by the estimate of `llmzero check`, as a Markdown table."""
    lines = []
    for name, (parameters, layers) in FAMILY.items():
        common = TrainingSizes(
            parameters=parameters, vocabulary=151_936, layers=layers, weight=4, compute=2, batch=32, micro_batch=4,
            prompt=256, completion=1024, scored=1024, gpu=True,
        )  # fmt: skip
        ways = {
            "full, fp32": common,
            "full, bf16": replace(common, weight=2),
            "full, bf16, 8-bit Adam": replace(common, weight=2, eight_bit=True),
            "adapter, rank 16": replace(common, weight=2, adapter=adapter(layers, 16)),
        }
        for way, of in ways.items():
            penalty = estimate(replace(of, penalty=True)).total
            seconds = SWITCH_SECONDS + of.checkpoint / BYTES_A_SECOND
            needs = f"{gib(estimate(of).total)} | {gib(penalty)}"
            lines.append(f"| {name} | {way} | {needs} | {gib(of.checkpoint)} | {seconds:.0f} |")
    return "\n".join(lines)


def report(rows: list[str], load: float) -> str:
    """The page."""
    gpu = torch.cuda.is_available()
    where = torch.cuda.get_device_name(0) if gpu else f"{machine.cores()} CPU cores, one used"
    memory = "what torch reserved of the GPU" if gpu else "resident memory of the worker (VmHWM)"
    return f"""# Real models: memory, checkpoints, time

Written by `python -m benchmarks.real_models`.

## Measured

{HEAD}
{chr(10).join(rows)}

tiny: the shipped base of 0.3M parameters, 32 completions of up to 64 tokens a step. 135M: SmolLM2-135M-Instruct,
float32, 8 completions of up to 32 tokens. Two segments of {STEPS} steps, the second with the optimizer's state of the
first; the first step of a segment is not counted. One run each. Peak memory: {memory}.
Switch: from the last step of a segment to the first of the next, with the checkpoint written and read, scoring apart.
The ratio is of {2 * (STEPS - 1)} steps to {STEPS - 1}, and their completions are not of one length: below 1 is no gain.

Machine: {where}, {platform.system()} {platform.machine()}; load average when it began {load:.1f}. Above 1.5, other
processes shared the cores: CPU seconds and memory are right then, the switch's wall seconds are too long.

## What a GPU must have: estimates

Nobody has measured this table: it is computed by `engine.domain.memory.estimate`, the function behind `llmzero check`,
for the Qwen3 family: 4 completions in a forward pass, 32 in a step, prompts of 256 and completions of 1024 tokens, bf16
on the GPU, generation by Transformers. The switch is the checkpoint's size at the pace of [lora.md](lora.md), where
1.6 GB are written in 3.3 s and read in 2.5 s.

| model | training | GPU memory, beta 0 | beta above 0 | checkpoint | switch, s |
|---|---|---|---|---|---|
{floor()}

"full, fp32" keeps weights, gradients and both moments in float32 (`training.dtype = "auto"`), 16 bytes a weight beside
a bf16 copy. "full, bf16" (`training.dtype = "bf16"`) keeps all of it in bf16, 8 bytes a weight; updates of less than
1/256 of a weight are rounded away, so small learning rates train less than they seem to. 8-bit Adam
(`training.optimizer = "adamw-8bit"`) keeps two bytes a weight of moments. A smaller `training.micro_batch` shrinks what
is left beside the weights.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, help="write the report there")
    parser.add_argument("--bare", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.bare:
        print(json.dumps(train_bare(Case(**json.loads(arguments.bare)))))
        return
    load, rows = os.getloadavg()[0], []
    for case in CASES:
        found = measure(case)
        rows.append(row(case, found))
        print(case, found, flush=True)
    text = report(rows, load)
    print(text)
    if arguments.write:
        arguments.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

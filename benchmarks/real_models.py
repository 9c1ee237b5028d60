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
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import torch
from scipy.stats import t as student_t

from benchmarks.pretrained import MODELS
from engine.chat import ChatFormat
from engine.domain.memory import LayerSizes, TrainingSizes, estimate
from engine.executors.local import LocalExecutor
from engine.host import machine
from engine.host.model_files import read_model
from engine.run import memory_check, prompt_check
from engine.run.config import parse
from engine.run.dry_run import peak_bytes
from engine.run.memory_check import gib
from engine.training import events
from engine.training.evaluate import prompt_texts
from engine.training.events import EvaluationSpec, LoraSpec, Precision, SegmentEnd, SegmentSpec
from tasks import registry
from tasks.base import Split
from tasks.tiny import BASES

TASK, SCORED = "knights", 8
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
    steps: int = 2
    segments: int = 2

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

    @property
    def key(self) -> str:
        return f"{self.name}, {self.lengths}"

    def configuration(self) -> dict[str, float | int]:
        return {
            "learning_rate": RATE, "beta": self.beta, "temperature": 1.0, "num_generations": GROUP,
            "max_completion_length": self.completion,
        }  # fmt: skip


CASES = (
    Case("135M", batch=16, completion=24, segments=1),
    Case("135M", rank=16, batch=4, completion=96, beta=0.04, segments=1),
    Case("270M", batch=8, completion=16, segments=1),
)
"""Those that were looked at when the estimate was last changed."""

HELD_OUT = (
    Case("tiny", batch=32, completion=64),
    Case("tiny", rank=8, batch=32, completion=64),
    Case("135M"),
    Case("135M", rank=8),
    Case("135M", beta=0.04),
    Case("135M", rank=8, beta=0.04),
    Case("270M", batch=4, completion=32, beta=0.04, segments=1),
    Case("270M", rank=8, batch=8, completion=16, segments=1),
    Case("270M", rank=16, batch=4, completion=64, beta=0.04, segments=1),
)
"""Those that were not, and changed nothing."""

GPU = torch.cuda.is_available()
UNIT = "s a step" if GPU else "CPU s a step"

PAIRED = Case("135M", rank=8, batch=4, completion=16, steps=4)
"""What is trained by the engine and by a bare script, in turn."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Bytes and seconds of one case; `switch`: from the last step of a segment to the first of the next, without
    scoring, 0 for one segment. Seconds are of a step, but for the first of a segment."""

    peak: int
    gpu: int
    checkpoint: int
    switch: float
    step_cpu: float
    step_wall: float
    evaluation_share: float


RUN_FILE = """
[task]
name = "{task}"
[model]
path = "{case.base}"
[evaluation]
validation_prompts = {scored}
rerank_prompts = {scored}
test_prompts = {scored}
batch_size = {scored}
[space.max_completion_length]
fixed = {case.completion}
[space.num_generations]
fixed = {group}
[space.beta]
fixed = {case.beta}
[training]
batch_size = {case.batch}
precision = "{case.precision}"
dtype = "{case.dtype}"
[training.lora]
rank = {case.rank}
"""


def sizes(case: Case) -> TrainingSizes:
    """What `llmzero check` computes its estimate from, for a run file of this case."""
    config = parse(RUN_FILE.format(task=TASK, case=case, scored=SCORED, group=GROUP), default_name="case")
    task, model = registry.get(TASK), read_model(case.base)
    space = config.build_space(task.space())
    longest = prompt_check.lengths(config, task, model, space, prompt_check.used(config, task), [])
    return memory_check.sizes(config, model, space, longest, gpu=torch.cuda.is_available())


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


def whole(case: Case) -> dict[str, Any]:
    """Has every completion of the pairs run to its limit: the same work on both sides, whatever is drawn."""
    return {"generation_kwargs": {"min_new_tokens": case.completion}}


def train_bare(case: Case, seed: int) -> float:
    """Steps as a user of TRL would write them, in this process; CPU seconds a step but the first, on a GPU seconds."""
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    torch.set_num_threads(1)
    task, tokenizer = registry.get(TASK), AutoTokenizer.from_pretrained(case.base)
    items = task.items(Split.TRAIN, case.steps * case.batch // GROUP, seed)
    texts = prompt_texts(tokenizer, task, items, ChatFormat())
    marks: list[float] = []

    class Clock(TrainerCallback):  # type: ignore[misc]  # transformers has no types
        def on_log(self, *_: Any, logs: dict[str, Any], **__: Any) -> None:
            if "loss" in logs:
                marks.append(time.perf_counter() if GPU else time.process_time())

    def reward(completions: list[str], index: list[int], **_: Any) -> list[float]:
        return [task.score(text, items[i]).total for text, i in zip(completions, index, strict=True)]

    half = case.precision == "bf16" or (GPU and case.precision == "auto")
    with tempfile.TemporaryDirectory() as output:
        GRPOTrainer(
            model=AutoModelForCausalLM.from_pretrained(case.base, dtype=torch.bfloat16 if half else torch.float32),
            args=GRPOConfig(
                output_dir=output, max_steps=case.steps, seed=seed, per_device_train_batch_size=case.batch,
                lr_scheduler_type="constant", logging_steps=1, save_strategy="no", report_to="none",
                disable_tqdm=True, use_cpu=not GPU, bf16=half, gradient_checkpointing=GPU,
                **case.configuration(), **whole(case),
            ),
            train_dataset=Dataset.from_dict({"prompt": texts, "index": list(range(len(items)))}),
            reward_funcs=reward,
            peft_config=LoraConfig(
                r=case.rank, lora_alpha=2 * case.rank, target_modules="all-linear", task_type="CAUSAL_LM"
            ),
            callbacks=[Clock()],
        ).train()  # fmt: skip
    return (marks[-1] - marks[0]) / (len(marks) - 1)


async def pairs(case: Case, count: int, directory: Path) -> AsyncIterator[tuple[float, float]]:
    """CPU seconds a step, on a GPU seconds, of a segment and of the bare script: in turn, so that a drift of the
    machine meets both."""
    parent: str | None = None
    async with worker(directory) as (executor, process):
        for number in range(count):
            marks: list[float] = []
            await executor.submit(segment(case, number, directory, parent).model_copy(update={"trl": whole(case)}))
            while not isinstance(event := await executor.next_event(), events.SegmentEnded):
                if isinstance(event, events.StepMetrics):
                    marks.append(time.perf_counter() if GPU else sum(process.cpu_times()[:2]))
                elif isinstance(event, events.CheckpointSaved):
                    parent = event.directory
            check_end(case, event)
            command = [sys.executable, "-m", "benchmarks.real_models", "--bare", json.dumps(asdict(case)), str(number)]
            bare = await asyncio.to_thread(
                subprocess.run, command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, check=True,
            )  # fmt: skip
            yield (marks[-1] - marks[0]) / (len(marks) - 1), json.loads(bare.stdout.splitlines()[-1])


def ratio(found: Sequence[tuple[float, float]]) -> tuple[float, float, float]:
    """Geometric mean of the pairs' ratios with its 95% interval."""
    logs = [math.log(ours / bare) for ours, bare in found]
    middle = statistics.fmean(logs)
    error = statistics.stdev(logs) / math.sqrt(len(logs)) * student_t.ppf(0.975, len(logs) - 1)
    return math.exp(middle), math.exp(middle - error), math.exp(middle + error)


# ---- the page -------------------------------------------------------------------------------------------------------


class Results:
    """What was measured so far, kept in a file where one is given, so that a cut-off benchmark goes on."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        kept = json.loads(path.read_text(encoding="utf-8")) if path and path.is_file() else {}
        self.load: float = kept.get("load", os.getloadavg()[0])
        self.cases: dict[str, Measured] = {key: Measured(**value) for key, value in kept.get("cases", {}).items()}
        self.pairs: list[tuple[float, float]] = [(ours, bare) for ours, bare in kept.get("pairs", [])]

    def keep(self) -> None:
        if self._path:
            cases = {key: asdict(value) for key, value in self.cases.items()}
            text = json.dumps({"load": self.load, "cases": cases, "pairs": self.pairs}, indent=1)
            self._path.write_text(text, encoding="utf-8")


async def more_pairs(case: Case, results: Results, wanted: int) -> None:
    """Pairs until there are so many."""
    with tempfile.TemporaryDirectory() as scratch:
        async for pair in pairs(case, wanted - len(results.pairs), Path(scratch)):
            results.pairs.append(pair)
            results.keep()
            print(f"{pair[0]:.2f} {UNIT} through the engine, {pair[1]:.2f} bare", flush=True)


def row(case: Case, found: Measured) -> str:
    """A line of the table of what was measured."""
    of = sizes(case)
    predicted, taken = estimate(of).total, found.gpu or found.peak
    switch = f"{found.switch:.1f}" if found.switch else "–"
    step = found.step_wall if found.gpu else found.step_cpu
    return (
        f"| {case.name} | {case.lengths} | {gib(predicted)} | {gib(taken)} | {predicted / taken:.2f} | "
        f"{gib(of.checkpoint)} | {gib(found.checkpoint)} | {switch} | {step:.1f} |"
    )


HEAD = f"""| | completions | predicted | measured | ratio | checkpoint, predicted | measured | switch, s | {UNIT} |
|---|---|---|---|---|---|---|---|---|"""


def table(cases: Sequence[Case], results: Results) -> str:
    lines = [row(case, results.cases[case.key]) for case in cases if case.key in results.cases]
    return "\n".join([HEAD, *lines])


def farthest(results: Results) -> str:
    """The ratios that are farthest from 1."""
    ratios = [
        estimate(sizes(case)).total / (found.gpu or found.peak)
        for case in HELD_OUT
        if (found := results.cases.get(case.key))
    ]
    return f"{min(ratios):.2f} to {max(ratios):.2f}" if ratios else "not measured"


def against_bare(case: Case, found: Sequence[tuple[float, float]]) -> str:
    """What the pairs say, one paragraph."""
    if len(found) < 2:
        return "Not measured."
    middle, low, high = ratio(found)
    ours, bare = (statistics.fmean(each) for each in zip(*found, strict=True))
    return f"""{case.name}, {case.lengths} tokens: {ours:.2f} {UNIT} through the engine, {bare:.2f} by bare TRL
with the same PEFT settings. Ratio **{middle:.3f}** [{low:.3f}, {high:.3f}], geometric mean and 95% interval of
{len(found)} pairs in turn, each of {case.steps - 1} steps after one that is not counted, on the same prompts. Every
completion runs to its limit, so that both sides do the same work. Goal: at most 1.05."""


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


def report(results: Results) -> str:
    """The page."""
    gpu = torch.cuda.is_available()
    where = torch.cuda.get_device_name(0) if gpu else f"{machine.cores()} CPU cores, one used"
    memory = "what torch reserved of the GPU" if gpu else "resident memory of the worker (VmHWM)"
    return f"""# Real models: memory, checkpoints, time

Written by `python -m benchmarks.real_models`.

## Memory, checkpoint, switch

What `llmzero check` predicts before anything is loaded, and what a worker took. These were looked at when the estimate
was last changed:

{table(CASES, results)}

Held out, not looked at before; their ratios are {farthest(results)}:

{table(HELD_OUT, results)}

tiny: the shipped base of 0.3M parameters. 135M: SmolLM2-135M-Instruct; 270M: Gemma 3 270M, of 262,144 tokens; both in
float32. Completions: of a step × tokens, at most. Two segments of 2 steps, the second with the optimizer's state of the
first, or one where no switch is told. The first step of a segment is not counted. One run each. Measured:
{memory}. Switch: from the last step of a segment to the first of the next, with the
checkpoint written and read, scoring apart.

What the estimate counts beside weights, gradients and moments: activations, 1.2 times what autograd saves, 1.75 times
for an adapter on a CPU (measured on 135M and 270M, resident memory against saved tensors: 1.1 to 1.2 with all weights,
1.6 to 1.8 with an adapter); TRL's head, whose backward pass on a CPU holds 8.25 tiles of up to 4096 tokens × 32,768
words in fp32; the gradient of a trained head.

## Step time against bare TRL

{against_bare(PAIRED, results.pairs)}

Machine: {where}, {platform.system()} {platform.machine()}; load average when it began {results.load:.1f}. Above 1.5,
other processes shared the cores: CPU seconds and memory are right then, the switch's wall seconds are too long.

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
    parser.add_argument("--results", type=Path, help="keep what is measured there, and go on from it")
    parser.add_argument("--pairs", type=int, default=8, help="pairs of runs against bare TRL")
    parser.add_argument("--only", choices=["cases", "held-out", "pairs", "nothing"], help="measure this part alone")
    parser.add_argument("--bare", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.bare:
        print(json.dumps(train_bare(Case(**json.loads(arguments.bare[0])), int(arguments.bare[1]))))
        return
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

"""The page of benchmarks.real_models, docs/real-models.md: tables of what was measured, and one that is computed."""

from __future__ import annotations

import math
import platform
import statistics
from collections.abc import Sequence
from dataclasses import replace

import torch
from scipy.stats import t as student_t

from benchmarks.real_models_plan import CASES, HELD_OUT, PAIRED, UNIT, Case, Measured, Results, sizes
from engine.domain.memory import LayerSizes, TrainingSizes, estimate
from engine.host import machine
from engine.run.memory_check import gib


def ratio(found: Sequence[tuple[float, float]]) -> tuple[float, float, float]:
    """Geometric mean of the pairs' ratios with its 95% interval."""
    logs = [math.log(ours / bare) for ours, bare in found]
    middle = statistics.fmean(logs)
    error = statistics.stdev(logs) / math.sqrt(len(logs)) * student_t.ppf(0.975, len(logs) - 1)
    return math.exp(middle), math.exp(middle - error), math.exp(middle + error)


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

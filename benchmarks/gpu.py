"""One look at a GPU, in under ten minutes: `make bench-gpu`, or `python -m benchmarks.gpu [--write docs/gpu.md]`.

SmolLM2-135M with an adapter in bf16, with all its weights, and the tiny base, each as two segments through the engine:
memory against its estimate, step time, switch; one case in turn with a bare TRL script; then a whole search on SmolLM2
as `llmzero run` does it, with evaluation's share. Needs no network where `LLMZERO_WHEELS` names a folder with the wheel
of benchmarks/pretrained.py. `--cpu` is the same with the smallest sizes, to see that it works.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.pretrained import smollm2
from benchmarks.real_models import measure, more_pairs
from benchmarks.real_models_plan import Case, Results
from benchmarks.real_models_report import HEAD, against_bare, row
from engine import own_packages
from engine.analysis.summary import RunSummary, evaluation_share, summarise
from engine.host import machine
from engine.run.memory_check import gib
from engine.run.rundir import RunDirectory
from engine.store.reader import open_run
from llmzero_tui.format import duration

CASES = (
    Case("tiny", batch=32, completion=64),
    Case("135M", rank=16, beta=0.0, batch=64, completion=128),
    Case("135M", rank=16, beta=0.04, batch=64, completion=128),
    Case("135M", beta=0.0, batch=64, completion=128),
    Case("135M", beta=0.0, batch=64, completion=128, dtype="bf16"),
)
PAIRED = Case("135M", rank=16, batch=64, completion=64, steps=6)
SMOKE = (Case("tiny", rank=4, batch=8, completion=16),)
SEARCH = """
[task]
name = "reasoning_gym/chain_sum"
[model]
path = "{model}"
[budget]
steps = {steps}
minutes = {minutes}
[search]
segment_steps = {segment}
roots = 2
no_signal = "go-on"
[evaluation]
validation_prompts = {prompts}
rerank_prompts = {prompts}
test_prompts = {prompts}
[space.max_completion_length]
fixed = {length}
[advisor]
kind = "rules"
[training]
batch_size = {batch}
[training.lora]
rank = 16
"""
SIZES = {"steps": 200, "minutes": 4, "segment": 25, "prompts": 128, "length": 64, "batch": 64}
SMALLEST = {"steps": 2, "minutes": 8, "segment": 2, "prompts": 8, "length": 8, "batch": 8}


def search(cpu: bool) -> RunSummary:
    """A whole run, from the run file to the test score.

    Raises:
        SystemExit: it did not end well; what it said stands above.
    """
    sizes = SMALLEST if cpu else SIZES
    with tempfile.TemporaryDirectory() as where:
        path = Path(where) / "search.toml"
        path.write_text(SEARCH.format(model=smollm2(), **sizes), encoding="utf-8")
        runs = Path(where) / "runs"
        command = [*own_packages.command("llmzero_tui"), "--runs-dir", str(runs), "run", str(path), "--headless"]
        if subprocess.run(command, check=False).returncode:
            raise SystemExit("the search did not end well")
        [directory] = [each for each in runs.iterdir() if each.is_dir()]
        reader = open_run(RunDirectory(directory).path)
        try:
            return summarise(reader)
        finally:
            reader.close()


def searched(summary: RunSummary) -> str:
    """What a search took and found, in words."""
    share = evaluation_share(summary.evaluation_seconds, summary.trainer_seconds)
    base, best = summary.base_test, summary.best_test
    pace = summary.trainer_seconds / max(1, summary.steps)
    return (
        f"{summary.steps} steps in {summary.nodes} segments, {duration(summary.wall_seconds)} with the closing "
        f"evaluations; {pace:.2f} s a step, evaluation {share:.0%} of the workers' time. "
        f"Test score of the base {base}, of the policy that was picked {best or 'the same: nothing beat it'}."
    )


def report(rows: Sequence[str], step_time: str, summary: RunSummary, seconds: float) -> str:
    """The page."""
    gpus = machine.gpus()
    card = (
        f"{gpus[0].name}, {gib(gpus[0].memory)}, driver {gpus[0].driver}" if gpus else "no GPU: a smoke run on the CPU"
    )
    return f"""# On a GPU

Written by `python -m benchmarks.gpu` in {duration(seconds)}: {card}; torch {torch.__version__},
{platform.system()} {platform.machine()}, Python {platform.python_version()}.

{HEAD}
{chr(10).join(rows)}

Two segments of two steps each, the second with the optimizer's state of the first; memory is what torch reserved of
the GPU, or the worker's resident memory on a CPU.

{step_time}

A search on SmolLM2-135M-Instruct, adapter of rank 16, reasoning_gym/chain_sum: {searched(summary)}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cpu", action="store_true", help="the smallest sizes, on the CPU")
    parser.add_argument("--write", type=Path, help="write the report there")
    arguments = parser.parse_args()
    if arguments.cpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    elif not torch.cuda.is_available():
        sys.exit("no GPU that torch can use; `--cpu` for a smoke run")
    began, rows = time.perf_counter(), []
    for case in SMOKE if arguments.cpu else CASES:
        rows.append(row(case, measure(case)))
        print(rows[-1], flush=True)
    paired, results = SMOKE[0] if arguments.cpu else PAIRED, Results(None)
    asyncio.run(more_pairs(paired, results, 3))
    step_time = against_bare(paired, results.pairs)
    text = report(rows, step_time, search(arguments.cpu), time.perf_counter() - began)
    print(text)
    if arguments.write:
        arguments.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

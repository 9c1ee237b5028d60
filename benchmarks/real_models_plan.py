"""What benchmarks.real_models measures: its cases, what is kept of each, and what `llmzero check` predicts for it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.pretrained import MODELS
from engine.domain.memory import TrainingSizes
from engine.host.model_files import read_model
from engine.run import memory_check, prompt_check
from engine.run.config import parse
from engine.training.events import Precision
from tasks import registry
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

    @property
    def whole(self) -> dict[str, Any]:
        """TRL's setting that runs every completion to its limit: the same work on both sides, whatever is drawn."""
        return {"generation_kwargs": {"min_new_tokens": self.completion}}

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

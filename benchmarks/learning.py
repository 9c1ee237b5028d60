"""What GRPO learns on the tiny tasks: base → after constant GRPO, three hyperparameters, staged against constant.

Run `nice -n 19 python -m benchmarks.learning` from the project's root; one process, one thread. Each result is appended
to a file of JSON lines (`--cache`) as soon as it is there, so that the command can be interrupted and goes on where it
was; `docs/benchmark-learning.md` is written from what has been measured, and names what has not.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}

from benchmarks import learning_report
from benchmarks.learning_plan import GROUPS, Run, plan
from engine.domain.space import Space, Value
from engine.training import events
from engine.training.control import JobControl
from engine.training.events import EvaluationSpec, SegmentEnd, SegmentSpec
from tasks import registry

ROOT = Path(__file__).resolve().parents[1]
BATCH_SIZE = 32
MOST_STEPS = 2000
"""Of a stage that ends with its share of seconds."""


@dataclass(frozen=True, slots=True)
class Result:
    """A run's measurement on the test split: numbers of correct completions out of `n`; seconds are CPU seconds."""

    n: int
    greedy: int
    sampled: int
    steps: int
    seconds: float


class Clock:
    """CPU seconds of the steps of one stage, and the stop when they reach `limit`."""

    def __init__(self, job: str, limit: float, control: JobControl) -> None:
        self.steps = 0
        self.seconds = 0.0
        self.evaluation: events.Evaluation | None = None
        self.directory = ""
        self.ended: events.SegmentEnded | None = None
        self._job, self._limit, self._control, self._mark = job, limit, control, 0.0

    def take(self, line: events.Event | events.Heartbeat | events.WorkerLeaving) -> None:
        if isinstance(line, events.SegmentStarted):
            self._mark = time.process_time()
        elif isinstance(line, events.StepMetrics):
            now = time.process_time()
            self.seconds, self._mark, self.steps = self.seconds + now - self._mark, now, line.step
            if self.seconds >= self._limit:
                self._control.take(events.Stop(job=self._job, end=SegmentEnd.EARLY_STOPPED))
        elif isinstance(line, events.CheckpointSaved):
            self.evaluation, self.directory = line.evaluation, line.directory
        elif isinstance(line, events.SegmentEnded):
            self.ended = line


def measure(run: Run, scratch: Path) -> Result:
    """Train the run's stages one after the other and score the last checkpoint on the test split."""
    if not run.stages:
        return _measure_base(run)
    from engine.training.segment import run_segment

    base = str(_base(run.task))
    parent, optimizer, seconds, steps, clock = base, None, 0.0, 0, None
    for number, stage in enumerate(run.stages):
        control = JobControl()
        limit = stage.share * run.seconds - seconds if run.seconds else float("inf")
        clock = Clock(str(number), limit, control)
        spec = SegmentSpec(
            job=str(number), task=run.task, base=base, parent=parent, optimizer=optimizer, reference=base,
            configuration=configuration(run, number), steps=MOST_STEPS if run.seconds else run.steps,
            seed=1000 * run.seed + number, directory=str(scratch / str(number)), checkpoint_every=MOST_STEPS,
            evaluation=EvaluationSpec(split="test", n=run.n), batch_size=BATCH_SIZE, micro_batch=BATCH_SIZE,
            threads=1, samples_every=MOST_STEPS,
        )  # fmt: skip
        run_segment(spec, clock.take, control)
        if clock.ended is None or clock.ended.end not in (SegmentEnd.FINISHED, SegmentEnd.EARLY_STOPPED):
            raise SystemExit(f"{run.label}: stage {number} ended {clock.ended}")
        seconds, steps = seconds + clock.seconds, steps + clock.steps
        parent = optimizer = clock.directory
    assert clock is not None
    assert clock.evaluation is not None
    return Result(clock.evaluation.n, clock.evaluation.greedy, clock.evaluation.sampled, steps, seconds)


def _measure_base(run: Run) -> Result:
    from engine.training import policy
    from engine.training.evaluate import evaluate

    base = str(_base(run.task))
    policy.use_threads(1)
    model, tokenizer = policy.load_model(base), policy.load_tokenizer(base)
    found = evaluate(model, tokenizer, registry.get(run.task), EvaluationSpec(split="test", n=run.n))
    return Result(found.n, found.greedy, found.sampled, 0, 0.0)


def configuration(run: Run, number: int) -> dict[str, Value]:
    """The task's suggested values with the stage's changes."""
    space = Space.build({}, registry.get(run.task).space(), batch_size=BATCH_SIZE)
    return {**space.default(), **run.stages[number].changes}


def _base(task: str) -> Path:
    path = registry.get(task).default_model()
    assert path is not None
    return ROOT / path


def key(run: Run) -> str:
    """What a result depends on: the task's code, its base, and everything about the run."""
    digest = hashlib.blake2b(digest_size=10)
    for path in (ROOT / "tasks" / f"{run.task}.py", _base(run.task) / "model.safetensors"):
        digest.update(path.read_bytes())
    settings = [configuration(run, number) for number in range(len(run.stages))]
    shares = [stage.share for stage in run.stages]
    digest.update(json.dumps([run.task, settings, shares, run.seed, run.steps, run.seconds, run.n]).encode())
    return digest.hexdigest()


def load(cache: Path) -> dict[str, Result]:
    """Results by key; a line cut off by an interruption is left out."""
    found = {}
    for line in cache.read_text(encoding="utf-8").splitlines() if cache.exists() else ():
        try:
            record: Mapping[str, Any] = json.loads(line)
        except json.JSONDecodeError:
            continue
        found[record["key"]] = Result(**record["result"])
    return found


def append(run: Run, result: Result, cache: Path) -> None:
    """Add a result, on a line of its own even after a line that was cut off."""
    cut = cache.exists() and not cache.read_bytes().endswith(b"\n")
    with cache.open("a", encoding="utf-8") as file:
        line = json.dumps({"key": key(run), "label": run.label, "result": asdict(result)})
        file.write(("\n" if cut else "") + line + "\n")


def pending(runs: Sequence[Run], cache: Path) -> Iterator[Run]:
    """The runs without a result, each once, looked up anew after each."""
    for run in runs:
        if key(run) not in load(cache):
            yield run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.learning", description=__doc__)
    default = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "llmzero" / "learning.jsonl"
    parser.add_argument("--cache", type=Path, default=default, help="results so far (default: %(default)s)")
    parser.add_argument("--write", type=Path, default=ROOT / "docs" / "benchmark-learning.md")
    parser.add_argument("--only", choices=GROUPS, action="append", help="groups to measure; the report has them all")
    parser.add_argument("--report", action="store_true", help="measure nothing, write the report")
    options = parser.parse_args()
    options.cache.parent.mkdir(parents=True, exist_ok=True)
    runs = plan()
    chosen = [] if options.report else [run for run in runs if not options.only or run.group in options.only]
    for run in pending(chosen, options.cache):
        began = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="learning-") as scratch:
            result = measure(run, Path(scratch))
        append(run, result, options.cache)
        print(f"{run.label}: {result} wall {time.perf_counter() - began:.0f} s", flush=True)
        _report(runs, options.cache, options.write)
    _report(runs, options.cache, options.write)
    return 0


def _report(runs: Sequence[Run], cache: Path, path: Path) -> None:
    results = load(cache)
    path.write_text(learning_report.render([(run, results.get(key(run))) for run in runs]), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())

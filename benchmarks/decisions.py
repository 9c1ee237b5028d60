"""Makes the bank of decisions (assets/decisions/bank.jsonl): trains into healthy and sick states, then branches.

Run `nice -n 19 python -m benchmarks.decisions` from the project's root; one process, one thread. Every measurement is a
line as soon as it is there; killed at any moment, it goes on with the first one that is missing. A point has its
checkpoints under `--work` until all its transitions are measured; they are trained again where they are gone.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import re
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
os.environ |= {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "TRANSFORMERS_VERBOSITY": "error"}

from benchmarks.decisions_plan import PlannedPoint, moved, plan, transitions
from engine.advisors.base import Evidence, SampledCompletion
from engine.advisors.evidence import compared
from engine.compare.records import append, lines
from engine.compare.revision import revision
from engine.controller.evidence_builder import COMPLETIONS
from engine.controller.job_builder import segment_seed, steering
from engine.decisions import record
from engine.decisions.bank import HORIZONS
from engine.domain.policy import TEST_SEED, steering_prompts
from engine.domain.space import Intent, KLReference, OptimizerState, Space, Transition, Value
from engine.domain.tree import REWARD_STEPS, Checkpoint, Node, NodeState, Tree
from engine.errors import Fault
from engine.training import events
from engine.training.control import JobControl
from engine.training.events import MANIFEST, EvaluationSpec, SegmentEnd, SegmentSpec
from tasks import registry

ROOT = Path(__file__).resolve().parents[1]
BANK = ROOT / "assets" / "decisions" / "bank.jsonl"
"""Kind of the line of a point whose history could not be trained."""
OUTCOMES = (SegmentEnd.FINISHED, SegmentEnd.NAN)
"""Ends that say something of a configuration; any other is a fault of the machine, after which the command ends."""
BATCH_SIZE = 32
BUDGET = 1200
"""GRPO steps that the run of a point is said to have."""
SEEDS = (1, 2)
"""Training seeds of every transition."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured: prompts of the evidence's scores and of the test, steps of a history's stages over those of
    the plan, GRPO steps of a branch between its scores."""

    validation: int = 256
    test: int = 512
    shorter: int = 1
    horizons: Sequence[int] = HORIZONS


@dataclass(slots=True)
class Segment:
    """What one segment told."""

    metrics: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    completions: list[SampledCompletion] = field(default_factory=list)
    scores: dict[int, events.Evaluation] = field(default_factory=dict)
    end: SegmentEnd = SegmentEnd.CRASHED
    steps: int = 0
    detail: str = ""

    def take(self, line: events.Event | events.Heartbeat | events.WorkerLeaving) -> None:
        if isinstance(line, events.StepMetrics):
            for name, value in line.values.items():
                self.metrics.setdefault(name, []).append((line.step, value))
        elif isinstance(line, events.CompletionSamples):
            self.completions += [_sampled(line.step, each) for each in line.samples]
        elif isinstance(line, events.CheckpointSaved):
            self.scores[line.step] = line.evaluation
        elif isinstance(line, events.SegmentEnded):
            self.end, self.steps, self.detail = line.end, line.steps, line.detail


def _sampled(step: int, given: events.CompletionSample) -> SampledCompletion:
    return SampledCompletion(
        step, given.prompt, given.completion, given.answer, given.reward, given.correct, given.truncated
    )


class HistoryFailed(Exception):
    """The run that should lead to a point ended before it."""


class PointMaker:
    """Trains the history of one planned point, and its branches. What trains raises Fault for a crash."""

    def __init__(self, point: PlannedPoint, directory: Path, sizes: Sizes) -> None:
        self.point, self._directory, self._sizes = point, directory, sizes
        self._task = registry.get(point.task)
        self._space = Space.build({}, self._task.space(), batch_size=BATCH_SIZE)
        self._base = str(ROOT / str(self._task.default_model()))

    # ---- the history ------------------------------------------------------------------------------------------------

    def history(self) -> Evidence:
        """Train up to the point. Raises HistoryFailed."""
        validation = self._as_long(steering(self._sizes.validation))
        configuration = self._space.default()
        root = Checkpoint(0, self._scored(self._base, validation).score(steering_prompts(validation.n)))
        tree = Tree(Node(0, None, configuration, NodeState.FINISHED, checkpoints=(root,)))
        curves, told = {}, Segment()
        for number, stage in enumerate(self.point.stages):
            before, configuration = configuration, moved(self._space, configuration, stage.to)
            parent = tree[number]
            transition = self._stage(parent, self._space.changes(before, configuration))
            steps = stage.steps // self._sizes.shorter
            told = self._train(tree, transition, configuration, steps, self.point.seed, number + 1, validation)
            if told.end is not SegmentEnd.FINISHED:
                raise HistoryFailed(f"stage {number + 1} ended {told.end}: {told.detail}")
            curves[number + 1] = told.metrics
            tree.add(_node(number + 1, transition, configuration, parent, told))
        return self._evidence(tree, curves, told.completions)

    def _stage(self, parent: Node, changes: Mapping[str, Value]) -> Transition:
        first = parent.transition is None
        intent = Intent.ROOT if first else Intent.CHANGE if changes else Intent.KEEP
        label = self._space.describe(parent.configuration, changes) if changes or not first else "as suggested"
        why = "a stage of the bank's plan"
        return Transition(parent.id, parent.steps, intent, changes, label=label, rationale=why)

    def _evidence(self, tree: Tree, curves: Mapping[int, Any], completions: Sequence[SampledCompletion]) -> Evidence:
        """As the engine's own evidence of a change that is wanted at the end of the history."""
        parent = tree[len(tree) - 1]
        here = [(parent.id, c.step) for c in reversed(parent.checkpoints[:-1])]
        before = [(node.id, node.steps) for node in reversed(tree.path(parent.id)[1:-1])]
        return Evidence(
            tree=tree, space=self._space, parent=parent, step=parent.steps, intent=Intent.CHANGE,
            metrics=curves[parent.id], completions=tuple(reversed(completions[-COMPLETIONS:])),
            candidates=(*here, *before), tried=(), steps=self._sizes.horizons[0],
            fraction_spent=parent.total_steps / BUDGET, seed=self.point.seed + len(tree),
            others={node_id: curves[node_id] for node_id in compared(tree, parent)},
        )  # fmt: skip

    def trained(self, evidence: Evidence) -> bool:
        """Whether the checkpoints of every place of the point are on disk."""
        return all((self._checkpoint(*place) / MANIFEST).is_file() for place in places(evidence))

    # ---- measuring --------------------------------------------------------------------------------------------------

    def starts(self, evidence: Evidence) -> list[list[Any]]:
        """[node, step, test score] of every place that a transition may branch from."""
        spec = self._test()
        found = []
        for node, step in places(evidence):
            score = self._scored(str(self._checkpoint(node, step)), spec).score(record.measuring_prompts(spec.n))
            found.append([node, step, record.score_to_json(0, score)])
        return found

    def branch(self, evidence: Evidence, transition: Transition, seed: int) -> tuple[Segment, list[list[Any]]]:
        """Train a transition with one seed, and its test scores at the horizons."""
        tree = evidence.tree
        configuration = self._space.apply(tree[transition.parent].configuration, transition.changes)
        told = self._train(tree, transition, configuration, max(self._sizes.horizons), seed, len(tree), self._test())
        shutil.rmtree(self._segment(len(tree)), ignore_errors=True)
        prompts = record.measuring_prompts(self._sizes.test)
        return told, [record.score_to_json(step, each.score(prompts)) for step, each in told.scores.items()]

    def _train(
        self, tree: Tree, transition: Transition, configuration: Mapping[str, Value], steps: int, seed: int,
        number: int, evaluation: EvaluationSpec,
    ) -> Segment:  # fmt: skip
        from engine.training.segment import run_segment

        parent = tree[transition.parent]
        at_base = parent.transition is None
        start = self._base if at_base else str(self._checkpoint(parent.id, transition.step))
        follows = transition.reference is KLReference.BRANCH
        every = -(-steps // 2) if evaluation.split == "validation" else self._sizes.horizons[0]
        spec = SegmentSpec(
            job=str(number), task=self.point.task, base=self._base, parent=start,
            optimizer=start if transition.optimizer is OptimizerState.KEEP and not at_base else None,
            reference=start if follows else self._base, configuration=dict(configuration), steps=steps,
            seed=segment_seed(seed, parent.start_steps + transition.step, 0), directory=str(self._segment(number)),
            checkpoint_every=every, evaluation=evaluation, batch_size=BATCH_SIZE, micro_batch=BATCH_SIZE,
            threads=1,
        )  # fmt: skip
        told = Segment()
        run_segment(spec, told.take, JobControl())
        if told.end not in OUTCOMES:
            raise Fault(f"{self.point.name}: a segment {told.end}: {told.detail}")
        return told

    def _scored(self, directory: str, spec: EvaluationSpec) -> events.Evaluation:
        from engine.training import policy
        from engine.training.evaluate import evaluate

        policy.use_threads(1)
        return evaluate(policy.load_model(directory), policy.load_tokenizer(self._base), self._task, spec)

    def _test(self) -> EvaluationSpec:
        return self._as_long(EvaluationSpec(split="test", n=self._sizes.test, seed=TEST_SEED))

    def _as_long(self, spec: EvaluationSpec) -> EvaluationSpec:
        longest = self._space.longest_completion(self._task.max_completion_length)
        return spec.model_copy(update={"max_completion_length": longest})

    def _segment(self, number: int) -> Path:
        return self._directory / str(number)

    def _checkpoint(self, node: int, step: int) -> Path:
        return self._segment(node) / f"checkpoint-{step}"

    def forget(self) -> None:
        """Delete the checkpoints."""
        shutil.rmtree(self._directory, ignore_errors=True)


def places(evidence: Evidence) -> list[tuple[int, int]]:
    """(node, step) of every place that a transition may branch from."""
    return [(evidence.parent.id, evidence.step), *evidence.candidates]


def _node(number: int, transition: Transition, configuration: Mapping[str, Value], parent: Node, told: Segment) -> Node:
    rewards = [value for _, value in told.metrics.get("reward", ())][-REWARD_STEPS:]
    checkpoints = tuple(
        Checkpoint(step, each.score(steering_prompts(each.n))) for step, each in sorted(told.scores.items())
    )
    return Node(
        number, transition, configuration, NodeState.FINISHED, parent.total_steps, told.steps, told.steps, checkpoints,
        reward=statistics.fmean(rewards) if rewards else None,
    )  # fmt: skip


def say(line: str) -> None:
    print(line, flush=True)


@dataclass(frozen=True, slots=True)
class BankMaker:
    """Works off a plan: a line for each point, then one for each transition and seed."""

    bank: Path
    work: Path
    sizes: Sizes = Sizes()
    seeds: Sequence[int] = SEEDS
    tell: Callable[[str], None] = say

    def make(self, points: Iterator[PlannedPoint]) -> None:
        """Everything that is missing, most wanted first."""
        for point in points:
            known = {line["name"]: line for line in lines(self.bank) if line["kind"] in (record.POINT, record.FAILED)}
            maker = PointMaker(point, self.work / re.sub(r"\W+", "-", point.name), self.sizes)
            line = known.get(point.name) or self._begin(maker)
            if line["kind"] == record.POINT:
                self._measure(maker, line)
            maker.forget()

    def _begin(self, maker: PointMaker) -> Mapping[str, Any]:
        """Train the history of a point and write its line."""
        point, began = maker.point, time.perf_counter()
        line: dict[str, Any] = {"kind": record.POINT, "name": point.name, "task": point.task, "state": point.state}
        try:
            told = record.evidence_to_json(maker.history())
            evidence = record.evidence_from_json(told)  # as whoever reads the bank has it
            line |= {
                "revision": revision(), "horizons": list(self.sizes.horizons), "starts": maker.starts(evidence),
                "transitions": [
                    {"origin": origin, "transition": record.transition_to_json(each)}
                    for origin, each in transitions(point, evidence)
                ],
                "evidence": told,
            }  # fmt: skip
        except HistoryFailed as failure:
            line |= {"kind": record.FAILED, "why": str(failure)}
        append(self.bank, line)
        self.tell(f"{line['kind']} {point.name}: {time.perf_counter() - began:.0f} s {line.get('why', '')}")
        return line

    def _measure(self, maker: PointMaker, line: Mapping[str, Any]) -> None:
        """Every transition with the first seed, then with the second."""
        name = line["name"]
        done = {(e["branch"], e["seed"]) for e in lines(self.bank) if e["kind"] == record.BRANCH and e["point"] == name}
        evidence = record.evidence_from_json(line["evidence"])
        missing = [(n, s) for s in self.seeds for n in range(len(line["transitions"])) if (n, s) not in done]
        if missing and not maker.trained(evidence):
            again = maker.history()
            if _outcomes(again) != _outcomes(evidence):
                self.tell(f"left {name}: training it again gave another policy, so its branches cannot be completed")
                return
        for number, seed in missing:
            began = time.perf_counter()
            given = line["transitions"][number]
            told, scores = maker.branch(evidence, record.transition_from_json(given["transition"]), seed)
            seconds = round(time.perf_counter() - began, 1)
            found = {"kind": record.BRANCH, "point": name, "branch": number, "seed": seed, "end": str(told.end)}
            append(self.bank, {**found, "seconds": seconds, "scores": scores})
            self.tell(f"{name} {given['origin']} seed {seed}: {told.end} {seconds} s")


def _outcomes(evidence: Evidence) -> list[str]:
    return [c.score.outcomes for node in evidence.tree for c in node.checkpoints]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decisions", description=__doc__)
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "llmzero" / "decisions"
    parser.add_argument("--bank", type=Path, default=BANK, help="the lines (default: %(default)s)")
    parser.add_argument("--work", type=Path, default=cache, help="checkpoints meanwhile (default: %(default)s)")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    with (options.work / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            parser.error(f"another process works in {options.work}")
        BankMaker(options.bank, options.work).make(plan())
    return 0


if __name__ == "__main__":
    sys.exit(main())

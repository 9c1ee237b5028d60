"""The bank of constants, and searches replayed on it: the real strategies over curves that were recorded.

A cell of benchmarks/evidence/constants.toml trains constants one after the other and never changes them. Its line holds
their curves; `benchmarks.constants` adds what every policy that a search might report scores on the prompts of the
search's end. Read by `benchmarks.constants`. Nothing is trained here.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean, variance
from typing import Any, NamedTuple

from engine.compare import plan as plans
from engine.compare import records, statistics
from engine.compare.packing import unpack
from engine.compare.plan import ComparisonCell
from engine.compare.records import Line
from engine.controller.evaluations import BEHIND_ERRORS
from engine.domain.parameters import Configuration, Value
from engine.domain.policy import steering_prompts
from engine.domain.score import Score, joined
from engine.domain.space import Space
from engine.errors import Fault
from engine.run.evaluation_sizes import CHECKPOINTS
from engine.search.finalists import finalists
from engine.search.registry import make
from engine.simulation.search import Simulation
from tasks import registry

POLICY = "policy"
"""Kind of a line that holds what one policy scores on the prompts of the end."""


class TooFewConstants(Fault):
    """A search wants another constant than the bank has."""


class ClosingScores(NamedTuple):
    """Of one policy: on the second validation set, which picks among the finalists, and on the test set."""

    reranking: Score
    test: Score


@dataclass(frozen=True)
class Recording:
    """One constant, trained once.

    Attributes:
        validation: scores that steer, by GRPO steps since the base (0 is the base). closing: the same of what a search
            might report: the base, and of each segment the checkpoint with the best validation score.
    """

    configuration: Configuration
    validation: Mapping[int, Score]
    closing: Mapping[int, ClosingScores]


Place = tuple[Recording, int]
"""A recorded policy: the constant, and its GRPO steps since the base."""


@dataclass(frozen=True)
class Bank:
    """The recorded constants of one task.

    Attributes:
        start: [space] of the run files: searches from another start are no matter of this bank.
        defaults: the default configuration, recorded with each seed. draws: configurations drawn from the space.
        broken: constants that were not trained to their end. unscored: those whose policies are not all scored yet.
    """

    task: str
    space: Space
    start: Mapping[str, Any]
    segment_steps: int
    defaults: Sequence[Recording]
    draws: Sequence[Recording]
    broken: int
    unscored: int

    @property
    def steps(self) -> int:
        """GRPO steps of each constant."""
        return max(self.defaults[0].validation)

    def order(self, rng: random.Random) -> list[Recording]:
        """All constants as a search would draw them: the default first, the others at random."""
        return [rng.choice(self.defaults), *rng.sample(self.draws, len(self.draws))]

    def resampled(self, rng: random.Random) -> Bank:
        """A bank of as many constants, drawn from these with replacement."""
        defaults, draws = (rng.choices(each, k=len(each)) for each in (self.defaults, self.draws))
        return Bank(self.task, self.space, self.start, self.segment_steps, defaults, draws, 0, 0)


# ---- reading --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RecordedCell:
    """A cell of the plan and its line."""

    cell: ComparisonCell
    line: Line

    @cached_property
    def key(self) -> list[Any]:
        """Names the cell in lines of policies."""
        return [*self.cell.key, self.cell.settings_hash]

    @cached_property
    def space(self) -> Space:
        return self.cell.config().build_space(registry.get(self.cell.task).space())

    @cached_property
    def base(self) -> Score:
        return self._scores[0][0]

    def constants(self) -> Iterator[list[tuple[Mapping[str, Any], Mapping[int, Score]]]]:
        """Of each constant that was trained to its end, its segments: the node, and its scores by step."""
        for root in (node for node in self.line["nodes"] if node.get("parent") == 0 and node["intent"] == "root"):
            segments = [root]
            while child := next((n for n in self.line["nodes"] if n.get("parent") == segments[-1]["id"]), None):
                segments.append(child)
            whole = all(node["steps"] == self._config.search.segment_steps for node in segments)
            if whole and len(segments) == self._config.search.settings["segments"]:
                yield [(node, self._scores[node["id"]]) for node in segments]

    @property
    def begun(self) -> int:
        """Constants that were begun."""
        return sum(node.get("parent") == 0 for node in self.line["nodes"])

    def reportable(self) -> list[tuple[int, int]]:
        """(node, step) of every policy that a search might report: the base, and the best of each segment."""
        return [(0, 0), *((node["id"], best(scores)) for segments in self.constants() for node, scores in segments)]

    @cached_property
    def _config(self) -> Any:
        return self.cell.config()

    @cached_property
    def _scores(self) -> dict[int, dict[int, Score]]:
        """By node and step."""
        found: dict[int, dict[int, Score]] = {}
        for node, step, n, greedy, sampled, *_, packed in self.line["scores"]:
            score = Score(n, greedy, sampled, unpack(packed, n), (steering_prompts(n),))
            found.setdefault(node, {})[step] = score
        return found


def best(scores: Mapping[int, Score]) -> int:
    """The step of a segment's best checkpoint, the later of equals, as `finalists` has it."""
    return max(scores, key=lambda step: (scores[step].value, step))


def recorded(plan: Path) -> list[RecordedCell]:
    """What is recorded of a plan, in its order."""
    done = records.standing(cells := list(plans.cells(plans.load(plan))), records.load(results_of(plan))).done
    return [RecordedCell(cell, done[cell.key]) for cell in cells if cell.key in done]


def results_of(plan: Path) -> Path:
    """Where the lines of a plan are, as `llmzero compare` has it."""
    return plan.with_suffix(".jsonl")


def closing_scores(file: Path, cell: RecordedCell) -> dict[tuple[int, int], ClosingScores]:
    """What is scored of a cell's policies, by node and step."""
    return {
        (line["node"], line["step"]): ClosingScores(
            statistics.score(line["reranking"], "validation"), statistics.score(line["final"])
        )
        for line in records.lines(file)
        if line.get("kind") == POLICY and line["cell"] == cell.key
    }


def banks(plan: Path) -> list[Bank]:
    """The bank of each task of a plan of which a default is recorded and scored.

    Cells of one task have the same settings: a plan tells them apart by seed alone.
    """
    by_task: dict[str, list[RecordedCell]] = {}
    for cell in recorded(plan):
        by_task.setdefault(cell.cell.task, []).append(cell)
    return [bank for cells in by_task.values() if (bank := _bank(cells, results_of(plan))).defaults]


def _bank(cells: Sequence[RecordedCell], file: Path) -> Bank:
    first, defaults, draws, broken, unscored = cells[0], list[Recording](), list[Recording](), 0, 0
    usual = first.space.default()
    for cell in cells:
        scored, begun = closing_scores(file, cell), cell.begun
        for segments in cell.constants():
            begun -= 1
            if (recording := _recording(cell, segments, scored)) is None:
                unscored += 1
            else:
                (defaults if recording.configuration == usual else draws).append(recording)
        broken += begun
    start, size = first.cell.settings.get("space", {}), first.cell.config().search.segment_steps
    return Bank(first.cell.task, first.space, start, size, defaults, draws, broken, unscored)


def _recording(
    cell: RecordedCell,
    segments: Sequence[tuple[Mapping[str, Any], Mapping[int, Score]]],
    scored: Mapping[tuple[int, int], ClosingScores],
) -> Recording | None:
    """One constant; None where a policy of it is not scored."""
    ends = {0: (0, 0)} | {node["start_steps"] + (at := best(scores)): (node["id"], at) for node, scores in segments}
    if not scored.keys() >= set(ends.values()):
        return None
    validation = {0: cell.base}
    validation |= {node["start_steps"] + step: score for node, scores in segments for step, score in scores.items()}
    configuration = cell.space.apply(cell.space.default(), segments[0][0].get("changes", {}))
    return Recording(configuration, validation, {at: scored[place] for at, place in ends.items()})


# ---- replaying ------------------------------------------------------------------------------------------------------


class RecordedSpace(Space):
    """A space whose draws are recorded constants, each once, in one order."""

    def __init__(self, space: Space, draws: Sequence[Recording]) -> None:
        super().__init__(space.parameters)
        self._draws = iter(draws)

    def sample(self, rng: random.Random) -> dict[str, Value]:
        """The next one. Raises TooFewConstants."""
        if (recording := next(self._draws, None)) is None:
            raise TooFewConstants("the bank has no further constant")
        return dict(recording.configuration)


class RecordedWorld:
    """A world in which constants learn as they were recorded, and answer as they did. A state is a `Place`."""

    def __init__(self, order: Sequence[Recording]) -> None:
        self._default = order[0]
        self._recordings = {frozenset(each.configuration.items()): each for each in order}

    def begin(self) -> Place:
        return self._default, 0

    def step(self, state: Place, configuration: Configuration) -> Place:
        recording, steps = state
        return recording if steps else self._recordings[frozenset(configuration.items())], steps + 1

    def accuracy(self, state: Place, configuration: Configuration) -> float:
        """The last validation score until then: what the true accuracy was, nobody knows."""
        recording, steps = state
        return recording.validation[max(at for at in recording.validation if at <= steps)].value

    def entropy(self, state: Place) -> float:
        """Not recorded; no constant peer looks at it."""
        return 0.0

    def score(self, state: Place, configuration: Configuration, rng: random.Random) -> Score:
        """As recorded. Raises Fault for a checkpoint that was not."""
        recording, steps = state
        if steps not in recording.validation:
            raise Fault(f"a search trains a constant for {steps} steps, but {max(recording.validation)} are recorded")
        return recording.validation[steps]


def replay(bank: Bank, peer: str, steps: int, order: Sequence[Recording]) -> Simulation:
    """A search of so many GRPO steps by a peer that draws the constants in this order.

    Raises:
        TooFewConstants: it wants more. Fault: it trains one for longer than it was recorded.
    """
    space = RecordedSpace(bank.space, order[1:])
    searcher = make(peer, seed=0, segment_steps=bank.segment_steps, space=space)
    return Simulation(searcher, RecordedWorld(order), space, steps, segment_steps=bank.segment_steps).run()


def reported(search: Simulation) -> Place:
    """What a replayed search reports, without a soup."""
    return picked([search.skills[node.id, checkpoint.step] for node, checkpoint in finalists(search.tree, CHECKPOINTS)])


def picked(finalists: Sequence[Place]) -> Place:
    """The best by both validation sets together of those not far behind, as the controller picks."""
    leader = max(finalists, key=lambda place: _validation(place).value)
    near = [place for place in finalists if not _validation(place).trails(_validation(leader), BEHIND_ERRORS)]
    return max(near, key=lambda place: joined(_validation(place), _closing(place).reranking).value)


def best_constant(recordings: Sequence[Recording]) -> Place:
    """The policy that choosing among all that these constants came to reports."""
    ends = [(each, steps) for each in recordings for steps in each.closing if steps]
    return picked(sorted(ends, key=lambda place: -_validation(place).value)[:CHECKPOINTS])


def _validation(place: Place) -> Score:
    recording, steps = place
    return recording.validation[steps]


def _closing(place: Place) -> ClosingScores:
    recording, steps = place
    return recording.closing[steps]


def on_test(place: Place) -> Score:
    """On the test set."""
    return _closing(place).test


# ---- many replays ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Replayed:
    """Test scores of replayed searches: their mean, its standard error for that the bank is finite, and the variance
    of a single search."""

    mean: float
    error: float
    variance: float


def part_of(draws: int) -> int:
    """Orders of each resample, where the bank itself is drawn from so often."""
    return max(2, draws // 10)


def replays(bank: Bank, peer: str, steps: int, draws: int, resamples: int) -> Replayed:
    """Of `draws` orders of the bank; the error by a bootstrap over constants, `part_of` as many orders of each.

    Raises TooFewConstants where any of them wants more constants.
    """
    rng = random.Random(f"{bank.task}/{peer}")
    whole = _values(bank, peer, steps, draws, rng)
    part = part_of(draws)
    resampled = [_values(bank.resampled(rng), peer, steps, part, rng) for _ in range(resamples)]
    of_bank = variance(map(fmean, resampled)) - fmean(map(variance, resampled)) / part
    return Replayed(fmean(whole), (max(0.0, of_bank) + variance(whole) / draws) ** 0.5, variance(whole))


def _values(bank: Bank, peer: str, steps: int, draws: int, rng: random.Random) -> list[float]:
    return [on_test(reported(replay(bank, peer, steps, bank.order(rng)))).value for _ in range(draws)]

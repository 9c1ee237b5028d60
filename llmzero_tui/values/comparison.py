"""Two to four trajectories beside each other: what they are, where they part, and in which values they differ.

Made by `feeds.compare`, shown by `screens.compare`. Pure values and arithmetic: no reader, no widget, no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from llmzero_tui.format import MISSING, parameter
from llmzero_tui.values.curves import PLAIN, Axis, CurveSelection, CurveTrace
from llmzero_tui.values.nodes import LETTERS, ShownScore
from llmzero_tui.values.snapshot import StageRow

COLOURS = ("line", "wait", "good", "bad")
"""Meanings of the palette, by letter; a letter stands beside each, so that no colour says anything alone."""


@dataclass(frozen=True, slots=True)
class CompareView:
    """What the comparison looks at: the metric of the plot, its width in columns, and what of the curves is seen."""

    metric: str = "reward"
    columns: int = 60
    selection: CurveSelection = PLAIN


@dataclass(frozen=True, slots=True)
class Contender:
    """One of the trajectories. `best` is the best validation score of the node (of the run, for a run), `test` that of
    the run's result; `settings` is the run file, flat. `problem` says why there is nothing. Foreign text."""

    letter: str
    name: str
    label: str = ""
    state: str = ""
    node: int | None = None
    best: ShownScore | None = None
    test: ShownScore | None = None
    steps: int = 0
    stages: tuple[StageRow, ...] = ()
    settings: Mapping[str, str] | None = None
    trace: CurveTrace | None = None
    problem: str = ""

    @property
    def colour(self) -> str:
        return COLOURS[LETTERS.index(self.letter)]


Steps = tuple[tuple[int, str], ...]
"""A staircase: from which step on (counted from the base) which value, as text."""


@dataclass(frozen=True, slots=True)
class ParameterDifference:
    """One line of the table: a parameter, and the staircase of every contender. `asked`: a key of the run file, which
    has one value and no steps."""

    name: str
    values: tuple[Steps, ...]
    asked: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """One look at all of them. `common` are the nodes with which all begin, where they are of one run; `partings` say
    in words where they part, `apart` is that place on an axis, 0 if they have nothing in common."""

    taken: datetime
    contenders: tuple[Contender, ...]
    metrics: tuple[str, ...]
    differences: tuple[ParameterDifference, ...]
    common: tuple[int, ...] = ()
    partings: tuple[str, ...] = ()

    def apart(self, axis: Axis) -> float:
        """Where the first of them leaves the others, on an axis; 0 where they have nothing in common."""
        places = []
        for one in self.contenders:
            if one.trace is not None and one.trace.selection.axis is axis and len(one.stages) > len(self.common):
                bounds = {bound.node: bound.x for bound in one.trace.bounds}
                places.append(bounds.get(one.stages[len(self.common)].node, 0.0))
        return min(places, default=0.0) if self.common else 0.0


def shared(paths: Sequence[Sequence[StageRow]]) -> tuple[int, ...]:
    """The nodes with which all paths begin."""
    nodes = []
    for stages in zip(*paths, strict=False):
        if len({stage.node for stage in stages}) != 1:
            break
        nodes.append(stages[0].node)
    return tuple(nodes)


def partings(contenders: Sequence[Contender]) -> tuple[str, ...]:
    """For every contender but the first, where it leaves the one it has most in common with."""
    words = []
    for place, one in enumerate(contenders):
        others = [c for c in contenders[:place] if c.stages]
        if not others or not one.stages:
            continue
        other = max(others, key=lambda c: _together(c, one)[1])
        node, step = _together(other, one)
        if node is None:
            words.append(f"{one.letter} and {other.letter} have nothing in common")
        elif step <= 0:
            words.append(f"{one.letter} and {other.letter} diverge at the base model")
        elif node == one.stages[-1].node:
            words.append(f"{other.letter} continues from {one.letter}: #{node}, step {step}")
        elif node == other.stages[-1].node:
            words.append(f"{one.letter} continues from {other.letter}: #{node}, step {step}")
        else:
            words.append(f"{one.letter} branches off {other.letter} in #{node} at step {step}")
    return tuple(words)


def _together(one: Contender, other: Contender) -> tuple[int | None, int]:
    """The last node that two have in common, and the step from the base up to which they are the same."""
    common = shared([one.stages, other.stages])
    if not common:
        return None, -1
    last = len(common) - 1
    ends = [_end(c.stages[last]) for c in (one, other)]
    return common[-1], min(ends)


def _end(stage: StageRow) -> int:
    """Where a stage is left, in steps from the base."""
    return stage.start + (stage.trained if stage.left_at is None else stage.left_at)


# ---- differences -------------------------------------------------------------------------------------------------


def differences(contenders: Sequence[Contender]) -> tuple[ParameterDifference, ...]:
    """Only what differs: the hyperparameters along the trajectories, how stages begin, and the run files."""
    known = [c for c in contenders if not c.problem]
    names = list(dict.fromkeys(name for c in known for stage in c.stages for name in stage.configuration))
    rows = [_difference(name, contenders, _value(name)) for name in names]
    rows.append(_difference("reference", contenders, lambda stage: stage.reference))
    rows.append(ParameterDifference("optimizer", tuple(_resets(c.stages) for c in contenders)))
    keys = list(dict.fromkeys(key for c in known for key in c.settings or {}))
    for key in keys:
        values = tuple(((0, (c.settings or {}).get(key, MISSING)),) if not c.problem else () for c in contenders)
        rows.append(ParameterDifference(key, values, asked=True))
    problems = {place for place, c in enumerate(contenders) if c.problem}
    return tuple(d for d in rows if len({v for i, v in enumerate(d.values) if i not in problems}) > 1)


def _difference(name: str, contenders: Sequence[Contender], value: Callable[[StageRow], str]) -> ParameterDifference:
    return ParameterDifference(name, tuple(staircase(c.stages, value) for c in contenders))


def _value(name: str) -> Callable[[StageRow], str]:
    return lambda stage: parameter(stage.configuration.get(name))


def staircase(stages: Sequence[StageRow], value: Callable[[StageRow], str]) -> Steps:
    """A value along a trajectory: where it begins and where it changes. The base itself trains nothing."""
    steps: list[tuple[int, str]] = []
    for stage in stages:
        if stage.node == 0 and len(stages) > 1:
            continue
        words = value(stage)
        if not steps or steps[-1][1] != words:
            steps.append((stage.start, words))
    return tuple(steps)


def _resets(stages: Sequence[StageRow]) -> Steps:
    """Where the optimizer's state was thrown away between stages."""
    resets = [(stage.start, "reset") for stage in stages if stage.optimizer == "reset" and stage.start > 0]
    return tuple(resets) or ((0, "kept"),)


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """A run file as one text per key: `search.segment_steps` → "50". Its name is no setting."""
    flattened: dict[str, str] = {}
    for key, value in settings.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            flattened.update(flat(value, f"{name}."))
        elif name != "name":
            number = isinstance(value, int | float) and not isinstance(value, bool)
            flattened[name] = parameter(value) if number else str(value)
    return flattened

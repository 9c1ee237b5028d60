"""The plan of a comparison: tasks × strategies × seeds from one TOML file, each cell an ordinary run file.

Read by `llmzero compare`. It knows what to run and in which order; it starts nothing.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from engine.errors import UserError, one_line, short_name
from engine.run.config import RunConfig
from engine.run.section import RunFileSection, explain
from tasks import registry
from tasks.base import TaskError, TaskNotFound

SIZES = {"validation_prompts": 256, "rerank_prompts": 512, "test_prompts": 1024}
"""Prompts that a comparison asks where its plan says nothing: the same of every strategy, whatever time they take."""
LABEL = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,23}$"
LONGEST_NAME = 64
AWAY = 10_000
"""Between the seed of a search and those of its replays."""
OWN = {
    "name": "runs are called after plan, task, strategy and seed",
    "task.name": "`tasks` names them",
    "search.seed": "`seeds` names them",
    "search.strategy": "[strategies.LABEL] strategy names it",
    "gate": "nobody waits for a cell, so its gate is open",
}
"""Keys of a run file that a plan sets itself, and from what."""

Seed = Annotated[int, Field(strict=True, ge=0, lt=2**31)]


class StrategyEntry(RunFileSection):
    """[strategies.LABEL]: one strategy of the comparison."""

    strategy: str
    """A strategy of the run file: llmzero, continue, …"""
    settings: dict[str, Any] = Field(default_factory=dict)
    """The strategy's own settings, as [search.settings] of a run file."""
    seeds: list[Seed] | None = Field(default=None, min_length=1)
    """Seeds of this strategy, where it does not get all of the plan's."""
    tasks: list[str] | None = Field(default=None, min_length=1)
    """Tasks of this strategy, where it does not get all of the plan's."""
    against: str | list[str] = ""
    """Label of the strategy it is held against in the report, or several; empty is the first of the plan."""
    run: dict[str, Any] = Field(default_factory=dict)
    """Keys of a run file that differ for this strategy, e.g. run.search.comparator = "off"."""

    @property
    def references(self) -> list[str]:
        """Labels in `against`; none where it says nothing."""
        given = self.against if isinstance(self.against, list) else [self.against]
        return list(dict.fromkeys(filter(None, given)))


class ComparisonPlan(RunFileSection):
    """A whole plan file."""

    name: str = Field(pattern=LABEL)
    """Begins the name of every run; without one, the file's name."""
    tasks: list[str] = Field(min_length=1)
    """Tasks, most wanted first."""
    seeds: list[Seed] = Field(min_length=1)
    """Seeds, below 10,000 where there are replays; cells with the first one are run first."""
    start: Literal["default", "random"] = "default"
    """Where all strategies begin: at the defaults of the space, or, for each task and seed, at one draw from it."""
    replays: int = Field(default=0, ge=0, le=100)
    """How often the schedule that a cell found is trained again, each time on a seed that no search saw."""
    strategies: dict[str, StrategyEntry] = Field(min_length=1)
    """Strategies by label, most wanted first."""
    run: dict[str, Any] = Field(default_factory=dict)
    """What all runs have in common: a run file without name, task, seed and strategy."""
    task: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """[task.NAME]: keys of a run file that differ for one task."""

    @model_validator(mode="after")
    def _no_cell_comes_twice(self) -> Self:
        kinds: tuple[tuple[str, Sequence[object]], ...] = (("tasks", self.tasks), ("seeds", self.seeds))
        for name, given in kinds:
            for each in given:
                if given.count(each) > 1:
                    raise ValueError(f"{name} has {each!r} twice; each cell is run once")
        if self.replays and max(self.seeds) >= AWAY:
            raise ValueError(f"seeds has {max(self.seeds)}, but replays = {self.replays} needs seeds below {AWAY}")
        return self

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        for label, entry in self.strategies.items():
            if not re.match(LABEL, label):
                raise ValueError(f"[strategies.{label}]: letters, digits, '.', '_' and '-' are allowed, at most 24")
            if label in entry.references:
                raise ValueError(f"[strategies.{label}] against = {label!r}: is the strategy itself; name another")
            if unknown := set(entry.references) - self.strategies.keys():
                raise ValueError(f"[strategies.{label}] against = {min(unknown)!r}, which is no strategy of the plan")
            for kind, given, known in (("task", entry.tasks, self.tasks), ("seed", entry.seeds, self.seeds)):
                for each in given or ():
                    if each not in known:
                        raise ValueError(f"[strategies.{label}] has {kind} {each!r}, which is not in {kind}s")
        for name in self.task:
            if name not in self.tasks:
                raise ValueError(f"[task.{name}] is not in tasks")
        return self

    @property
    def tables(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Every table with keys of a run file, by its name in the file."""
        yield "run", self.run
        yield from ((f"task.{name}", table) for name, table in self.task.items())
        yield from ((f"strategies.{label}.run", entry.run) for label, entry in self.strategies.items())


@dataclass(frozen=True)
class ComparisonCell:
    """One run of the comparison.

    Attributes:
        plan: name of the plan. strategy: label of the strategy.
        settings: the run file as far as the plan lays it down, without name and seed.
    """

    plan: str
    task: str
    strategy: str
    seed: int
    settings: Mapping[str, Any]

    @property
    def title(self) -> str:
        """For messages, e.g. "ladder/ours/101"."""
        return f"{self.task}/{self.strategy}/{self.seed}"

    @property
    def key(self) -> tuple[str, str, int]:
        return self.task, self.strategy, self.seed

    @cached_property
    def settings_hash(self) -> str:
        """Of everything the plan says about this cell but the seed: cells of another hash are not comparable."""
        return _digest(self.settings)

    @property
    def run_name(self) -> str:
        """Name of the run's directory, of at most 64 characters: of another cell it is another."""
        task = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(self.task.partition(":")[0]).stem).strip("._-")[:16]
        name = f"{self.plan[:12].rstrip('-._')}-{task}-{self.strategy}-{self.seed}-{self.settings_hash[:6]}"
        if len(name) <= LONGEST_NAME:
            return name
        whole = _digest([self.plan, *self.key, self.settings_hash])
        return f"{name[: LONGEST_NAME - len(whole) - 1]}-{whole}"

    def config(self) -> RunConfig:
        """The run file. Raises UserError: one line with the cell, the key and what is allowed."""
        data = merged({"evaluation": SIZES}, self.settings)
        data = merged(data, {"name": self.run_name, "search": {"seed": self.seed}})
        try:
            return RunConfig.model_validate(data)
        except ValidationError as error:
            raise UserError(f"{self.title}: {explain(error, RunConfig)}") from error


def load(path: Path) -> ComparisonPlan:
    """Read a plan file.

    Raises:
        UserError: one line naming the file, the key, the value and what is allowed.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not TOML: {one_line(str(error))}") from error
    data.setdefault("name", re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).lstrip("._-")[:24])
    try:
        plan = ComparisonPlan.model_validate(data)
    except ValidationError as error:
        raise UserError(f"{path}: {explain(error, ComparisonPlan)}") from error
    for name, table in plan.tables:
        for key, where in OWN.items():
            if _has(table, key):
                raise UserError(f"{path}: [{short_name(name)}] {key}: a plan sets it itself; {where}")
    return plan


def _digest(value: object) -> str:
    """Ten hexadecimal digits."""
    text = json.dumps(value, sort_keys=True, default=str)  # a date, which no run file takes
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _has(table: Mapping[str, Any], key: str) -> bool:
    """Whether a dotted key is given, or something that is no table stands where its table would."""
    first, _, rest = key.partition(".")
    if first not in table:
        return False
    return not rest or not isinstance(table[first], Mapping) or _has(table[first], rest)


def cells(plan: ComparisonPlan) -> Iterator[ComparisonCell]:
    """Every run, most wanted first: all strategies with the first seed of each task, then with the second, …

    However far the plan has come, the strategies have been measured about equally often.
    """
    for seed in plan.seeds:
        for task in plan.tasks:
            common = _common(plan, task, seed)
            for label, entry in plan.strategies.items():
                if (entry.tasks is None or task in entry.tasks) and (entry.seeds is None or seed in entry.seeds):
                    yield ComparisonCell(plan.name, task, label, seed, _settings(common, task, entry))


def _common(plan: ComparisonPlan, task: str, seed: int) -> dict[str, Any]:
    """What all strategies of one task and seed have in common."""
    common = merged(plan.run, plan.task.get(task, {}))
    if plan.start == "default":
        return common
    only_task = ComparisonCell(plan.name, task, "start", seed, merged(common, {"task": {"name": task}}))
    return merged(common, {"space": _drawn_defaults(only_task)})


def _drawn_defaults(cell: ComparisonCell) -> dict[str, Any]:
    """[space] tables with a value drawn for each hyperparameter that the search may change; one that only rises begins
    where its task lets it begin."""
    try:
        space = cell.config().build_space(registry.get(cell.task).space())
    except (TaskError, TaskNotFound) as error:
        raise UserError(f"{cell.title}: {error}") from error
    rng = random.Random(cell.title)
    return {p.name: {"default": p.sample(rng)} for p in space if not (p.fixed or p.rising)}


def _settings(common: Mapping[str, Any], task: str, entry: StrategyEntry) -> dict[str, Any]:
    own = {"task": {"name": task}, "search": {"strategy": entry.strategy, "settings": entry.settings}}
    return merged(merged(common, entry.run), own)


def merged(below: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Nested tables with those of `over` written over them, key by key."""
    result = dict(below)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if both else value
    return result

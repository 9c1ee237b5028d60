"""Replays a strategy file: the schedule as a comparison of runs on seeds that its search never saw, beside plain GRPO.

Read by `llmzero replay`. It knows how a schedule is carried to another model; it starts nothing.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.analysis.strategy import FORMAT
from engine.compare.plan import ComparisonPlan, StrategyEntry, merged
from engine.domain.hyperparameters import LORA_RATE
from engine.domain.parameters import Parameter
from engine.domain.space import Space, Value
from engine.errors import UserError, one_line, short, short_name
from engine.host.model_files import ModelFiles
from engine.run.config import RunConfig, SearchSection
from engine.run.section import explain
from engine.run.strategies import ScheduleStage
from tasks.base import Split, Task

REPLAY, PLAIN = "replay", "plain"
"""The strategies of the comparison: the schedule, and the default configuration for as many steps."""
OWN = {
    "name": "its runs are called after the schedule",
    "budget": "it is the steps of the schedule; --scale steps=0.5 trains half of them",
    "search.seed": "--seed SEED gives it",
    "search.strategy": "its strategies are replay and fixed",
    "search.settings": "they are the stages of the schedule",
    "search.segment_steps": "segments end where stages do",
    "search.comparator": "a schedule is trained as it is",
    "advisor": "nobody is asked",
    "gate": "nobody waits for a replay, so its gate is open",
}
"""Keys of a run file that a replay sets itself, and what to do instead."""
SAMPLED_PROMPTS = 64
SEGMENT_STEPS: int = SearchSection.model_fields["segment_steps"].default
RATE, LENGTH = "learning_rate", "max_completion_length"
STEPS = "steps"
"""The name by which a user scales the steps of every stage; no hyperparameter has it."""


class FileTable(BaseModel):
    """A table of a strategy file; what a replay does not need is passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class StageTable(FileTable):
    """[[stage]]: see `ScheduleStage`."""

    steps: int = Field(ge=1)
    configuration: dict[str, bool | int | float | str]
    optimizer: str
    reference: str
    rationale: str = ""


class StrategyFile(FileTable):
    """A strategy file as far as a replay needs it."""

    format: int
    run: str
    task: str
    base: str
    found_by: dict[str, Any]
    run_file: dict[str, Any]
    scores: dict[str, dict[str, float]] = Field(default_factory=dict)
    stage: list[StageTable] = Field(min_length=1)

    @property
    def steps(self) -> int:
        """GRPO steps of all stages."""
        return sum(stage.steps for stage in self.stage)

    def scaled(self, factor: float) -> StrategyFile:
        """The same stages with a number of steps times `factor`, at least one each."""
        stages = [stage.model_copy(update={"steps": max(1, round(stage.steps * factor))}) for stage in self.stage]
        return self.model_copy(update={"stage": stages})

    @property
    def seeds_seen(self) -> frozenset[int]:
        """Run seeds that the search has used."""
        return frozenset({int(self.found_by.get("seed") or 0)})


def parse(text: str, source: str) -> StrategyFile:
    """Read a strategy file.

    Raises:
        UserError: one line naming the source and what is wrong: no TOML, another version, no stages.
    """
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{source}: not TOML: {one_line(str(error))}") from error
    if "stage" not in data or "format" not in data:
        raise UserError(f"{source} is no strategy file: it has no format and no [[stage]]")
    if data["format"] != FORMAT:
        raise UserError(
            f"{source} has format {short(data['format'])}, this version replays format {FORMAT}: write it again with "
            "`llmzero export`, or replay the run itself by its name"
        )
    try:
        return StrategyFile.model_validate(data)
    except ValidationError as error:
        raise UserError(f"{source}: {explain(error, StrategyFile)}") from error


@dataclass(frozen=True, slots=True)
class TargetChanges:
    """What a replay trains otherwise than its search did.

    Attributes:
        model: directory or hub id, "" for the schedule's base. task: name, "" for the schedule's.
        settings: dotted keys of the run file with their values. scale: hyperparameter → factor on every stage's value.
        without: hyperparameters of the schedule that are left at the target's default.
    """

    model: str = ""
    task: str = ""
    settings: Mapping[str, Any] | None = None
    scale: Mapping[str, float] | None = None
    without: tuple[str, ...] = ()


def run_file(strategy: StrategyFile, changes: TargetChanges) -> dict[str, Any]:
    """The run file of a replay, without name, seed and strategy. Raises UserError for a key that it sets itself."""
    data: dict[str, Any] = merged({"model": {"path": strategy.base}}, strategy.run_file)
    over: dict[str, Any] = {"task": {"name": changes.task or data.get("task", {}).get("name", strategy.task)}}
    if changes.model:
        over["model"] = {"path": changes.model}
    for key, value in (changes.settings or {}).items():
        if remedy := _remedy(key):
            raise UserError(f"--set {short_name(key)}: a replay sets it itself; {remedy}")
        over = merged(over, _nested(key, value))
    return merged(merged(data, over), {**as_it_is(data, strategy.steps), "advisor": {"kind": "rules"}})


def as_it_is(settings: Mapping[str, Any], steps: int) -> dict[str, Any]:
    """The tables by which a run file trains a schedule of so many steps as it is: no segment is longer, none is stopped
    for another."""
    segment = settings.get("search", {}).get("segment_steps", SEGMENT_STEPS)
    return {"budget": {"steps": steps}, "search": {"segment_steps": min(segment, steps), "comparator": "off"}}


def _remedy(key: str) -> str:
    """What to do instead of setting a key that a replay sets itself, or a table with such keys; "" for any other."""
    dotted = f"{key}."
    return next((how for own, how in OWN.items() if dotted.startswith(f"{own}.") or own.startswith(dotted)), "")


def _nested(key: str, value: Any) -> dict[str, Any]:
    for part in reversed(key.split(".")):
        value = {part: value}
    return dict(value)


@dataclass(frozen=True, slots=True)
class CarriedParameter:
    """How one hyperparameter of a schedule comes to the target.

    Attributes:
        values: of the stages, as found and as they will be trained. factor: between them; 1 carries them as they are.
        why: the rule and its source.
    """

    name: str
    values: tuple[tuple[Value, Value], ...]
    factor: float
    why: str


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What the rules of a transfer ask of a model: hidden size (0: unknown), LoRA rank (0: all weights), and tokens of
    a sample of the task's prompts (0: unknown)."""

    width: int
    lora: int
    tokens: int


def facts(model: ModelFiles | None, task: Task, config: RunConfig) -> ModelFacts:
    """Of a model whose files are here, or None."""
    rank = config.training.lora.rank
    if model is None:
        return ModelFacts(0, rank, 0)
    prompts = [item.prompt for item in task.items(Split.TRAIN, SAMPLED_PROMPTS)]
    return ModelFacts(model.width, rank, sum(model.count(text) or 0 for text in prompts))


def carried(
    strategy: StrategyFile, space: Space, source: ModelFacts, target: ModelFacts, changes: TargetChanges
) -> list[CarriedParameter]:
    """Every hyperparameter of the schedule with its rule, in the order of the target's space.

    Raises:
        UserError: the target lacks a hyperparameter or does not allow its name, or a name to scale or to leave out is
            unknown.
    """
    named = {name for stage in strategy.stage for name in stage.configuration}
    names, scale = named - set(changes.without), changes.scale or {}
    lacking = sorted(name for name in names if name not in space)
    if lacking:
        raise UserError(
            f"the target has no hyperparameter {', '.join(map(short_name, lacking))}, which the schedule of "
            f"{short_name(strategy.run)} sets: leave it out with --without {short_name(lacking[0])}"
        )
    for option, known, given in (("scale", names, scale), ("without", named, changes.without)):
        for name in given:
            if name not in known:
                there = _listed(known | ({STEPS} if option == "scale" else set()))
                raise UserError(
                    f"--{option} {short_name(name)}: the schedule has no such hyperparameter; it has {there}"
                )
    return [_carry(strategy, space, p.name, *_rule(p.name, source, target, scale)) for p in space if p.name in names]


def _listed(names: set[str]) -> str:
    return ", ".join(map(short_name, sorted(names)))


def _carry(strategy: StrategyFile, space: Space, name: str, factor: float, why: str) -> CarriedParameter:
    values = [stage.configuration[name] for stage in strategy.stage if name in stage.configuration]
    pairs = [(before, _carried(space[name], before, factor)) for before in values]
    if any(_is_beyond(space[name], before * factor) for before in values if not isinstance(before, bool | str)):
        why += f"; held within {space[name].allowed.removeprefix('a whole number, ')}"
    return CarriedParameter(name, tuple(pairs), factor, why)


def _is_beyond(parameter: Parameter, value: float) -> bool:
    """Whether more than rounding lies between a value and what is allowed."""
    if parameter.choices:
        return value not in parameter.choices
    return not (parameter.low <= value <= parameter.high or (parameter.zero and value == 0))


def _carried(parameter: Parameter, value: Value, factor: float) -> Value:
    """The value as the target has it. Raises UserError for a name or a truth value that it does not allow, or that is
    to be scaled."""
    if isinstance(value, bool | str):
        if factor != 1 or not parameter.allows(value):
            raise UserError(
                f"{parameter.name} = {short(value)} of the schedule cannot be carried over; allowed: "
                f"{parameter.allowed}; leave it out with --without {parameter.name}"
            )
        return value
    return value if factor == 1 and parameter.allows(value) else parameter.nearest(value * factor)


def _rule(name: str, source: ModelFacts, target: ModelFacts, scale: Mapping[str, float]) -> tuple[float, str]:
    """The factor on a hyperparameter and where it comes from."""
    if name in scale:
        return scale[name], "as you asked"
    if name == RATE:
        return _rate(source, target)
    if name == LENGTH and source.tokens and target.tokens and source.tokens != target.tokens:
        ratio = target.tokens / source.tokens
        return ratio, f"tokens of the prompts {source.tokens} → {target.tokens}"
    return 1, "as it is"


def _rate(source: ModelFacts, target: ModelFacts) -> tuple[float, str]:
    if bool(source.lora) != bool(target.lora):
        factor = LORA_RATE if target.lora else 1 / LORA_RATE
        return factor, "an adapter wants 10 times the rate (docs/lora.md)"
    if not source.lora and source.width and target.width and source.width != target.width:
        why = f"hidden size {source.width} → {target.width} (arXiv 2203.03466)"
        return source.width / target.width, why
    return 1, "as it is" if target.width else "as it is: the model is not here, its hidden size unknown"


def schedule(strategy: StrategyFile, parameters: Sequence[CarriedParameter]) -> tuple[ScheduleStage, ...]:
    """The stages as the target trains them."""
    values = {p.name: iter([after for _, after in p.values]) for p in parameters}
    stages = []
    for stage in strategy.stage:
        configuration = {name: next(values[name]) for name in stage.configuration if name in values}
        stages.append(ScheduleStage.model_validate({**stage.model_dump(), "configuration": configuration}))
    return tuple(stages)


def departs(stages: Sequence[ScheduleStage], space: Space) -> bool:
    """Whether a schedule is anything but plain GRPO: the default trained on, Adam kept, the base as reference."""
    default = space.default()
    return any(
        stage.optimizer != "keep"
        or stage.reference == "branch point"
        or space.apply(default, stage.configuration) != default
        for stage in stages
    )


def plan(
    strategy: StrategyFile, base: Mapping[str, Any], stages: Sequence[ScheduleStage], seeds: Sequence[int], space: Space
) -> ComparisonPlan:
    """The comparison: the schedule on every seed and, where it departs from that, plain GRPO of as many steps."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", f"replay-{strategy.run}")[:24].strip("._-")
    task = str(base["task"]["name"])
    common = {key: value for key, value in base.items() if key != "task"}
    own = {key: value for key, value in base["task"].items() if key != "name"}
    tables = [stage.model_dump(mode="json") for stage in stages]
    return ComparisonPlan(
        name=name,
        tasks=[task],
        seeds=list(seeds),
        strategies={REPLAY: StrategyEntry(strategy="replay", settings={"stages": tables})}
        | ({PLAIN: StrategyEntry(strategy="fixed")} if departs(stages, space) else {}),
        run=merged(common, {"task": own}) if own else common,
    )


def unseen_seeds(strategy: StrategyFile, number: int) -> list[int]:
    """The first so many run seeds that the search has not used."""
    return list(_unseen(strategy.seeds_seen, number))


def _unseen(seen: frozenset[int], number: int) -> Iterator[int]:
    seed = max(seen, default=0)
    for _ in range(number):
        seed = (seed + 1) % 2**31
        yield seed


def check_seeds(strategy: StrategyFile, seeds: Sequence[int]) -> None:
    """Raises UserError for a seed that the search has used: its score there is no evidence."""
    if seen := sorted(set(seeds) & strategy.seeds_seen):
        raise UserError(f"seed {seen[0]} is the search's own: a replay on it would not be on unseen prompts")


def is_factor(value: float) -> bool:
    """Whether a hyperparameter can be scaled by it."""
    return math.isfinite(value) and value > 0

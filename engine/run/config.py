"""The run file: what a user asks for, as pydantic models with every default.

Read by the command line (check, run, new) and by the engine at start. Knows the shape and the ranges of single keys;
what needs the task, the model or the machine is checked in `engine.run.preflight`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import tomli_w
from pydantic import Field, JsonValue, ValidationError, field_validator, model_validator

from engine.domain.hyperparameters import PROMPTS
from engine.domain.parameters import numeric
from engine.domain.proposals import GateMode
from engine.domain.space import Space
from engine.domain.trl_fields import TEMPLATE_ARGUMENTS, not_in_table
from engine.errors import UserError, one_line, short_path
from engine.files import whole
from engine.run.advisor_section import AdvisorSection
from engine.run.section import RunFileSection, explain
from engine.run.strategies import SETTINGS
from engine.run.tracking_section import TrackingSection
from engine.run.training_section import ExecutorSection, TrainingSection, with_todays_names

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"


class TaskSection(RunFileSection):
    """[task]: what is trained for."""

    name: str = Field(min_length=1)
    """A name that `llmzero tasks` lists, or your own file: "my_task.py:MyTask"."""
    on_error: Literal["zero", "fail"] = "zero"
    """A completion that the task cannot score, once the run has begun: "zero" counts it as 0, shows how many there are,
    and fails when they are most of a step; "fail" ends the segment at the first."""


class ModelSection(RunFileSection):
    """[model]: the policy before training."""

    path: str = ""
    """A directory or a hub id such as "Qwen/Qwen3-0.6B"; empty takes the base shipped with the task."""
    run: str = Field(default="", max_length=200)
    """Instead of a path the policy of an old run: "RUN" is the one that it reports, "RUN#7" node 7. It is copied."""
    chat: bool = True
    """Whether prompts go through the model's chat template, where it has one; false gives them as plain text."""
    system_prompt: str = Field(default="", max_length=100_000)
    """Content of a system message before every prompt that does not begin with one; empty for none."""
    chat_template_kwargs: dict[str, JsonValue] = Field(default_factory=dict)
    """More variables of the chat template, e.g. {enable_thinking = false}."""

    @field_validator("chat_template_kwargs")
    @classmethod
    def _kwargs_are_the_templates(cls, table: dict[str, JsonValue]) -> dict[str, JsonValue]:
        if taken := sorted(table.keys() & TEMPLATE_ARGUMENTS):
            raise ValueError(f"{taken[0]} is set by the engine; give variables of the template only")
        return table

    @model_validator(mode="after")
    def _chat_is_on(self) -> Self:
        if not self.chat and (self.system_prompt or self.chat_template_kwargs):
            raise ValueError("system_prompt and chat_template_kwargs need chat = true")
        if self.run and self.path:
            raise ValueError("path and run both name the base; give one of them")
        return self


MOST = 1_000_000_000
"""No limit of a budget is larger."""
OTHER_LIMITS = ("gpu_hours", "minutes", "nodes")


class BudgetSection(RunFileSection):
    """[budget]: the run ends at whichever limit is reached first; 0 means no limit, at least one must be set."""

    steps: int = Field(default=2000, ge=0, le=MOST)
    """GRPO steps over the whole tree; without this line 0 where another limit is set."""
    gpu_hours: float = Field(default=0, ge=0, le=MOST)
    """Hours of training of each worker, summed; scoring and set-up not counted, whatever number of GPUs it has."""
    minutes: float = Field(default=0, ge=0, le=MOST)
    """Wall-clock minutes since the engine began, excluding pauses and downtime."""
    nodes: int = Field(default=0, ge=0, le=MOST)
    """Segments, failed ones included."""

    @model_validator(mode="before")
    @classmethod
    def _default_where_nothing_else_ends_it(cls, given: Any) -> Any:
        if isinstance(given, dict) and "steps" not in given and any(given.get(name) for name in OTHER_LIMITS):
            return {**given, "steps": 0}
        return given

    @model_validator(mode="after")
    def _some_limit(self) -> Self:
        if not (self.steps or self.gpu_hours or self.minutes or self.nodes):
            raise ValueError("all four limits are 0; set at least one of steps, gpu_hours, minutes, nodes")
        return self


class SearchSection(RunFileSection):
    """[search]: how the tree grows."""

    strategy: Literal[
        "llmzero", "continue", "fixed", "grid", "random", "topk", "tpe", "cmaes", "asha", "hyperband", "pbt", "adarft",
        "skill", "keep-only", "random-changes", "replay",
    ] = "llmzero"  # fmt: skip
    """llmzero, or a strategy to compare it with: docs/compare.md describes each."""
    segment_steps: int = Field(default=50, ge=1, le=100_000)
    """GRPO steps of one segment. The last one of a budget also takes what is left where that is too little for another:
    less than a quarter of a segment, or fewer than eight steps."""
    roots: int = Field(default=4, ge=1, le=16)
    """Diverse first segments that race from the base, at most: a budget has one for every seven of its segments, two at
    least, and below six only one. Free workers then begin more, unless it is 1: up to one for each worker and for every
    four segments."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    """Seed of every random draw of the run; the same seed gives the same prompts and the same first segments."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """More of the strategy's own settings by name, e.g. race_segments = 4; engine/run/strategies.py explains each."""
    comparator: Literal["on", "shadow", "off"] = "on"
    """Stops collapsing segments early; "shadow" logs what it would have stopped and stops nothing. Strategies with one
    branch (fixed, adarft, skill, replay) are in shadow where it is on."""
    no_signal: Literal["auto", "pause", "stop", "go-on"] = "auto"
    """What happens when every group of completions of the first segments got equal rewards, so that nothing can be
    learned: pause, stop as failed, or continue; auto pauses where the gate waits for a human, and stops elsewhere."""

    @model_validator(mode="after")
    def _settings_fit(self) -> Self:
        try:
            SETTINGS[self.strategy].model_validate(self.settings)
        except ValidationError as error:
            raise ValueError(f"settings of {self.strategy}: {explain(error, SETTINGS[self.strategy])}") from error
        return self


LEAST_PROMPTS = 8
"""Fewer prompts tell nothing."""


class EvaluationSection(RunFileSection):
    """[evaluation]: sizes of the prompt sets, and how often checkpoints are scored."""

    share: float = Field(default=0.15, ge=0.01, le=0.5)
    """Share of the workers' time that scoring policies may take: sizes that are 0 follow from it and from the budget
    (docs/search.md). A size that you give is asked, whatever it takes."""
    validation_prompts: int = Field(default=0, ge=0, le=100_000)
    """Prompts of the set that steers the search, 0: 64 to 256 by `share`; its standard error near .5 is .5/sqrt(n)."""
    first_look: int = Field(default=0, ge=0, le=100_000)
    """Prompts of a first look at a checkpoint; the others are asked where that calls for it. 0: a quarter of
    validation_prompts where those follow from `share`, all of them at once where they are given."""
    rerank_prompts: int = Field(default=0, ge=0, le=100_000)
    """Prompts of the second validation set, on which the best are compared at the end, 0: 64 to 512 by `share`."""
    test_prompts: int = Field(default=0, ge=0, le=100_000)
    """Prompts of the test set, 0: 256 to 1024 by `share`. A policy is measured on it once, when it is picked to be
    reported."""
    checkpoints: int = Field(default=2, ge=1, le=100)
    """Checkpoints of a segment, evenly spaced, the last at its end; each is scored and can be branched from."""
    max_completion_length: int = Field(default=0, ge=0, le=131_072)
    """Tokens that an answer may have when it is scored, the same all through a run; 0 takes the largest
    max_completion_length of the space."""
    batch_size: int = Field(default=0, ge=0, le=100_000)
    """Prompts answered at once, halved for as long as memory runs out; 0 takes 256, or as many as keep their keys and
    values below 4 GiB. Sampled answers depend on it."""
    temperature: float = Field(default=1.0, gt=0, le=10)
    """Temperature of the sampled answer to each prompt, the same all through a run; the other answer is greedy."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Tokens of the sampled answer come from the most likely ones that together have this probability; 1: all."""
    top_k: int = Field(default=0, ge=0, le=1_000_000)
    """Tokens of the sampled answer come from so many of the most likely ones; 0: all."""
    soup: bool = True
    """Whether the mean of the last checkpoints' weights is one more candidate at the end."""

    @property
    def sampling(self) -> dict[str, float]:
        """How the sampled answers are drawn, by the names that Transformers and vLLM share."""
        return {"temperature": self.temperature, "top_p": self.top_p, "top_k": self.top_k}

    @field_validator("validation_prompts", "first_look", "rerank_prompts", "test_prompts")
    @classmethod
    def _enough_to_compare(cls, value: int) -> int:
        if 0 < value < LEAST_PROMPTS:
            raise ValueError(f"must be 0, or a whole number from {LEAST_PROMPTS} to 100000")
        return value

    @model_validator(mode="after")
    def _a_look_is_at_part(self) -> Self:
        if 0 < self.validation_prompts < self.first_look:
            raise ValueError(
                f"first_look = {self.first_look}: must be at most validation_prompts, {self.validation_prompts}"
            )
        return self


SAMPLING = EvaluationSection().sampling
"""How answers are sampled unless the run file says otherwise: from the policy as it is."""


class GateSection(RunFileSection):
    """[gate]: whether a transition waits for the human."""

    mode: GateMode = "auto"
    """auto: never waits. timeout: goes ahead after `seconds`. manual: waits until approved, edited or rejected."""
    seconds: float = Field(default=120, gt=0, le=86_400)
    """Seconds a transition waits for the human when mode is "timeout"."""


class RunConfig(RunFileSection):
    """A whole run file."""

    name: str = Field(pattern=NAME_PATTERN)
    """Names the run's directory; letters, digits, '.', '_', '-'. Without one: the task and the time."""
    task: TaskSection
    model: ModelSection = ModelSection()
    budget: BudgetSection = BudgetSection()
    search: SearchSection = SearchSection()
    evaluation: EvaluationSection = EvaluationSection()
    space: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Ranges of hyperparameters that differ from the task's; see `engine.domain.space.Space.build`."""
    advisor: AdvisorSection = AdvisorSection()
    gate: GateSection = GateSection()
    training: TrainingSection = TrainingSection()
    executor: ExecutorSection = ExecutorSection()
    tracking: TrackingSection = TrackingSection()
    trl: dict[str, JsonValue] = Field(default_factory=dict)
    """Other fields of trl.GRPOConfig by TRL's names, for every segment, such as adam_beta2 = 0.95. `check` holds
    them against TRL; those that the engine sets itself are refused."""

    @model_validator(mode="before")
    @classmethod
    def _names_are_todays(cls, data: Any) -> Any:
        return with_todays_names(data) if isinstance(data, Mapping) else data

    @model_validator(mode="after")
    def _micro_batch_divides(self) -> Self:
        batch, size = self.training.batch_size, self.training.micro_batch
        if size and batch % size and PROMPTS not in self.space:
            raise ValueError(
                f"training.micro_batch = {size} does not divide training.batch_size = {batch}; use a divisor, or 0 for "
                "the whole batch"
            )
        return self

    @model_validator(mode="after")
    def _several_processes_fit(self) -> Self:
        processes, training = self.executor.processes, self.training
        if processes == 1:
            return self
        asked = f"executor.gpus_per_worker = {processes}"
        if training.fsdp and (training.lora.rank or training.optimizer != "adamw"):
            raise ValueError('training.fsdp = true needs training.lora.rank = 0 and training.optimizer = "adamw"')
        if training.batch_size % processes and PROMPTS not in self.space:
            raise ValueError(f"{asked} does not divide training.batch_size = {training.batch_size}")
        if training.dynamic_sampling:
            raise ValueError(f"{asked} needs training.dynamic_sampling = 0")
        if training.vllm.mode != "off":
            raise ValueError(f'{asked} needs training.vllm.mode = "off"')
        return self

    @field_validator("trl")
    @classmethod
    def _trl_is_not_ours(cls, table: dict[str, JsonValue]) -> dict[str, JsonValue]:
        for name, value in table.items():
            if why := not_in_table(name, value):
                raise ValueError(why)
        return table

    @model_validator(mode="after")
    def _one_worker_a_server(self) -> Self:
        if self.training.vllm.mode == "server" and self.executor.workers > 1:
            raise ValueError(
                f'executor.workers = {self.executor.workers} needs training.vllm.mode = "colocate" or "off": a vLLM '
                "server holds the weights of one worker; use 1"
            )
        return self

    def build_space(self, suggested: Mapping[str, Mapping[str, Any]]) -> Space:
        """What the search may change, from the task's suggestion and [space]. Raises UserError: see `Space.build`."""
        training = self.training
        space = Space.build(self.space, suggested, batch_size=training.batch_size, rate=training.lora.rate_factor)
        if training.lora.rank and "sync_ref_model" in space and space["sync_ref_model"].allows(True):
            raise UserError(
                "[space.sync_ref_model] needs training.lora.rank = 0: TRL does not synchronize the reference of an "
                "adapter; leave it out, or set fixed = false"
            )
        self._every_batch_divides(space)
        return space

    def _every_batch_divides(self, space: Space) -> None:
        """Raises UserError for a batch of the space that the processes of a worker cannot share."""
        processes = self.executor.processes
        for prompts in space[PROMPTS].choices if PROMPTS in space else ():
            for group in space["num_generations"].choices:
                if (batch := numeric(prompts) * numeric(group)) % processes:
                    raise UserError(
                        f"[space.{PROMPTS}] {prompts}: with num_generations {group} a batch has {batch} completions, "
                        f"which executor.gpus_per_worker = {processes} does not divide"
                    )

    def evaluation_length(self, space: Space, otherwise: int = 0) -> int:
        """Tokens that an answer may have when it is scored; `otherwise` where neither key nor space say it."""
        return self.evaluation.max_completion_length or space.longest_completion(otherwise)

    def to_toml(self) -> str:
        """The run file with every default written out; `parse` of it gives an equal configuration."""
        return tomli_w.dumps(self.model_dump(mode="json"))


_NAME_LINE = re.compile(r"""^name[ \t]*=[ \t]*("[^"\n]*"|'[^'\n]*')""", re.MULTILINE)


def load(path: Path, *, default_name: str | None = None) -> RunConfig:
    """Read a run file. `default_name` names a run whose file gives no name.

    Raises:
        UserError: one line naming the file, the key, the value and what is allowed.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"{short_path(path)}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a text file (UTF-8 expected at byte {error.start})") from error
    return parse(text, source=str(path), default_name=default_name)


def parse(text: str, *, source: str = "run file", default_name: str | None = None) -> RunConfig:
    """Read the text of a run file; see `load`."""
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also integers of thousands of digits, and endless nesting
        raise UserError(f"{source}: not TOML: {one_line(str(error))}") from error
    if default_name is not None:
        data.setdefault("name", default_name)
    try:
        return RunConfig.model_validate(data)
    except ValidationError as error:
        raise UserError(f"{source}: {explain(error, RunConfig)}") from error


def rename(path: Path, name: str) -> bool:
    """Let a run file name its run as its directory is called now; everything else in it stays as it is.

    Returns:
        Whether it does: one that is not there, or writes its name in a way of its own, is left alone.
    """
    if not path.is_file():
        return False
    text = path.read_text(encoding="utf-8")
    changed = _NAME_LINE.sub(lambda _: tomli_w.dumps({"name": name}).rstrip(), text, count=1)
    if tomllib.loads(changed) != {**tomllib.loads(text), "name": name}:
        return False
    with whole(path) as file:
        file.write(changed.encode())
    return True

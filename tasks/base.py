"""What a task is: prompts for three disjoint splits, and an exact verifier.

A task is asked by the trainer (prompts, rewards), by the evaluator (correctness) and by the command line
(`llmzero tasks`). It must not import torch: listing tasks is instant. It must not evaluate model output as
code.
"""

from __future__ import annotations

import copy
import hashlib
import random
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Split(StrEnum):
    """The three disjoint sets of prompts: gradient steps, search decisions, the one reported measurement."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


class TaskError(Exception):
    """A task's own fault (an exception, a NaN, a wrong type in scoring): names task, item and completion."""


class TaskNotFound(Exception):
    """No task of that name, or no such class in a user's file; the message is one line with what is known."""


@dataclass(frozen=True, slots=True)
class Item:
    """One prompt with what its verifier needs. `data` holds JSON values only: items cross processes.

    `messages`: the prompt as a chat (role and content of each message), for the chat template of the model; `prompt` is
    then what a reader sees of it, and what its split follows from.
    """

    prompt: str
    answer: str
    data: Mapping[str, Any] = field(default_factory=dict)
    messages: tuple[Mapping[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Reward:
    """What one completion earned.

    Attributes:
        correct: exact correctness by the verifier; what validation and test accuracy count.
        total: the (possibly shaped) reward that GRPO sees; finite.
        components: named parts of `total` before weighting, for the metrics.
    """

    correct: bool
    total: float
    components: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Levels:
    """How hard the items of a task can be, in whole levels.

    Attributes:
        lowest, highest: levels of the target distribution, inclusive.
        default: highest level of the training items, unless a run or a transition says otherwise.
        doc: what a level counts, for example "terms".
    """

    lowest: int
    highest: int
    default: int
    doc: str


class Task(ABC):
    """A verifiable task.

    Subclasses set `name` and `summary`, and implement `generate` and `score`.

    Attributes:
        name: as in the run file and in `llmzero tasks`.
        summary: one line for the list of tasks.
        max_completion_length: tokens that an evaluation may generate, the same for every node of a run, so
            that scores compare; range 1 to the model's positions less the prompt.
        levels: how hard items can be; None for a task without a difficulty. See `level` and `parameters`.
        difficulty: highest level of the training items; None trains on the target distribution.
        kind: what sort of task it is, for the list of tasks: "tiny", "data set", "generator" or "yours".
        size: how many items there are, in words, for the list of tasks.
        chat: whether the prompts want the chat template of a model: `check` warns where it has none.
        suggested_model: a model that real use of this task may begin with, for the list of tasks; None when
            `default_model` is one.
    """

    name: str
    summary: str
    max_completion_length: int
    levels: Levels | None = None
    difficulty: int | None = None
    kind: str = "yours"
    size: str = "generated"
    chat: bool = False
    suggested_model: str | None = None

    @abstractmethod
    def generate(self, rng: random.Random) -> Item:
        """Draw one item of the target distribution. Deterministic given `rng`."""

    @abstractmethod
    def score(self, completion: str, item: Item) -> Reward:
        """Verify one completion (text after the prompt, without the end token). Pure, safe on any text."""

    def score_batch(
        self, completions: Sequence[str], items: Sequence[Item], ids: Sequence[Sequence[int]] | None = None
    ) -> list[Reward]:
        """Verify the completions of a step together; `ids` are their tokens, where they are known."""
        return [self.score(completion, item) for completion, item in zip(completions, items, strict=True)]

    def gold(self, item: Item) -> str | None:
        """A completion that `score` finds correct, or None where the task has none to give."""
        return None

    def level(self, item: Item) -> int:
        """How hard an item is, within `levels`. A task that sets `levels` implements it."""
        raise TaskError(f"task {self.name} has levels, but no level(item)")

    def parameters(self) -> Mapping[str, Mapping[str, Any]]:
        """Hyperparameters of the task's own, which only its training items follow.

        Name → {"low", "high", "default", "kind", "label", "doc", "rising"}, all but the first three optional; see
        `engine.domain.space`. A task with `levels` has *difficulty*, a capacity parameter that rises only.
        """
        if self.levels is None:
            return {}
        return {
            "difficulty": {
                "low": self.levels.lowest,
                "high": self.levels.highest,
                "default": self.levels.default,
                "kind": "capacity",
                "label": "level",
                "rising": True,
                "doc": f"highest level of the training items: {self.levels.doc}",
            }
        }

    def configured(self, parameters: Mapping[str, float | int]) -> Task:
        """A copy whose training items follow these values of `parameters()`.

        Validation and test items stay as they are: every configuration is measured on the same target.

        Raises:
            TaskError: a name that is not in `parameters()`, or a difficulty that is no level.
        """
        known = self.parameters()
        for name in parameters:
            if name not in known:
                raise TaskError(f"task {self.name} has no parameter {name!r}; it has: {', '.join(known) or 'none'}")
        task = copy.copy(self)
        if self.levels is not None and "difficulty" in parameters:
            value, levels = parameters["difficulty"], self.levels
            if value != int(value) or not levels.lowest <= value <= levels.highest:
                allowed = f"a whole number, {levels.lowest} to {levels.highest}"
                raise TaskError(f"task {self.name}: difficulty = {value!r} is not allowed; allowed: {allowed}")
            task.difficulty = int(value)
        return task

    def space(self) -> Mapping[str, Mapping[str, Any]]:
        """What the task says about the space of a run: `suggested_space` and its own `parameters`."""
        return {**self.suggested_space(), **self.parameters()}

    def suggested_space(self) -> Mapping[str, Mapping[str, float | int | list[int]]]:
        """Ranges that suit this task: parameter → {"low", "high", "default"} or {"choices", "default"}.

        They replace the general defaults of `engine.domain.space`; a run file replaces them in turn. Unless a task says
        otherwise, rollouts have at most the length that evaluations have.
        """
        longest = self.max_completion_length
        return {"max_completion_length": {"low": max(1, longest // 4), "high": longest, "default": longest}}

    def default_model(self) -> str | None:
        """The base model shipped for this task, relative to the project's root, or None."""
        return None

    def items(self, split: Split, n: int, seed: int = 0) -> list[Item]:
        """`n` items of a split, the same for the same seed.

        The splits are disjoint by content: an item's split follows from a hash of its prompt (`split_of`), so
        no prompt of one split occurs in another, whatever the seeds. Within a split items may repeat.

        Raises:
            TaskError: when the task yields no item of that split in 1,000 draws per wanted item.
        """
        rng = random.Random(f"{self.name}/{split}/{seed}")
        items: list[Item] = []
        for _ in range(1000 * n):
            if len(items) == n:
                break
            item = self.generate(rng)
            if split_of(item.prompt) is split and self._in_training(item, split):
                items.append(item)
        if len(items) < n:
            raise TaskError(f"task {self.name}: only {len(items)} of {n} {split} items in {1000 * n} draws")
        return items

    def rows(self, split: Split) -> list[Item] | None:
        """Every item of a split; None for a task that draws as many as it is asked for."""
        return None

    def where(self, item: Item) -> str:
        """How a message names an item: its prompt, or its line in a file."""
        return repr(item.prompt) if len(item.prompt) <= 60 else f"{item.prompt[:59]!r}…"

    def notes(self) -> tuple[str, ...]:
        """What whoever trains on it should know, one line each: rows that are left out, for example."""
        return ()

    def _in_training(self, item: Item, split: Split) -> bool:
        """Held-out items are of every level; training items up to `difficulty`."""
        return split is not Split.TRAIN or self.difficulty is None or self.level(item) <= self.difficulty


def split_of(prompt: str) -> Split:
    """The split of a prompt: 3/4 train, 1/8 validation, 1/8 test, by the first byte of its BLAKE2 hash."""
    byte = hashlib.blake2b(prompt.encode(), digest_size=1).digest()[0]
    if byte < 32:
        return Split.VALIDATION
    return Split.TEST if byte < 64 else Split.TRAIN

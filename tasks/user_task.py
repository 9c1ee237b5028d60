"""A task of a class in a user's file: every call into it runs inside `UserCode.running()`. Made by `tasks.registry`."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from tasks.base import Item, Reward, Split, Task, TaskError
from tasks.user_code import UserCode, one_line

_ATTRIBUTES = (
    "name", "summary", "max_completion_length", "levels", "difficulty", "kind", "size", "chat", "suggested_model",
)  # fmt: skip


class UserTask(Task):
    """Passes every question on. Answers and exceptions are the user's, but for a call of sys.exit: a TaskError."""

    def __init__(self, task: Task, code: UserCode) -> None:
        self._task = task
        self._code = code
        with code.running():
            for attribute in _ATTRIBUTES:
                setattr(self, attribute, getattr(task, attribute))

    def generate(self, rng: random.Random) -> Item:
        with self._code.running():
            return self._task.generate(rng)

    def score(self, completion: str, item: Item) -> Reward:
        with self._code.running():
            return self._task.score(completion, item)

    def score_batch(
        self, completions: Sequence[str], items: Sequence[Item], ids: Sequence[Sequence[int]] | None = None
    ) -> list[Reward]:
        with self._code.running():
            return self._task.score_batch(completions, items, ids)

    def items(self, split: Split, n: int, seed: int = 0) -> list[Item]:
        """The user's items.

        Raises:
            TaskError: they cannot be drawn.
        """
        try:
            with self._code.running():
                return self._task.items(split, n, seed)
        except (TaskError, MemoryError):
            raise
        except Exception as error:
            raise TaskError(f"task {self.name}: its {split} items cannot be drawn: {one_line(error)}") from error

    def configured(self, parameters: Mapping[str, float | int]) -> Task:
        with self._code.running():
            task: object = self._task.configured(parameters)
        if not isinstance(task, Task):
            raise TaskError(f"task {self.name}: configured() returned {type(task).__name__}, not a Task")
        return UserTask(task, self._code)

    def gold(self, item: Item) -> str | None:
        with self._code.running():
            return self._task.gold(item)

    def level(self, item: Item) -> int:
        with self._code.running():
            return self._task.level(item)

    def parameters(self) -> Mapping[str, Mapping[str, Any]]:
        with self._code.running():
            return self._task.parameters()

    def space(self) -> Mapping[str, Mapping[str, Any]]:
        with self._code.running():
            return self._task.space()

    def suggested_space(self) -> Mapping[str, Mapping[str, float | int | list[int]]]:
        with self._code.running():
            return self._task.suggested_space()

    def default_model(self) -> str | None:
        with self._code.running():
            return self._task.default_model()

    def rows(self, split: Split) -> list[Item] | None:
        with self._code.running():
            return self._task.rows(split)

    def where(self, item: Item) -> str:
        with self._code.running():
            return self._task.where(item)

    def notes(self) -> tuple[str, ...]:
        with self._code.running():
            return self._task.notes()

"""How a user's reward function is called: ours, `reward(completion, row)`, or TRL's, `reward(completions, **kwargs)`.

Which one it is follows from its signature. Called by `tasks.jsonl`; what it returns is made plain numbers here, or an
error that says what was returned.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter
from typing import Any

from tasks.base import Item, TaskError
from tasks.user_code import UserCode
from tasks.verdicts import plain_number, shown

ALLOWED = "write reward(completion, row), or TRL's reward(completions, **kwargs) that returns a list"
_TRL = ("prompts", "completions", "completion_ids", "trainer_state", "log_extra", "log_metric")
_POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


class RewardFunction:
    """A reward function of either kind.

    Attributes:
        name: of the function. file: name of its file. batched: whether it is called as TRL calls it.

    Raises:
        TaskError: it can be called in neither way; one line with what is allowed.
    """

    def __init__(self, function: Callable[..., Any], code: UserCode) -> None:
        self.name = str(getattr(function, "__name__", type(function).__name__))
        self.file = code.path.name
        self._function = function
        self._code = code
        if inspect.isclass(function):
            raise TaskError(f"{self.file}:{self.name} is a class, not a function; {ALLOWED}")
        try:
            self._parameters: Mapping[str, Parameter] = inspect.signature(function).parameters
        except (ValueError, TypeError):  # of C: it says nothing about itself
            self._parameters = {
                "completion": Parameter("completion", _POSITIONAL[0]),
                "row": Parameter("row", _POSITIONAL[0]),
            }
        self._takes_all = any(each.kind is Parameter.VAR_KEYWORD for each in self._parameters.values())
        self.batched = self._is_batched()

    def _is_batched(self) -> bool:
        parameters = list(self._parameters.values())
        if "completions" in self._parameters:
            return True
        places = [each for each in parameters if each.kind in _POSITIONAL]
        needed = sum(each.default is Parameter.empty for each in places)
        many = any(each.kind is Parameter.VAR_POSITIONAL for each in parameters)
        strict = any(each.kind is Parameter.KEYWORD_ONLY and each.default is Parameter.empty for each in parameters)
        if not strict and needed <= 2 and (len(places) >= 2 or many) and "prompts" not in self._parameters:
            return False
        if self._takes_all and all(each.name in _TRL for each in places):
            return True
        signature = ", ".join(map(str, parameters))
        raise TaskError(f"{self.file}:{self.name}({signature:.80}) cannot be called; {ALLOWED}")

    def check_columns(self, columns: Sequence[str], task: str) -> None:
        """Raises TaskError when it needs an argument that is neither TRL's nor a column of the rows."""
        if not self.batched:
            return
        for each in self._parameters.values():
            needed = each.default is Parameter.empty and each.kind in (*_POSITIONAL, Parameter.KEYWORD_ONLY)
            if needed and each.name not in (*_TRL, *columns):
                raise TaskError(
                    f"task {task}: {self.file}:{self.name} needs {each.name!r}, which is no column of the rows "
                    f"({', '.join(columns)[:200]}); {ALLOWED}"
                )

    def __call__(
        self, completions: Sequence[str], items: Sequence[Item], ids: Sequence[Sequence[int]] | None
    ) -> list[bool | int | float]:
        """The reward of each completion, in their order.

        Raises:
            TaskError: a result that is no finite number, or not one for each completion; what the function raises.
        """
        with self._code.running():
            if not self.batched:
                pairs = zip(completions, items, strict=True)
                return [self._one(self._function(text, dict(item.data))) for text, item in pairs]
            given = self._function(**self._arguments(completions, items, ids))
            if inspect.iscoroutine(given):
                given = asyncio.run(given)
            return self._many(given, len(items))

    def _one(self, value: Any) -> bool | int | float:
        if inspect.iscoroutine(value):
            value = asyncio.run(value)
        try:
            return plain_number(value)
        except TaskError as error:
            raise TaskError(f"the reward function returned {error}; allowed: True, False or a finite number") from error

    def _many(self, given: Any, wanted: int) -> list[bool | int | float]:
        values = given.tolist() if callable(getattr(given, "tolist", None)) else given
        if not isinstance(values, list | tuple):
            raise TaskError(f"the reward function returned {shown(given)}, not a list with one number a completion")
        if len(values) != wanted:
            raise TaskError(f"the reward function returned {len(values)} rewards for {wanted} completions")
        return [self._one(value) for value in values]

    def _arguments(
        self, completions: Sequence[str], items: Sequence[Item], ids: Sequence[Sequence[int]] | None
    ) -> dict[str, Any]:
        """What TRL gives a reward function: the columns as lists, completions as messages where the prompts are."""
        names = dict.fromkeys(name for item in items for name in item.data if name not in ("prompt", "completion"))
        every: dict[str, Any] = {name: [item.data.get(name) for item in items] for name in names}
        every["prompts"] = [[dict(each) for each in item.messages] if item.messages else item.prompt for item in items]
        every["completions"] = [
            [{"role": "assistant", "content": text}] if item.messages else text
            for text, item in zip(completions, items, strict=True)
        ]
        # Where no model has written them (`check`), a completion's bytes stand in for its tokens.
        every["completion_ids"] = [list(each) for each in ids] if ids else [list(text.encode()) for text in completions]
        every |= {"trainer_state": None, "log_extra": _nothing, "log_metric": _nothing}
        return every if self._takes_all else {name: every[name] for name in self._parameters if name in every}


def _nothing(*_: Any, **__: Any) -> None:
    """In place of TRL's loggers: what a reward function logs is not kept."""

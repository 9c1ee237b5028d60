"""A task's verdicts on completions, checked: what a grader returned is a finite number, or an error that names it.

Asked by the trainer, the evaluator, the check before a run and `llmzero tasks`. Never lets through what GRPO would
train on silently (NaN, None, a text); imports neither numpy nor torch, whose scalars it takes all the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from numbers import Real
from typing import Any

from tasks.base import Item, Reward, Task, TaskError

_QUOTED = 160


def verdicts(
    task: Task,
    completions: Sequence[str],
    items: Sequence[Item],
    ids: Sequence[Sequence[int]] | None = None,
    *,
    passes: Callable[[Exception], bool] = lambda error: isinstance(error, MemoryError),
) -> list[Reward | TaskError]:
    """The reward of each completion, or why it has none: an error that names task, item and completion.

    A batch that fails is scored again one by one, so that one bad completion does not take the others with it.

    Args:
        passes: which exceptions are the machine's trouble rather than the grader's, and are raised as they are.
    """
    try:
        rewards = task.score_batch(completions, items, ids)
        if len(rewards) == len(items):
            return [_checked(task, *each) for each in zip(rewards, completions, items, strict=True)]
    except Exception as error:
        if passes(error):
            raise
    return [
        _single(task, completion, item, [ids[i]] if ids else None, passes)
        for i, (completion, item) in enumerate(zip(completions, items, strict=True))
    ]


def _single(
    task: Task, completion: str, item: Item, ids: Sequence[Sequence[int]] | None, passes: Callable[[Exception], bool]
) -> Reward | TaskError:
    try:
        rewards = list(task.score_batch([completion], [item], ids))
    except Exception as error:
        if passes(error):
            raise
        said = str(error) if isinstance(error, TaskError) else f"score raised {type(error).__name__}: {error}"
        return _fault(task, said, completion, item)
    if len(rewards) != 1:
        return _fault(task, f"score_batch returned {len(rewards)} rewards for one completion", completion, item)
    return _checked(task, rewards[0], completion, item)


def _checked(task: Task, reward: object, completion: str, item: Item) -> Reward | TaskError:
    if not isinstance(reward, Reward):
        return _fault(task, f"score returned {shown(reward)}, not a tasks.base.Reward", completion, item)
    try:
        what = "score gave a reward of"
        total = float(plain_number(reward.total))
        parts = {}
        for name, value in reward.components.items():
            what = f"reward component {name!r} is"
            parts[str(name)] = float(plain_number(value))
        return Reward(bool(reward.correct), total, parts)
    except Exception as error:  # noqa: BLE001  numbers of the user's own classes may raise anything
        return _fault(task, f"{what} {error}", completion, item)


def plain_number(value: Any) -> bool | int | float:
    """A number of Python's, from one of Python, numpy or torch (of any shape with one element).

    Raises:
        TaskError: it is none, or not finite; the message begins with what it is.
    """
    number = value
    if not isinstance(value, int | float):
        if isinstance(value, Real | Decimal):
            number = float(value)
        elif callable(getattr(value, "item", None)):
            try:
                number = value.item()
            except Exception as error:
                raise TaskError(f"{shown(value)}, not one number") from error
    if not isinstance(number, int | float):
        raise TaskError(f"{shown(value)}, not a finite number")
    try:
        finite = math.isfinite(number)
    except OverflowError:
        finite = False
    if not finite:
        raise TaskError(f"{shown(value)}, not a finite number")
    return number


def shown(value: object) -> str:
    """A value for a message, at most 80 characters; for what would take more, its class and shape."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # noqa: BLE001  a class of the user's
        text = ""
    if text and len(text) <= 80:
        return text
    shape = getattr(value, "shape", None)
    return f"a {type(value).__name__}" + (f" of shape {tuple(shape)}" if isinstance(shape, tuple) else "")


def _fault(task: Task, what: str, completion: str, item: Item) -> TaskError:
    what = " ".join(what.split())[:_QUOTED]
    return TaskError(f"task {task.name}: {what}; item {_quote(item.prompt)}, completion {_quote(completion)}")


def _quote(text: str) -> str:
    quoted = repr(text)
    return quoted if len(quoted) <= _QUOTED else quoted[: _QUOTED - 1] + "…"

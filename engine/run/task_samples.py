"""A task described, with samples and what its verifier says of right, empty, junk and nearly right completions.

Made for `llmzero tasks`. A file of the user's is executed and asked in a process of its own, `python -m
engine.run.task_samples` with the name on stdin.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from engine.errors import UserError, one_line
from engine.run.prompt_check import GRADER_SECONDS, JUNK
from engine.run.user_code_process import Tell, ask, serve
from tasks import registry
from tasks.base import Item, Split, Task, TaskError, TaskNotFound
from tasks.user_code import time_limit
from tasks.verdicts import verdicts

SAMPLES = 5
Described = dict[str, Any]


def shown(name: str) -> Described:
    """One task with its samples. Raises UserError: there is none, or it cannot be used; one line."""
    try:
        if not registry.is_file(name):
            return _with_samples(name)
        answer: Described = ask("engine.run.task_samples", name, name, lambda _: None)
    except (TaskNotFound, TaskError) as error:
        raise UserError(one_line(str(error))) from error
    if "error" in answer:
        raise UserError(answer["error"])
    return answer


def listed(name: str, *, samples: bool) -> Described:
    """A task that ships here, as a list has it; one that lacks something on this machine says so.

    Args:
        samples: some are wanted; only what needs no download has them.
    """
    try:
        task = registry.get(name)
    except (TaskNotFound, TaskError) as error:
        return {"name": name, "kind": "data set", "size": None, "model": None, "summary": one_line(str(error))}
    return _described(name, task) | ({"samples": _samples(task)} if samples and task.default_model() else {})


def _with_samples(name: str) -> Described:
    task = registry.get(name)
    return _described(name, task) | {"samples": _samples(task)}


def _described(name: str, task: Task) -> Described:
    return {
        "name": name,
        "kind": task.kind,
        "size": task.size,
        "model": task.default_model() or task.suggested_model,
        "summary": task.summary,
        "max_completion_length": task.max_completion_length,
        "base": task.default_model(),
        "difficulty": None if task.levels is None else _levels(task),
    }


def _levels(task: Task) -> str:
    levels = task.levels
    assert levels is not None
    return f"{levels.lowest} to {levels.highest} ({levels.doc}); training begins with up to {levels.default}"


def _samples(task: Task) -> list[Described]:
    return [_sample(task, item) for item in task.items(Split.TRAIN, SAMPLES)]


def _sample(task: Task, item: Item) -> Described:
    with time_limit(GRADER_SECONDS, f"task {task.name}: score of {task.where(item)}"):
        gold = task.gold(item)
        scores = {kind: _score(task, completion, item) for kind, completion in _completions(gold)}
    return {"prompt": item.prompt, "answer": item.answer, "worked": gold, "scores": scores}


def _completions(gold: str | None) -> Iterator[tuple[str, str]]:
    if gold is not None:
        yield "gold", gold
    yield "empty", ""
    yield "junk", JUNK
    if gold:
        yield "near miss", gold[:-1]


def _score(task: Task, completion: str, item: Item) -> float:
    """The reward. An exception in the user's `score` is their mistake: one line with item and completion."""
    [verdict] = verdicts(task, [completion], [item])
    if isinstance(verdict, TaskError):
        raise verdict
    return verdict.total


def _answer(name: str, _: Tell) -> Described:
    try:
        return _with_samples(name)
    except (TaskNotFound, TaskError) as error:
        return {"error": one_line(str(error))}


if __name__ == "__main__":
    sys.exit(serve(_answer))

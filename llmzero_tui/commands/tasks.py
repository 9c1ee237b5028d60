"""`llmzero tasks`: the tasks there are; one of them with samples and what its verifier says about right and wrong ones.

A task of the user's own is executed, as the user asked for by naming its file. Imports no torch.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from engine.errors import UserError, one_line
from engine.run.prompt_check import JUNK
from llmzero_tui.format import plain
from llmzero_tui.text.output import emit, table
from llmzero_tui.values.answers import to_json
from tasks import reasoning_gym, registry
from tasks.base import Item, Split, Task, TaskError, TaskNotFound
from tasks.verdicts import verdicts

SAMPLES = 5
TEXT = 200
MORE = (
    f"{reasoning_gym.PREFIX}NAME  any safe generator of reasoning_gym, such as {reasoning_gym.PREFIX}chain_sum",
    "my_task.py:MyTask  a class in a file of yours",
    "data.jsonl:reward.py:function  prompts of yours with a reward function",
)


def tasks(options: argparse.Namespace) -> int:
    """List the tasks, or show one: samples, right answers, and scores of right, empty, junk and near-miss completions.

    Raises:
        UserError: no such task, or one that cannot be used here; the line says what is missing.
    """
    if options.name is None:
        described = [_listed(name, options.preview) for name in registry.listed()]
    else:
        described = [_shown(options.name)]
    if options.json:
        emit(to_json(described))
    else:
        _print(described, listing=options.name is None)
    return 0


def _listed(name: str, preview: bool) -> dict[str, Any]:
    """One line of the list; a task that lacks something on this machine says so there."""
    try:
        task = registry.get(name)
    except (TaskNotFound, TaskError) as error:
        return {"name": name, "kind": "data set", "size": None, "model": None, "summary": one_line(str(error))}
    samples = preview and task.default_model() is not None
    return _describe(name, task) | ({"samples": _samples(task)} if samples else {})


def _shown(name: str) -> dict[str, Any]:
    try:
        task = registry.get(name)
        return _describe(name, task) | {"samples": _samples(task)}
    except (TaskNotFound, TaskError) as error:
        raise UserError(one_line(str(error))) from error


def _describe(name: str, task: Task) -> dict[str, Any]:
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


def _samples(task: Task) -> list[dict[str, Any]]:
    return [
        {
            "prompt": item.prompt,
            "answer": item.answer,
            "worked": task.gold(item),
            "scores": {kind: _score(task, completion, item) for kind, completion in _completions(task, item)},
        }
        for item in task.items(Split.TRAIN, SAMPLES)
    ]


def _completions(task: Task, item: Item) -> Iterator[tuple[str, str]]:
    gold = task.gold(item)
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


def _print(described: list[dict[str, Any]], *, listing: bool) -> None:
    rows = [[t["name"], t["kind"], t["size"] or "–", t["model"] or "–", t["summary"]] for t in described]
    emit(*table(["task", "kind", "items", "model", "what it is"], rows))
    if listing:
        emit("", *MORE)
    for task in described:
        if task.get("difficulty") and not listing:
            emit("", f"  difficulty  {task['difficulty']}")
        for sample in task.get("samples", ()):
            _print_sample(sample)


def _print_sample(sample: dict[str, Any]) -> None:
    emit("", f"  prompt  {plain(sample['prompt'], TEXT)}", f"  answer  {plain(sample['answer'], TEXT)}")
    if sample["worked"] is not None:
        emit(f"  worked  {plain(sample['worked'], TEXT)}")
    emit("  scores  " + ", ".join(f"{kind} {score:g}" for kind, score in sample["scores"].items()))

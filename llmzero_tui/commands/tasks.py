"""`llmzero tasks`: the tasks that ship here, one of them in detail, and a few of its prompts.

A task of the user's own is executed, as the user asked for by naming its file. Imports no torch.
"""

from __future__ import annotations

import argparse
from typing import Any

from engine.config import one_line
from engine.errors import UserError
from llmzero_tui.format import plain
from llmzero_tui.text import emit, table, to_json
from tasks import registry
from tasks.base import Split, Task, TaskError, TaskNotFound

SAMPLES = 5


def tasks(options: argparse.Namespace) -> int:
    """List the tasks, or describe one."""
    names = [options.name] if options.name else registry.names()
    preview = options.preview or options.name is not None
    try:
        found = [_describe(name, registry.get(name), preview) for name in names]
    except (TaskNotFound, TaskError) as error:
        raise UserError(one_line(str(error))) from error
    if options.json:
        emit(to_json(found))
    else:
        _print(found)
    return 0


def _describe(name: str, task: Task, preview: bool) -> dict[str, Any]:
    description: dict[str, Any] = {
        "name": name,
        "summary": task.summary,
        "max_completion_length": task.max_completion_length,
        "base": task.default_model(),
    }
    if preview:
        items = task.items(Split.TRAIN, SAMPLES)
        description["samples"] = [
            {"prompt": item.prompt, "answer": item.answer, "worked": task.gold(item)} for item in items
        ]
    return description


def _print(found: list[dict[str, Any]]) -> None:
    emit(*table(["task", "base", "what it is"], [[t["name"], t["base"] or "–", t["summary"]] for t in found]))
    for task in found:
        for sample in task.get("samples", ()):
            emit("", f"  prompt  {plain(sample['prompt'], 200)}", f"  answer  {plain(sample['answer'], 200)}")
            if sample["worked"] is not None:
                emit(f"  worked  {plain(sample['worked'], 200)}")

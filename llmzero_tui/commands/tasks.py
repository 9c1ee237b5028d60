"""`llmzero tasks`: the tasks there are; one of them with samples and what its verifier says about right and wrong ones.

Prints what `engine.run.task_samples` finds. Imports no torch.
"""

from __future__ import annotations

import argparse
from typing import Any

from engine.run import task_samples
from llmzero_tui.format import plain
from llmzero_tui.text.output import emit, table
from llmzero_tui.values.answers import to_json
from tasks import reasoning_gym, registry

TEXT = 200
MORE = (
    f"{reasoning_gym.PREFIX}NAME  any safe generator of reasoning_gym, such as {reasoning_gym.PREFIX}chain_sum",
    "my_task.py:MyTask  a class in your own file",
    "data.jsonl:reward.py:function  your own prompts with a reward function",
)


def tasks(options: argparse.Namespace) -> int:
    """List the tasks, or show one: samples, right answers, and scores of right, empty, junk and near-miss completions.

    Raises:
        UserError: no such task, or one that cannot be used here; the line says what is missing.
    """
    if options.name is None:
        described = [task_samples.listed(name, samples=options.preview) for name in registry.listed()]
    else:
        described = [task_samples.shown(options.name)]
    if options.json:
        emit(to_json(described))
    else:
        _print(described, listing=options.name is None)
    return 0


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

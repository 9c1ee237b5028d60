"""Loads a task by its name where a file of the user's may stand behind it: in a process of its own first.

Asked by the commands that need a task and have not checked it: code that ends its process, by `os._exit` or a crash in
C, is one line of the child's. Only what came to its end there is loaded here. `python -m engine.run.task_loading`
is the child.
"""

from __future__ import annotations

import sys

from engine.run.user_code_process import Tell, ask, serve
from tasks import registry
from tasks.base import Task, TaskError, TaskNotFound


def load(name: str) -> Task:
    """The task of that name. Raises TaskNotFound, TaskError, as `tasks.registry.get` does."""
    if registry.is_file(name):
        kind, words = ask("engine.run.task_loading", name, name, lambda _: None)
        if kind:
            raise (TaskNotFound if kind == "TaskNotFound" else TaskError)(words)
    return registry.get(name)


def _tried(name: str, _: Tell) -> list[str]:
    try:
        registry.get(name).space()
    except (TaskNotFound, TaskError) as error:
        return [type(error).__name__, str(error)]
    return ["", ""]


if __name__ == "__main__":
    sys.exit(serve(_tried))

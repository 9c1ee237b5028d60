"""Finds a task by the name in a run file: one that ships here, or a class in a file of the user's.

Asked by the configuration check, the trainer and `llmzero tasks`. It must not import torch, and it runs code
of the user's only when the name is of the form `file.py:Class`.
"""

from __future__ import annotations

import difflib
import inspect
from pathlib import Path

from tasks import huggingface, jsonl, reasoning_gym, reasoning_gym_tiny
from tasks.base import Task, TaskError, TaskNotFound
from tasks.chain import Chain
from tasks.countdown import Countdown
from tasks.dedup import Dedup
from tasks.knights import Knights
from tasks.ladder import Ladder
from tasks.user_code import UserCode, one_line
from tasks.user_task import UserTask

_JSON_LINES = ".jsonl:"
_SHIPPED: dict[str, type[Task]] = {task.name: task for task in (Chain, Countdown, Dedup, Knights, Ladder)}


def names() -> tuple[str, ...]:
    """The names of the shipped tasks, in alphabetical order."""
    return tuple(sorted(_SHIPPED))


def listed() -> tuple[str, ...]:
    """What `llmzero tasks` lists: the shipped tasks, then the data sets."""
    return (*names(), *sorted(huggingface.TASKS))


def get(name: str) -> Task:
    """The task called `name`.

    Args:
        name: a name of `names()` or of `huggingface.TASKS`, "reasoning_gym/<generator>", "path/to/file.py:Class", or
            "data.jsonl:path/to/file.py:function"; paths are absolute or relative to the working directory. The file is
            executed, so it must be one that the user named.

    Raises:
        TaskNotFound: no such name, file or class.
        TaskError: the user's file fails when executed, or its class is not a usable task.

    Both messages are one line.
    """
    if name in _SHIPPED:
        return _SHIPPED[name]()
    if name in reasoning_gym_tiny.COMPACT:
        return reasoning_gym_tiny.COMPACT[name]()
    if name.startswith(reasoning_gym.PREFIX):
        return reasoning_gym.ReasoningGym(name.removeprefix(reasoning_gym.PREFIX))
    if name in huggingface.TASKS:
        return huggingface.TASKS[name]()
    if _JSON_LINES in name:
        return _from_json_lines(name)
    path, colon, class_name = name.rpartition(":")
    if colon and path.endswith(".py"):
        return _from_file(Path(path), class_name)
    every = listed()
    known = ", ".join(difflib.get_close_matches(name, every, n=3, cutoff=0.5) or every)
    raise TaskNotFound(f'task {name!r} is unknown; nearest: {known}; or "my_task.py:MyTask"')


def is_file(name: str) -> bool:
    """Whether the name means a file of the user's, whose code `get` executes."""
    return not name.startswith(reasoning_gym.PREFIX) and ".py:" in name


def absolute(name: str) -> str:
    """The name with absolute paths in place of relative ones, so that it means the same in any working directory."""
    if name.startswith(reasoning_gym.PREFIX) or ":" not in name:
        return name
    data, lines, rest = name.partition(_JSON_LINES)
    path, _, last = (rest if lines else name).rpartition(":")
    place = f"{Path(path).resolve()}:{last}"
    return f"{Path(data + _JSON_LINES[:-1]).resolve()}:{place}" if lines else place


def _from_json_lines(name: str) -> Task:
    data, _, rest = name.partition(_JSON_LINES)
    rows, (path, _, function_name) = Path(data + _JSON_LINES[:-1]), rest.rpartition(":")
    if not rows.is_file():
        raise TaskNotFound(f"task file {str(rows)!r} does not exist (working directory: {str(Path.cwd())!r})")
    if not path.endswith(".py"):
        raise TaskNotFound(f'task {name!r} names no reward function; write "data.jsonl:reward.py:function"')
    code = UserCode(Path(path))
    module = code.load()
    function = getattr(module, function_name, None)
    if function is None or not callable(function):
        raise TaskNotFound(f"task file {path!r} has no function {function_name!r}")
    task = jsonl.JsonLines(rows, code, module, function)
    _check_attributes(task, f"task {name!r}")
    return task


def _from_file(path: Path, class_name: str) -> Task:
    code = UserCode(path)
    member = getattr(code.load(), class_name, None)
    if member is None:
        raise TaskNotFound(f"task file {str(path)!r} has no class {class_name!r}")
    where = f"task {str(path) + ':' + class_name!r}"
    if not (isinstance(member, type) and issubclass(member, Task)):
        raise TaskError(f"{where} is not a subclass of tasks.base.Task{_other_base(member)}")
    if inspect.isabstract(member):
        missing = ", ".join(sorted(member.__abstractmethods__))
        raise TaskError(f"{where} lacks {missing}")
    try:
        with code.running():
            task = member()
    except Exception as error:  # the user's constructor may raise anything
        raise TaskError(f"{where} cannot be constructed without arguments: {one_line(error)}") from error
    _check_attributes(task, where)
    return UserTask(task, code)


def _other_base(member: object) -> str:
    """A hint where the user's own package `tasks` has a `base` that was taken for ours."""
    bases = member.__mro__ if isinstance(member, type) else ()
    other = next((base for base in bases if base.__module__.startswith("tasks.")), None)
    return f"; your own package `tasks` has a {other.__module__} that was imported instead" if other else ""


def _check_attributes(task: Task, where: str) -> None:
    for attribute in ("name", "summary"):
        value = getattr(task, attribute, None)
        if not isinstance(value, str) or not value:
            raise TaskError(f"{where}: {attribute} must be a text, got {value!r}")
    cap = getattr(task, "max_completion_length", None)
    if not isinstance(cap, int) or isinstance(cap, bool) or cap < 1:
        raise TaskError(f"{where}: max_completion_length must be an integer of at least 1, got {cap!r}")

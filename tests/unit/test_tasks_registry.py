"""Finding tasks by name: shipped ones, a user's file, and every mistake in one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tasks import registry
from tasks.base import Split, TaskError, TaskNotFound

USER_TASK = """
from __future__ import annotations

import random
from dataclasses import dataclass

from tasks.base import Item, Reward, Task


@dataclass(frozen=True)
class Pair:
    left: int
    right: int


class Doubling(Task):
    name = "doubling"
    summary = "double a number"
    max_completion_length = 8

    def generate(self, rng: random.Random) -> Item:
        pair = Pair(rng.randrange(10_000), 2)
        return Item(prompt=f"{pair.left} * {pair.right} =", answer=str(pair.left * pair.right))

    def score(self, completion: str, item: Item) -> Reward:
        return Reward(completion == item.answer, float(completion == item.answer))


class Unfinished(Task):
    name = "unfinished"


class NoCap(Doubling):
    max_completion_length = 0


class NeedsArgument(Doubling):
    def __init__(self, size: int) -> None:
        self.size = size


number = 3
"""


@pytest.fixture
def user_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "my_task.py"
    path.write_text(USER_TASK)
    monkeypatch.chdir(tmp_path)
    return path


def test_every_name_gives_a_task_of_that_name() -> None:
    assert "knights" in registry.names()
    assert [registry.get(name).name for name in registry.names()] == list(registry.names())


def test_unknown_name_is_one_line_with_the_nearest_names() -> None:
    with pytest.raises(TaskNotFound, match=r"'knigts' is unknown; nearest: knights") as caught:
        registry.get("knigts")
    assert "\n" not in str(caught.value)


def test_a_name_near_to_nothing_lists_what_there_is() -> None:
    with pytest.raises(TaskNotFound) as caught:
        registry.get("zzz\n\x1b[31m")
    assert "knights" in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("absolute", [True, False])
def test_a_class_in_a_users_file_is_a_task(user_file: Path, absolute: bool) -> None:
    task = registry.get(f"{user_file if absolute else user_file.name}:Doubling")
    assert task.name == "doubling"
    item = task.items(Split.VALIDATION, 1)[0]
    assert task.score(item.answer, item).correct
    assert task.gold(item) is None


def test_an_edited_file_is_read_again(user_file: Path) -> None:
    assert registry.get("my_task.py:Doubling").summary == "double a number"
    user_file.write_text(USER_TASK.replace("double a number", "twice a given number"), encoding="utf-8")
    assert registry.get("my_task.py:Doubling").summary == "twice a given number"


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("other.py:Doubling", TaskNotFound, "'other.py' does not exist"),
        ("my_task.py:Nothing", TaskNotFound, "has no class 'Nothing'"),
        ("my_task.py:", TaskNotFound, "has no class ''"),
        ("my_task.py:number", TaskError, "is not a subclass"),
        ("my_task.py:Pair", TaskError, "is not a subclass"),
        ("my_task.py:Unfinished", TaskError, "lacks generate, score"),
        ("my_task.py:NoCap", TaskError, "max_completion_length must be an integer of at least 1, got 0"),
        ("my_task.py:NeedsArgument", TaskError, "without arguments"),
        ("my_task.py", TaskNotFound, "unknown"),
        ("", TaskNotFound, "unknown"),
    ],
)
@pytest.mark.usefixtures("user_file")
def test_mistakes_are_one_line(name: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        registry.get(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("source", ["def broken(:\n", "import not_there_at_all\n", "raise ValueError('a\\nb')\n", "\0"])
def test_a_file_that_fails_is_one_line_and_leaves_no_module(user_file: Path, source: str) -> None:
    before = set(sys.modules)
    user_file.write_text(source, encoding="utf-8")
    with pytest.raises(TaskError, match="cannot be executed") as caught:
        registry.get("my_task.py:Doubling")
    assert "\n" not in str(caught.value)
    assert not {module for module in set(sys.modules) - before if "user_task" in module}


def test_listing_and_using_tasks_imports_no_torch() -> None:
    code = (
        "import sys; from tasks import registry; from tasks.base import Split; "
        "[registry.get(n).items(Split.TEST, 2) for n in registry.names()]; "
        "heavy = {'torch', 'transformers', 'trl', 'numpy'} & set(sys.modules); "
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("name", "absolute"),
    [
        ("knights", "knights"),
        ("reasoning_gym/chain_sum:tiny", "reasoning_gym/chain_sum:tiny"),
        ("a/my_task.py:Mine", "{here}/a/my_task.py:Mine"),
        ("../my_task.py:Mine", "{above}/my_task.py:Mine"),
        ("data.jsonl:rewards/mine.py:f", "{here}/data.jsonl:{here}/rewards/mine.py:f"),
    ],
)
def test_names_of_files_become_absolute_and_others_stay(
    name: str, absolute: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wanted = absolute.format(here=tmp_path.resolve(), above=tmp_path.resolve().parent)
    assert registry.absolute(name) == wanted
    assert registry.absolute(wanted) == wanted
